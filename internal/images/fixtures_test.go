package images_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// fixture is an image of testdata and what Pillow makes of it.
type fixture struct {
	File          string
	Format, Mode  string // Pillow's words
	Width, Height int
	// Trainer and Person are the mean colours of 4×4 cells: as the trainer sees
	// the image, and as a person does. Person is nil where that is not one
	// picture.
	Trainer, Person grid
	encoded         []byte
}

type grid []byte

func (g *grid) UnmarshalText(text []byte) (err error) {
	*g, err = hex.DecodeString(string(text))
	return err
}

func gridOf(img image.Image) grid {
	var g grid
	b := img.Bounds()
	for row := range 4 {
		for column := range 4 {
			var sum [3]int
			n := 0
			for y := b.Min.Y + row*b.Dy()/4; y < b.Min.Y+(row+1)*b.Dy()/4; y++ {
				for x := b.Min.X + column*b.Dx()/4; x < b.Min.X+(column+1)*b.Dx()/4; x++ {
					red, green, blue, _ := img.At(x, y).RGBA()
					sum[0], sum[1], sum[2] = sum[0]+int(red>>8), sum[1]+int(green>>8), sum[2]+int(blue>>8)
					n++
				}
			}
			for _, s := range sum {
				g = append(g, byte((s+n/2)/n))
			}
		}
	}
	return g
}

// differs is the largest difference between two grids.
func (g grid) differs(other grid) int {
	largest := 0
	for i := range g {
		d := int(g[i]) - int(other[i])
		largest = max(largest, d, -d)
	}
	return largest
}

func fixtures(t testing.TB) []fixture {
	t.Helper()
	text, err := os.ReadFile("testdata/pillow.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Images []fixture }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for i, f := range all.Images {
		if all.Images[i].encoded, err = os.ReadFile(filepath.Join("testdata", f.File)); err != nil {
			t.Fatal(err)
		}
	}
	return all.Images
}

// undecoded are the fixtures that Pillow reads and Decode refuses.
var undecoded = map[string]string{
	"cmyk-unmarked.jpg": "CMYK without the Adobe marker",
	"float.tiff":        "samples in floating point",
	"planes.tiff":       "a plane for each colour",
	"cmyk.tiff":         "colours in CMYK, Lab or YCbCr",
	"reverse-bits.tiff": "bits in reverse order",
	"jpeg.tiff":         "compression value 7",
	"runs.bmp":          "compression",
}

// TestDecode: Decode sees what Pillow sees, or says what it does not decode.
func TestDecode(t *testing.T) {
	for _, f := range fixtures(t) {
		ref, err := images.Probe(f.encoded)
		if err != nil {
			t.Errorf("%s: %v", f.File, err)
			continue
		}
		if ref.Width != f.Width || ref.Height != f.Height || ref.Format != strings.ToLower(strings.Replace(f.Format, "MPO", "JPEG", 1)) {
			t.Errorf("%s: %+v, Pillow opens a %s of %d×%d", f.File, ref, f.Format, f.Width, f.Height)
		}
		img, err := images.Decode(f.encoded)
		if problem := undecoded[f.File]; problem != "" {
			if err == nil || !strings.Contains(err.Error(), problem) || !strings.Contains(err.Error(), "convert it to") {
				t.Errorf("%s: got %v, want %q", f.File, err, problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", f.File, err)
			continue
		}
		if img.Bounds() != image.Rect(0, 0, f.Width, f.Height) {
			t.Errorf("%s: decoded %v, the header says %d×%d", f.File, img.Bounds(), f.Width, f.Height)
		}
		if d := gridOf(img).differs(f.Trainer); d > 3 {
			t.Errorf("%s (%s): differs from what Pillow sees by %d of 255\n%s", f.File, f.Mode, d, cmp.Diff(f.Trainer, gridOf(img)))
		}
	}
}

// TestReencode: what is encoded anew is what a person sees.
func TestReencode(t *testing.T) {
	notes := map[string][]string{}
	for _, f := range fixtures(t) {
		if undecoded[f.File] != "" {
			continue
		}
		info, err := images.Inspect(f.encoded, f.File)
		if err != nil {
			t.Fatal(f.File, err)
		}
		for _, e := range []images.Encoding{{Format: irgdata.FormatPNG}, {Format: irgdata.FormatJPEG, Quality: 95}} {
			var results [][]byte
			for range 2 {
				img, err := images.Pixels(f.encoded)
				if err != nil {
					t.Fatal(f.File, err)
				}
				encoded, said, err := images.Reencode(img, info, e)
				if err != nil {
					t.Fatal(f.File, err)
				}
				results, notes[f.File] = append(results, encoded), said
			}
			if !bytes.Equal(results[0], results[1]) {
				t.Errorf("%s: encoded twice as %s with different bytes", f.File, e.Format)
			}
			anew, err := images.Inspect(results[0], "")
			if err != nil || anew.Format != e.Format || len(anew.Traits()) != 0 || anew.Colour != images.RGB || anew.Depth != 8 {
				t.Errorf("%s: encoded as %+v with %v, %v", f.File, anew, anew.Traits(), err)
			}
			seen, err := images.Decode(results[0])
			if err != nil {
				t.Fatal(f.File, err)
			}
			if seen.Bounds().Dx()*seen.Bounds().Dy() != f.Width*f.Height {
				t.Errorf("%s: %v after %d×%d", f.File, seen.Bounds(), f.Width, f.Height)
			}
			if f.Person == nil {
				continue
			}
			if d := gridOf(seen).differs(f.Person); d > 6 {
				t.Errorf("%s as %s: differs from what a person sees by %d of 255\n%s", f.File, e.Format, d, cmp.Diff(f.Person, gridOf(seen)))
			}
		}
	}
	want := map[string][]string{
		"rgb.png":            nil,
		"orientation-6.jpg":  {"turned upright from EXIF orientation 6"},
		"oriented.webp":      {"turned upright from EXIF orientation 8"},
		"rgba16.png":         {"reduced from 16 bits", "flattened on white"},
		"ycck.jpg":           {"turned from CMYK to RGB without a profile"},
		"display-p3.png":     {"dropped the ICC profile Display P3"},
		"animated-part.webp": {"first of 2 frames", "flattened on white"},
		"pages.tiff":         {"first of 2 pages"},
	}
	for name, said := range want {
		if !slices.Equal(notes[name], said) {
			t.Errorf("%s: said %q, want %q", name, notes[name], said)
		}
	}
}

func TestEncodingValidate(t *testing.T) {
	for _, c := range []struct {
		e       images.Encoding
		problem string
	}{
		{images.Encoding{Format: irgdata.FormatPNG}, ""},
		{images.Encoding{Format: irgdata.FormatJPEG, Quality: 100}, ""},
		{images.Encoding{Format: irgdata.FormatWebP}, `format is "webp": want "jpeg" or "png"`},
		{images.Encoding{Format: irgdata.FormatJPEG}, "quality is 0: want 1 to 100"},
		{images.Encoding{Format: irgdata.FormatPNG, Quality: 90}, "quality is 90: want 0"},
	} {
		err := c.e.Validate()
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%+v: got %v, want %q", c.e, err, c.problem)
		}
	}
}
