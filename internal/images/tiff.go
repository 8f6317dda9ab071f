package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"regexp"
	"slices"
	"strings"

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
	tagStripOffsets    = 273
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagPlanar          = 284
	tagT4Options       = 292
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileHeight      = 323
	tagTileOffsets     = 324
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
	next := d.next
	d = d.pillowEntries()
	switch err := openTIFF(d); {
	case err != nil && d.cut:
		return Info{}, errCut
	case err != nil:
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
	info.libtiff = compression != 1
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
	for next != 0 && !seen[next] && len(seen) < maxPages {
		seen[next] = true
		if d, err = readDirectory(encoded, order, next); err != nil {
			break // Pillow, too, counts the pages before the damage
		}
		next = d.next
		info.Frames++
	}
	return info, nil
}

// openTIFF says why Pillow does not open a TIFF with the directory, or not load
// it: what TiffImageFile._setup looks at.
func openTIFF(d directory) error {
	var err error
	list := func(tag uint16, absent ...int64) []int64 {
		values, wrong := d.integers(tag, absent...)
		if err == nil {
			err = wrong
		}
		return values
	}
	one := func(tag uint16, absent int64) int64 {
		if values := list(tag, absent); len(values) > 0 {
			return values[0]
		}
		return absent
	}
	compression, photometric := one(tagCompression, 1), one(tagPhotometric, 0)
	samples := int64(1)
	if compression == 6 { // the old JPEG
		if photometric == 2 || photometric == 6 {
			samples = 3
		}
		photometric = 6
	}
	samples = one(tagSamplesPerPixel, samples)
	width, height := one(tagWidth, 0), one(tagHeight, 0)
	fill := one(tagFillOrder, 1)
	format, bits, extra := list(tagSampleFormat, 1), list(tagBitsPerSample, 1), list(tagExtraSamples)
	strips, stripped := d.count(tagStripOffsets)
	tiles, tiled := d.count(tagTileOffsets)
	switch {
	case err != nil:
		return err
	case !slices.Contains(tiffCompressions, compression):
		return fmt.Errorf("its compression is %d, which Pillow does not know", compression)
	case samples < 0 || samples > maxSamples:
		return fmt.Errorf("it has %d samples a pixel", samples)
	case !stripped && !tiled:
		return errors.New("it has neither strips nor tiles")
	}
	if slices.Max(format) == 1 && slices.Min(format) == 1 {
		format = format[:1]
	}
	switch n := len(bits); {
	case int64(n) > samples:
		bits = bits[:samples]
	case n == 1:
		bits = slices.Repeat(bits, int(samples))
	}
	key := fmt.Sprint(photometric, format, fill, bits, extra)
	if !tiffModes.MatchString(key) && (d.order != binary.LittleEndian || !tiffModesLittleEndian.MatchString(key)) {
		return fmt.Errorf("its photometric interpretation, sample formats, fill order, bits and extra samples are %s, for which Pillow has no mode", key)
	}
	if colours, ok := d.count(tagColorMap); photometric == 3 && (!ok || colours > 3*256) {
		return errors.New("its palette is missing or too large")
	}
	if compression != 1 {
		return nil // libtiff looks for the strips
	}
	if tiffNoRaw.MatchString(key) {
		return fmt.Errorf("its photometric interpretation, sample formats, fill order, bits and extra samples are %s, which Pillow reads compressed alone", key)
	}
	number, rows, tileWidth := strips, height, width
	if stripped {
		rows = one(tagRowsPerStrip, height)
	} else {
		number, rows, tileWidth = tiles, one(tagTileHeight, 0), one(tagTileWidth, 0)
	}
	if err != nil || rows < 1 || tileWidth < 1 || width < 1 || height < 1 {
		return errors.New("its strips or tiles are empty")
	}
	// With a plane for each colour Pillow counts the planes by the strips.
	across, down := (width+tileWidth-1)/tileWidth, (height+rows-1)/rows
	if planes := (int64(number)-1)/(across*down) + 1; d.number(tagPlanar, 1) == 2 && planes > int64(len(bits)) {
		return fmt.Errorf("it has strips for %d planes", planes)
	}
	return nil
}

// tiffCompressions are the keys of Pillow's TiffImagePlugin.COMPRESSION_INFO.
var tiffCompressions = []int64{1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000, 50001}

// maxSamples is TiffImagePlugin.MAX_SAMPLESPERPIXEL.
const maxSamples = 6

// tiffModes matches the keys of TiffImagePlugin.OPEN_INFO: the photometric
// interpretation, the sample formats, the fill order, the bits of each sample,
// the extra samples. tiffModesLittleEndian are known in that order alone.
var (
	tiffModes = regexp.MustCompile(`^(` + strings.Join([]string{
		`[013] \[1\] [12] \[[1248]\] \[\]`,
		`1 \[1\] 1 \[16\] \[\]`,
		`1 \[2\] 1 \[(8|16|32)\] \[\]`,
		`[01] \[3\] 1 \[32\] \[\]`,
		`[13] \[1\] 1 \[8 8\] \[2\]`,
		`2 \[1\] [12] \[8 8 8\] \[\]`,
		`2 \[1\] 1 \[8 8 8 8\] \[(|0|1|2|999)\]`,
		`2 \[1\] 1 \[8 8 8 8 8\] \[[012] 0\]`,
		`2 \[1\] 1 \[8 8 8 8 8 8\] \[[012] 0 0\]`,
		`2 \[1\] 1 \[16 16 16\] \[\]`,
		`2 \[1\] 1 \[16 16 16 16\] \[(|0|1|2)\]`,
		`5 \[1\] 1 \[(8 8 8 8|16 16 16 16)\] \[\]`,
		`5 \[1\] 1 \[8 8 8 8 8\] \[0\]`,
		`5 \[1\] 1 \[8 8 8 8 8 8\] \[0 0\]`,
		`6 \[1\] 1 \[8( 8 8)?\] \[\]`,
		`8 \[1\] 1 \[8 8 8\] \[\]`,
	}, "|") + `)$`)
	// tiffNoRaw are of those that libtiff alone decodes.
	tiffNoRaw             = regexp.MustCompile(`^(0 \[1\] 2 \[8\]|3 \[1\] 2 \[[124]\])`)
	tiffModesLittleEndian = regexp.MustCompile(`^(1 \[1\] 1 \[(12|32)\] \[\]|0 \[1\] 1 \[16\] \[\]|1 \[1\] 2 \[16\] \[\]|3 \[1\] 1 \[8 8\] \[0\])$`)
)

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
