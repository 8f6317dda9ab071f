package images

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// bmpHeader is the size of the file header and of the size of the header after
// it, and bmpSizes are the sizes that Pillow knows.
const bmpHeader = 14 + 4

var bmpSizes = []uint32{12, 40, 52, 56, 64, 108, 124}

// bmpMasks are the masks of red, green, blue and opacity that Pillow knows
// (BmpImagePlugin, SUPPORTED), by the bits of a pixel.
var bmpMasks = map[int][][4]uint32{
	16: {{0xf800, 0x7e0, 0x1f}, {0x7c00, 0x3e0, 0x1f}},
	24: {{0xff0000, 0xff00, 0xff}},
	32: {
		{}, {0xff0000, 0xff00, 0xff}, {0xff000000, 0xff0000, 0xff00}, {0xff000000, 0xff00, 0xff}, {0xff000000, 0xff0000, 0xff00, 0xff},
		{0xff, 0xff00, 0xff0000, 0xff000000}, {0xff0000, 0xff00, 0xff, 0xff000000}, {0xff000000, 0xff00, 0xff, 0xff0000},
	},
}

func inspectBMP(encoded []byte) (Info, error) {
	const rgb, runs8, runs4, bitfields = 0, 1, 2, 3
	le := binary.LittleEndian
	size := int(le.Uint32(encoded[14:]))
	header := encoded[14:]
	if len(header) < size {
		return Info{}, errCut
	}
	var info Info
	compression := uint32(rgb)
	if size == 12 {
		info.Width, info.Height = int(le.Uint16(header[4:])), int(le.Uint16(header[6:]))
		info.Depth = int(le.Uint16(header[10:]))
		info.unsupported = "a header of OS/2"
	} else {
		info.Width, info.Height = int(int32(le.Uint32(header[4:]))), int(int32(le.Uint32(header[8:])))
		info.Height = max(info.Height, -info.Height) // negative: the top row first
		info.Depth = int(le.Uint16(header[14:]))
		compression = le.Uint32(header[16:])
	}
	bits := info.Depth
	switch bits {
	case 1, 4, 8:
		info.Colour = Palette
		if size > 12 && le.Uint32(header[32:]) > 256 {
			return info, fmt.Errorf("its palette has %d colours, want at most 256", le.Uint32(header[32:]))
		}
	case 16:
		info.Colour, info.Depth = RGB, 5
		info.unsupported = "pixels of 16 bits"
	case 24, 32:
		if info.Depth == 32 && compression == bitfields && size >= 56 && le.Uint32(header[52:]) != 0 {
			info.Alpha = AlphaChannel
		}
		info.Colour, info.Depth = RGB, 8
	default:
		return info, fmt.Errorf("its pixels have %d bits, want 1, 4, 8, 16, 24 or 32", info.Depth)
	}
	switch compression {
	case rgb:
	case bitfields:
		const red = 40 // after a header of 40 bytes they follow, else they are in it
		if len(header) < red+12 {
			return info, errCut
		}
		masks := [4]uint32{le.Uint32(header[red:]), le.Uint32(header[red+4:]), le.Uint32(header[red+8:])}
		if size >= 56 {
			masks[3] = le.Uint32(header[red+12:])
		}
		if bits != 32 {
			masks[3] = 0
		}
		if !slices.Contains(bmpMasks[bits], masks) {
			return info, fmt.Errorf("the masks of its colours are %x, which Pillow does not know", masks)
		}
	case runs8, runs4:
		info.unsupported = "compression"
	default:
		return info, fmt.Errorf("its compression is %d, want 0 to 3", compression)
	}
	return info, nil
}
