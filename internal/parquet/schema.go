// Package parquet reads and writes Parquet files. It is the one place that
// uses the Arrow library, so that the library can be replaced here.
package parquet

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// Kind is the type of a column's cells.
type Kind int

// The kinds of cell, each with the Go type that a [Row] holds; nil is null.
const (
	String  Kind = iota // string
	Int64               // int64
	Float64             // float64
	Bool                // bool
	Picture             // Image: Hugging Face's struct{bytes, path}
)

// Column is a column of a file. Picture columns may be null, others may not.
type Column struct {
	Name string
	Kind Kind
}

// Image is an encoded image in Hugging Face's form.
type Image struct {
	Bytes []byte
	Path  string
}

// Row holds one cell for each column, in order.
type Row []any

// pictureType is the Arrow type of datasets.Image, its fields in this order.
var pictureType = arrow.StructOf(
	arrow.Field{Name: "bytes", Type: arrow.BinaryTypes.Binary, Nullable: true},
	arrow.Field{Name: "path", Type: arrow.BinaryTypes.String, Nullable: true},
)

// arrowSchema is the Arrow schema of the columns, with the metadata from which
// Hugging Face's datasets learns its features.
func arrowSchema(columns []Column) (*arrow.Schema, error) {
	features := map[string]any{}
	var fields []arrow.Field
	for _, c := range columns {
		f := arrow.Field{Name: c.Name}
		value := func(dtype string) any { return map[string]string{"dtype": dtype, "_type": "Value"} }
		switch c.Kind {
		case String:
			f.Type, features[c.Name] = arrow.BinaryTypes.String, value("string")
		case Int64:
			f.Type, features[c.Name] = arrow.PrimitiveTypes.Int64, value("int64")
		case Float64:
			f.Type, features[c.Name] = arrow.PrimitiveTypes.Float64, value("float64")
		case Bool:
			f.Type, features[c.Name] = arrow.FixedWidthTypes.Boolean, value("bool")
		case Picture:
			f.Type, f.Nullable, features[c.Name] = pictureType, true, map[string]string{"_type": "Image"}
		default:
			return nil, fmt.Errorf("column %s: kind %d is unknown", c.Name, c.Kind)
		}
		fields = append(fields, f)
	}
	info, err := json.Marshal(map[string]any{"info": map[string]any{"features": features}})
	if err != nil {
		return nil, err
	}
	metadata := arrow.NewMetadata([]string{"huggingface"}, []string{string(info)})
	return arrow.NewSchema(fields, &metadata), nil
}
