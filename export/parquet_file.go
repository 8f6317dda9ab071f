package export

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// The cuts of Parquet files for readers that load a row group at a time: small
// row groups, so that a row is found fast, and files that can be shared out.
const (
	parquetRows       = 100
	parquetGroupBytes = 16 << 20 // a row group is in memory twice, for each mode and split
	parquetFileBytes  = 500e6
)

// parquetFile is a Parquet file that streams into a store.
type parquetFile struct {
	object *object
	rows   *parquet.Writer
}

// writeRow adds a row to a lane, in a new file if the last one is full at about
// fileBytes.
func writeRow(ctx context.Context, l *lane[parquetFile], dest blob.Store, columns []parquet.Column, row parquet.Row, fileBytes int64) error {
	if l.passes() {
		return nil
	}
	if l.open == nil {
		f := &parquetFile{object: newObject(ctx, dest, l.name("parquet"))}
		l.open = f
		var err error
		if f.rows, err = parquet.NewWriter(f.object, columns, parquet.WriterOptions{Rows: parquetRows, Bytes: min(parquetGroupBytes, fileBytes)}); err != nil {
			return err
		}
	}
	f := l.open
	if err := f.rows.Write(row); err != nil {
		return err
	}
	// Whole row groups decide, so that the cut is a matter of the rows alone.
	if f.rows.Pending() == 0 && f.object.size() >= fileBytes {
		return endParquet(ctx, l)
	}
	return nil
}

// endParquet ends the file under way.
func endParquet(ctx context.Context, l *lane[parquetFile]) error {
	f := l.open
	if err := f.rows.Close(); err != nil {
		return err
	}
	l.open = nil
	file, err := f.object.close()
	if err != nil {
		return fmt.Errorf("mode %s: %w", l.Mode, err)
	}
	file.Rows, file.RowGroups = f.rows.Rows(), f.rows.RowGroups()
	return l.done(ctx, file)
}

func discardParquet(f *parquetFile) { f.object.discard() }
