package fetch

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// ftyp is the first box of a file of the ISO base media format.
func ftyp(major string, compatible ...string) []byte {
	brands := major + "\x00\x00\x00\x00" + strings.Join(compatible, "")
	return []byte("\x00\x00\x00" + string(rune(8+len(brands))) + "ftyp" + brands)
}

func images(t testing.TB) map[string][]byte {
	t.Helper()
	var b, f bytes.Buffer
	if err := bmp.Encode(&b, noise()); err != nil {
		t.Fatal(err)
	}
	if err := tiff.Encode(&f, noise(), nil); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"image/jpeg": aJPEG, "image/png": aPNG, "image/gif": aGIF, "image/bmp": b.Bytes(), "image/tiff": f.Bytes(),
		"image/webp": []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00/\x00\x00\x00"),
		"image/avif": ftyp("avif", "mif1", "miaf"), "image/heic": ftyp("mif1", "mif1", "heic"), "image/heif": ftyp("mif1", "miaf"),
	}
}

func TestMediaType(t *testing.T) {
	known := images(t)
	for _, want := range mediaTypes {
		b, ok := known[want]
		if !ok {
			t.Errorf("there is no %s to be tried", want)
		}
		if got := mediaType(b); got != want {
			t.Errorf("%s: got %q", want, got)
		}
		if got := mediaType(slices.Concat(b, make([]byte, 1000))); got != want {
			t.Errorf("%s and more: got %q", want, got)
		}
		if got := mediaType(b[:2]); got != "" {
			t.Errorf("2 bytes of %s are said to be %q", want, got)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "HTML": []byte("<html>"), "text": []byte("BMW builds cars, and not images"), "wave": []byte("RIFF\x00\x00\x00\x00WAVEfmt "),
		"video": ftyp("isom", "mp42"), "no brands": []byte("\x00\x00\x00\x04ftypavif"), "brand after the box": append(ftyp("isom"), "avif"...),
		"SVG": []byte("<svg/>"), "icon": []byte("\x00\x00\x01\x00\x01\x00"), "PDF": []byte("%PDF-1.7"), "zip": []byte("PK\x03\x04"),
	} {
		if got := mediaType(b); got != "" {
			t.Errorf("%s is said to be %q", name, got)
		}
	}
}

// FuzzMediaType: what follows the magic does not change the verdict, and every
// verdict is one that Options can name.
func FuzzMediaType(f *testing.F) {
	for _, b := range images(f) {
		f.Add(b[:min(len(b), magicBytes)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := mediaType(b)
		if got != "" && !slices.Contains(mediaTypes, got) {
			t.Errorf("%q is not among the media types", got)
		}
		if head := b[:min(len(b), magicBytes)]; mediaType(slices.Concat(head, []byte("more"))) != got && len(b) >= magicBytes {
			t.Errorf("%q was %q before more came", mediaType(b), got)
		}
	})
}
