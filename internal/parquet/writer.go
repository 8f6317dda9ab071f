package parquet

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// WriterOptions bound a row group, which a writer holds in memory about twice:
// as cells and as encoded pages.
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
	o       WriterOptions
	sink    *stickySink
	file    *pqarrow.FileWriter
	builder *array.RecordBuilder
	rows    int   // in the row group under way
	bytes   int64 // in the row group under way
	total   int64
	groups  int
}

// stickySink keeps the first error of its writer, for the [Writer] to look at,
// and takes all that follows without writing it. The library must not see the
// error: it panics on a failed write of the first bytes, and forgets one that
// a good write follows.
type stickySink struct {
	w   io.Writer
	err error
}

func (s *stickySink) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	return len(p), nil
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
	arrowSchema, err := arrowSchema(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	properties := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryDefault(false),
		parquet.WithRootRepetition(parquet.Repetitions.Required),
		parquet.WithMaxRowGroupLength(int64(o.Rows)),
		parquet.WithBatchSize(8), // a page holds few images
		parquet.WithCreatedBy("irgdata"),
	}
	for _, c := range columns {
		if c.Kind == Picture { // encoded images do not compress, and have no useful order
			path := c.Name + ".bytes"
			properties = append(properties, parquet.WithCompressionFor(path, compress.Codecs.Uncompressed), parquet.WithStatsFor(path, false))
		}
		if c.Kind == String {
			properties = append(properties, parquet.WithStatsFor(c.Name, false)) // texts can be megabytes long
		}
	}
	sink := &stickySink{w: w}
	file, err := pqarrow.NewFileWriter(arrowSchema, sink, parquet.NewWriterProperties(properties...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	if sink.err != nil {
		return nil, fmt.Errorf("parquet: write the header: %w", sink.err)
	}
	return &Writer{columns: columns, o: o, sink: sink, file: file, builder: array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)}, nil
}

// Write adds a row and ends the row group when it is full.
func (w *Writer) Write(row Row) error {
	if len(row) != len(w.columns) {
		return fmt.Errorf("parquet: a row has %d cells, want %d", len(row), len(w.columns))
	}
	for i, c := range w.columns {
		if !fits(c.Kind, row[i]) {
			return fmt.Errorf("parquet: column %s: a cell is a %T, which does not fit", c.Name, row[i])
		}
	}
	for i, cell := range row {
		w.bytes += w.append(i, cell)
	}
	w.rows++
	w.total++
	if w.rows >= w.o.Rows || w.bytes >= w.o.Bytes {
		return w.EndRowGroup()
	}
	return nil
}

func fits(k Kind, cell any) bool {
	var ok bool
	switch k {
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
	}
	return ok
}

// append adds a cell that fits its column and returns its size.
func (w *Writer) append(i int, cell any) int64 {
	switch b := w.builder.Field(i).(type) {
	case *array.StringBuilder:
		b.Append(cell.(string))
		return int64(len(cell.(string)))
	case *array.Int64Builder:
		b.Append(cell.(int64))
	case *array.Float64Builder:
		b.Append(cell.(float64))
	case *array.BooleanBuilder:
		b.Append(cell.(bool))
	case *array.StructBuilder:
		picture, ok := cell.(Image)
		if !ok {
			b.AppendNull()
			return 1
		}
		b.Append(true)
		b.FieldBuilder(0).(*array.BinaryBuilder).Append(picture.Bytes)
		b.FieldBuilder(1).(*array.StringBuilder).Append(picture.Path)
		return int64(len(picture.Bytes) + len(picture.Path))
	}
	return 8
}

// EndRowGroup writes the rows since the last row group as one.
func (w *Writer) EndRowGroup() error {
	if w.rows == 0 {
		return nil
	}
	record := w.builder.NewRecord()
	defer record.Release()
	w.rows, w.bytes = 0, 0
	w.groups++
	if err := w.file.Write(record); err != nil {
		return fmt.Errorf("parquet: write row group %d: %w", w.groups-1, err)
	}
	if w.sink.err != nil {
		return fmt.Errorf("parquet: write row group %d: %w", w.groups-1, w.sink.err)
	}
	return nil
}

// Rows and RowGroups count what was written so far.
func (w *Writer) Rows() int64 { return w.total }

// RowGroups counts the row groups that have ended.
func (w *Writer) RowGroups() int { return w.groups }

// Pending is the number of rows since the last row group ended.
func (w *Writer) Pending() int { return w.rows }

// Discard frees the rows of a writer that will not be closed. After Close it
// does nothing.
func (w *Writer) Discard() {
	if w.builder != nil {
		w.builder.Release()
		w.builder = nil
	}
}

// Close writes the last row group and the footer.
func (w *Writer) Close() error {
	defer w.Discard()
	if err := w.EndRowGroup(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("parquet: write the footer: %w", err)
	}
	if w.sink.err != nil {
		return fmt.Errorf("parquet: write the footer: %w", w.sink.err)
	}
	return nil
}
