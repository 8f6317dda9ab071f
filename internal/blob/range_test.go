package blob_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
)

func TestRanges(t *testing.T) {
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("0123456789")
	if err := blob.PutBytes(t.Context(), store, "a/b", content, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r := blob.NewRanges(t.Context(), store, "a/b", 10)
	if size, err := r.Seek(0, io.SeekEnd); size != 10 || err != nil {
		t.Errorf("its end is %d (%v)", size, err)
	}
	for _, c := range []struct {
		offset int64
		length int
		want   string
		err    error
	}{{0, 3, "012", nil}, {7, 3, "789", nil}, {8, 5, "89", io.EOF}, {10, 1, "", io.EOF}, {-1, 1, "", io.EOF}} {
		p := make([]byte, c.length)
		n, err := r.ReadAt(p, c.offset)
		if !bytes.Equal(p[:n], []byte(c.want)) || err != c.err {
			t.Errorf("%d bytes at %d: got %q, %v", c.length, c.offset, p[:n], err)
		}
	}
	if _, err := blob.NewRanges(t.Context(), store, "a/b", 12).ReadAt(make([]byte, 12), 0); err == nil || err == io.EOF {
		t.Errorf("an object that is too short: got %v", err)
	}
	if _, err := blob.NewRanges(t.Context(), store, "none", 12).ReadAt(make([]byte, 12), 0); err == nil {
		t.Error("an absent object was read")
	}
}
