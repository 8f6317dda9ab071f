package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/parquet"
)

// condition is a `where`: an expression of the language expr over the columns
// of a trajectory and what the filters measured on it, which is true or false.
// It is safe for concurrent use.
type condition struct {
	text    string
	program *vm.Program
	columns []string // of the shards, that it needs
	scores  []string // that it names
}

const (
	scoresColumn = "scores"
	notesColumn  = "notes"
)

// variables are the columns that a condition can name, each with a value of its
// type: the texts, the notes as a list, and a flag for each mode.
func variables() map[string]any {
	v := map[string]any{}
	for _, c := range trajectoryColumns() {
		switch {
		case c.Name == notesColumn:
			v[c.Name] = []string{}
		case c.Name == scoresColumn || c.Name == "verdicts" || c.Name == "failures": // JSON
		case c.Kind == parquet.String:
			v[c.Name] = ""
		case c.Kind == parquet.Bool:
			v[c.Name] = false
		}
	}
	return v
}

// scoreVariable is the name under which a condition knows a score, such as
// improved_difference for "improved.difference".
func scoreVariable(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// newCondition reads an expression. The scores are the variables of those that
// the snapshot has; they are asked for if the expression names what is no
// column.
func newCondition(text string, scores func() ([]string, error)) (*condition, error) {
	c := &condition{text: text}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, c.explain(err, nil)
	}
	env := variables()
	var known []string
	for _, name := range identifiers(&tree.Node) {
		if _, ok := env[name]; ok {
			c.columns = append(c.columns, name)
			continue
		}
		if known == nil {
			if known, err = scores(); err != nil {
				return nil, err
			}
		}
		if slices.Contains(known, name) {
			c.scores = append(c.scores, name)
			env[name] = 0.0
		}
	}
	if len(c.scores) > 0 {
		c.columns = append(c.columns, scoresColumn)
	}
	// Without a clock, so that an export is a function of its snapshot.
	c.program, err = expr.Compile(text, expr.Env(env), expr.AsBool(), expr.DisableBuiltin("now"))
	if err != nil {
		return nil, c.explain(err, known)
	}
	return c, nil
}

// identifiers are the names in an expression, each once and in order.
func identifiers(node *ast.Node) []string {
	v := &nameVisitor{}
	ast.Walk(node, v)
	return v.names
}

type nameVisitor struct{ names []string }

func (v *nameVisitor) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.IdentifierNode); ok && !slices.Contains(v.names, n.Value) {
		v.names = append(v.names, n.Value)
	}
}

// explain says where the mistake is.
func (c *condition) explain(err error, scores []string) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return fmt.Errorf("where %q: %w", c.text, err)
	}
	hint := ""
	if strings.HasPrefix(at.Message, "unknown name") {
		hint = fmt.Sprintf("\nwant a column (%s) or a score of the snapshot (%s)", strings.Join(slices.Sorted(maps.Keys(variables())), ", "), strings.Join(scores, ", "))
	}
	return fmt.Errorf("where: character %d: %s\n  %s\n  %s^%s", at.Column+1, at.Message, strings.ReplaceAll(c.text, "\n", " "), strings.Repeat(" ", at.Column), hint)
}

// holds reports whether the condition is true of the cells, which are those of
// its columns. A score that was not measured is no number (NaN): every
// comparison with it but != is false.
func (c *condition) holds(cells map[string]any) (bool, error) {
	env := make(map[string]any, len(c.columns)+len(c.scores))
	for _, name := range c.columns {
		switch name {
		case scoresColumn:
			scores, err := readScores(cells)
			if err != nil {
				return false, err
			}
			for _, variable := range c.scores {
				env[variable] = math.NaN()
			}
			for _, s := range scores {
				env[scoreVariable(s.Name)] = s.Value
			}
		case notesColumn:
			notes := []string{}
			text, _ := cells[name].(string)
			if err := json.Unmarshal([]byte(text), &notes); err != nil {
				return false, fmt.Errorf("column %s: %w", name, err)
			}
			env[name] = notes
		default:
			env[name] = cells[name]
		}
	}
	result, err := expr.Run(c.program, env)
	if err != nil {
		return false, c.explain(err, nil)
	}
	return result.(bool), nil // AsBool
}

func readScores(cells map[string]any) ([]irgdata.Score, error) {
	var scores []irgdata.Score
	text, _ := cells[scoresColumn].(string)
	if err := json.Unmarshal([]byte(text), &scores); err != nil {
		return nil, fmt.Errorf("column %s: %w", scoresColumn, err)
	}
	return scores, nil
}
