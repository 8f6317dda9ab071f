package images_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"runtime"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/images"
)

// bomb is a PNG without a pixel that claims the size, with some chunks more.
func bomb(width, height uint32, chunks ...[]byte) []byte {
	header := binary.BigEndian.AppendUint32(nil, width)
	header = binary.BigEndian.AppendUint32(header, height)
	b := append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(header, 8, 2, 0, 0, 0))...)
	return append(append(b, bytes.Join(chunks, nil)...), pngChunk("IDAT", nil)...)
}

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func named(t testing.TB, file string) fixture {
	t.Helper()
	for _, f := range fixtures(t) {
		if f.File == file {
			return f
		}
	}
	t.Fatalf("there is no image %s", file)
	return fixture{}
}

// TestInspect: what the headers say.
func TestInspect(t *testing.T) {
	for file, want := range map[string]string{
		"baseline.jpg":                 `jpeg 24×16, 8 bits, rgb, alpha "", orientation 1, profile "", frames 1, named ""`,
		"grey.jpg":                     `jpeg 24×16, 8 bits, grey, alpha "", orientation 1, profile "", frames 1, named ""`,
		"ycck.jpg":                     `jpeg 24×16, 8 bits, cmyk, alpha "", orientation 1, profile "", frames 1, named ""`,
		"orientation-6-big-endian.jpg": `jpeg 16×24, 8 bits, rgb, alpha "", orientation 6, profile "", frames 1, named ""`,
		"srgb.jpg":                     `jpeg 24×16, 8 bits, rgb, alpha "", orientation 1, profile "sRGB of a test", frames 1, named ""`,
		"a-png.jpg":                    `png 24×16, 8 bits, rgb, alpha "", orientation 1, profile "", frames 1, named "jpeg"`,
		"bilevel.png":                  `png 24×16, 1 bits, grey, alpha "", orientation 1, profile "", frames 1, named ""`,
		"rgba16.png":                   `png 24×16, 16 bits, rgb, alpha "channel", orientation 1, profile "", frames 1, named ""`,
		"palette-key.png":              `png 24×16, 8 bits, palette, alpha "key", orientation 1, profile "", frames 1, named ""`,
		"oriented.png":                 `png 16×24, 8 bits, rgb, alpha "", orientation 6, profile "", frames 1, named ""`,
		"display-p3.png":               `png 24×16, 8 bits, rgb, alpha "", orientation 1, profile "Display P3", frames 1, named ""`,
		"animated.png":                 `png 24×16, 8 bits, rgb, alpha "", orientation 1, profile "", frames 2, named ""`,
		"oriented.webp":                `webp 16×24, 8 bits, rgb, alpha "", orientation 8, profile "", frames 1, named ""`,
		"lossless-alpha.webp":          `webp 24×16, 8 bits, rgb, alpha "channel", orientation 1, profile "", frames 1, named ""`,
		"animated-part.webp":           `webp 24×16, 8 bits, rgb, alpha "channel", orientation 1, profile "", frames 2, named ""`,
		"display-p3.webp":              `webp 24×16, 8 bits, rgb, alpha "", orientation 1, profile "Display P3", frames 1, named ""`,
		"part.gif":                     `gif 24×16, 8 bits, palette, alpha "key", orientation 1, profile "", frames 1, named ""`,
		"animated.gif":                 `gif 24×16, 8 bits, palette, alpha "", orientation 1, profile "", frames 2, named ""`,
		"orientation-6.tiff":           `tiff 24×16, 8 bits, rgb, alpha "", orientation 6, profile "", frames 1, named ""`,
		"grey16-big-endian.tiff":       `tiff 24×16, 16 bits, grey, alpha "", orientation 1, profile "", frames 1, named ""`,
		"pages.tiff":                   `tiff 24×16, 8 bits, rgb, alpha "", orientation 1, profile "", frames 2, named ""`,
		"top-down.bmp":                 `bmp 24×16, 8 bits, rgb, alpha "", orientation 1, profile "", frames 1, named ""`,
		"alpha.bmp":                    `bmp 24×16, 8 bits, rgb, alpha "channel", orientation 1, profile "", frames 1, named ""`,
	} {
		i, err := images.Inspect(named(t, file).encoded, "folder/"+strings.ToUpper(file))
		got := fmt.Sprintf("%s %d×%d, %d bits, %s, alpha %q, orientation %d, profile %q, frames %d, named %q",
			i.Format, i.Width, i.Height, i.Depth, i.Colour, i.Alpha, i.Orientation, i.Profile, i.Frames, i.Extension)
		if err != nil || got != want {
			t.Errorf("%s: %v\n got %s\nwant %s", file, err, got, want)
		}
	}
}

