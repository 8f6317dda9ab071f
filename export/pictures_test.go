package export

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// TestImagesAreEncodedOnlyWhenAsked: with no option every image keeps its
// bytes, whatever is wrong with it.
func TestImagesAreEncodedOnlyWhenAsked(t *testing.T) {
	for name, encoded := range fixtures(t) {
		got, err := (ImageOptions{}).encode(encoded)
		if err != nil || !bytes.Equal(got, encoded) {
			t.Errorf("%s: other bytes (%v)", name, err)
		}
	}
}

// TestEncodedImages: under every option an image has the size that was
// foretold, the format asked for, is not larger than the limit or than it was,
// and is what the trainer sees rightly; equal options give equal bytes.
func TestEncodedImages(t *testing.T) {
	all := fixtures(t)
	for _, o := range []ImageOptions{
		{Format: irgdata.FormatJPEG}, {Format: irgdata.FormatPNG}, {MaxSide: 20}, {MaxSide: 5000},
		{Format: irgdata.FormatJPEG, Quality: 60, MaxSide: 17},
	} {
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		for name, encoded := range all {
			before, err := images.Inspect(encoded, "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.encode(encoded)
			if err != nil {
				t.Errorf("%+v: %s: %v", o, name, err)
				continue
			}
			after, err := images.Inspect(got, "")
			if err != nil {
				t.Fatalf("%+v: %s: %v", o, name, err)
			}
			width, height := o.size(before)
			switch longest := max(after.Width, after.Height); {
			case after.Width != width || after.Height != height:
				t.Errorf("%+v: %s: %d×%d pixels, foretold were %d×%d", o, name, after.Width, after.Height, width, height)
			case o.MaxSide > 0 && longest > o.MaxSide, longest > max(before.Width, before.Height):
				t.Errorf("%+v: %s: a side of %d pixels, before %d×%d", o, name, longest, before.Width, before.Height)
			case o.Format != "" && after.Format != o.Format:
				t.Errorf("%+v: %s: a %s", o, name, after.Format)
			case misread(after) != "":
				t.Errorf("%+v: %s: %s", o, name, misread(after))
			}
			if again, err := o.encode(encoded); err != nil || !bytes.Equal(again, got) {
				t.Errorf("%+v: %s: other bytes the second time", o, name)
			}
		}
	}
}

// TestMatchingImagesStay: an image that has the format and the size already is
// not encoded a second time, unless a quality is asked for.
func TestMatchingImagesStay(t *testing.T) {
	encoded, _, err := images.Reencode(image.NewGray(image.Rect(0, 0, 30, 20)), images.Info{}, images.Encoding{Format: irgdata.FormatJPEG, Quality: 80})
	if err != nil {
		t.Fatal(err)
	}
	for o, same := range map[ImageOptions]bool{
		{Format: irgdata.FormatJPEG}:              true,
		{Format: irgdata.FormatJPEG, MaxSide: 30}: true,
		{Format: irgdata.FormatJPEG, MaxSide: 29}: false,
		{Format: irgdata.FormatJPEG, Quality: 20}: false,
		{Format: irgdata.FormatPNG}:               false,
	} {
		if got, err := o.encode(encoded); err != nil || bytes.Equal(got, encoded) != same {
			t.Errorf("%+v: unchanged %t (%v), want %t", o, !same, err, same)
		}
	}
}

func TestImageOptionsAreChecked(t *testing.T) {
	for _, o := range []ImageOptions{{Format: "webp"}, {Quality: 90}, {Format: irgdata.FormatPNG, Quality: 90}, {Format: irgdata.FormatJPEG, Quality: 101}, {MaxSide: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// fixtures are images of every kind that can be decoded here.
func fixtures(t *testing.T) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../internal/images/testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		encoded, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := images.Decode(encoded); err == nil {
			all[filepath.Base(name)] = encoded
		}
	}
	if len(all) < 40 {
		t.Fatalf("%d images", len(all))
	}
	return all
}
