package images_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
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

func encodedJPEG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is a PNG of 24 bytes of header that claims the size.
func bomb(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		encoded []byte
		format  string
		problem string
	}{
		"png":             {encodedPNG(t), irgdata.FormatPNG, ""},
		"jpeg":            {encodedJPEG(t), irgdata.FormatJPEG, ""},
		"nothing":         {nil, "", "the 0 bytes are no JPEG, PNG or WebP image"},
		"text":            {[]byte("<html>not found</html>"), "", "are no JPEG, PNG or WebP image"},
		"bomb":            {bomb(100_000, 100_000), "", "want at most 200000000 in all"},
		"overflowing":     {bomb(1<<31-1, 1<<31-1), "", "dimension overflow"},
		"most that is ok": {bomb(20_000, 10_000), irgdata.FormatPNG, ""},
	} {
		ref, err := images.Probe(c.encoded)
		if c.problem == "" {
			if err != nil || ref.Format != c.format || ref.Digest != irgdata.DigestOf(c.encoded) || ref.Size != int64(len(c.encoded)) {
				t.Errorf("%s: %+v, %v", name, ref, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got %v, want %q", name, err, c.problem)
		}
	}
	for name, encoded := range map[string][]byte{"png": encodedPNG(t), "jpeg": encodedJPEG(t)} {
		if img, err := images.Decode(encoded); err != nil || img.Bounds() != image.Rect(0, 0, 30, 20) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := images.Decode(encoded[:len(encoded)*3/4]); err == nil {
			t.Errorf("%s: one that is cut off was decoded", name)
		}
	}
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

// FuzzDecode: what Probe refuses, Decode refuses, and what decodes has the
// size that the header says.
func FuzzDecode(f *testing.F) {
	f.Add(encodedPNG(f))
	f.Add(encodedJPEG(f))
	f.Add(bomb(3, 3))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		ref, err := images.Probe(encoded)
		if err == nil && ref.Width*ref.Height > 1<<20 {
			t.Skip("it takes long")
		}
		img, decodeErr := images.Decode(encoded)
		switch {
		case err != nil && decodeErr == nil:
			t.Errorf("decoded what Probe refuses: %v", err)
		case decodeErr == nil && (img.Bounds().Dx() != ref.Width || img.Bounds().Dy() != ref.Height):
			t.Errorf("decoded %v, the header says %d×%d", img.Bounds(), ref.Width, ref.Height)
		}
	})
}
