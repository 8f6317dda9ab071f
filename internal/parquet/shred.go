package parquet

import (
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/parquet"
)

// leafColumn is a column as the file has it: without structure of its own. A
// row's cell has one leaf, a picture's two, and a list's those of its elements.
type leafColumn struct {
	name   string // dotted, as the schema has it
	column int    // of the row
	steps  []int  // the field taken in each struct on the way down
	kind   Kind   // Picture: the bytes of one
}

// The fields of a picture's struct.
const (
	pictureBytes = iota
	picturePath
)

func leavesOf(columns []Column) []leafColumn {
	var leaves []leafColumn
	for i, c := range columns {
		leaves = append(leaves, leavesOfOne(c, leafColumn{name: c.Name, column: i})...)
	}
	return leaves
}

func leavesOfOne(c Column, at leafColumn) []leafColumn {
	down := func(name string, step int) leafColumn {
		l := at
		l.name += "." + name
		l.steps = append(append([]int{}, at.steps...), step)
		return l
	}
	switch c.Kind {
	case Picture:
		bytes, path := down("bytes", pictureBytes), down("path", picturePath)
		bytes.kind, path.kind = Picture, String
		return []leafColumn{bytes, path}
	case List:
		at.name += ".list.element"
		if c.bare() {
			return leavesOfOne(c.Of[0], at)
		}
		var leaves []leafColumn
		for i, of := range c.Of {
			leaves = append(leaves, leavesOfOne(of, down(of.Name, i))...)
		}
		return leaves
	}
	at.kind = c.Kind
	return []leafColumn{at}
}

// shredded are values of a leaf with their levels, as Dremel has them: the
// definition level says how much of a value's path is there, and the repetition
// level which list on the path goes on with it. A column that cannot be null
// and is in no list has none.
type shredded struct {
	bytes    []parquet.ByteArray
	integers []int64
	floats   []float64
	bools    []bool

	definitions, repetitions []int16
}

// position is where a value stands: its levels, and how many lists are around
// it.
type position struct {
	definition, repetition int16
	lists                  int16
	nullable               bool
}

// level notes the levels of a value, or of its absence.
func (s *shredded) level(at position) {
	if at.nullable || at.lists > 0 {
		s.definitions = append(s.definitions, at.definition)
	}
	if at.lists > 0 {
		s.repetitions = append(s.repetitions, at.repetition)
	}
}

// cell adds what a cell has in the leaf that the steps lead to. Texts become
// valid UTF-8.
func (s *shredded) cell(c Column, cell any, steps []int, at position) {
	switch cell := cell.(type) {
	case []Row:
		s.list(c, cell, steps, at)
		return
	case Image:
		at.definition, at.nullable = at.definition+2, true // the struct and its field
		if steps[0] == pictureBytes {
			s.bytes = append(s.bytes, cell.Bytes)
		} else {
			s.bytes = append(s.bytes, text(cell.Path))
		}
	case nil:
		at.nullable = true
	case string:
		s.bytes = append(s.bytes, text(cell))
	case int64:
		s.integers = append(s.integers, cell)
	case float64:
		s.floats = append(s.floats, cell)
	case bool:
		s.bools = append(s.bools, cell)
	}
	s.level(at)
}

func (s *shredded) list(c Column, elements []Row, steps []int, at position) {
	at.lists++
	at.definition++ // the list is there
	if len(elements) == 0 {
		s.level(at)
		return
	}
	at.definition++ // and has elements
	for i, element := range elements {
		if i > 0 {
			at.repetition = at.lists
		}
		if c.bare() {
			s.cell(c.Of[0], element[0], steps, at)
		} else {
			s.cell(c.Of[steps[0]], element[steps[0]], steps[1:], at)
		}
	}
}

func text(s string) parquet.ByteArray {
	if !utf8.ValidString(s) { // faster by far than ToValidUTF8 on megabytes of ASCII
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return parquet.ByteArray(s)
}
