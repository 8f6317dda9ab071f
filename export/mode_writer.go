package export

import (
	"context"
	"fmt"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// conversationColumn is the one column that the official loader reads.
const conversationColumn = "conversation"

// maxGroupBytes bounds a row group, whose column must stay below 2 GiB.
const maxGroupBytes = 1 << 30

// modeWriter writes the rows of one mode as its layout says. While a row group
// fills, the one before is written; so in memory are the rows of two row groups,
// packed, and a page. It is used by one goroutine, and its flushing is joined by
// close or discard.
type modeWriter struct {
	dest   blob.Store
	mode   string
	layout layout
	turns  chan struct{} // holds a sign for each row group that is being written, of all modes

	file, group int            // of the layout, where the next row goes
	rows        []parquet.Text // of the row group that fills
	bytes       int64          // of their texts
	whole       []File         // those that are known to be

	flushing conc.WaitGroup // of one row group
	// Between flushing.Go and flushing.Wait these are the flushing goroutine's.
	open   *modeFile
	done   []File
	failed error
}

// modeFile is a Parquet file under way.
type modeFile struct {
	*object
	rows *parquet.TextWriter
}

// newModeWriter continues after the files that are there already. The writers
// that share turns write at most its capacity of row groups at one time.
func newModeWriter(dest blob.Store, mode string, l layout, there []File, turns chan struct{}) *modeWriter {
	return &modeWriter{dest: dest, mode: mode, layout: l, turns: turns, file: len(there), done: there}
}

func (w *modeWriter) write(ctx context.Context, row parquet.Text) error {
	if w.file >= len(w.layout) {
		return fmt.Errorf("mode %s has more rows than were counted", w.mode)
	}
	w.rows, w.bytes = append(w.rows, row), w.bytes+int64(row.Size())
	size := w.layout[w.file][w.group]
	if w.bytes > maxGroupBytes {
		return fmt.Errorf("mode %s: the %d rows of a row group have more than %d bytes together: lower the size of the images", w.mode, size, maxGroupBytes)
	}
	if len(w.rows) < size {
		return nil
	}
	return w.flush(ctx)
}

// flush begins to write the row group that is full.
func (w *modeWriter) flush(ctx context.Context) error {
	if err := w.wait(); err != nil {
		return err
	}
	select {
	case w.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	rows, file, last := w.rows, w.file, w.group == len(w.layout[w.file])-1
	w.rows, w.bytes, w.group = nil, 0, w.group+1
	if last {
		w.file, w.group = w.file+1, 0
	}
	w.flushing.Go(func() {
		defer func() { <-w.turns }()
		w.failed = w.writeGroup(ctx, file, rows, last)
	})
	return nil
}

// wait joins the flushing. What it returns, every later call returns too.
func (w *modeWriter) wait() error {
	w.flushing.Wait()
	if w.failed != nil {
		return fmt.Errorf("mode %s: %w", w.mode, w.failed)
	}
	w.whole = w.done
	return nil
}

// writeGroup writes a row group, which may be the first or the last of its
// file.
func (w *modeWriter) writeGroup(ctx context.Context, file int, rows []parquet.Text, last bool) error {
	if w.open == nil {
		var err error
		if w.open, err = w.start(ctx, file); err != nil {
			return err
		}
	}
	f := w.open
	if err := f.rows.WriteGroup(rows); err != nil || !last {
		return err
	}
	if err := f.rows.Close(); err != nil {
		return err
	}
	w.open = nil
	done, err := f.object.close()
	if err != nil {
		return err
	}
	done.Rows, done.RowGroups = f.rows.Rows(), f.rows.RowGroups()
	w.done = append(w.done, done)
	return nil
}

func (w *modeWriter) start(ctx context.Context, file int) (*modeFile, error) {
	f := &modeFile{object: newObject(ctx, w.dest, partName(w.mode, file, len(w.layout)))}
	rows, err := parquet.NewTextWriter(f, conversationColumn)
	if err != nil {
		f.object.discard()
		return nil, err
	}
	f.rows = rows
	return f, nil
}

func partName(mode string, file, files int) string {
	return fmt.Sprintf("%s/part-%05d-of-%05d.parquet", mode, file, files)
}

// close reports the files, which are whole if each row came.
func (w *modeWriter) close() ([]File, error) {
	if err := w.wait(); err != nil {
		return nil, err
	}
	if w.file != len(w.layout) {
		return nil, fmt.Errorf("mode %s has fewer rows than were counted", w.mode)
	}
	return w.done, nil
}

// discard breaks off the file under way, so that it never becomes visible.
func (w *modeWriter) discard() {
	w.flushing.Wait()
	if w.open != nil {
		w.open.object.discard()
		w.open = nil
	}
}