// TestInspectRefuses: what is no image, or no image to train on, is refused in
// a sentence that says what it is.
func TestInspectRefuses(t *testing.T) {
	patched := func(file string, at func([]byte) int, with ...byte) []byte {
		b := bytes.Clone(named(t, file).encoded)
		copy(b[at(b):], with)
		return b
	}
	after := func(mark string, n int) func([]byte) int {
		return func(b []byte) int { return bytes.LastIndex(b, []byte(mark)) + n }
	}
	entry := func(tag int) func([]byte) int { // of a TIFF, in its first directory
		return func(b []byte) int { return bytes.Index(b, []byte{byte(tag), byte(tag >> 8)}) }
	}
	for name, c := range map[string]struct {
		encoded []byte
		problem string
	}{
		"nothing":          {nil, "the image is empty: 0 bytes"},
		"rubbish":          {[]byte("\x00\x01\x02\x03"), "the 4 bytes are no JPEG, PNG, WebP, GIF, TIFF or BMP image"},
		"page":             {[]byte("\n <!DOCTYPE html><html>"), "they are an HTML page, as of a failed download"},
		"answer":           {[]byte(`{"error": "not found"}`), "they are JSON"},
		"storage error":    {[]byte(`<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`), "they are XML"},
		"text":             {[]byte("Bär"), "the 4 bytes are no image: they are a text"},
		"not a bitmap":     {[]byte("BMW is a make of cars"), "they are a text"},
		"document":         {[]byte("%PDF-1.7\n\x80"), "they are a PDF document"},
		"pointer":          {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "they are a pointer of Git LFS"},
		"drawing":          {[]byte("\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>"), "the image is SVG, a drawing without pixels: convert it to JPEG or PNG"},
		"avif":             {[]byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1miaf"), "the image is AVIF, which only some of the trainer's Pillows read: convert it"},
		"heic":             {[]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), "the image is HEIC, which the trainer's Pillow does not read: convert it"},
		"a brand of avif":  {[]byte("\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00avifmiaf"), "the image is AVIF"},
		"jpeg xl":          {[]byte("\xff\x0a\x00\x00"), "the image is JPEG XL"},
		"jpeg xl in boxes": {[]byte("\x00\x00\x00\x0cJXL \r\n\x87\n"), "the image is JPEG XL"},
		"jpeg 2000":        {[]byte("\x00\x00\x00\x0cjP  \r\n\x87\n"), "the image is JPEG 2000"},
		"big tiff":         {[]byte("II+\x00\x08\x00\x00\x00"), "it is a BigTIFF"},
		"no scan":          {[]byte("\xff\xd8\xff\xd9"), "the JPEG cannot be read: it is cut off"},
		"no frame header":  {[]byte("\xff\xd8\xff\xda\x00\x02"), "the JPEG cannot be read: it has no frame header"},
		"wrong marker":     {[]byte("\xff\xd8\xff\x05"), "the JPEG cannot be read: it has the marker 0x5"},
		"checksum":         {patched("rgb.png", after("IHDR", 4+13), 0), `the checksum of its chunk "IHDR" is wrong`},
		"end without data": {patched("rgb.png", after("IDAT", 0), 'I', 'E', 'N', 'D'), "it has no picture"},
		"kind of a tag":    {patched("rgb.tiff", entry(256), 0, 1, 2), "its tag 256 holds no integers but type 2"},
		"no compression":   {patched("rgb.tiff", entry(259), 3, 1, 3, 0, 1, 0, 0, 0, 99), "its compression is 99"},
		"odd bits":         {patched("rgb.tiff", entry(277), 21, 1, 3, 0, 1, 0, 0, 0, 2), "for which Pillow has no mode"},
		"bomb":             {bomb(100_000, 100_000), "the image has 100000×100000 pixels, want at least 1×1 and at most 400000000 in all"},
		"overflowing":      {bomb(1<<31-1, 1<<31-1), "pixels, want at least 1×1 and at most 400000000 in all"},
		"no pixels":        {bomb(0, 5), "the image has 0×5 pixels"},
		"most that is ok":  {bomb(20_000, 20_000), ""},
		"a line too many":  {bomb(20_000, 20_001), "the image has 20000×20001 pixels"},
		"large frame of a png": {patched("animated.png", after("fcTL", 4+4), 0, 1, 0, 0),
			"frame 2 of 65536×16 pixels at 0,0 has no place on the canvas of 24×16"},
		"large frame of a webp": {patched("animated-part.webp", after("ANMF", 8+6), 0xff, 0xff, 0xff),
			"frame 2 of 16777216×16 pixels at 0,0 has no place on the canvas of 24×16"},
		"large picture of a webp": {patched("lossless.webp", after("VP8L", 8), 0x2f, 0xff, 0xff, 0xff, 0x0f), ""},
		"large picture in a small webp": {patched("lossy-alpha.webp", after("VP8X", 12), 1, 0, 0, 1, 0, 0),
			"its picture has 24×16 pixels, and 2×2 are announced"},
		"large frame of a gif": {patched("uncovered.gif", func(b []byte) int { return bytes.Index(b, []byte{',', 4, 0, 4, 0}) + 5 }, 0xff, 0xff),
			"frame 1 of 65535×8 pixels at 4,4 has no place on the canvas of 24×16"},
	} {
		_, err := images.Inspect(c.encoded, "")
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: got %v, want %q", name, err, c.problem)
		}
		if c.problem == "" {
			continue
		}
		if _, err := images.Probe(c.encoded); err == nil {
			t.Errorf("%s: Probe accepts it", name)
		}
		if _, err := images.Decode(c.encoded); err == nil {
			t.Errorf("%s: Decode accepts it", name)
		}
	}
}

