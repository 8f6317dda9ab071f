package images

import (
	"encoding/binary"
	"fmt"
)

// bmpHeader is the size of the file header and of the size of the header after
// it, and bmpSizes are the sizes that Pillow knows.
const bmpHeader = 14 + 4

var bmpSizes = []uint32{12, 40, 52, 56, 64, 108, 124}

func inspectBMP(encoded []byte) (Info, error) {
	const rgb, bitfields = 0, 3
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
	switch info.Depth {
	case 1, 2, 4, 8:
		info.Colour = Palette
	case 16:
		info.Colour, info.Depth = RGB, 5
		info.unsupported = "pixels of 16 bits"
	case 24, 32:
		if info.Depth == 32 && compression == bitfields && size >= 56 && le.Uint32(header[52:]) != 0 {
			info.Alpha = AlphaChannel
		}
		info.Colour, info.Depth = RGB, 8
	default:
		return info, fmt.Errorf("its pixels have %d bits, want 1, 2, 4, 8, 16, 24 or 32", info.Depth)
	}
	if compression != rgb && compression != bitfields {
		info.unsupported = "compression"
	}
	return info, nil
}
