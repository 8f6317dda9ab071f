package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	// maxBytes bounds a file, and maxDepth its nesting, which the parser
	// follows by recursion.
	maxBytes = 1 << 20
	maxDepth = 64
)

// Decode reads the one YAML document of the text into out, a pointer to a
// struct with `yaml` tags. Keys that the text leaves out keep the value that
// out has; a list or map in the text replaces the whole of it. It knows
// strings, booleans, numbers, structs, slices, maps with string keys and
// encoding.TextUnmarshaler. Anchors, aliases, tags and merge keys are refused.
func Decode(file string, text []byte, out any) (d *Document, err error) {
	d = &Document{file: file, lines: map[string]int{}}
	defer func() {
		if r := recover(); r != nil { // in the parser
			d, err = nil, fmt.Errorf("%s: it cannot be read as YAML: %v", file, r)
		}
	}()
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if err := checkText(text); err != nil {
		return nil, fmt.Errorf("%s%w", file, err)
	}
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, fmt.Errorf("%s:%d: a second document begins: want one", file, line(doc.Body))
		}
		body = doc.Body
	}
	if body == nil {
		return d, nil
	}
	w := walker{d}
	return d, w.decode("", body, reflect.ValueOf(out).Elem())
}

// checkText refuses what the parser should not see.
func checkText(text []byte) error {
	if len(text) > maxBytes {
		return fmt.Errorf(": it has %d bytes, want at most %d: is it a configuration?", len(text), maxBytes)
	}
	number := 0
	depth := 0
	for l := range bytes.Lines(text) {
		number++
		if !utf8.Valid(l) {
			return fmt.Errorf(":%d: it is not UTF-8: save the file in that encoding", number)
		}
		depth += bytes.Count(l, []byte("[")) + bytes.Count(l, []byte("{"))
		markers := bytes.Count(l, []byte("- ")) + bytes.Count(l, []byte("? ")) + bytes.Count(l, []byte(": "))
		indent := len(l) - len(bytes.TrimLeft(l, " "))
		if depth > 16*maxDepth || markers > maxDepth || indent > 4*maxDepth {
			return fmt.Errorf(":%d: it is nested too deeply", number)
		}
		depth = max(0, depth-bytes.Count(l, []byte("]"))-bytes.Count(l, []byte("}")))
	}
	return nil
}

// syntaxError makes one line of the parser's report.
func syntaxError(file string, err error) error {
	var yamlErr yaml.Error
	if errors.As(err, &yamlErr) && yamlErr.GetToken() != nil {
		return fmt.Errorf("%s:%d: this is no YAML: %s", file, yamlErr.GetToken().Position.Line, oneLine(yamlErr.GetMessage()))
	}
	return fmt.Errorf("%s: this is no YAML: %s", file, oneLine(err.Error()))
}

func oneLine(s string) string { return Redact(strings.Join(strings.Fields(s), " ")) }

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// walker puts nodes into Go values.
type walker struct{ d *Document }

func (w walker) wrong(path string, n ast.Node, format string, args ...any) error {
	where := fmt.Sprintf("%s:%d: ", w.d.file, line(n))
	if path != "" {
		where += path + ": "
	}
	return errors.New(Redact(where + fmt.Sprintf(format, args...)))
}

// entry is a key of a mapping and its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries lists a mapping's keys, each once.
func (w walker) entries(path string, n ast.Node) ([]entry, error) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, w.wrong(path, n, "want keys with values, got %s", describe(n))
	}
	var list []entry
	before := map[string]ast.Node{}
	for _, v := range values {
		var name string
		switch k := v.Key.(type) {
		case *ast.StringNode:
			name = k.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			name = k.GetToken().Value
		default:
			return nil, w.wrong(path, v.Key, "%s cannot be a key: write the keys out", describe(v.Key))
		}
		if first, twice := before[name]; twice {
			return nil, w.wrong(join(path, name), v.Key, "the key stands here a second time, after line %d", line(first))
		}
		before[name] = v.Key
		list = append(list, entry{name, v.Key, v.Value})
	}
	return list, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// decode puts the node at path into out.
func (w walker) decode(path string, n ast.Node, out reflect.Value) error {
	if _, noted := w.d.lines[path]; !noted {
		w.d.lines[path] = line(n)
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return w.wrong(path, n, "%s is not known here: write the value out", describe(n))
	case *ast.NullNode:
		if out.Kind() == reflect.Pointer {
			out.SetZero()
			return nil
		}
		return w.wrong(path, n, "the key has no value: give it one or leave the key out")
	}
	if t, ok := out.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, ok := scalar(n)
		if !ok {
			return w.wrong(path, n, "want one value, got %s", describe(n))
		}
		if err := t.UnmarshalText([]byte(text)); err != nil {
			return w.wrong(path, n, "%v", err)
		}
		return nil
	}
	switch out.Kind() {
	case reflect.Pointer:
		value := reflect.New(out.Type().Elem())
		if err := w.decode(path, n, value.Elem()); err != nil {
			return err
		}
		out.Set(value)
		return nil
	case reflect.Struct:
		return w.decodeStruct(path, n, out)
	case reflect.Map:
		return w.decodeMap(path, n, out)
	case reflect.Slice:
		return w.decodeSlice(path, n, out)
	}
	return w.decodeScalar(path, n, out)
}

