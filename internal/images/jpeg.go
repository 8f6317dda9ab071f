package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Markers of JPEG segments, ITU-T T.81 table B.1.
const (
	jpegSOF0  = 0xc0
	jpegSOF1  = 0xc1
	jpegSOF2  = 0xc2
	jpegSOF15 = 0xcf
	jpegDHT   = 0xc4
	jpegJPG   = 0xc8
	jpegDAC   = 0xcc
	jpegRST0  = 0xd0
	jpegSOI   = 0xd8
	jpegEOI   = 0xd9
	jpegSOS   = 0xda
	jpegAPP1  = 0xe1
	jpegAPP2  = 0xe2
	jpegAPP14 = 0xee
	jpegTEM   = 0x01
)

// jpegSegments yields the segments before the first scan.
func jpegSegments(encoded []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for rest := encoded; ; {
			// Stray bytes before a marker are passed over, as libjpeg does.
			at := bytes.IndexByte(rest, 0xff)
			if at < 0 || at+1 >= len(rest) {
				return
			}
			rest = rest[at+1:]
			switch marker := rest[0]; {
			case marker == 0xff: // padding
			case marker == jpegEOI, marker == jpegSOS:
				return
			case marker == 0, marker == jpegTEM, marker >= jpegRST0 && marker <= jpegSOI: // no length
				rest = rest[1:]
			default:
				if len(rest) < 3 {
					return
				}
				size := int(binary.BigEndian.Uint16(rest[1:]))
				if size < 2 || 1+size > len(rest) || !yield(marker, rest[3:1+size]) {
					return
				}
				rest = rest[1+size:]
			}
		}
	}
}

func inspectJPEG(encoded []byte) (Info, error) {
	const profileMark = "ICC_PROFILE\x00"
	var info Info
	var profile []byte
	components := 0
	for marker, segment := range jpegSegments(encoded) {
		switch {
		case marker == jpegAPP1 && info.Orientation == 0 && bytes.HasPrefix(segment, []byte(exifMark)):
			info.Orientation = exifOrientation(segment)
		case marker == jpegAPP2 && bytes.HasPrefix(segment, []byte(profileMark)) && len(segment) > len(profileMark)+2:
			// The parts of a profile are numbered; writers put them in order.
			part := segment[len(profileMark)+2:]
			profile = append(profile, part[:min(len(part), maxProfile-len(profile))]...)
		case marker == jpegAPP14 && len(segment) >= 12 && string(segment[:5]) == "Adobe":
			info.adobe = true
		case marker >= jpegSOF0 && marker <= jpegSOF15 && marker != jpegDHT && marker != jpegJPG && marker != jpegDAC && components == 0:
			if len(segment) < 6 {
				return info, errors.New("its frame header is too short")
			}
			info.Depth = int(segment[0])
			info.Height, info.Width = int(binary.BigEndian.Uint16(segment[1:])), int(binary.BigEndian.Uint16(segment[3:]))
			components = int(segment[5])
			if marker != jpegSOF0 && marker != jpegSOF1 && marker != jpegSOF2 {
				info.unsupported = "lossless, hierarchical or arithmetic coding"
			}
		}
	}
	switch components {
	case 0:
		return info, errors.New("it has no frame header before its first scan: it is damaged or cut off")
	case 1:
		info.Colour = Grey
	case 3:
		info.Colour = RGB
	case 4:
		info.Colour = CMYK
		if !info.adobe {
			info.unsupported = "CMYK without the Adobe marker that says how the inks are meant"
		}
	default:
		return info, fmt.Errorf("its frame has %d components, want 1, 3 or 4", components)
	}
	if info.Depth != 8 {
		info.unsupported = fmt.Sprintf("samples of %d bits", info.Depth)
	}
	if profile != nil {
		info.Profile = profileName(profile)
	}
	return info, nil
}
