package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// conversationColumn is the one column that the official loader reads.
var conversationColumn = []parquet.Column{{Name: "conversation", Kind: parquet.String, Base64: true}}

// maxGroupBytes bounds a row group, whose column must stay below 2 GiB.
const maxGroupBytes = 1 << 30

// modeWriter writes the rows of one mode as its layout says. One row group is
// in memory, twice: as texts and as pages.
type modeWriter struct {
	dest   blob.Store
	mode   string
	layout layout
	file   int // of the layout, the one under way
	group  int
	open   *modeFile
	done   []File
}

// modeFile streams a Parquet file into a store: rows → sink → pipe → Put.
type modeFile struct {
	path   string
	rows   *parquet.Writer
	buffer *bufio.Writer
	sink   *digestSink
	pipe   *io.PipeWriter
	put    conc.WaitGroup // owns the goroutine of Put
	putErr error          // read after put.Wait
}

func newModeWriter(dest blob.Store, mode string, l layout) *modeWriter {
	return &modeWriter{dest: dest, mode: mode, layout: l}
}

func (w *modeWriter) write(ctx context.Context, row string) error {
	if w.file >= len(w.layout) {
		return fmt.Errorf("mode %s has more rows than its manifest counts", w.mode)
	}
	if w.open == nil {
		opened, err := w.start(ctx)
		if err != nil {
			return fmt.Errorf("mode %s: %w", w.mode, err)
		}
		w.open = opened
	}
	f := w.open
	if err := f.rows.Write(parquet.Row{row}); err != nil {
		return w.fail(err)
	}
	if f.rows.RowGroups() > w.group {
		return fmt.Errorf("mode %s: the %d rows of a row group have more than %d bytes together: lower the size of the images", w.mode, w.layout[w.file][w.group], maxGroupBytes)
	}
	if f.rows.Pending() < w.layout[w.file][w.group] {
		return nil
	}
	if err := f.rows.EndRowGroup(); err != nil {
		return w.fail(err)
	}
	w.group++
	if w.group == len(w.layout[w.file]) {
		return w.end()
	}
	return nil
}

// fail breaks off the put. If the put was the cause, err holds its error.
func (w *modeWriter) fail(err error) error {
	w.open.pipe.CloseWithError(err)
	w.open.put.Wait()
	return fmt.Errorf("mode %s: write %s: %w", w.mode, w.dest.URL(w.open.path), err)
}

func (w *modeWriter) start(ctx context.Context) (*modeFile, error) {
	read, write := io.Pipe()
	f := &modeFile{
		path: fmt.Sprintf("%s/part-%05d-of-%05d.parquet", w.mode, w.file, len(w.layout)),
		sink: &digestSink{w: write, sum: sha256.New()},
		pipe: write,
	}
	f.buffer = bufio.NewWriterSize(f.sink, 256<<10)
	f.put.Go(func() {
		f.putErr = w.dest.Put(ctx, f.path, read, blob.PutOptions{})
		read.CloseWithError(errors.Join(f.putErr, io.ErrClosedPipe)) // wakes the writer
	})
	most := 0
	for _, n := range w.layout[w.file] {
		most = max(most, n)
	}
	rows, err := parquet.NewWriter(f.buffer, conversationColumn, parquet.WriterOptions{Rows: most + 1, Bytes: maxGroupBytes})
	if err != nil {
		f.pipe.CloseWithError(err)
		f.put.Wait()
		return nil, err
	}
	f.rows = rows
	return f, nil
}

// end closes the file under way.
func (w *modeWriter) end() error {
	f := w.open
	if err := f.rows.Close(); err != nil {
		return w.fail(err)
	}
	if err := f.buffer.Flush(); err != nil {
		return w.fail(err)
	}
	f.pipe.Close()
	f.put.Wait()
	if f.putErr != nil {
		return fmt.Errorf("mode %s: %w", w.mode, f.putErr)
	}
	w.done = append(w.done, File{Path: f.path, Digest: irgdata.Digest(f.sink.sum.Sum(nil)), Size: f.sink.size, Rows: f.rows.Rows(), RowGroups: f.rows.RowGroups()})
	w.open = nil
	w.file, w.group = w.file+1, 0
	return nil
}

// close reports the files, which are whole if each row came.
func (w *modeWriter) close() ([]File, error) {
	if w.file != len(w.layout) {
		return nil, fmt.Errorf("mode %s has fewer rows than its manifest counts", w.mode)
	}
	return w.done, nil
}

// errDiscarded breaks off the put of a file that will not be whole.
var errDiscarded = errors.New("the export was broken off")

// discard breaks off the file under way, so that it never becomes visible.
func (w *modeWriter) discard() {
	if w.open != nil {
		w.open.pipe.CloseWithError(errDiscarded)
		w.open.put.Wait()
		w.open = nil
	}
}
