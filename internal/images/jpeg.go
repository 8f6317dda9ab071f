package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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
	jpegEOI   = 0xd9
	jpegSOS   = 0xda
	jpegDQT   = 0xdb
	jpegDHP   = 0xde
	jpegAPP0  = 0xe0
	jpegAPP1  = 0xe1
	jpegAPP2  = 0xe2
	jpegAPP14 = 0xee
	jpegJPG0  = 0xf0
	jpegCOM   = 0xfe
)

// jpegSegments calls each for the segments up to the first scan, as Pillow's
// JpegImageFile._open goes over them. An error is what Image.open raises for.
func jpegSegments(encoded []byte, each func(marker byte, segment []byte) error) error {
	for rest := encoded[2:]; ; {
		// Stray bytes before a marker are passed over.
		at := bytes.IndexByte(rest, 0xff)
		if at < 0 {
			return errCut
		}
		for rest = rest[at:]; len(rest) > 0 && rest[0] == 0xff; { // padding
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return errCut
		}
		marker := rest[0]
		rest = rest[1:]
		switch {
		case marker == 0:
			continue
		case marker < jpegSOF0:
			return fmt.Errorf("it has the marker %#x, which is none", marker)
		case marker >= jpegRST0 && marker <= jpegEOI, marker == jpegJPG, marker >= jpegJPG0 && marker < jpegCOM: // no length
			continue
		}
		if len(rest) < 2 {
			return errCut
		}
		end := max(int(binary.BigEndian.Uint16(rest)), 2)
		if end > len(rest) {
			return errCut
		}
		if err := each(marker, rest[2:end]); err != nil || marker == jpegSOS {
			return err
		}
		rest = rest[end:]
	}
}

func inspectJPEG(encoded []byte) (Info, error) {
	const profileMark = "ICC_PROFILE\x00"
	var info Info
	var profile []byte
	components := 0
	err := jpegSegments(encoded, func(marker byte, segment []byte) error {
		switch {
		case marker == jpegAPP1 && info.Orientation == 0 && bytes.HasPrefix(segment, []byte(exifMark)):
			info.Orientation = exifOrientation(segment)
		case marker == jpegAPP2 && bytes.HasPrefix(segment, []byte(profileMark)):
			if len(segment) < len(profileMark)+2 {
				return errors.New("its colour profile is malformed")
			}
			// The parts of a profile are numbered; writers put them in order.
			part := segment[len(profileMark)+2:]
			profile = append(profile, part[:min(len(part), maxProfile-len(profile))]...)
		case marker == jpegAPP0 && bytes.HasPrefix(segment, []byte("JFIF")) && len(segment) < 7,
			marker == jpegAPP14 && bytes.HasPrefix(segment, []byte("Adobe")) && len(segment) < 7:
			return fmt.Errorf("its %.5s segment is too short", segment)
		case marker == jpegAPP14 && len(segment) >= 12 && string(segment[:5]) == "Adobe":
			info.adobe = true
		case marker == jpegDQT:
			return checkQuantization(segment)
		case marker >= jpegSOF0 && marker <= jpegSOF15 && marker != jpegDHT && marker != jpegDAC, marker == jpegDHP:
			if len(segment) < 6 || len(segment)%3 != 0 {
				return errors.New("its frame header is malformed")
			}
			if info.Depth = int(segment[0]); info.Depth != 8 {
				return fmt.Errorf("it has samples of %d bits, want 8", info.Depth)
			}
			info.Height, info.Width = int(binary.BigEndian.Uint16(segment[1:])), int(binary.BigEndian.Uint16(segment[3:]))
			if components = int(segment[5]); components != 1 && components != 3 && components != 4 {
				return fmt.Errorf("its frame has %d components, want 1, 3 or 4", components)
			}
			if marker != jpegSOF0 && marker != jpegSOF1 && marker != jpegSOF2 {
				info.unsupported = "lossless, hierarchical or arithmetic coding"
			}
		}
		return nil
	})
	if err != nil {
		return info, err
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
	}
	if profile != nil {
		info.Profile = profileName(profile)
	}
	return info, nil
}

// checkQuantization goes over the tables of a DQT segment.
func checkQuantization(tables []byte) error {
	for len(tables) > 0 {
		size := 1 + 64
		if tables[0]>>4 != 0 { // 16 bits
			size += 64
		}
		if size > len(tables) {
			return errors.New("its quantization table is too short")
		}
		tables = tables[size:]
	}
	return nil
}
