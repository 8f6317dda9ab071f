package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// FS shows a store's objects as a file system for reading: folders are the
// prefixes of keys. Its files are read at any offset (io.ReaderAt, io.Seeker).
// A stream that breaks off is taken up again where it was, so that a long
// archive outlives a lost connection.
//
// The context is that of every operation, as package fs has no place for one.
func FS(ctx context.Context, s Store) fs.FS { return storeFS{ctx, s} }

type storeFS struct {
	ctx context.Context
	s   Store
}

// Open implements [fs.FS].
func (f storeFS) Open(name string) (fs.File, error) {
	info, err := f.stat(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if info.IsDir() {
		return &dirFile{fs: f, info: info, name: name}, nil
	}
	return &objectFile{fs: f, info: info, key: name}, nil
}

// Stat implements [fs.StatFS].
func (f storeFS) Stat(name string) (fs.FileInfo, error) {
	info, err := f.stat(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

func (f storeFS) stat(name string) (objectInfo, error) {
	if !fs.ValidPath(name) {
		return objectInfo{}, fs.ErrInvalid
	}
	if name != "." {
		o, err := f.s.Stat(f.ctx, name)
		if err == nil {
			return objectInfo{name: path.Base(name), size: o.Size, modTime: o.ModTime}, nil
		}
		if !errors.Is(err, ErrNotExist) {
			return objectInfo{}, err
		}
	}
	prefix := folderPrefix(name)
	for _, err := range f.s.List(f.ctx, prefix) {
		return objectInfo{name: path.Base(name), dir: true}, err
	}
	if name == "." {
		return objectInfo{name: ".", dir: true}, nil // of an empty store
	}
	return objectInfo{}, fs.ErrNotExist
}

func folderPrefix(name string) string {
	if name == "." {
		return ""
	}
	return name + "/"
}

// ReadDir implements [fs.ReadDirFS].
func (f storeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	prefix := folderPrefix(name)
	var entries []fs.DirEntry
	last := "" // the folder that the objects before were in
	for o, err := range f.s.List(f.ctx, prefix) {
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
		}
		child, _, deeper := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		switch {
		case !deeper:
			entries = append(entries, fs.FileInfoToDirEntry(objectInfo{name: child, size: o.Size, modTime: o.ModTime}))
		case child != last:
			last = child
			entries = append(entries, fs.FileInfoToDirEntry(objectInfo{name: child, dir: true}))
		}
	}
	if len(entries) == 0 && name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	// The store lists by whole keys, where "a-b" comes before "a/".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

type objectInfo struct {
	name    string
	size    int64
	modTime time.Time
	dir     bool
}

func (i objectInfo) Name() string       { return i.name }
func (i objectInfo) Size() int64        { return i.size }
func (i objectInfo) ModTime() time.Time { return i.modTime }
func (i objectInfo) IsDir() bool        { return i.dir }
func (i objectInfo) Sys() any           { return nil }
func (i objectInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// dirFile is an opened folder.
type dirFile struct {
	fs      storeFS
	info    objectInfo
	name    string
	entries []fs.DirEntry
	read    bool
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error               { return nil }
func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("it is a folder")}
}

// ReadDir implements [fs.ReadDirFile].
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		entries, err := d.fs.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.entries, d.read = entries, true
	}
	if n <= 0 {
		out := d.entries
		d.entries = nil
		return out, nil
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	out := d.entries[:n:n]
	d.entries = d.entries[n:]
	return out, nil
}

const (
	// blockSize is what a read at an offset fetches, and fileBlocks how many of
	// them a file holds: footers and directories are read in small pieces.
	blockSize  = 1 << 20
	fileBlocks = 4
	// streamTries bounds how often a stream is taken up again without a byte of
	// progress.
	streamTries = 5
)

// objectFile is an opened object. One goroutine uses it.
type objectFile struct {
	fs     storeFS
	info   objectInfo
	key    string
	offset int64 // of Read

	stream io.ReadCloser // at offset, unless nil
	blocks []block       // the least recently used first
}

type block struct {
	number  int64
	content []byte
}

func (f *objectFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read streams the object.
func (f *objectFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.offset >= f.info.size {
		return 0, io.EOF
	}
	var err error
	for range streamTries {
		if f.stream == nil {
			if f.stream, err = f.fs.s.Open(f.fs.ctx, f.key, f.offset, -1); err != nil {
				f.stream = nil
				if f.fs.ctx.Err() != nil || errors.Is(err, ErrNotExist) {
					return 0, err
				}
				continue
			}
		}
		var n int
		n, err = f.stream.Read(p)
		f.offset += int64(n)
		if err != nil {
			f.stream.Close()
			f.stream = nil
		}
		if n > 0 || f.fs.ctx.Err() != nil {
			return n, f.fs.ctx.Err()
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	return 0, fmt.Errorf("read %s at byte %d of %d: the stream broke off %d times: %w", f.fs.s.URL(f.key), f.offset, f.info.size, streamTries, err)
}

// Seek implements [io.Seeker].
func (f *objectFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.info.size
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.key, Err: fs.ErrInvalid}
	}
	if offset != f.offset && f.stream != nil {
		f.stream.Close()
		f.stream = nil
	}
	f.offset = offset
	return offset, nil
}

// ReadAt implements [io.ReaderAt] by blocks; a long read goes past them.
func (f *objectFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.key, Err: fs.ErrInvalid}
	}
	n := 0
	for n < len(p) {
		at := offset + int64(n)
		if at >= f.info.size {
			return n, io.EOF
		}
		if len(p)-n >= blockSize {
			want := min(int64(len(p)-n), f.info.size-at)
			read, err := f.readRange(p[n:n+int(want)], at)
			n += read
			if err != nil {
				return n, err
			}
			continue
		}
		b, err := f.block(at / blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[at%blockSize:])
	}
	return n, nil
}

func (f *objectFile) block(number int64) ([]byte, error) {
	for i, b := range f.blocks {
		if b.number == number {
			f.blocks = append(append(f.blocks[:i:i], f.blocks[i+1:]...), b)
			return b.content, nil
		}
	}
	content := make([]byte, min(blockSize, f.info.size-number*blockSize))
	if _, err := f.readRange(content, number*blockSize); err != nil {
		return nil, err
	}
	if len(f.blocks) == fileBlocks {
		f.blocks = f.blocks[1:]
	}
	f.blocks = append(f.blocks, block{number, content})
	return content, nil
}

// readRange fills p, which lies within the object.
func (f *objectFile) readRange(p []byte, offset int64) (n int, err error) {
	for tries := 0; n < len(p) && tries < streamTries; tries++ {
		var r io.ReadCloser
		if r, err = f.fs.s.Open(f.fs.ctx, f.key, offset+int64(n), int64(len(p)-n)); err != nil {
			if f.fs.ctx.Err() != nil || errors.Is(err, ErrNotExist) {
				return n, err
			}
			continue
		}
		var read int
		read, err = io.ReadFull(r, p[n:])
		r.Close()
		if n += read; read > 0 {
			tries = -1 // it goes on
		}
	}
	if n < len(p) {
		return n, fmt.Errorf("read %s at byte %d of %d: %w", f.fs.s.URL(f.key), offset+int64(n), f.info.size, err)
	}
	return n, nil
}

// Close implements [fs.File].
func (f *objectFile) Close() error {
	f.blocks = nil
	if f.stream == nil {
		return nil
	}
	err := f.stream.Close()
	f.stream = nil
	return err
}
