package export

import (
	"cmp"
	"fmt"
	"image"

	"golang.org/x/image/draw"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// ImageOptions say which images are encoded anew, and how. The zero value
// leaves the bytes of every image as they are.
type ImageOptions struct {
	// Format is irgdata.FormatJPEG or irgdata.FormatPNG, which all images get;
	// "" leaves each in its own, save that one that is scaled becomes a PNG
	// unless it is a JPEG.
	Format string `json:"format,omitempty" yaml:"format"`
	// Quality is that of JPEGs, 1 to 100. It needs their Format. When it is set all
	// images are encoded anew; 0 leaves those alone that have the format already, and takes 95.
	Quality int `json:"quality,omitempty" yaml:"quality"`
	// MaxSide is the longest side in pixels; 0 means no limit. Images are scaled
	// down, never up.
	MaxSide int `json:"max_side,omitempty" yaml:"max_side"`
}

// defaultQuality is that of JPEGs whose quality is not set.
const defaultQuality = 95

// Validate reports the first mistake.
func (o ImageOptions) Validate() error {
	switch {
	case o.Format != "" && o.Format != irgdata.FormatJPEG && o.Format != irgdata.FormatPNG:
		return fmt.Errorf("format is %q: want jpeg or png, or nothing to leave images as they are", o.Format)
	case o.Quality < 0 || o.Quality > 100:
		return fmt.Errorf("quality is %d: want 1 to 100, or 0 for %d where an image is encoded at all", o.Quality, defaultQuality)
	case o.Quality > 0 && o.Format != irgdata.FormatJPEG:
		return fmt.Errorf("quality is %d and format is %q: a quality is that of format jpeg, which must be set as well", o.Quality, o.Format)
	case o.MaxSide < 0 || o.MaxSide > 1<<16:
		return fmt.Errorf("max_side is %d: want 1 to %d pixels, or 0 for no limit", o.MaxSide, 1<<16)
	}
	return nil
}

// size is what an image will have of pixels.
func (o ImageOptions) size(info images.Info) (width, height int) {
	width, height = info.Width, info.Height
	if o.anew(info) && info.Orientation > 4 && info.Format != irgdata.FormatTIFF { // it is turned on its side
		width, height = height, width
	}
	longest := max(width, height)
	if o.MaxSide == 0 || longest <= o.MaxSide {
		return width, height
	}
	scaled := func(side int) int { return max(1, (side*o.MaxSide+longest/2)/longest) }
	return scaled(width), scaled(height)
}

// anew reports whether an image is encoded anew: when it is too large, has
// another format or a quality is asked for, and, once anything is encoded at
// all, when the trainer would see something else than a person does.
func (o ImageOptions) anew(info images.Info) bool {
	if o == (ImageOptions{}) {
		return false
	}
	return o.MaxSide > 0 && max(info.Width, info.Height) > o.MaxSide ||
		o.Format != "" && (o.Format != info.Format || o.Quality > 0) || misread(info) != ""
}

// misread says why the trainer would see another picture than the file shows;
// "" if it does not.
func misread(info images.Info) string {
	for _, t := range info.Traits() {
		if t.Effect == images.Wrong {
			return t.Name + ": " + t.Makes
		}
	}
	return ""
}

// encode gives the bytes of an image in the export. Equal arguments give equal
// bytes from one release of Go.
func (o ImageOptions) encode(encoded []byte) ([]byte, error) {
	info, err := images.Inspect(encoded, "")
	if err != nil || !o.anew(info) {
		return encoded, err
	}
	pixels, err := images.Pixels(encoded)
	if err != nil {
		return nil, err
	}
	format := cmp.Or(o.Format, info.Format)
	if format != irgdata.FormatJPEG {
		format = irgdata.FormatPNG
	}
	e := images.Encoding{Format: format}
	if format == irgdata.FormatJPEG {
		e.Quality = cmp.Or(o.Quality, defaultQuality)
	}
	out, _, err := images.Reencode(o.scale(pixels), info, e)
	return out, err
}

// scale scales down an image that is too large, by Catmull and Rom's cubic, the
// one of the trainer's own transform.
func (o ImageOptions) scale(img image.Image) image.Image {
	b := img.Bounds()
	longest := max(b.Dx(), b.Dy())
	if o.MaxSide == 0 || longest <= o.MaxSide {
		return img
	}
	side := func(n int) int { return max(1, (n*o.MaxSide+longest/2)/longest) }
	out := image.NewNRGBA(image.Rect(0, 0, side(b.Dx()), side(b.Dy())))
	draw.CatmullRom.Scale(out, out.Rect, img, b, draw.Src, nil)
	return out
}
