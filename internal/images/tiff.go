package images

import (
	"bytes"
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/tiff"

	"github.com/irgdata/irgdata"
)

// Tags of TIFF 6.0 that say what the pixels are.
const (
	tagWidth           = 256
	tagHeight          = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagSamplesPerPixel = 277
	tagPlanar          = 284
	tagT4Options       = 292
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagProfile         = 34675
)

// maxPages bounds how many directories of a TIFF are followed.
const maxPages = 1 << 16

func inspectTIFF(encoded []byte) (Info, error) {
	if version := encoded[2] | encoded[3]; version == '+' {
		return Info{}, errors.New("it is a BigTIFF, which is not read here: convert it to PNG")
	}
	order, first, err := tiffHeader(encoded)
	if err != nil {
		return Info{}, err
	}
	d, err := readDirectory(encoded, order, first)
	if err != nil {
		return Info{}, err
	}
	info := Info{
		Width: int(d.number(tagWidth, 0)), Height: int(d.number(tagHeight, 0)),
		Depth: int(d.number(tagBitsPerSample, 1)), Orientation: d.orientation(), Frames: 1,
	}
	if info.Orientation >= 5 {
		info.Width, info.Height = info.Height, info.Width
	}
	photometric := d.number(tagPhotometric, 0)
	switch photometric {
	case 0, 1: // white is zero, black is zero
		info.Colour = Grey
	case 2, 6: // RGB, YCbCr
		info.Colour = RGB
	case 3:
		info.Colour = Palette
	case 5:
		info.Colour = CMYK
	case 8:
		info.Colour = Lab
	default:
		return info, fmt.Errorf("its photometric interpretation is %d, want 0, 1, 2, 3, 5, 6 or 8", photometric)
	}
	samples := d.number(tagSamplesPerPixel, 1)
	if extra := d.number(tagExtraSamples, 0); extra == 1 || extra == 2 {
		info.Alpha = AlphaChannel
	}
	compression := d.number(tagCompression, 1)
	info.faxInverted = photometric == 1 && (compression == 3 || compression == 4)
	switch {
	// The decoder does not look at these and would return other pixels.
	case d.number(tagPlanar, 1) != 1 && samples > 1:
		info.unsupported = "a plane for each colour"
	case d.number(tagFillOrder, 1) != 1 && compression != 3 && compression != 4:
		info.unsupported = "bits in reverse order"
	case compression == 3 && d.number(tagT4Options, 0)&1 != 0:
		info.unsupported = "fax coding in two dimensions"
	case photometric == 0 && info.Depth == 16:
		info.unsupported = "16-bit grey with white as zero"
	// These it refuses.
	case d.number(tagSampleFormat, 1) == 3:
		info.unsupported = "samples in floating point"
	case d.number(tagSampleFormat, 1) != 1:
		info.unsupported = "signed samples"
	case info.Depth > 16:
		info.unsupported = fmt.Sprintf("samples of %d bits", info.Depth)
	case info.Colour == CMYK, info.Colour == Lab, photometric == 6:
		info.unsupported = "colours in CMYK, Lab or YCbCr"
	}
	if _, profile := d.raw(tagProfile); profile != nil {
		info.Profile = profileName(profile)
	}
	seen := map[uint32]bool{first: true}
	for d.next != 0 && !seen[d.next] && len(seen) < maxPages {
		seen[d.next] = true
		if d, err = readDirectory(encoded, order, d.next); err != nil {
			break // Pillow, too, counts the pages before the damage
		}
		info.Frames++
	}
	return info, nil
}

// pixelsTIFF decodes the first page.
func pixelsTIFF(encoded []byte, info Info) (image.Image, error) {
	img, err := tiff.Decode(bytes.NewReader(encoded))
	if p, ok := img.(*image.Gray); ok && info.faxInverted {
		for i := range p.Pix {
			p.Pix[i] = ^p.Pix[i]
		}
	}
	return img, err
}

// turnedByPillow reports whether Pillow itself applies the orientation.
func (i Info) turnedByPillow() bool { return i.Format == irgdata.FormatTIFF && i.Orientation > 1 }
