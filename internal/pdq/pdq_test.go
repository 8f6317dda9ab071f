package pdq_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/pdq"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// drawn is the picture that testdata/make.py draws of the same numbers.
func drawn(width, height int, seed uint64, grey bool) *image.NRGBA {
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range 20 {
		r := img.Bounds()
		if i > 0 {
			r.Min = image.Pt(next(width), next(height))
			r.Max = r.Min.Add(image.Pt(next(width)+1, next(height)+1))
		}
		c := color.NRGBA{uint8(next(256)), uint8(next(256)), uint8(next(256)), 255}
		if grey {
			c.G, c.B = c.R, c.R
		}
		draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
	}
	return img
}

// as copies a picture into one of another kind, which draw converts to.
func as[T draw.Image](dst T, src image.Image) T {
	draw.Draw(dst, dst.Bounds(), src, src.Bounds().Min, draw.Src)
	return dst
}

// at moves a picture's bounds and puts it into the middle of a larger one.
func at(src *image.NRGBA) image.Image {
	bounds := src.Bounds().Add(image.Pt(3, 7))
	larger := image.NewNRGBA(bounds.Inset(-2))
	draw.Draw(larger, bounds, src, image.Point{}, draw.Src)
	return larger.SubImage(bounds)
}

// plain hides what kind of picture it is.
type plain struct{ image.Image }

// TestVectors: the hash of a picture is, to the bit, that of the reference,
// whatever kind of image.Image holds its pixels.
func TestVectors(t *testing.T) {
	encoded, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Width, Height int
		Seed          uint64
		Grey          bool
		Hash          string
		Quality       int
	}
	if err := json.Unmarshal(encoded, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		want, err := pdq.Parse(v.Hash)
		if err != nil || want.String() != v.Hash {
			t.Fatalf("%s was read as %s (%v)", v.Hash, want, err)
		}
		img := drawn(v.Width, v.Height, v.Seed, v.Grey)
		kinds := map[string]image.Image{"NRGBA": img, "RGBA": as(image.NewRGBA(img.Rect), img), "part": at(img), "plain": plain{img}, "NRGBA64": as(image.NewNRGBA64(img.Rect), img)}
		if v.Grey {
			ycbcr := image.NewYCbCr(img.Rect, image.YCbCrSubsampleRatio420)
			grey := as(image.NewGray(img.Rect), img)
			copy(ycbcr.Y, grey.Pix)
			kinds["Gray"], kinds["YCbCr"] = grey, ycbcr
			kinds["NYCbCrA"] = &image.NYCbCrA{YCbCr: *ycbcr}
			kinds["Gray16"] = as(image.NewGray16(img.Rect), img)
			levels := make(color.Palette, 256)
			for i := range levels {
				levels[i] = color.Gray{uint8(i)}
			}
			paletted := image.NewPaletted(img.Rect, levels)
			copy(paletted.Pix, grey.Pix)
			kinds["Paletted"] = paletted
		}
		for kind, img := range kinds {
			if got, quality := pdq.Hash(img); got != want || quality != v.Quality {
				t.Errorf("%d×%d, seed %d, grey %v, %s: distance %d, quality %d, want %d", v.Width, v.Height, v.Seed, v.Grey, kind, got.Distance(want), quality, v.Quality)
			}
		}
	}
}

// similar is the distance up to which the reference takes pictures for similar.
const similar = 31

// TestLikeness: what is done to a picture on its way through the web changes
// few bits; another picture differs in many.
func TestLikeness(t *testing.T) {
	var originals []image.Image
	names, err := fs.Glob(scenes.SampleFS(), "*.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names[:24] {
		encoded, err := fs.ReadFile(scenes.SampleFS(), name)
		if err != nil {
			t.Fatal(err)
		}
		if img, err := images.Decode(encoded); err == nil {
			originals = append(originals, img)
		}
	}
	var hashes []pdq.Hash256
	for i, img := range originals {
		original, quality := pdq.Hash(img)
		if quality < 50 { // flat pictures promise nothing
			continue
		}
		if slices.Contains(hashes, original) {
			t.Errorf("picture %d has the hash of another one", i)
		}
		hashes = append(hashes, original)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 40}); err != nil {
			t.Fatal(err)
		}
		again, err := jpeg.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		half := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx()/2, img.Bounds().Dy()/2))
		xdraw.CatmullRom.Scale(half, half.Rect, img, img.Bounds(), draw.Src, nil)
		for change, img := range map[string]image.Image{"encoded anew": again, "half the size": half} {
			got, _ := pdq.Hash(img)
			if d := got.Distance(original); d > similar {
				t.Errorf("picture %d, %s: distance %d", i, change, d)
			}
		}
	}
	if len(hashes) < 10 {
		t.Fatalf("only %d pictures have something to see", len(hashes))
	}
	for i, a := range hashes {
		for _, b := range hashes[:i] {
			if d := a.Distance(b); d <= similar {
				t.Errorf("two pictures have the distance %d", d)
			}
		}
	}
}

