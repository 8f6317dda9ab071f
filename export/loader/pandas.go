package loader

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // where the machine has no time zones
	"unicode/utf8"

	"github.com/irgdata/irgdata/internal/parquet"
)

// frame foretells what to_pandas makes of a file's columns: which of them
// becomes the column conversation of the DataFrame, or why there is none. It
// follows table_to_dataframe in pyarrow/pandas_compat.py.
func frame(r *parquet.Reader) (column string, lost *Finding) {
	zones, err := r.TimeZones()
	if err != nil {
		return "", &Finding{Rule: RuleGroup, Detail: "the Arrow schema in its metadata cannot be read: " + err.Error()}
	}
	for _, zone := range zones {
		if !knownZone(zone) {
			return "", &Finding{Rule: RuleGroup, Detail: fmt.Sprintf("pandas does not know the time zone %.40q of a column", zone)}
		}
	}
	metadata, ok := r.Metadata("pandas")
	if !ok {
		metadata = "null"
	}
	if column, lost = inFrame(r.Names(), metadata); lost != nil {
		return "", lost
	}
	for _, c := range r.Columns() {
		if c.Name == column && (c.Kind == parquet.String || c.Kind == parquet.Picture) {
			return column, nil
		}
	}
	return "", &Finding{Rule: RuleNoConversation, Detail: "the file has no column conversation that holds texts"}
}

// inFrame is the column of a file that becomes the DataFrame's conversation, by
// the pandas metadata; "" if there is none.
func inFrame(columns []string, metadata string) (column string, lost *Finding) {
	f := pandasFrame{table: slices.Clone(columns), renamed: map[string]any{}}
	if err := f.read(metadata); err != nil {
		return "", &Finding{Rule: RuleGroup, Detail: "to_pandas raises for the pandas metadata: " + err.Error()}
	}
	if slices.Contains(f.index, conversation) {
		return "", &Finding{Rule: RuleNoConversation, Detail: "the pandas metadata makes conversation the index, which is no column: write it after reset_index()"}
	}
	for _, name := range f.table {
		logical, ok := f.renamed[name]
		if ok && logical != conversation || !ok && name != conversation {
			continue
		}
		if column != "" {
			return "", &Finding{Rule: RuleNoConversation, Detail: "more than one column is named conversation"}
		}
		column = name
	}
	return column, nil
}

const conversation = "conversation"

// pandasFrame is what the pandas metadata of a file makes of its columns.
type pandasFrame struct {
	table   []string       // the columns that stay columns, as they are named in the file
	index   []string       // those that become levels of the index
	renamed map[string]any // their names in the DataFrame, where they are given
}

// read follows the pandas metadata. An error is one that to_pandas raises.
func (f *pandasFrame) read(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("it is not UTF-8")
	}
	v, err := parseJSON(text)
	if err != nil || v == nil { // null is as good as none
		return err
	}
	meta, ok := v.(map[string]any)
	columns, hasColumns := meta["columns"].([]any)
	index, hasIndex := meta["index_columns"].([]any)
	if !ok || !hasColumns || !hasIndex {
		return errors.New("want an object with the lists columns and index_columns")
	}
	for _, c := range columns {
		if err := f.column(c); err != nil {
			return err
		}
	}
	for _, level := range index {
		if err := f.level(level); err != nil {
			return err
		}
	}
	names, ok := meta["column_indexes"].([]any)
	if _, given := meta["column_indexes"]; given && !ok {
		return errors.New("column_indexes is no list")
	}
	return columnNames(names)
}

// column takes an entry of columns.
func (f *pandasFrame) column(v any) error {
	c, _ := v.(map[string]any)
	name, ok := c["name"]
	if !ok {
		return errors.New("an entry of columns has no name")
	}
	field, given := c["field_name"]
	if !given {
		field = name
	}
	inFile, ok := field.(string)
	if !ok {
		return fmt.Errorf("an entry of columns has the field_name %.40v", field)
	}
	dtype, ok := c["numpy_type"]
	if word, isText := dtype.(string); !ok || isText && !knownDtype(word) {
		return fmt.Errorf("pandas knows no type %.40v, of column %.40q", dtype, inFile)
	}
	if _, ok := c["pandas_type"]; !ok && slices.Contains(f.table, inFile) {
		return fmt.Errorf("column %.40q has no pandas_type", inFile)
	}
	f.renamed[inFile] = name
	return nil
}

// level takes an entry of index_columns.
func (f *pandasFrame) level(v any) error {
	switch v := v.(type) {
	case string:
		if _, ok := f.renamed[v]; !ok || slices.Contains(f.index, v) {
			return fmt.Errorf("the index column %.40q is not among its columns, or twice", v)
		}
		if i := slices.Index(f.table, v); i >= 0 {
			f.index = append(f.index, v)
			f.table = slices.Delete(f.table, i, i+1)
		}
		return nil
	case map[string]any:
		whole := v["kind"] == "range"
		for _, key := range []string{"name", "start", "stop", "step"} {
			_, ok := v[key]
			whole = whole && ok
		}
		if whole {
			return nil
		}
	}
	return errors.New("an index column is neither a name nor a range")
}

// columnNames takes column_indexes, which say of which type the names of the
// columns are, of each level: only names that are texts keep a conversation.
func columnNames(levels []any) error {
	if len(levels) > 1 {
		return errors.New("the columns' names have more than one level")
	}
	for _, v := range levels {
		level, _ := v.(map[string]any)
		if _, ok := level["name"]; !ok {
			return errors.New("an entry of column_indexes has no name")
		}
		kind, given := level["pandas_type"].(string)
		if given && !textNames.MatchString(kind) {
			return fmt.Errorf("the columns' names are of type %.40q, want texts", kind)
		}
		if dtype, _ := level["numpy_type"].(string); !textNames.MatchString(dtype) {
			return fmt.Errorf("the columns' names are of type %.40q, want texts", dtype)
		}
	}
	return nil
}

var textNames = regexp.MustCompile(`^(unicode|string|str|object|O|empty|category|mixed.*)$`)

// knownDtype reports whether pandas, and no package that adds types to it (as
// GeoPandas does geometry, and db-dtypes dbdate), makes a dtype of the name.
// Names that are no plain word are not judged.
func knownDtype(name string) bool {
	return name != "" && (!plainWord.MatchString(name) || numpyWords.MatchString(name))
}

var (
	plainWord  = regexp.MustCompile(`^[a-z_]{2,}$`)
	numpyWords = regexp.MustCompile(`^(object_?|category|string|str_?|unicode_?|bytes_?|void|bool_?|boolean|u?(byte|short|int|intc|intp|long|longlong)|int_|half|c?(single|double|float)|c?longdouble|float_|complex|interval)$`)
)

// fixedOffset is a zone of pyarrow's (python/datetime.cc, MatchFixedOffset),
// for up to a day.
var fixedOffset = regexp.MustCompile(`^[+-]([01][0-9]|2[0-3]):[0-5][0-9]$`)

// knownZone reports whether pyarrow and pytz make a time zone of the name. They
// take names in any case, which here only UTC may be in.
func knownZone(name string) bool {
	if name == "" || fixedOffset.MatchString(name) || strings.EqualFold(name, "UTC") {
		return true
	}
	_, err := time.LoadLocation(name)
	return err == nil && name != "Local"
}
