package images

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"io"
	"slices"
	"strings"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// inspectPNG walks over the chunks as Pillow's PngImagePlugin does, with
// LOAD_TRUNCATED_IMAGES as the trainer sets it: it refuses what Image.open
// raises for, and what load_end raises for in the chunks after the picture.
// Compressed texts are passed over, not inflated.
func inspectPNG(encoded []byte) (Info, error) {
	const head, checksum = 8, 4
	var p pngHeader
	rest := encoded[len(pngMagic):]
	for len(rest) >= head {
		size, name := int64(binary.BigEndian.Uint32(rest)), string(rest[4:head])
		if ascii := !strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }); !ascii {
			if p.picture {
				break
			}
			return p.Info, fmt.Errorf("it has a chunk %q", name)
		}
		switch whole := size <= int64(len(rest)-head); {
		case name == "IEND" && p.picture:
			return p.Info, nil // whatever its length is
		case !whole && (name == "IDAT" && p.Colour != "" || p.lastSeen):
			return p.Info, nil // the picture is filled up
		case !whole:
			return p.Info, errCut
		}
		data, after := rest[head:head+size], rest[head+size:]
		if critical := name[0]&0x20 == 0; critical && !p.picture && name != "IDAT" && name != "IEND" {
			if len(after) < checksum {
				return p.Info, errCut
			}
			if crc32.ChecksumIEEE(rest[4:head+size]) != binary.BigEndian.Uint32(after) {
				return p.Info, fmt.Errorf("the checksum of its chunk %q is wrong", name)
			}
		}
		if err := p.chunk(name, data); err != nil {
			return p.Info, err
		}
		rest = after[min(checksum, len(after)):]
	}
	if !p.picture || !p.lastSeen && len(rest) >= 4 && len(rest) < head && binary.BigEndian.Uint32(rest) > 0 {
		return p.Info, errCut
	}
	return p.Info, nil
}

// pngHeader is what the chunks so far say.
type pngHeader struct {
	Info
	picture  bool   // the first IDAT was met
	lastSeen bool   // Pillow reads no more: a second frame follows
	control  uint32 // fcTL chunks so far
}

func (p *pngHeader) chunk(name string, data []byte) error {
	if p.Colour == "" && name != "IHDR" {
		return fmt.Errorf("its first chunk is %q, want IHDR", name)
	}
	switch name {
	case "IHDR":
		return p.header(data)
	case "IDAT":
		p.picture = true
	case "IEND":
		return errors.New("it has no picture")
	case "tRNS":
		return p.transparent(data)
	case "eXIf":
		p.Orientation = exifOrientation(data)
	case "iCCP":
		name, method, _ := bytes.Cut(data, []byte{0})
		if len(method) == 0 {
			method = name // without the zero, Pillow looks at the first byte
		}
		if !p.lastSeen && (len(method) == 0 || method[0] != 0) {
			return errors.New("its iCCP chunk is malformed")
		}
		p.Profile = pngProfile(data)
	case "zTXt":
		if _, text, _ := bytes.Cut(data, []byte{0}); !p.lastSeen && len(text) > 0 && text[0] != 0 {
			return errors.New("its zTXt chunk is malformed")
		}
	case "gAMA", "cHRM":
		if !p.lastSeen && (name == "gAMA" && len(data) < 4 || name == "cHRM" && len(data)%4 != 0) {
			return fmt.Errorf("its %s chunk is malformed", name)
		}
	case "acTL":
		if len(data) >= 8 {
			p.Frames = int(min(binary.BigEndian.Uint32(data), 1<<20))
		}
	case "fcTL":
		return p.frame(data)
	}
	return nil
}

func (p *pngHeader) header(data []byte) error {
	if len(data) != 13 || p.Colour != "" {
		return errors.New("its IHDR chunk is malformed")
	}
	if data[11] != 0 {
		return fmt.Errorf("its filter method is %d, want 0", data[11])
	}
	width, height := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
	p.Width, p.Height = int(width), int(height)
	p.Depth = int(data[8])
	depths := []int{8, 16}
	switch data[9] {
	case 0:
		p.Colour, depths = Grey, []int{1, 2, 4, 8, 16}
	case 2:
		p.Colour = RGB
	case 3:
		p.Colour, depths = Palette, []int{1, 2, 4, 8}
	case 4:
		p.Colour, p.Alpha = Grey, AlphaChannel
	case 6:
		p.Colour, p.Alpha = RGB, AlphaChannel
	default:
		return fmt.Errorf("its colour type is %d, want 0, 2, 3, 4 or 6", data[9])
	}
	if !slices.Contains(depths, p.Depth) {
		return fmt.Errorf("its samples have %d bits, want one of %d for its colour type", p.Depth, depths)
	}
	return nil
}

func (p *pngHeader) transparent(data []byte) error {
	if p.Alpha != Opaque {
		return nil // it says nothing beside a channel
	}
	p.Alpha = AlphaKey
	if want := map[Colour]int{Grey: 2, RGB: 6}[p.Colour]; len(data) < want {
		return fmt.Errorf("its tRNS chunk has %d bytes, want %d", len(data), want)
	}
	for i := range p.key {
		if len(data) >= 2 {
			p.key[i], data = binary.BigEndian.Uint16(data), data[2:]
		} else if p.Colour == Grey {
			p.key[i] = p.key[0]
		}
	}
	return nil
}

func (p *pngHeader) frame(data []byte) error {
	if len(data) < 26 {
		return nil // Pillow passes over it
	}
	at := func(i int) int { return int(binary.BigEndian.Uint32(data[i:])) }
	if p.picture && p.Frames > 1 {
		p.lastSeen = true
	} else if binary.BigEndian.Uint32(data) != p.control {
		return errors.New("its frames are numbered out of order")
	}
	p.control++
	x, y := at(12), at(16)
	return checkFrame(int(p.control), image.Rect(x, y, x+at(4), y+at(8)), p.Width, p.Height)
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
