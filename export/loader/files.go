package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
)

// Files are those of an export, wherever it lies.
type Files interface {
	// List yields the files, by name relative to the export with slashes.
	List(ctx context.Context) ([]Entry, error)
	// Open opens a file for reading at any place. The caller closes it.
	Open(ctx context.Context, e Entry) (*os.File, error)
	// URL is how a person addresses the file.
	URL(name string) string
}

// Entry is a file of an export.
type Entry struct {
	Name string
	Size int64
}

// maxEntries bounds the files of an export, against a folder that is none.
const maxEntries = 1 << 20

var errEntries = fmt.Errorf("it holds more than %d files: want the folder of an export", maxEntries)

// folder are the files below a local folder, in the order in which the loader
// finds them: that of the folder's entries, not of their names.
type folder struct{ root string }

// InFolder are the files of an export in a local folder. Nothing is written.
func InFolder(root string) Files { return folder{root} }

func (f folder) URL(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

func (f folder) List(ctx context.Context) ([]Entry, error) {
	var all []Entry
	return all, f.list(ctx, "", 0, &all)
}

// deepest is how far below the export files are looked for, which the loader
// would not find.
const deepest = 4

func (f folder) list(ctx context.Context, dir string, depth int, all *[]Entry) error {
	d, err := os.Open(f.URL(dir))
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, base)
		info, err := os.Stat(f.URL(name)) // follows links, as the loader does
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // a link to nowhere, or a file that went away
		case err != nil:
			return err
		case info.IsDir() && depth < deepest:
			if err := f.list(ctx, name, depth+1, all); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			if len(*all) == maxEntries {
				return errEntries
			}
			*all = append(*all, Entry{name, info.Size()})
		}
	}
	return nil
}

func (f folder) Open(_ context.Context, e Entry) (*os.File, error) { return os.Open(f.URL(e.Name)) }

// bucket are the objects of a store. Each is copied to a nameless file in the
// folder work before it is read.
type bucket struct {
	store blob.Store
	work  string
}

// InStore are the files of an export in a bucket; a copy of one at a time lies
// in the folder work.
func InStore(store blob.Store, work string) Files { return bucket{store, work} }

func (b bucket) URL(name string) string { return b.store.URL(name) }

func (b bucket) List(ctx context.Context) ([]Entry, error) {
	var all []Entry
	for o, err := range b.store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(o.Key, "/") {
			continue // some tools make folders so
		}
		if len(all) == maxEntries {
			return nil, errEntries
		}
		all = append(all, Entry{o.Key, o.Size})
	}
	return all, nil
}

func (b bucket) Open(ctx context.Context, e Entry) (*os.File, error) {
	r, err := b.store.Open(ctx, e.Name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	file, err := blob.TempFile(b.work)
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w", b.URL(e.Name), err)
	}
	n, err := io.Copy(file, r)
	if err == nil && n != e.Size {
		err = fmt.Errorf("it has %d bytes, want %d", n, e.Size)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("copy %s: %w", b.URL(e.Name), err)
	}
	return file, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(ctx context.Context, files Files, e Entry, limit int64) ([]byte, error) {
	if e.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", files.URL(e.Name), e.Size, limit)
	}
	file, err := files.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text := make([]byte, e.Size)
	if _, err := file.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", files.URL(e.Name), err)
	}
	return text, nil
}
