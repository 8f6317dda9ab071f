package images

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"github.com/irgdata/irgdata"
)

// Encoding says how an image is encoded anew.
type Encoding struct {
	// Format is irgdata.FormatJPEG or irgdata.FormatPNG.
	Format string
	// Quality is a JPEG's, 1 to 100. Its chroma is subsampled 4:2:0 at every
	// quality: Go's encoder has no other. PNG takes none.
	Quality int
}

// Validate reports the first mistake.
func (e Encoding) Validate() error {
	switch {
	case e.Format != irgdata.FormatJPEG && e.Format != irgdata.FormatPNG:
		return fmt.Errorf("format is %q: want %q or %q", e.Format, irgdata.FormatJPEG, irgdata.FormatPNG)
	case e.Format == irgdata.FormatJPEG && (e.Quality < 1 || e.Quality > 100):
		return fmt.Errorf("quality is %d: want 1 to 100", e.Quality)
	case e.Format == irgdata.FormatPNG && e.Quality != 0:
		return fmt.Errorf("quality is %d: want 0, a PNG loses nothing", e.Quality)
	}
	return nil
}

// Reencode encodes what a person sees in an image, so that the trainer sees it
// too: upright, on white, in 8-bit RGB, at its size. The image comes from
// [Pixels], the Info from [Inspect] of the same bytes. Equal arguments give
// equal bytes, from one release of Go; its encoders may change with the next.
// The notes say what became of the image, each in a few words. A profile is
// dropped and the numbers stay, which is what the trainer saw before.
func Reencode(img image.Image, info Info, e Encoding) (encoded []byte, notes []string, err error) {
	if err := e.Validate(); err != nil {
		return nil, nil, err
	}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if info.Frames > 1 {
		parts := "frames"
		if info.Format == irgdata.FormatTIFF {
			parts = "pages"
		}
		note("first of %d %s", info.Frames, parts)
	}
	if info.Depth > 8 {
		note("reduced from %d bits", info.Depth)
	}
	if info.Colour == CMYK {
		note("turned from CMYK to RGB without a profile")
	}
	if info.Profile != "" {
		note("dropped the ICC profile %s", info.Profile)
	}
	if !isOpaque(img) {
		note("flattened on white")
	}
	flat := on(image.White, img)
	if o := info.Orientation; o > 1 {
		note("turned upright from EXIF orientation %d", o)
		flat = upright(flat, o)
	}
	var b bytes.Buffer
	if e.Format == irgdata.FormatPNG {
		err = png.Encode(&b, flat)
	} else {
		err = jpeg.Encode(&b, flat, &jpeg.Options{Quality: e.Quality})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode as %s: %w", formatNames[e.Format], err)
	}
	return b.Bytes(), notes, nil
}

// upright turns and mirrors an image by its EXIF orientation (CIPA DC-008,
// table 4), which names the sides where row 0 and column 0 belong.
func upright(src *image.RGBA, orientation int) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	from := map[int]func(x, y int) (int, int){
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return y, h - 1 - x },
		7: func(x, y int) (int, int) { return w - 1 - y, h - 1 - x },
		8: func(x, y int) (int, int) { return w - 1 - y, x },
	}[orientation]
	if from == nil {
		return src
	}
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	dst := image.NewRGBA(size)
	for y := range size.Dy() {
		for x := range size.Dx() {
			sx, sy := from(x, y)
			copy(dst.Pix[dst.PixOffset(x, y):][:4], src.Pix[src.PixOffset(sx, sy):])
		}
	}
	return dst
}
