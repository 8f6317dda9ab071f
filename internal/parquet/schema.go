// Package parquet reads and writes Parquet files. It is the one place that
// uses the Arrow library, so that the library can be replaced here.
package parquet

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
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
	List                // []Row: any number of elements, which can be written and not read
)

// Column is a column of a file. Pictures may be null, others may not.
type Column struct {
	Name string
	Kind Kind
	// Of are the columns of a List's elements: one without a name stands for
	// the element itself, such as a Picture, else elements are structs.
	Of []Column
}

// bare reports whether the elements of a list are no structs.
func (c Column) bare() bool { return len(c.Of) == 1 && c.Of[0].Name == "" }

// Image is an encoded image in Hugging Face's form.
type Image struct {
	Bytes []byte
	Path  string
}

// Row holds one cell for each column, in order.
type Row []any

// newSchema is the Parquet schema of the columns. Only pictures, their fields and
// lists are nullable.
func newSchema(columns []Column) (*schema.GroupNode, error) {
	fields, err := fieldNodes(columns)
	if err != nil {
		return nil, err
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
}

func fieldNodes(columns []Column) (schema.FieldList, error) {
	var fields schema.FieldList
	for _, c := range columns {
		node, err := fieldNode(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields = append(fields, node)
	}
	return fields, nil
}

func fieldNode(c Column) (schema.Node, error) {
	switch c.Kind {
	case String:
		return schema.NewPrimitiveNodeLogical(c.Name, parquet.Repetitions.Required, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	case Int64:
		return schema.NewInt64Node(c.Name, parquet.Repetitions.Required, -1), nil
	case Float64:
		return schema.NewFloat64Node(c.Name, parquet.Repetitions.Required, -1), nil
	case Bool:
		return schema.NewBooleanNode(c.Name, parquet.Repetitions.Required, -1), nil
	case Picture:
		return pictureNode(c.Name)
	case List:
		return listNode(c)
	}
	return nil, fmt.Errorf("kind %d is unknown", c.Kind)
}

// listNode has the three levels that the format asks of a list
// (LogicalTypes.md). A struct in it may not be null; the list may, and never is:
// datasets takes note of the features of a column only if it is nullable.
func listNode(c Column) (schema.Node, error) {
	var element schema.Node
	var err error
	if c.bare() {
		of := c.Of[0]
		of.Name = "element"
		element, err = fieldNode(of)
	} else {
		var fields schema.FieldList
		if fields, err = fieldNodes(c.Of); err == nil {
			element, err = schema.NewGroupNode("element", parquet.Repetitions.Required, fields, -1)
		}
	}
	if err != nil {
		return nil, err
	}
	list, err := schema.NewGroupNode("list", parquet.Repetitions.Repeated, schema.FieldList{element}, -1)
	if err != nil {
		return nil, err
	}
	return schema.NewGroupNodeLogical(c.Name, parquet.Repetitions.Optional, schema.FieldList{list}, schema.NewListLogicalType(), -1)
}

// pictureNode is the type of datasets.Image, its fields in this order.
func pictureNode(name string) (schema.Node, error) {
	path, err := schema.NewPrimitiveNodeLogical("path", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	if err != nil {
		return nil, err
	}
	bytes := schema.NewByteArrayNode("bytes", parquet.Repetitions.Optional, -1)
	return schema.NewGroupNode(name, parquet.Repetitions.Optional, schema.FieldList{bytes, path}, -1)
}

// features is the metadata from which Hugging Face's datasets learns that a
// column holds images.
func features(columns []Column) (metadata.KeyValueMetadata, error) {
	info, err := json.Marshal(map[string]any{"info": map[string]any{"features": fieldFeatures(columns)}})
	if err != nil {
		return nil, err
	}
	m := metadata.NewKeyValueMetadata()
	return m, m.Append("huggingface", string(info))
}

func fieldFeatures(columns []Column) map[string]any {
	byName := map[string]any{}
	for _, c := range columns {
		byName[c.Name] = feature(c)
	}
	return byName
}

func feature(c Column) any {
	switch c.Kind {
	case Picture:
		return map[string]string{"_type": "Image"}
	case List:
		// JSON's list is what old and new releases take for one.
		if c.bare() {
			return []any{feature(c.Of[0])}
		}
		return []any{fieldFeatures(c.Of)}
	}
	dtype := map[Kind]string{String: "string", Int64: "int64", Float64: "float64", Bool: "bool"}[c.Kind]
	return map[string]string{"dtype": dtype, "_type": "Value"}
}

// kindOf is the kind of a top-level field, if its cells can be read.
func kindOf(n schema.Node) (Kind, bool) {
	if n.RepetitionType() == parquet.Repetitions.Repeated {
		return 0, false
	}
	if group, ok := n.(*schema.GroupNode); ok {
		i := group.FieldIndexByName("bytes")
		if i < 0 || group.Field(i).RepetitionType() == parquet.Repetitions.Repeated {
			return 0, false
		}
		bytes, ok := group.Field(i).(*schema.PrimitiveNode)
		return Picture, ok && bytes.PhysicalType() == parquet.Types.ByteArray
	}
	leaf, ok := n.(*schema.PrimitiveNode)
	if !ok {
		return 0, false
	}
	plain := leaf.LogicalType().IsNone() || !leaf.LogicalType().IsValid()
	switch leaf.PhysicalType() {
	case parquet.Types.ByteArray:
		switch leaf.LogicalType().(type) {
		case schema.StringLogicalType, schema.JSONLogicalType, schema.EnumLogicalType:
			return String, true
		}
		return Picture, plain
	case parquet.Types.FixedLenByteArray:
		return Picture, plain
	case parquet.Types.Int32, parquet.Types.Int64:
		_, integer := leaf.LogicalType().(*schema.IntLogicalType)
		return Int64, plain || integer
	case parquet.Types.Float, parquet.Types.Double:
		return Float64, plain
	case parquet.Types.Boolean:
		return Bool, plain
	}
	return 0, false
}
