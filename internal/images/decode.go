package images

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/irgdata/irgdata"
)

// Decode decodes an image whose header [Inspect] accepts to what the trainer
// sees: Pillow's Image.open, then pil_img2rgb of BAGEL's data/data_utils.py,
// which pastes what is transparent on white and ignores profiles and, but for
// TIFF, orientations. Of an animation it is the first frame. An image that does
// not decode to its end is an error, where the trainer would fill up with grey.
//
// It takes memory in proportion to the pixels that the header declares.
func Decode(encoded []byte) (image.Image, error) {
	img, info, err := pixels(encoded)
	if err != nil {
		return nil, err
	}
	return seen(img, info), nil
}

// Pixels decodes an image to what its file holds, for [Reencode]: not yet
// upright, with its transparency and all its bits. Of an animation it is the
// first frame on a transparent canvas.
func Pixels(encoded []byte) (image.Image, error) {
	img, _, err := pixels(encoded)
	return img, err
}

func pixels(encoded []byte) (image.Image, Info, error) {
	info, err := Inspect(encoded, "")
	if err != nil {
		return nil, info, err
	}
	name := formatNames[info.Format]
	switch {
	case info.unsupported != "":
		return nil, info, fmt.Errorf("the %s has %s, which is %w: convert it to JPEG or PNG", name, info.unsupported, ErrUnsupported)
	case info.cut:
		return nil, info, fmt.Errorf("the %s is cut off: %w", name, io.ErrUnexpectedEOF)
	}
	img, err := decode(encoded, info)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, info, fmt.Errorf("the %s is cut off: %w", name, err)
	case unsupported(err):
		return nil, info, fmt.Errorf("the %s is %w: convert it to JPEG or PNG: %w", name, ErrUnsupported, err)
	case err != nil:
		return nil, info, fmt.Errorf("the %s is damaged or cut off: %w", name, err)
	}
	return img, info, nil
}

func decode(encoded []byte, info Info) (image.Image, error) {
	r := bytes.NewReader(encoded)
	switch info.Format {
	case irgdata.FormatJPEG:
		return jpeg.Decode(r)
	case irgdata.FormatPNG:
		return png.Decode(r)
	case irgdata.FormatWebP:
		return pixelsWebP(encoded, info)
	case irgdata.FormatGIF:
		return pixelsGIF(encoded, info)
	case irgdata.FormatTIFF:
		return pixelsTIFF(encoded, info)
	}
	img, err := bmp.Decode(r)
	if p, ok := img.(*image.NRGBA); ok && info.Alpha == Opaque {
		return opaque(p), err
	}
	return img, err
}

// unsupported reports whether a decoder lacks a feature of the image.
func unsupported(err error) bool {
	var j jpeg.UnsupportedError
	var p png.UnsupportedError
	var t tiff.UnsupportedError
	return errors.As(err, &j) || errors.As(err, &p) || errors.As(err, &t) || errors.Is(err, bmp.ErrUnsupported)
}

// seen makes of the pixels what Pillow and pil_img2rgb make of them.
func seen(img image.Image, info Info) image.Image {
	switch {
	case info.greyClipped():
		img = clipped(img, info)
	case info.alphaDropped():
		img = opaque(img)
	case info.keyMissed():
		img = keyed(opaque(img), info.key)
	case !info.covered() && info.Alpha == Opaque:
		img = on(image.NewUniform(info.ground), img)
	case info.Alpha != Opaque && !isOpaque(img):
		img = on(image.White, img)
	}
	if info.turnedByPillow() {
		img = upright(on(image.White, img), info.Orientation)
	}
	return img
}

// greyClipped: Pillow's 16-bit grey (mode I;16) becomes RGB by cutting values
// at 255, not by scaling them.
func (i Info) greyClipped() bool {
	return i.Colour == Grey && i.Depth == 16 && i.Alpha != AlphaChannel
}

// alphaDropped: pil_img2rgb knows the opacity of the mode RGBA, and an 8-bit
// grey PNG with a channel is LA; one of 16 bits is opened as RGBA.
func (i Info) alphaDropped() bool {
	return i.Colour == Grey && i.Depth == 8 && i.Alpha == AlphaChannel
}

// keyMissed: Pillow compares the key as it is in the file with samples that it
// has brought to 8 bits.
func (i Info) keyMissed() bool {
	return i.Alpha == AlphaKey && i.Colour != Palette && (i.Depth == 2 || i.Depth == 4 || i.Depth == 16)
}

// clipped cuts 16-bit grey at 255. A transparent key counts by its low byte.
func clipped(img image.Image, info Info) *image.Gray {
	out := image.NewGray(img.Bounds())
	stride, pix := 2, []uint8(nil) // of big-endian samples
	switch p := img.(type) {
	case *image.Gray16:
		pix = p.Pix
	case *image.NRGBA64: // a key makes this of it
		stride, pix = 8, p.Pix
	default:
		deep := image.NewGray16(out.Rect)
		draw.Draw(deep, deep.Rect, img, deep.Rect.Min, draw.Src)
		pix = deep.Pix
	}
	for i := range out.Pix {
		sample := pix[stride*i:]
		v := uint8(min(uint16(sample[0])<<8|uint16(sample[1]), 255))
		if info.Alpha == AlphaKey && v == uint8(info.key[0]) {
			v = 255
		}
		out.Pix[i] = v
	}
	return out
}

// keyed whitens the pixels that equal the low bytes of the key.
func keyed(img *image.NRGBA, key [3]uint16) *image.NRGBA {
	for p := img.Pix; len(p) >= 4; p = p[4:] {
		if p[0] == uint8(key[0]) && p[1] == uint8(key[1]) && p[2] == uint8(key[2]) {
			p[0], p[1], p[2] = 255, 255, 255
		}
	}
	return img
}

// opaque returns the colours as they are under the transparency, in 8 bits. It
// changes an *image.NRGBA in place.
func opaque(img image.Image) *image.NRGBA {
	switch p := img.(type) {
	case *image.NRGBA:
		for i := 3; i < len(p.Pix); i += 4 {
			p.Pix[i] = 255
		}
		return p
	case *image.NRGBA64:
		out := image.NewNRGBA(p.Rect)
		for i := range len(out.Pix) / 4 {
			out.Pix[4*i], out.Pix[4*i+1], out.Pix[4*i+2], out.Pix[4*i+3] = p.Pix[8*i], p.Pix[8*i+2], p.Pix[8*i+4], 255
		}
		return out
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, out.Rect.Min, draw.Src)
	return opaque(out)
}

// on draws the image on a ground.
func on(ground *image.Uniform, img image.Image) *image.RGBA {
	out := image.NewRGBA(img.Bounds())
	if isOpaque(img) {
		draw.Draw(out, out.Rect, img, out.Rect.Min, draw.Src)
		return out
	}
	draw.Draw(out, out.Rect, ground, image.Point{}, draw.Src)
	draw.Draw(out, out.Rect, img, out.Rect.Min, draw.Over)
	return out
}

func isOpaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}
