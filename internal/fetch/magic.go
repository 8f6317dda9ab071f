package fetch

import (
	"encoding/binary"
	"slices"
)

// mediaTypes are those of the images that [mediaType] knows.
var mediaTypes = []string{
	"image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/bmp", "image/avif", "image/heic", "image/heif",
}

// magicBytes are what mediaType looks at.
const magicBytes = 64

// mediaType is the media type of the image that begins with the bytes, "" if
// they begin none that is known.
func mediaType(b []byte) string {
	b = b[:min(len(b), magicBytes)]
	at := func(offset int, magic string) bool {
		return len(b) >= offset+len(magic) && string(b[offset:offset+len(magic)]) == magic
	}
	switch {
	case at(0, "\xff\xd8\xff"):
		return "image/jpeg"
	case at(0, "\x89PNG\r\n\x1a\n"):
		return "image/png"
	case at(0, "RIFF") && at(8, "WEBP"):
		return "image/webp"
	case at(0, "GIF87a"), at(0, "GIF89a"):
		return "image/gif"
	case at(0, "II*\x00"), at(0, "MM\x00*"), at(0, "II+\x00"), at(0, "MM\x00+"): // the last two of BigTIFF
		return "image/tiff"
	case at(0, "BM") && len(b) >= 18:
		// Two letters begin many a text; the size of the header after them does not.
		if slices.Contains([]uint32{12, 16, 40, 52, 56, 64, 108, 124}, binary.LittleEndian.Uint32(b[14:])) {
			return "image/bmp"
		}
	case at(4, "ftyp"):
		return brand(b)
	}
	return ""
}

// brand is the media type of a file of the ISO base media format
// (ISO/IEC 14496-12, section 4.3) by its brands: the major one, a version, and
// those that it is compatible with.
func brand(b []byte) string {
	b = b[:min(len(b), int(min(binary.BigEndian.Uint32(b), magicBytes)))]
	found := ""
	for offset := 8; offset+4 <= len(b); offset += 4 {
		switch string(b[offset : offset+4]) {
		case "avif", "avis":
			return "image/avif"
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs":
			return "image/heic"
		case "mif1", "msf1":
			found = "image/heif" // unless another brand says more
		}
	}
	return found
}
