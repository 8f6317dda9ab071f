package parquet

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/google/go-cmp/cmp"
)

// TestLists compares the levels in the file with those that were worked out by
// hand after the definitions of the format (Dremel): lists of structs, of lists
// and of pictures. export/readers reads such files with other programs.
func TestLists(t *testing.T) {
	columns := []Column{
		{Name: "turns", Kind: List, Of: []Column{
			{Name: "role", Kind: String},
			{Name: "parts", Kind: List, Of: []Column{{Name: "text", Kind: String}, {Name: "loss", Kind: Bool}}},
		}},
		{Name: "images", Kind: List, Of: []Column{{Kind: Picture}}},
	}
	rows := []Row{
		{[]Row{}, []Row{}},
		{
			[]Row{{"user", []Row{{"a", true}, {"b", false}}}, {"none", []Row{}}, {"user", []Row{{"c", true}}}},
			[]Row{{Image{Bytes: []byte("x"), Path: "x.png"}}, {nil}},
		},
		{[]Row{{"user", []Row{}}}, []Row{{Image{Bytes: []byte{}}}}},
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, columns, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []Row{{[]Row{{"user"}}, []Row{}}, {[]Row{{"user", []Row{{"a", 1}}}}, []Row{}}, {nil, []Row{}}} {
		if w.Write(bad) == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	type leaf struct {
		Values                   []string
		Definitions, Repetitions []int16
	}
	for i, want := range map[string]leaf{
		"turns.list.element.role":                    {[]string{"user", "none", "user", "user"}, []int16{1, 2, 2, 2, 2}, []int16{0, 0, 1, 1, 0}},
		"turns.list.element.parts.list.element.text": {[]string{"a", "b", "c"}, []int16{1, 4, 4, 3, 4, 3}, []int16{0, 0, 2, 1, 1, 0}},
		"turns.list.element.parts.list.element.loss": {[]string{"true", "false", "true"}, []int16{1, 4, 4, 3, 4, 3}, []int16{0, 0, 2, 1, 1, 0}},
		"images.list.element.bytes":                  {[]string{"x", ""}, []int16{1, 4, 2, 4}, []int16{0, 0, 1, 0}},
		"images.list.element.path":                   {[]string{"x.png", ""}, []int16{1, 4, 2, 4}, []int16{0, 0, 1, 0}},
	} {
		column, err := r.RowGroup(0).Column(r.MetaData().Schema.ColumnIndexByName(i))
		if err != nil {
			t.Fatal(err)
		}
		got := leaf{Definitions: make([]int16, 20), Repetitions: make([]int16, 20)}
		var levels int64
		var values int
		switch column := column.(type) {
		case *file.ByteArrayColumnChunkReader:
			texts := make([]parquet.ByteArray, 20)
			levels, values, err = column.ReadBatch(20, texts, got.Definitions, got.Repetitions)
			for _, v := range texts[:values] {
				got.Values = append(got.Values, string(v))
			}
		case *file.BooleanColumnChunkReader:
			bools := make([]bool, 20)
			levels, values, err = column.ReadBatch(20, bools, got.Definitions, got.Repetitions)
			for _, v := range bools[:values] {
				got.Values = append(got.Values, map[bool]string{true: "true", false: "false"}[v])
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Definitions, got.Repetitions = got.Definitions[:levels], got.Repetitions[:levels]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", i, diff)
		}
	}
}
