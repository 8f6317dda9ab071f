package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/runtime"
)

// instantModel answers at no cost, from a digest of the context.
type instantModel struct{}

func (instantModel) Identity() runtime.Identity {
	return runtime.Identity{Name: "instant", Revision: "1"}
}

func (instantModel) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	d := irgdata.NewDigester("instant").Uint(r.Sampling.Seed)
	reflection := false
	for _, p := range r.Context {
		d.Text(p.Text)
		reflection = reflection || strings.Contains(p.Text, "Step-by-Step")
	}
	if r.Want == runtime.Paint {
		return runtime.Answer{Image: paint(d.Sum(), r.Sampling.Width, r.Sampling.Height), Finish: "stop"}, nil
	}
	return runtime.Answer{Text: thought(d.Sum(), reflection), Finish: "stop"}, nil
}

// madeFolder is a folder of n captioned pictures that exists only as it is
// read.
type madeFolder struct {
	n       int
	picture []byte // of which each file is a variant
	// without are not there, and captions are not those of the others.
	without  map[int]bool
	captions map[int]string
}

func newMadeFolder(n, side int) madeFolder {
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i := range img.Pix {
		img.Pix[i] = uint8(i ^ i/side)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // into memory
	}
	return madeFolder{n: n, picture: out.Bytes()}
}

func (m madeFolder) Open(name string) (fs.File, error) {
	if name == "." {
		return &madeDir{m: m}, nil
	}
	if i, ok := m.number(name, ".txt"); ok {
		if caption := m.captions[i]; caption != "" {
			return newMadeFile(name, []byte(caption)), nil
		}
		return newMadeFile(name, fmt.Appendf(nil, "picture number %d", i)), nil
	}
	if i, ok := m.number(name, ".png"); ok {
		return newMadeFile(name, m.variant(i)), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m madeFolder) number(name, extension string) (int, bool) {
	digits, ok := strings.CutSuffix(name, extension)
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil
}

// variant is the picture with its number in a text chunk before the last
// chunk: another image by its bytes, at next to no cost.
func (m madeFolder) variant(i int) []byte {
	const lastChunk = 12 // IEND
	text := fmt.Appendf(nil, "tEXtnumber\x00%06d", i)
	out := slices.Clone(m.picture[:len(m.picture)-lastChunk])
	out = binary.BigEndian.AppendUint32(out, uint32(len(text)-4))
	out = append(out, text...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(text))
	return append(out, m.picture[len(m.picture)-lastChunk:]...)
}

type madeFile struct {
	*bytes.Reader
	fs.FileInfo
	name string
}

func newMadeFile(name string, content []byte) *madeFile {
	return &madeFile{Reader: bytes.NewReader(content), name: name}
}

func (f *madeFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *madeFile) Close() error               { return nil }
func (f *madeFile) Name() string               { return f.name }
func (f *madeFile) IsDir() bool                { return false }
func (f *madeFile) Mode() fs.FileMode          { return 0o444 }
func (f *madeFile) ModTime() time.Time         { return time.Time{} }
func (f *madeFile) Size() int64                { return f.Reader.Size() }

// madeDir lists the folder.
type madeDir struct {
	madeFile
	m madeFolder
}

func (d *madeDir) Stat() (fs.FileInfo, error) { return d, nil }
func (d *madeDir) IsDir() bool                { return true }
func (d *madeDir) Mode() fs.FileMode          { return fs.ModeDir | 0o555 }
func (d *madeDir) Read([]byte) (int, error)   { return 0, errors.New("a folder") }
func (d *madeDir) ReadDir(int) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	for i := range d.m.n {
		if d.m.without[i] {
			continue
		}
		for _, extension := range []string{".png", ".txt"} {
			var content []byte
			if extension == ".txt" {
				content = []byte(d.m.captions[i])
			}
			entries = append(entries, fs.FileInfoToDirEntry(newMadeFile(fmt.Sprintf("%07d%s", i, extension), content)))
		}
	}
	return entries, nil
}

// instantDataset opens a dataset in the folder root, over n made pairs and the
// instant model.
func instantDataset(ctx context.Context, root string, n, side int) (*dataset, error) {
	d, err := newInstantDataset(root)
	if err != nil {
		return nil, err
	}
	if err := d.open(ctx, write); err != nil {
		return nil, err
	}
	d.feeds = madeFeeds(n, side)
	return d, nil
}

func madeFeeds(n, side int) []ingest.Feed {
	return []ingest.Feed{{Source: ingest.NewFolder("made", newMadeFolder(n, side), ".", ingest.Columns{})}}
}

// newInstantDataset is a dataset that is not open yet.
func newInstantDataset(root string) (*dataset, error) {
	c := newConfig()
	c.Sources = []Source{{Name: "made", Bundled: "sample"}} // the caller replaces it
	c.Store, c.Work, c.Export.To = filepath.Join(root, "store"), filepath.Join(root, "work"), filepath.Join(root, "export")
	c.Image = ImageSize{Width: 64, Height: 64}
	c.Filter.Rules = []filter.Entry{
		{Rule: "unchanged", Parameters: map[string]any{"min": 0.0}}, {Rule: "coverage", Parameters: map[string]any{"min": 0.0}},
		{Rule: "blank", Parameters: map[string]any{"min": 0.0}}, {Rule: "blocking", Parameters: map[string]any{"max": 1.0}},
	}
	c.Ingest.Duplicates = Duplicates{} // made pairs are nearly the same
	c.dir = "."
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	d := newDataset(c, slog.New(slog.DiscardHandler))
	d.openModel = func(context.Context, string) (runtime.Model, error) { return instantModel{}, nil }
	return d, nil
}
