package blob_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
)

var fsKeys = []string{"a-b", "a/one", "a/two/three", "a0", "top.txt"}

func fillFS(t *testing.T, s blob.Store) {
	t.Helper()
	for _, key := range fsKeys {
		if err := blob.PutBytes(t.Context(), s, key, []byte("content of "+key), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFS holds the file systems of both stores against the contract of
// package fs.
func TestFS(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		s := newFile(t, t.TempDir())
		fillFS(t, s)
		if err := fstest.TestFS(blob.FS(t.Context(), s), fsKeys...); err != nil {
			t.Error(err)
		}
	})
	t.Run("s3", func(t *testing.T) {
		server := s3test.Start(t)
		server.Bucket(t, "files")
		s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "files", Prefix: "some/prefix", Endpoint: server.Endpoint, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		fillFS(t, s)
		if err := fstest.TestFS(blob.FS(t.Context(), s), fsKeys...); err != nil {
			t.Error(err)
		}
		if _, err := fs.Stat(blob.FS(t.Context(), s), "absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

// TestFSReadsOn breaks every stream of the store off: reading goes on where it
// was, and what is read is whole.
func TestFSReadsOn(t *testing.T) {
	below := newFile(t, t.TempDir())
	content := make([]byte, 3<<20+17)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	if err := blob.PutBytes(t.Context(), below, "long", content, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	opens := 0
	flaky := faultblob.New(below, func(_ int, op string) faultblob.Fault {
		if op == "open" {
			if opens++; opens%2 == 1 {
				return []faultblob.Fault{faultblob.Midway, faultblob.Before}[opens/2%2]
			}
		}
		return faultblob.None
	})
	open := func() interface {
		io.ReadSeeker
		io.ReaderAt
	} {
		t.Helper()
		file, err := blob.FS(t.Context(), flaky).Open("long")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file.(interface {
			io.ReadSeeker
			io.ReaderAt
		})
	}
	if got, err := io.ReadAll(open()); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	file := open()
	for _, c := range []struct{ offset, length int64 }{{0, 10}, {1<<20 - 5, 10}, {100, 2 << 20}, {3<<20 + 10, 7}, {5, 1}} {
		p := make([]byte, c.length)
		if n, err := file.ReadAt(p, c.offset); err != nil || !bytes.Equal(p, content[c.offset:c.offset+c.length]) {
			t.Errorf("at %d: %d of %d bytes, %v", c.offset, n, c.length, err)
		}
	}
	if n, err := file.ReadAt(make([]byte, 10), int64(len(content))-4); n != 4 || err != io.EOF {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if _, err := file.Seek(-5, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, content[len(content)-5:]) {
		t.Errorf("after seeking: %d bytes, %v", len(got), err)
	}

	// A stream that never gives a byte is an error that names the object.
	dead := faultblob.New(below, func(_ int, op string) faultblob.Fault {
		if op == "open" {
			return faultblob.Before
		}
		return faultblob.None
	})
	broken, err := blob.FS(t.Context(), dead).Open("long")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(broken); !errors.Is(err, faultblob.ErrInjected) {
		t.Errorf("got %v", err)
	}
}
