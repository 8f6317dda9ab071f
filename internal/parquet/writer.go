package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
)

// WriterOptions bound a row group, whose rows a writer holds in memory.
type WriterOptions struct {
	// Rows is the most rows of a row group, and Bytes about the most bytes of
	// cells; zero means 1,000 rows and 64 MiB.
	Rows  int
	Bytes int64
}

// Writer writes rows. The same rows give the same bytes. It is used by one
// goroutine.
type Writer struct {
	columns []Column
	leaves  []leafColumn
	o       WriterOptions
	file    *fileWriter
	rows    []Row // of the row group under way
	bytes   int64 // of their cells
	total   int64
}

// NewWriter writes a file of the given columns to w, which the caller closes
// after the writer.
func NewWriter(w io.Writer, columns []Column, o WriterOptions) (*Writer, error) {
	if o.Rows <= 0 {
		o.Rows = 1000
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	properties := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryDefault(false),
		parquet.WithBatchSize(batchRows), // a page holds few images
	}
	leaves := leavesOf(columns)
	for _, l := range leaves {
		if l.kind == Picture { // encoded images do not compress
			properties = append(properties, parquet.WithCompressionFor(l.name, compress.Codecs.Uncompressed))
		}
		if l.kind == Picture || l.kind == String { // they have no useful order, and texts can be megabytes long
			properties = append(properties, parquet.WithStatsFor(l.name, false))
		}
	}
	f, err := newFileWriter(w, columns, properties...)
	if err != nil {
		return nil, err
	}
	return &Writer{columns: columns, leaves: leaves, o: o, file: f}, nil
}

// Write adds a row and ends the row group when it is full. The cells must not
// be modified afterwards. Bytes of a text that are not UTF-8 become U+FFFD:
// other readers refuse a file that holds them.
func (w *Writer) Write(row Row) error {
	if len(row) != len(w.columns) {
		return fmt.Errorf("parquet: a row has %d cells, want %d", len(row), len(w.columns))
	}
	for i, c := range w.columns {
		if !fits(c, row[i]) {
			return fmt.Errorf("parquet: column %s: a cell is a %T, which does not fit", c.Name, row[i])
		}
	}
	for _, cell := range row {
		w.bytes += size(cell)
	}
	w.rows = append(w.rows, row)
	w.total++
	if len(w.rows) >= w.o.Rows || w.bytes >= w.o.Bytes {
		return w.EndRowGroup()
	}
	return nil
}

func fits(c Column, cell any) bool {
	var ok bool
	switch c.Kind {
	case String:
		_, ok = cell.(string)
	case Int64:
		_, ok = cell.(int64)
	case Float64:
		_, ok = cell.(float64)
	case Bool:
		_, ok = cell.(bool)
	case Picture:
		_, ok = cell.(Image)
		ok = ok || cell == nil
	case List:
		var elements []Row
		elements, ok = cell.([]Row)
		for _, element := range elements {
			ok = ok && len(element) == len(c.Of)
			for i := 0; ok && i < len(element); i++ {
				ok = fits(c.Of[i], element[i])
			}
		}
	}
	return ok
}

// size is about the memory of a cell.
func size(cell any) int64 {
	switch c := cell.(type) {
	case string:
		return int64(len(c))
	case Image:
		return int64(len(c.Bytes) + len(c.Path))
	case []Row:
		n := int64(8)
		for _, element := range c {
			for _, cell := range element {
				n += size(cell)
			}
		}
		return n
	}
	return 8
}

// EndRowGroup writes the rows since the last row group as one.
func (w *Writer) EndRowGroup() error {
	if len(w.rows) == 0 {
		return nil
	}
	if err := w.file.group(len(w.rows), w.writeRows); err != nil {
		return err
	}
	clear(w.rows) // gives the cells back
	w.rows, w.bytes = w.rows[:0], 0
	return nil
}

func (w *Writer) writeRows(group *groupWriter) error {
	for _, l := range w.leaves {
		pages, err := group.column()
		if err != nil {
			return err
		}
		chunk := file.NewColumnChunkWriter(pages.metadata, pages, w.file.properties)
		err = w.writeLeaf(chunk, l)
		if err == nil {
			err = chunk.Close()
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", l.name, err)
		}
		group.written += chunk.TotalBytesWritten()
	}
	return nil
}

// writeLeaf writes one leaf of the rows' cells, a few rows at a time, so that
// converted values take little memory.
func (w *Writer) writeLeaf(chunk file.ColumnChunkWriter, l leafColumn) error {
	for rows := w.rows; len(rows) > 0; {
		n := min(len(rows), batchRows)
		var s shredded
		for _, row := range rows[:n] {
			s.cell(w.columns[l.column], row[l.column], l.steps, position{})
		}
		var err error
		switch chunk := chunk.(type) {
		case *file.ByteArrayColumnChunkWriter:
			_, err = chunk.WriteBatch(s.bytes, s.definitions, s.repetitions)
		case *file.Int64ColumnChunkWriter:
			_, err = chunk.WriteBatch(s.integers, s.definitions, s.repetitions)
		case *file.Float64ColumnChunkWriter:
			_, err = chunk.WriteBatch(s.floats, s.definitions, s.repetitions)
		case *file.BooleanColumnChunkWriter:
			_, err = chunk.WriteBatch(s.bools, s.definitions, s.repetitions)
		default:
			err = errors.New("no such writer")
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// Rows and RowGroups count what was written so far.
func (w *Writer) Rows() int64 { return w.total }

// RowGroups counts the row groups that have ended.
func (w *Writer) RowGroups() int { return w.file.groups }

// Pending is the number of rows since the last row group ended.
func (w *Writer) Pending() int { return len(w.rows) }

// Close writes the last row group and the footer.
func (w *Writer) Close() error {
	if err := w.EndRowGroup(); err != nil {
		return err
	}
	return w.file.close()
}
