package images_test

import (
	"image"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// FuzzInspect: any bytes are an error of one line, or an Info that holds what
// it promises, for a bounded part of memory.
func FuzzInspect(f *testing.F) {
	for _, seed := range fixtures(f) {
		f.Add(seed.encoded, seed.File)
	}
	f.Add(bomb(3, 3), "bomb.png")
	f.Fuzz(func(t *testing.T, encoded []byte, name string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		info, err := images.Inspect(encoded, name)
		runtime.ReadMemStats(&after)
		if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+16*len(encoded)); took > most {
			t.Errorf("took %d bytes for %d, want at most %d", took, len(encoded), most)
		}
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %v", err)
			}
			return
		}
		switch {
		case info.Width < 1, info.Height < 1, info.Width > images.MaxPixels/info.Height:
			t.Errorf("%d×%d pixels", info.Width, info.Height)
		case info.Orientation < 1, info.Orientation > 8, info.Frames < 1, info.Depth < 1, info.Colour == "":
			t.Errorf("%+v", info)
		case !utf8.ValidString(info.Profile), strings.Contains(info.Profile, "\n"), len(info.Profile) > 300:
			t.Errorf("profile %q", info.Profile)
		}
		for _, trait := range info.Traits() {
			if trait.Name == "" || trait.Effect == "" || !strings.HasSuffix(trait.Makes, ".") {
				t.Errorf("trait %+v", trait)
			}
		}
	})
}

// FuzzDecode: what Inspect refuses, Decode refuses; what decodes has the size
// that the header says, opaque, and can be encoded anew; and memory is in
// proportion to what the header declares.
func FuzzDecode(f *testing.F) {
	for _, seed := range fixtures(f) {
		f.Add(seed.encoded)
	}
	f.Add(bomb(3, 3))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		info, err := images.Inspect(encoded, "")
		if err == nil && info.Width*info.Height > 1<<20 {
			t.Skip("it takes long")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, decodeErr := images.Decode(encoded)
		runtime.ReadMemStats(&after)
		most := uint64(8<<20 + 16*len(encoded))
		if err == nil {
			most += 64 * uint64(info.Width*info.Height)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("took %d bytes for %d×%d pixels, want at most %d", took, info.Width, info.Height, most)
		}
		switch {
		case err != nil && decodeErr == nil:
			t.Fatalf("decoded what Inspect refuses: %v", err)
		case decodeErr != nil:
			return
		}
		if img.Bounds() != image.Rect(0, 0, info.Width, info.Height) {
			t.Errorf("decoded %v, the header says %d×%d", img.Bounds(), info.Width, info.Height)
		}
		if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() {
			t.Errorf("decoded a %T that is not opaque", img)
		}
		pixels, err := images.Pixels(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := images.Reencode(pixels, info, images.Encoding{Format: irgdata.FormatJPEG, Quality: 50}); err != nil && info.Width < 1<<16 && info.Height < 1<<16 {
			t.Error(err)
		}
	})
}
