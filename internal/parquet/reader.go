package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// batchRows is how many rows a reader decodes at a time.
const batchRows = 8

// Source is what a reader reads from: a file, or bytes in memory.
type Source interface {
	io.ReaderAt
	io.Seeker
}

// Reader reads a Parquet file of anybody's making. Damaged and hostile files
// give errors. It is used by one goroutine.
type Reader struct {
	file   *file.Reader
	schema *schema.Schema
	source *counted
	// stall is how long the library may work without reading a byte before the
	// file counts as damaged.
	stall time.Duration
}

// defaultStall is far more than a few rows take to decode.
const defaultStall = 20 * time.Second

// counted counts the reads of a source.
type counted struct {
	Source
	reads atomic.Int64
}

func (c *counted) ReadAt(p []byte, offset int64) (int, error) {
	c.reads.Add(1)
	return c.Source.ReadAt(p, offset)
}

// watch runs f on a goroutine of its own and waits for it. Damage can make the
// library loop for ever, in a way that nothing can stop: when it has not read a
// byte for a while, or the context is done, it is left behind. This is the one
// goroutine of the project that nobody joins, and only then.
func (r *Reader) watch(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	wait := r.stall
	cancelled := ctx.Done()
	for {
		before := r.source.reads.Load()
		timer := time.NewTimer(wait)
		select {
		case err := <-done:
			timer.Stop()
			return err
		case <-cancelled:
			timer.Stop()
			// Mostly it ends in a moment.
			wait, cancelled = min(wait, time.Second), nil
		case <-timer.C:
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case r.source.reads.Load() == before:
				return errStalled
			}
		}
	}
}

var errStalled = errors.New("parquet: the file is damaged: decoding it comes to no end")

// guard turns a panic into an error: the library panics on damaged input. It
// helps on the calling goroutine alone, where the library's column readers
// stay; its Arrow readers start goroutines of their own.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("parquet: the file is damaged: %v", r)
	}
}

// NewReader reads the footer of src, which the caller closes.
func NewReader(src Source) (r *Reader, err error) {
	defer guard(&err)
	source := &counted{Source: src}
	f, err := file.NewParquetReader(source, file.WithReadProps(&parquet.ReaderProperties{BufferedStreamEnabled: true, BufferSize: 1 << 20}))
	if err != nil {
		return nil, fmt.Errorf("parquet: it is no Parquet file, or its footer is damaged: %w", err)
	}
	return &Reader{file: f, schema: f.MetaData().Schema, source: source, stall: defaultStall}, nil
}

// NumRows is the number of rows in the file.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// RowGroups are the numbers of rows of the row groups, in order.
func (r *Reader) RowGroups() []int64 {
	var rows []int64
	for i := range r.file.NumRowGroups() {
		rows = append(rows, r.file.MetaData().RowGroup(i).NumRows())
	}
	return rows
}

// Columns lists the columns that a [Row] can hold; others are left out.
func (r *Reader) Columns() []Column {
	var columns []Column
	root := r.schema.Root()
	for i := range root.NumFields() {
		if k, ok := kindOf(root.Field(i)); ok {
			columns = append(columns, Column{Name: root.Field(i).Name(), Kind: k})
		}
	}
	return columns
}

