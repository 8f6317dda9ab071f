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
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/config"
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

// clock is the one function of the language that conditions lack, so that an
// export is a function of its snapshot.
const clock = "now"

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
// column. A nil function stands for a snapshot that is not known yet: each such
// name is then taken for a score. A mistake is a [SelectionError].
func newCondition(text string, scores func() ([]string, error)) (*condition, error) {
	c := &condition{text: text}
	language := conf.CreateNew()
	language.Disabled[clock] = true
	tree, err := parser.ParseWithConfig(text, language)
	if err != nil {
		return nil, c.explain(err, "")
	}
	v := &nameVisitor{}
	ast.Walk(&tree.Node, v)
	if v.refused != nil {
		return nil, c.explain(v.refused, "")
	}
	env := variables()
	var known, others []string // scores, and what is no column
	for _, name := range v.names {
		if _, ok := env[name]; ok {
			c.columns = append(c.columns, name)
			continue
		}
		if _, ok := builtin.Index[name]; ok || slices.Contains(v.declared, name) {
			continue
		}
		if others = append(others, name); len(others) == 1 && scores != nil {
			if known, err = scores(); err != nil {
				return nil, err
			}
		}
		if scores == nil || slices.Contains(known, name) {
			c.scores = append(c.scores, name)
			env[name] = 0.0
		}
	}
	if len(c.scores) > 0 {
		c.columns = append(c.columns, scoresColumn)
	}
	c.program, err = expr.Compile(text, expr.Env(env), expr.AsBool(), expr.DisableBuiltin(clock))
	if err != nil {
		return nil, c.explain(err, hint(known, others, scores != nil))
	}
	return c, nil
}

// hint says what can be named, where a name that is no column may be the
// mistake.
func hint(scores, others []string, known bool) string {
	columns := slices.Sorted(maps.Keys(variables()))
	switch {
	case len(others) == 0:
		return ""
	case !known:
		return fmt.Sprintf("%s is no column and taken for a score, which is a number: %s", others[0], config.Suggest(others[0], columns))
	case len(scores) == 0:
		return fmt.Sprintf("want a column (%s): the snapshot has no scores", strings.Join(columns, ", "))
	}
	return fmt.Sprintf("want a column (%s) or a score of the snapshot (%s)", strings.Join(columns, ", "), strings.Join(scores, ", "))
}

// nameVisitor collects the names in an expression, each once and in order, and
// those that it declares itself with `let`.
type nameVisitor struct {
	names, declared []string
	refused         *file.Error // the first name that cannot be
}

func (v *nameVisitor) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.VariableDeclaratorNode:
		v.declared = append(v.declared, n.Name)
	case *ast.CallNode: // the language's own functions are other nodes
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			v.refuse(n.Location(), fmt.Sprintf("unknown function %s: want one of https://expr-lang.org/docs/language-definition other than %s", callee.Value, clock))
		}
	case *ast.IdentifierNode:
		if n.Value == "$env" { // it hides which columns are read
			v.refuse(n.Location(), "unknown name $env: name the columns and scores themselves")
		}
		if !slices.Contains(v.names, n.Value) {
			v.names = append(v.names, n.Value)
		}
	}
}

func (v *nameVisitor) refuse(at file.Location, message string) {
	if v.refused == nil {
		v.refused = &file.Error{Location: at, Message: message}
	}
}

// explain says where the mistake is, and the hint what to do.
func (c *condition) explain(err error, hint string) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &SelectionError{"where", fmt.Errorf("%q: %w", c.text, err)}
	}
	if hint != "" {
		hint = "\n" + hint
	}
	return &SelectionError{"where", fmt.Errorf("character %d: %s\n  %s\n  %s^%s", at.From+1, at.Message, strings.ReplaceAll(c.text, "\n", " "), strings.Repeat(" ", at.From), hint)}
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
		return false, c.explain(err, "")
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
