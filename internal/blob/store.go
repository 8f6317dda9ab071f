// Package blob stores objects under slash-separated keys: in a folder or in a
// bucket. An object is visible whole or not at all.
package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irgdata/irgdata"
)

// Errors that callers branch on.
var (
	ErrExists   = errors.New("the object exists already")
	ErrNotExist = errors.New("there is no such object")
	// ErrDamaged: the object's bytes are not those that were put.
	ErrDamaged = errors.New("the object is damaged")
)

// Store holds objects. Implementations are safe for concurrent use and pass
// the suite of package blobtest.
type Store interface {
	// Put writes body under key. The object is visible whole or not at all.
	Put(ctx context.Context, key string, body io.Reader, o PutOptions) error
	// Open reads length bytes from offset, or to the end when length is
	// negative. The caller closes the reader. ErrNotExist if key is absent.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat describes the object, or gives ErrNotExist.
	Stat(ctx context.Context, key string) (Object, error)
	// List yields the objects whose key starts with prefix, by ascending key.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes the object. It is no error if there is none.
	Delete(ctx context.Context, key string) error
	// URL is how a person or another tool addresses the object.
	URL(key string) string
	// Sweep removes what interrupted puts left behind and says how many. What
	// cannot be told from a put under way is spared until it is older than age.
	Sweep(ctx context.Context, age time.Duration) (int, error)
}

// PutOptions are the conditions of a put. If one does not hold, nothing
// becomes visible.
type PutOptions struct {
	// CreateOnly gives ErrExists if the key is taken.
	CreateOnly bool
	// Size is the number of bytes that body must have; zero means unknown.
	Size int64
	// Digest, unless zero, is the SHA-256 that body must have.
	Digest irgdata.Digest
}

// Object describes a stored object.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time
}

// maxKey is the longest key that S3 takes, in bytes.
const maxKey = 1024

// checkKey refuses keys that could leave the store or that some store cannot
// hold.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return fmt.Errorf("object key %.80q: want 1 to %d bytes of UTF-8 without NUL", key, maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > 255 || strings.HasPrefix(segment, tempPrefix) {
			return fmt.Errorf("object key %q: %q is no segment of a key", key, segment)
		}
	}
	return nil
}

// checked passes body through, counts it, and digests it if its digest is asked
// for; verify says at the end whether it was what the options ask for.
type checked struct {
	body io.Reader
	n    int64
	sum  hash.Hash // nil if no digest is asked for
}

func newChecked(body io.Reader, o PutOptions) *checked {
	c := &checked{body: body}
	if !o.Digest.IsZero() {
		c.sum = sha256.New()
	}
	return c
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.n += int64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	return n, err
}

func (c *checked) verify(o PutOptions) error {
	if o.Size > 0 && c.n != o.Size {
		return fmt.Errorf("the body has %d bytes, want %d", c.n, o.Size)
	}
	if o.Digest.IsZero() {
		return nil
	}
	if got := irgdata.Digest(c.sum.Sum(nil)); got != o.Digest {
		return fmt.Errorf("the body has digest %s, want %s", got, o.Digest)
	}
	return nil
}

// PutBytes puts b under key.
func PutBytes(ctx context.Context, s Store, key string, b []byte, o PutOptions) error {
	o.Size = int64(len(b))
	return s.Put(ctx, key, bytes.NewReader(b), o)
}

// ReadAll returns the object's bytes. An object larger than limit, which is more
// than was ever put, is ErrDamaged.
func ReadAll(ctx context.Context, s Store, key string, limit int64) ([]byte, error) {
	return readAll(ctx, s, key, limit, 0)
}

// mostExpected bounds what is set aside for bytes that have not come.
const mostExpected = 64 << 20

// readAll sets memory aside for the bytes that are expected, so that none is
// copied.
func readAll(ctx context.Context, s Store, key string, limit, expected int64) ([]byte, error) {
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := bytes.NewBuffer(make([]byte, 0, min(expected, mostExpected)+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.URL(key), err)
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes: %w", s.URL(key), limit, ErrDamaged)
	}
	return b.Bytes(), nil
}

// ReadVerified returns the object's bytes after checking them against their
// size and digest.
func ReadVerified(ctx context.Context, s Store, key string, size int64, d irgdata.Digest) ([]byte, error) {
	b, err := readAll(ctx, s, key, size, size)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != size {
		return nil, fmt.Errorf("read %s: it has %d bytes, want %d: %w", s.URL(key), len(b), size, ErrDamaged)
	}
	if got := irgdata.DigestOf(b); got != d {
		return nil, fmt.Errorf("read %s: it has digest %s, want %s: %w", s.URL(key), got, d, ErrDamaged)
	}
	return b, nil
}

// Spool returns the object as a file at its beginning, checked against its size
// and digest: the object's own, if s is a folder, which nobody writes to, else a
// copy in a nameless temporary file in the folder dir. The caller closes it; the
// space of a copy is free again then, also when the process is killed.
func Spool(ctx context.Context, s Store, key string, size int64, d irgdata.Digest, dir string) (*os.File, error) {
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	var file *os.File
	copied := io.Discard
	if own, ok := r.(*openFile); ok {
		file = own.file
	} else {
		defer r.Close()
		if file, err = TempFile(dir); err != nil {
			return nil, fmt.Errorf("spool %s: %w", s.URL(key), err)
		}
		copied = file
	}
	want := PutOptions{Size: size, Digest: d}
	check := newChecked(contextReader{ctx, io.LimitReader(r, size+1)}, want)
	if _, err = copyAll(copied, check, size); err == nil {
		if err = check.verify(want); err != nil {
			err = fmt.Errorf("%w: %w", err, ErrDamaged)
		}
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("spool %s: %w", s.URL(key), err)
	}
	return file, nil
}

// copyBuffer is the most memory of a copy, with which the calls of the system
// are few.
const copyBuffer = 256 << 10

// copyAll copies r to w; size is about what there is, 0 if that is unknown.
func copyAll(w io.Writer, r io.Reader, size int64) (int64, error) {
	if size <= 0 {
		size = copyBuffer
	}
	buffer := make([]byte, min(size, copyBuffer))
	return io.CopyBuffer(struct{ io.Writer }{w}, r, buffer) // a file would bring a small buffer of its own
}

// Verify reads the whole object and compares it with its digest.
func Verify(ctx context.Context, s Store, key string, d irgdata.Digest) error {
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	want := PutOptions{Digest: d}
	check := newChecked(contextReader{ctx, r}, want)
	if _, err := copyAll(io.Discard, check, 0); err != nil {
		return fmt.Errorf("read %s: %w", s.URL(key), err)
	}
	if err := check.verify(want); err != nil {
		return fmt.Errorf("read %s: %w: %w", s.URL(key), err, ErrDamaged)
	}
	return nil
}

// PutContent puts an object that is named by the digest of its bytes. What is
// there already is read and compared, and written anew if it is damaged: who
// builds on the object later must be able to rely on it.
func PutContent(ctx context.Context, s Store, key string, body io.ReadSeeker, size int64, d irgdata.Digest) error {
	err := s.Put(ctx, key, body, PutOptions{CreateOnly: true, Size: size, Digest: d})
	if !errors.Is(err, ErrExists) {
		return err
	}
	err = Verify(ctx, s, key, d)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotExist) { // deleted meanwhile
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("put %s: %w", s.URL(key), err)
	}
	return s.Put(ctx, key, body, PutOptions{Size: size, Digest: d})
}