// Rows yields the named columns of each row, in order. A bare binary column
// reads as an Image without a path; null reads as nil. Of the pictures in
// "name" the column "name.path" reads the paths alone, as texts, and no image
// is read. The cells belong to the caller.
func (r *Reader) Rows(ctx context.Context, columns ...string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if err := r.rows(ctx, columns, yield); err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// errStop says that the consumer broke off.
var errStop = errors.New("stop")

func (r *Reader) rows(ctx context.Context, columns []string, yield func(Row, error) bool) error {
	cells, err := r.columns(columns)
	if err != nil {
		return err
	}
	for group := range r.file.NumRowGroups() {
		if err := r.group(ctx, group, cells, yield); err != nil {
			return err
		}
	}
	return nil
}

// Group yields the named columns of the rows of one row group, as [Reader.Rows]
// does of all. An error of one row group says nothing of the others.
func (r *Reader) Group(ctx context.Context, group int, columns ...string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		cells, err := r.columns(columns)
		if err == nil {
			err = r.group(ctx, group, cells, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

func (r *Reader) columns(names []string) ([]column, error) {
	cells := make([]column, len(names))
	for i, name := range names {
		var err error
		if cells[i], err = r.column(name); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

func (r *Reader) group(ctx context.Context, group int, cells []column, yield func(Row, error) bool) error {
	var left int64
	err := r.watch(ctx, func() (err error) {
		left, err = r.enter(group, cells)
		return err
	})
	if err != nil {
		return err
	}
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(left, batchRows)
		var rows []Row
		err := r.watch(ctx, func() (err error) {
			rows, err = batch(cells, int(n))
			return err
		})
		if err != nil {
			return fmt.Errorf("parquet: read row group %d: %w", group, err)
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return errStop
			}
		}
		left -= n
	}
	return nil
}

// column reads one top-level column: value is its leaf, and path the second
// leaf of a picture's struct, if it has one.
type column struct {
	kind        Kind
	value, path *leaf
}

// leaf reads one leaf column, row group by row group.
type leaf struct {
	index   int   // in the file's schema
	defined int16 // the definition level of a value that is not null
	chunk   file.ColumnChunkReader
}

func (r *Reader) column(name string) (column, error) {
	if picture, ok := strings.CutSuffix(name, ".path"); ok {
		c, err := r.column(picture)
		if err == nil && (c.kind != Picture || c.path == nil) {
			err = fmt.Errorf("parquet: column %q has no paths", picture)
		}
		return column{kind: String, value: c.path}, err
	}
	root := r.schema.Root()
	var field schema.Node
	for i := range root.NumFields() {
		if root.Field(i).Name() != name {
			continue
		}
		if field != nil {
			return column{}, fmt.Errorf("parquet: the file has more than one column %q", name)
		}
		field = root.Field(i)
	}
	if field == nil {
		return column{}, fmt.Errorf("parquet: the file has no column %q", name)
	}
	kind, ok := kindOf(field)
	if !ok {
		return column{}, fmt.Errorf("parquet: column %q is of a type that cannot be read", name)
	}
	c := column{kind: kind}
	_, nested := field.(*schema.GroupNode)
	for i := range r.schema.NumColumns() {
		if r.schema.ColumnRoot(i).Name() != name || r.schema.Column(i).MaxRepetitionLevel() > 0 {
			continue
		}
		l := &leaf{index: i, defined: r.schema.Column(i).MaxDefinitionLevel()}
		switch path := r.schema.Column(i).ColumnPath(); {
		case !nested, len(path) == 2 && path[1] == "bytes":
			c.value = l
		case len(path) == 2 && path[1] == "path" && r.schema.Column(i).PhysicalType() == parquet.Types.ByteArray:
			c.path = l
		}
	}
	if c.value == nil {
		return column{}, fmt.Errorf("parquet: column %q holds no plain values", name)
	}
	return c, nil
}

// enter opens the columns of a row group and returns its number of rows.
func (r *Reader) enter(group int, columns []column) (rows int64, err error) {
	defer guard(&err)
	g := r.file.RowGroup(group)
	for _, c := range columns {
		for _, l := range []*leaf{c.value, c.path} {
			if l == nil {
				continue
			}
			if l.chunk, err = g.Column(l.index); err != nil {
				return 0, fmt.Errorf("parquet: open row group %d: %w", group, err)
			}
		}
	}
	return g.NumRows(), nil
}

// batch decodes the next n rows.
func batch(columns []column, n int) (rows []Row, err error) {
	defer guard(&err)
	rows = make([]Row, n)
	for i := range rows {
		rows[i] = make(Row, len(columns))
	}
	for c, column := range columns {
		values, err := column.value.read(n)
		if err != nil {
			return nil, err
		}
		var paths []any
		if column.path != nil {
			if paths, err = column.path.read(n); err != nil {
				return nil, err
			}
		}
		for i, v := range values {
			if rows[i][c], err = cell(column.kind, v); err != nil {
				return nil, err
			}
			if paths == nil || paths[i] == nil {
				continue
			}
			path, ok := paths[i].([]byte)
			if !ok {
				return nil, fmt.Errorf("an image's path is a %T", paths[i])
			}
			picture, _ := rows[i][c].(Image) // a path alone is an image too
			picture.Path = string(path)
			rows[i][c] = picture
		}
	}
	return rows, nil
}

// cell makes a cell of a leaf's value.
func cell(k Kind, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if b, ok := v.([]byte); ok {
		switch k {
		case String:
			return string(b), nil
		case Picture:
			return Image{Bytes: b}, nil
		}
	}
	if !fits(Column{Kind: k}, v) {
		return nil, fmt.Errorf("a value is a %T where the schema says otherwise", v)
	}
	return v, nil
}

// read returns the next n values; nil stands for null. Bytes are copies.
func (l *leaf) read(n int) ([]any, error) {
	var out []any
	for len(out) < n {
		var got []any
		var err error
		switch chunk := l.chunk.(type) {
		case *file.ByteArrayColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v parquet.ByteArray) any { return append([]byte{}, v...) })
		case *file.FixedLenByteArrayColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v parquet.FixedLenByteArray) any { return append([]byte{}, v...) })
		case *file.Int64ColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v int64) any { return v })
		case *file.Int32ColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v int32) any { return int64(v) })
		case *file.Float64ColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v float64) any { return v })
		case *file.Float32ColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v float32) any { return float64(v) })
		case *file.BooleanColumnChunkReader:
			got, err = read(l, n-len(out), chunk.ReadBatch, func(v bool) any { return v })
		default:
			return nil, fmt.Errorf("a column's values are of kind %T, which cannot be read", chunk)
		}
		if err != nil {
			return nil, err
		}
		if len(got) == 0 {
			return nil, fmt.Errorf("a column ends before its row group does: %w", io.ErrUnexpectedEOF)
		}
		out = append(out, got...)
	}
	return out, nil
}

// read calls a chunk's ReadBatch once and puts its values to their levels.
func read[T any](l *leaf, n int, readBatch func(int64, []T, []int16, []int16) (int64, int, error), value func(T) any) ([]any, error) {
	values, levels := make([]T, n), make([]int16, n)
	total, count, err := readBatch(int64(n), values, levels, nil)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, total)
	used := 0
	for i := range int(total) {
		if l.defined > 0 && levels[i] < l.defined {
			out = append(out, nil)
			continue
		}
		if used >= count {
			return nil, errors.New("a page has fewer values than its levels say")
		}
		out = append(out, value(values[used]))
		used++
	}
	return out, nil
}
