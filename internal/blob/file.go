package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File is a store in a folder. A put writes a temporary file, synchronises
// it, and links it to its name; the folder is synchronised before Put returns.
type File struct{ root string }

// NewFile returns the store in the folder root and makes the folder.
func NewFile(root string) (*File, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	if err := makeDir(abs); err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	return &File{root: abs}, nil
}

func (f *File) path(key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	return filepath.Join(f.root, filepath.FromSlash(key)), nil
}

// URL is the object's path.
func (f *File) URL(key string) string { return filepath.Join(f.root, filepath.FromSlash(key)) }

// Put implements [Store].
func (f *File) Put(ctx context.Context, key string, body io.Reader, o PutOptions) error {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if err := f.put(ctx, path, body, o); err != nil {
		return fmt.Errorf("put %s: %w", path, err)
	}
	return nil
}

func (f *File) put(ctx context.Context, path string, body io.Reader, o PutOptions) error {
	if o.CreateOnly {
		// Spares the writing; link(2) below is what decides.
		if _, err := os.Lstat(path); err == nil {
			return ErrExists
		}
	}
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	temp, err := createLocked(dir, newFile)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	check := newChecked(body, o)
	if _, err := copyAll(&behind{file: temp}, contextReader{ctx, check}, o.Size); err != nil {
		return err
	}
	if err := check.verify(o); err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.CreateOnly {
		err = os.Link(temp.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
	} else {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// contextReader ends a copy when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// makeDir makes dir and its parents, and synchronises the parent of each new
// one, so that a name inside it survives the loss of power.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file where a folder is needed", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Open implements [Store].
func (f *File) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	path, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fileError("open", path, err)
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		file.Close()
		return nil, fileError("open", path, errors.Join(err, fs.ErrNotExist))
	}
	if offset < 0 || offset > info.Size() {
		file.Close()
		return nil, fmt.Errorf("open %s: offset %d is outside of its %d bytes", path, offset, info.Size())
	}
	if length < 0 {
		length = info.Size() - offset
	}
	return &openFile{io.NewSectionReader(file, offset, length), file}, nil
}

// openFile is a part of an object's file.
type openFile struct {
	io.Reader
	file *os.File
}

// Close implements [io.Closer].
func (o *openFile) Close() error { return o.file.Close() }

// Stat implements [Store].
func (f *File) Stat(_ context.Context, key string) (Object, error) {
	path, err := f.path(key)
	if err != nil {
		return Object{}, err
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Object{}, fileError("stat", path, err)
	}
	return Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

func fileError(op, path string, err error) error {
	// ENOTDIR: a parent of the path is an object itself.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		err = ErrNotExist
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}

// List implements [Store]. It holds one folder's names at a time for each
// level of the walk.
func (f *File) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		f.walk(ctx, "", prefix, yield)
	}
}

// walk yields the objects under the folder dir ("" or "a/b/") and reports
// whether to go on. A folder "a" sorts as "a/", which puts its keys where they
// belong: after "a-b" and before "a0".
func (f *File) walk(ctx context.Context, dir, prefix string, yield func(Object, error) bool) bool {
	if !strings.HasPrefix(dir, prefix) && !strings.HasPrefix(prefix, dir) {
		return true
	}
	entries, err := os.ReadDir(filepath.Join(f.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted meanwhile
	}
	if err != nil {
		yield(Object{}, fmt.Errorf("list %s: %w", f.URL(dir), err))
		return false
	}
	var names []string
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), tempPrefix):
		case e.IsDir():
			names = append(names, e.Name()+"/")
		default:
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			yield(Object{}, err)
			return false
		}
		key := dir + name
		if strings.HasSuffix(key, "/") {
			if !f.walk(ctx, key, prefix, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		o, err := f.Stat(ctx, key)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if !yield(o, err) || err != nil {
			return false
		}
	}
	return true
}

// Delete implements [Store].
func (f *File) Delete(_ context.Context, key string) error {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", path, err)
	}
	return nil
}

// Sweep implements [Store]. A temporary file whose lock is free has no owner,
// so age does not matter.
func (f *File) Sweep(ctx context.Context, _ time.Duration) (int, error) {
	swept := 0
	err := filepath.WalkDir(f.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() || !strings.HasPrefix(d.Name(), tempPrefix) {
			return nil
		}
		removed, err := removeOrphan(path)
		if removed {
			swept++
		}
		return err
	})
	if err != nil {
		return swept, fmt.Errorf("sweep %s: %w", f.root, err)
	}
	return swept, nil
}
