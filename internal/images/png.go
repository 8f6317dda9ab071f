package images

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// pngChunks yields the chunks that lie in the bytes whole, their data as it is:
// compressed texts are passed over, not inflated.
func pngChunks(encoded []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		const head, checksum = 8, 4
		for rest := encoded[len(pngMagic):]; len(rest) >= head; {
			size := int64(binary.BigEndian.Uint32(rest))
			end := head + size + checksum
			if end > int64(len(rest)) || !yield(string(rest[4:head]), rest[head:head+size]) {
				return
			}
			rest = rest[end:]
		}
	}
}

func inspectPNG(encoded []byte) (Info, error) {
	var info Info
	seen := false
	frame := 0
	for name, data := range pngChunks(encoded) {
		if !seen && name != "IHDR" {
			return info, fmt.Errorf("its first chunk is %q, want IHDR", name)
		}
		switch name {
		case "IHDR":
			if len(data) != 13 || seen {
				return info, errors.New("its IHDR chunk is malformed")
			}
			seen = true
			width, height := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
			info.Width, info.Height = int(width), int(height)
			info.Depth = int(data[8])
			switch data[9] {
			case 0:
				info.Colour = Grey
			case 2:
				info.Colour = RGB
			case 3:
				info.Colour = Palette
			case 4:
				info.Colour, info.Alpha = Grey, AlphaChannel
			case 6:
				info.Colour, info.Alpha = RGB, AlphaChannel
			default:
				return info, fmt.Errorf("its colour type is %d, want 0, 2, 3, 4 or 6", data[9])
			}
		case "tRNS":
			if info.Alpha != Opaque {
				break // it says nothing beside a channel
			}
			info.Alpha = AlphaKey
			for i := range info.key {
				if len(data) >= 2 {
					info.key[i], data = binary.BigEndian.Uint16(data), data[2:]
				} else if info.Colour == Grey {
					info.key[i] = info.key[0]
				}
			}
		case "eXIf":
			info.Orientation = exifOrientation(data)
		case "iCCP":
			info.Profile = pngProfile(data)
		case "acTL":
			if len(data) >= 4 {
				info.Frames = int(min(binary.BigEndian.Uint32(data), 1<<20))
			}
		case "fcTL":
			frame++
			if len(data) < 20 {
				return info, errors.New("its fcTL chunk is too short")
			}
			at := func(i int) int { return int(binary.BigEndian.Uint32(data[i:])) }
			x, y := at(12), at(16)
			if err := checkFrame(frame, image.Rect(x, y, x+at(4), y+at(8)), info.Width, info.Height); err != nil {
				return info, err
			}
		}
	}
	if !seen {
		return info, errCut
	}
	return info, nil
}

// pngProfile returns the name of the profile in an iCCP chunk: a name, a zero,
// the method 0, and the profile compressed, of which a bounded part is read.
func pngProfile(data []byte) string {
	_, compressed, ok := bytes.Cut(data, []byte{0, 0})
	if !ok {
		return unnamed
	}
	r, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return unnamed
	}
	defer r.Close()
	profile, _ := io.ReadAll(io.LimitReader(r, maxProfile)) // what could be read may hold the name
	return profileName(profile)
}