func (w walker) decodeStruct(path string, n ast.Node, out reflect.Value) error {
	entries, err := w.entries(path, n)
	if err != nil {
		return err
	}
	fields := map[string]reflect.Value{}
	var names []string
	var others reflect.Value // the inline map, if there is one
	for i := range out.NumField() {
		name, option, _ := strings.Cut(out.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = out.Field(i)
			names = append(names, name)
		} else if option == "inline" {
			others = out.Field(i)
		}
	}
	for _, e := range entries {
		w.d.lines[join(path, e.name)] = line(e.key)
		field, ok := fields[e.name]
		if !ok && others.IsValid() {
			value, err := w.loose(join(path, e.name), e.value)
			if err != nil {
				return err
			}
			if others.IsNil() {
				others.Set(reflect.MakeMap(others.Type()))
			}
			others.SetMapIndex(reflect.ValueOf(e.name), reflect.ValueOf(value))
			continue
		}
		if !ok {
			return w.wrong(join(path, e.name), e.key, "there is no such key: %s", Suggest(e.name, names))
		}
		if err := w.decode(join(path, e.name), e.value, field); err != nil {
			return err
		}
	}
	return nil
}

func (w walker) decodeMap(path string, n ast.Node, out reflect.Value) error {
	entries, err := w.entries(path, n)
	if err != nil {
		return err
	}
	made := reflect.MakeMap(out.Type())
	for _, e := range entries {
		w.d.lines[join(path, e.name)] = line(e.key)
		value := reflect.New(out.Type().Elem()).Elem()
		if err := w.decode(join(path, e.name), e.value, value); err != nil {
			return err
		}
		made.SetMapIndex(reflect.ValueOf(e.name).Convert(out.Type().Key()), value)
	}
	out.Set(made)
	return nil
}

func (w walker) decodeSlice(path string, n ast.Node, out reflect.Value) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return w.wrong(path, n, "want a list, got %s", describe(n))
	}
	made := reflect.MakeSlice(out.Type(), len(list.Values), len(list.Values))
	for i, v := range list.Values {
		if err := w.decode(fmt.Sprintf("%s[%d]", path, i), v, made.Index(i)); err != nil {
			return err
		}
	}
	out.Set(made)
	return nil
}

func (w walker) decodeScalar(path string, n ast.Node, out reflect.Value) error {
	text, ok := scalar(n)
	if !ok {
		return w.wrong(path, n, "want %s, got %s", kindName(out.Kind()), describe(n))
	}
	mismatch := func() error { return w.wrong(path, n, "want %s, got %s", kindName(out.Kind()), describe(n)) }
	switch out.Kind() {
	case reflect.String:
		// A bare number or boolean is taken as it is written: a revision 1.10
		// must not become 1.1.
		out.SetString(text)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return mismatch()
		}
		out.SetBool(b.Value)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n.Type() != ast.IntegerType {
			return mismatch()
		}
		v, err := strconv.ParseInt(text, base(text), out.Type().Bits())
		if err != nil {
			return w.wrong(path, n, "%s is out of range: want a number of %d bits", text, out.Type().Bits())
		}
		out.SetInt(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n.Type() != ast.IntegerType {
			return mismatch()
		}
		v, err := strconv.ParseUint(text, base(text), out.Type().Bits())
		if err != nil {
			return w.wrong(path, n, "%s is out of range: want a number of %d bits without a sign", text, out.Type().Bits())
		}
		out.SetUint(v)
	case reflect.Float32, reflect.Float64:
		if n.Type() != ast.IntegerType && n.Type() != ast.FloatType {
			return mismatch()
		}
		v, err := strconv.ParseFloat(text, out.Type().Bits())
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			return w.wrong(path, n, "%s is out of range", text)
		}
		out.SetFloat(v)
	default:
		panic("config: fields of type " + out.Type().String() + " are not supported")
	}
	return nil
}

// loose returns the value of a key that no struct names.
func (w walker) loose(path string, n ast.Node) (any, error) {
	w.d.lines[path] = line(n)
	var out any
	switch n := n.(type) {
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, v := range n.Values {
			var err error
			if list[i], err = w.loose(fmt.Sprintf("%s[%d]", path, i), v); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode:
		var number float64
		err := w.decodeScalar(path, n, reflect.ValueOf(&number).Elem())
		return number, err
	case *ast.StringNode, *ast.LiteralNode:
		out, _ = scalar(n)
		return out, nil
	case *ast.NullNode:
		return nil, w.wrong(path, n, "the key has no value: give it one or leave the key out")
	}
	return nil, w.wrong(path, n, "want a value or a list, got %s", describe(n))
}

// base is that of a whole number: YAML 1.2 knows 0x and 0o, and takes 010 for
// ten.
func base(text string) int {
	digits := strings.ToLower(strings.TrimLeft(text, "+-"))
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0o") || strings.HasPrefix(digits, "0b") {
		return 0
	}
	return 10
}

// scalar returns the text of a node that is one value, as it is written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// describe says what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode:
		return "an anchor (&)"
	case *ast.AliasNode:
		return "an alias (*)"
	case *ast.TagNode:
		return "a tag (!)"
	case *ast.MergeKeyNode:
		return "a merge key (<<)"
	case *ast.StringNode, *ast.LiteralNode:
		text, _ := scalar(n)
		return fmt.Sprintf("the text %.40q", Redact(text)) // before a cut hides the @
	}
	if text, ok := scalar(n); ok {
		return text
	}
	return "a " + strings.ToLower(n.Type().String())
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// Suggest names the known key that was most likely meant, or all of them.
func Suggest(name string, known []string) string {
	best, least := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean `%s`?", best)
	}
	known = slices.Sorted(slices.Values(known))
	return fmt.Sprintf("want one of %s", strings.Join(known, ", "))
}

// distance is the number of insertions, deletions and changes of a byte that
// make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
