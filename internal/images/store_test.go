package images_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
)

func encodedPNG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStore(t *testing.T) {
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := images.NewStore(objects)
	encoded := encodedPNG(t)
	var ref irgdata.ImageRef
	for range 2 { // the second put finds it there
		if ref, err = store.Put(t.Context(), encoded); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.Bytes(t.Context(), ref); err != nil || !bytes.Equal(got, encoded) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, err := store.Put(t.Context(), []byte("no image")); err == nil {
		t.Error("no image was kept as one")
	}
	absent := irgdata.ImageRef{Digest: irgdata.DigestOf(nil)}
	if _, err := store.Bytes(t.Context(), absent); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	damaged := bytes.Clone(encoded)
	damaged[len(damaged)/2] ^= 1
	for o, err := range objects.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(objects.URL(o.Key), damaged, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Bytes(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v, want an error that says that it is damaged", err)
	}
}

// TestPutMendsHalfAnImage: what a loss of power left under an image's name does
// not stand in for it.
func TestPutMendsHalfAnImage(t *testing.T) {
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := images.NewStore(objects)
	encoded := encodedPNG(t)
	if _, err := store.Put(t.Context(), encoded); err != nil {
		t.Fatal(err)
	}
	for o, err := range objects.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(objects.URL(o.Key), 0); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := store.Put(t.Context(), encoded)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Bytes(t.Context(), ref); err != nil || !bytes.Equal(got, encoded) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