// TestCompressedMetadata: a kilobyte that inflates to a thousand is left as it
// is, or inflated to a bound.
func TestCompressedMetadata(t *testing.T) {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 12<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	profile := bomb(24, 16, pngChunk("iCCP", append([]byte("x\x00\x00"), packed.Bytes()...)))
	text := bomb(24, 16, pngChunk("zTXt", append([]byte("x\x00\x00"), packed.Bytes()...)))
	for name, c := range map[string]struct {
		encoded []byte
		most    uint64
	}{"profile": {profile, 8 << 20}, "text": {text, 64 << 10}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		info, err := images.Inspect(c.encoded, "")
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err != nil || took > c.most {
			t.Errorf("%s: %+v, %v: took %d bytes, want at most %d", name, info, err, took, c.most)
		}
	}
}

// TestCutOff: an image that is cut off at any place is refused, unless its
// picture is whole and a second one or an empty end is missing.
func TestCutOff(t *testing.T) {
	whole := map[string]bool{"two-pictures.jpg": true}
	for _, f := range fixtures(t) {
		if undecoded[f.File] != "" {
			continue
		}
		for n := range f.encoded {
			if n%13 != 0 && n < len(f.encoded)-4 {
				continue
			}
			img, err := images.Decode(f.encoded[:n])
			switch {
			case err == nil && !whole[f.File] && !strings.HasSuffix(f.File, ".tiff"):
				t.Errorf("%s: decoded with %d of %d bytes", f.File, n, len(f.encoded))
			case err == nil && (img.Bounds() != image.Rect(0, 0, f.Width, f.Height) || gridOf(img).differs(f.Trainer) > 3):
				t.Errorf("%s: decoded with %d of %d bytes to another picture", f.File, n, len(f.encoded))
			case err != nil && n > 32 && !strings.Contains(err.Error(), "cut off"):
				t.Errorf("%s: %d of %d bytes: %v", f.File, n, len(f.encoded), err)
			}
		}
	}
}
