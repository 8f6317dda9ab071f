package parquet

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// Check decodes the columns of a row group but for the named one, those that no
// [Row] holds too. It returns an error for damage, and for a text that is not
// UTF-8, in a list or a struct too.
func (r *Reader) Check(ctx context.Context, group int, except string) error {
	for i := range r.schema.NumColumns() {
		if r.schema.ColumnRoot(i).Name() == except {
			continue
		}
		var chunk file.ColumnChunkReader
		err := r.watch(ctx, func() (err error) {
			defer guard(&err)
			chunk, err = r.file.RowGroup(group).Column(i)
			return err
		})
		for more := err == nil; more && err == nil; {
			if err := ctx.Err(); err != nil {
				return err
			}
			err = r.watch(ctx, func() (err error) {
				more, err = checkBatch(chunk, isText(r.schema.Column(i)))
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("parquet: column %s of row group %d: %w", r.schema.Column(i).Path(), group, err)
		}
	}
	return nil
}

// isText reports whether Arrow takes the values of a leaf for texts
// (cpp/src/parquet/arrow/schema_internal.cc).
func isText(c *schema.Column) bool {
	switch c.LogicalType().(type) {
	case schema.StringLogicalType, schema.JSONLogicalType:
		return c.PhysicalType() == parquet.Types.ByteArray
	}
	return false
}

// checkBatch decodes some values of a leaf and reports whether there are more.
func checkBatch(chunk file.ColumnChunkReader, text bool) (more bool, err error) {
	defer guard(&err)
	if !chunk.HasNext() {
		return false, chunk.Err()
	}
	switch chunk := chunk.(type) {
	case *file.ByteArrayColumnChunkReader:
		values, err := someOf(chunk.Descriptor(), chunk.ReadBatch)
		for _, v := range values {
			if text && !utf8.Valid(v) {
				return false, fmt.Errorf("a text is not UTF-8")
			}
		}
		return true, err
	case *file.FixedLenByteArrayColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.Int96ColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.Int64ColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.Int32ColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.Float64ColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.Float32ColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	case *file.BooleanColumnChunkReader:
		_, err = someOf(chunk.Descriptor(), chunk.ReadBatch)
	default:
		err = fmt.Errorf("values of kind %T cannot be read", chunk)
	}
	return true, err
}

// someOf calls a chunk's ReadBatch once, for its values without their levels.
func someOf[T any](column *schema.Column, readBatch func(int64, []T, []int16, []int16) (int64, int, error)) ([]T, error) {
	const levels = 1024
	values, defined, repeated := make([]T, levels), make([]int16, levels), make([]int16, levels)
	if column.MaxRepetitionLevel() == 0 {
		repeated = nil
	}
	total, count, err := readBatch(levels, values, defined, repeated)
	if err == nil && total == 0 {
		err = fmt.Errorf("it ends before its row group does")
	}
	return values[:max(count, 0)], err
}
