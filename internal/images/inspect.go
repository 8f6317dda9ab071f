package images

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"path"
	"strings"

	"github.com/irgdata/irgdata"
)

// MaxPixels is the most pixels that an image may have: Pillow raises beyond twice
// Image.MAX_IMAGE_PIXELS, which the official loader sets to 200,000,000. It bounds
// what a decode can cost.
const MaxPixels = 2 * 200_000_000

// Info is what the header of an encoded image says of it.
type Info struct {
	// Format is one of the constants irgdata.Format….
	Format string
	// Width and Height are in pixels, of the whole canvas, as the trainer sees
	// it: as stored, save for a TIFF, which Pillow turns upright.
	Width, Height int
	// Depth is the number of bits of a sample, and of an index of a palette.
	Depth  int
	Colour Colour
	Alpha  Alpha
	// Orientation is the EXIF orientation, 1 to 8. It is 1 where none is given,
	// and where none of these is.
	Orientation int
	// Profile is the description of the ICC profile: "" without a profile,
	// "unnamed" for one without a description.
	Profile string
	// Frames counts the frames of an animation or the pages of a TIFF; it is 1
	// for a still image.
	Frames int
	// Extension is the format that the file's name promises, when the content
	// is another; else it is "".
	Extension string

	// key is the transparent sample or colour of a PNG with AlphaKey.
	key [3]uint16
	// first is what the first frame covers of the canvas, and ground what
	// Pillow fills the rest with when there is no transparency.
	first  image.Rectangle
	ground color.RGBA
	// adobe says that a JPEG has the marker by which its inks are inverted.
	adobe bool
	// faxInverted: the decoder takes a fax for black on white, whichever the
	// TIFF says zero is.
	faxInverted bool
	// unsupported names what keeps the image from being decoded here; "" if
	// nothing known does.
	unsupported string
	// cut says that the header's lengths reach beyond the end of the bytes.
	cut bool
	// libtiff decodes a compressed TIFF.
	libtiff bool
}

// LostIfDamaged reports whether the trainer's Pillow raises for pixels that do
// not decode to their end, and the trainer sees no image. LOAD_TRUNCATED_IMAGES
// makes it fill up others, but not those that libwebp (WebPImagePlugin._get_next)
// or libtiff (TiffImageFile._load_libtiff) decodes.
func (i Info) LostIfDamaged() bool { return i.Format == irgdata.FormatWebP || i.libtiff }

// ErrUnsupported is said of an image that [Decode] does not decode, and the
// trainer may.
var ErrUnsupported = errors.New("not decoded here")

// Colour says what the samples of an image are.
type Colour string

// The kinds of colour.
const (
	Grey    Colour = "grey"
	RGB     Colour = "rgb" // YCbCr included, which is turned into it
	Palette Colour = "palette"
	CMYK    Colour = "cmyk" // YCCK included
	Lab     Colour = "lab"
)

// Alpha says how an image is transparent.
type Alpha string

// The kinds of transparency.
const (
	Opaque Alpha = ""
	// AlphaChannel: each pixel has its opacity.
	AlphaChannel Alpha = "channel"
	// AlphaKey: a colour, or entries of the palette, are transparent.
	AlphaKey Alpha = "key"
)

// Inspect reads the header of an encoded image, without decoding any pixel.
// What it costs is a walk over the lengths of the file's parts. The name, of
// which only the extension counts, may be empty. An error says what the bytes
// are instead, or why they cannot be an image that the trainer should see.
func Inspect(encoded []byte, name string) (Info, error) {
	format, err := recognise(encoded)
	if err != nil {
		return Info{}, err
	}
	info, err := headers(format, encoded)
	if err != nil {
		return Info{}, fmt.Errorf("the %s cannot be read: %w", formatNames[format], err)
	}
	if info.Depth < 1 {
		return Info{}, fmt.Errorf("the %s has samples of %d bits", formatNames[format], info.Depth)
	}
	info.Format = format
	info.Frames = max(info.Frames, 1)
	info.Orientation = max(info.Orientation, 1)
	if info.Width <= 0 || info.Height <= 0 || info.Width > MaxPixels/info.Height {
		return Info{}, fmt.Errorf("the image has %d×%d pixels, want at least 1×1 and at most %d in all", info.Width, info.Height, MaxPixels)
	}
	if info.first.Empty() {
		info.first = image.Rect(0, 0, info.Width, info.Height)
	}
	if promised := extensions[strings.ToLower(path.Ext(name))]; promised != "" && promised != format {
		info.Extension = promised
	}
	return info, nil
}

func headers(format string, encoded []byte) (Info, error) {
	switch format {
	case irgdata.FormatJPEG:
		return inspectJPEG(encoded)
	case irgdata.FormatPNG:
		return inspectPNG(encoded)
	case irgdata.FormatWebP:
		return inspectWebP(encoded)
	case irgdata.FormatGIF:
		return inspectGIF(encoded)
	case irgdata.FormatTIFF:
		return inspectTIFF(encoded)
	default:
		return inspectBMP(encoded)
	}
}

// errCut is said of a header that the bytes end within.
var errCut = errors.New("it is cut off")

// Probe returns the reference of an encoded image, by its header.
func Probe(encoded []byte) (irgdata.ImageRef, error) {
	info, err := Inspect(encoded, "")
	if err != nil {
		return irgdata.ImageRef{}, err
	}
	return irgdata.ImageRef{
		Digest: irgdata.DigestOf(encoded), Size: int64(len(encoded)), Format: info.Format, Width: info.Width, Height: info.Height,
	}, nil
}

// covered reports whether the first frame fills the canvas.
func (i Info) covered() bool { return i.first.Eq(image.Rect(0, 0, i.Width, i.Height)) }

// checkFrame refuses a frame of an animation that its canvas does not hold: a
// bomb, or a file that programs show in different sizes.
func checkFrame(n int, frame image.Rectangle, width, height int) error {
	if frame.Empty() || !frame.In(image.Rect(0, 0, width, height)) {
		return fmt.Errorf("frame %d of %d×%d pixels at %d,%d has no place on the canvas of %d×%d",
			n, frame.Dx(), frame.Dy(), frame.Min.X, frame.Min.Y, width, height)
	}
	return nil
}
