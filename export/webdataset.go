package export

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// tarBytes is about the size of an archive.
const tarBytes = 500e6

// webDataset is the format [WebDataset]: of each mode and split tar archives in
// which the files of a sample are neighbours and share their name up to the
// first dot, the number of the sample: 000000000.json, 000000000.image0.png, …
type webDataset struct {
	dest      blob.Store
	prompts   modes.Prompts
	fileBytes int64
	lanes     lanes[tarFile]
}

type tarFile struct {
	object *object
	tar    *tar.Writer
	rows   int64
}

func newWebDataset(dest blob.Store, o Options, there *whole) *webDataset {
	return &webDataset{dest: dest, prompts: o.Prompts, fileBytes: cmp.Or(o.FileBytes, tarBytes), lanes: lanes[tarFile]{whole: there}}
}

// tarSample is an example without its number.
type tarSample struct {
	names []string // what follows the number and a dot
	files [][]byte
}

func (w *webDataset) encode(_ context.Context, x example) (sample, error) {
	var s tarSample
	text, err := chatJSON(x, w.prompts, func(ref irgdata.ImageRef, n int) (string, error) {
		s.names = append(s.names, fmt.Sprintf("image%d.%s", n, extension(ref)))
		s.files = append(s.files, x.images[ref.Digest])
		return s.names[n], nil
	})
	s.names, s.files = append([]string{"json"}, s.names...), append([][]byte{text}, s.files...)
	return s, err
}

func (w *webDataset) write(ctx context.Context, x example, made sample) error {
	l := w.lanes.of(x.mode.Name, x.split)
	if l.passes() {
		return nil
	}
	if l.open == nil {
		f := &tarFile{object: newObject(ctx, w.dest, l.name("tar"))}
		f.tar = tar.NewWriter(f.object)
		l.open = f
	}
	f, s := l.open, made.(tarSample)
	key := fmt.Sprintf("%09d", l.Rows+f.rows)
	f.rows++
	for i, name := range s.names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: key + "." + name, Size: int64(len(s.files[i])), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		err := f.tar.WriteHeader(h)
		if err == nil {
			_, err = io.Copy(f.tar, bytes.NewReader(s.files[i]))
		}
		if err != nil {
			return err
		}
	}
	if f.object.size() >= w.fileBytes {
		return endTar(ctx, l)
	}
	return nil
}

func endTar(ctx context.Context, l *lane[tarFile]) error {
	f := l.open
	if err := f.tar.Close(); err != nil {
		return err
	}
	l.open = nil
	file, err := f.object.close()
	if err != nil {
		return fmt.Errorf("mode %s: %w", l.Mode, err)
	}
	file.Rows = f.rows
	return l.done(ctx, file)
}

func (w *webDataset) finish(ctx context.Context) ([]ModeFiles, error) {
	return w.lanes.end(ctx, endTar)
}

func (w *webDataset) discard() { w.lanes.discard(func(f *tarFile) { f.object.discard() }) }