// TestFlat: a picture of one colour has nothing to see.
func TestFlat(t *testing.T) {
	if _, quality := pdq.Hash(image.NewGray(image.Rect(0, 0, 300, 200))); quality != 0 {
		t.Errorf("quality %d", quality)
	}
	if h, quality := pdq.Hash(image.NewGray(image.Rectangle{})); h != (pdq.Hash256{}) || quality != 0 {
		t.Errorf("no picture: %v of quality %d", h, quality)
	}
}

// FuzzParse: what is read is written as it was, but for upper case.
func FuzzParse(f *testing.F) {
	f.Add(strings.Repeat("0123456789abcdef", 4))
	f.Add(strings.Repeat("F", 64))
	f.Add(strings.Repeat("g", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := pdq.Parse(s); err == nil && h.String() != strings.ToLower(s) {
			t.Errorf("%q was read as %s", s, h)
		}
	})
}

// TestThreatExchange compares with the hashes that the reference publishes
// with its own pictures. The variable names a checkout of
// github.com/facebook/ThreatExchange.
func TestThreatExchange(t *testing.T) {
	root := os.Getenv("THREATEXCHANGE")
	if root == "" {
		t.Skip("THREATEXCHANGE names no checkout of github.com/facebook/ThreatExchange")
	}
	published := func(name, pattern string) [][]string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
	}
	data := filepath.Join(root, "pdq", "data")
	compare := func(name, digits string) (distance, quality int) {
		t.Helper()
		encoded, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		img, err := images.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, quality := pdq.Hash(img)
		want, err := pdq.Parse(digits)
		if err != nil {
			t.Fatal(err)
		}
		return got.Distance(want), quality
	}

	// The examples of the signal type: pdqhash, at full size. The reference
	// calls an implementation correct when it is within 10 bits at a quality of
	// 80 or more.
	mods, err := filepath.Glob(filepath.Join(data, "bridge-mods", "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range mods {
		names = append(names, path.Join("bridge-mods", filepath.Base(name)))
	}
	names = append(names, "misc-images/c.png", "misc-images/wee.jpg")
	examples := published("python-threatexchange/threatexchange/signal_type/pdq/signal.py", `\n +"([0-9a-f]{64})",`)
	if len(names) != 14 || len(examples) < len(names) {
		t.Fatalf("%d pictures and %d hashes, want 14 of each", len(names), len(examples))
	}
	for i, name := range names {
		distance, quality := compare(name, examples[i][1])
		t.Logf("%s: distance %d, quality %d", name, distance, quality)
		if quality >= 80 && distance > 10 {
			t.Errorf("%s: distance %d", name, distance)
		}
	}

	// The test of the Python implementation, which shrinks to 512 pixels first
	// and allows itself 16 bits, flat pictures included.
	cases := published("pdq/python/pdqhashing/tests/pdq_test.py", `SAMPLE_MEDIA \+ "([^"]+)",\s*"([0-9a-f]{64})"`)
	if len(cases) < 10 {
		t.Fatalf("%d hashes in the test of the Python implementation", len(cases))
	}
	for _, c := range cases {
		if c[1] == "misc-images/b.jpg" { // the same as bridge-1-original.jpg, and a link
			continue
		}
		distance, quality := compare(c[1], c[2])
		t.Logf("%s: distance %d, quality %d", c[1], distance, quality)
		if quality >= 80 && distance > 16 {
			t.Errorf("%s: distance %d", c[1], distance)
		}
	}
}
