package images

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// directory is an image file directory as TIFF 6.0 (section 2) has it and Exif
// borrowed it: entries of 12 bytes, by tag.
type directory struct {
	data    []byte // the whole file, or the whole Exif block
	order   binary.ByteOrder
	entries []byte
	next    uint32 // offset of the next directory; 0 if this is the last
	cut     bool   // entries or values lie beyond the end of the data
}

// tiffHeader reads the byte order and the offset of the first directory.
func tiffHeader(data []byte) (order binary.ByteOrder, first uint32, err error) {
	if len(data) < 8 {
		return nil, 0, errCut
	}
	switch string(data[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil, 0, fmt.Errorf("it starts with %q, want the mark of a byte order and 42", data[:4])
	}
	return order, order.Uint32(data[4:]), nil
}

// readDirectory reads the directory at offset; of one that is cut off the part
// that is there, as Pillow does.
func readDirectory(data []byte, order binary.ByteOrder, offset uint32) (directory, error) {
	if int64(offset)+2 > int64(len(data)) {
		return directory{}, fmt.Errorf("%w: its directory lies at %d of %d bytes", errCut, offset, len(data))
	}
	body := data[offset+2:]
	size := 12 * int(order.Uint16(data[offset:]))
	cut := size > len(body)
	size = min(size, len(body)-len(body)%12)
	d := directory{data: data, order: order, entries: body[:size], cut: cut}
	if len(body) >= size+4 { // Exif blocks are seen that end here
		d.next = order.Uint32(body[size:])
	}
	return d, nil
}

// pillowEntries are the entries that Pillow reads
// (TiffImagePlugin.ImageFileDirectory_v2.load): none after one whose values do
// not lie in the data, and of a tag that is there twice the last one first.
func (d directory) pillowEntries() directory {
	var kept [][]byte
	for e := d.entries; len(e) >= 12; e = e[12:] {
		size := int64(d.order.Uint32(e[4:])) * typeSizes[d.order.Uint16(e[2:])]
		if size > 4 && int64(d.order.Uint32(e[8:]))+size > int64(len(d.data)) {
			d.cut = true
			break
		}
		if size > 0 {
			kept = append(kept, e[:12])
		}
	}
	slices.Reverse(kept)
	d.entries = bytes.Join(kept, nil)
	return d
}

// typeSizes are those of all types that Pillow knows.
var typeSizes = map[uint16]int64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}

// integers returns the first of a tag's values, 8 at most, or absent. Values of
// a type that Pillow takes for no integers are an error: bytes, for one.
func (d directory) integers(tag uint16, absent ...int64) ([]int64, error) {
	typ, raw := d.raw(tag)
	if typ == 0 {
		return absent, nil
	}
	var values []int64
	for len(values) < 8 {
		switch {
		case typ == typeSignedByte && len(raw) >= 1:
			values, raw = append(values, int64(int8(raw[0]))), raw[1:]
		case typ == typeShort && len(raw) >= 2:
			values, raw = append(values, int64(d.order.Uint16(raw))), raw[2:]
		case typ == typeSignedShort && len(raw) >= 2:
			values, raw = append(values, int64(int16(d.order.Uint16(raw)))), raw[2:]
		case (typ == typeLong || typ == typeDirectory) && len(raw) >= 4:
			values, raw = append(values, int64(d.order.Uint32(raw))), raw[4:]
		case typ == typeSignedLong && len(raw) >= 4:
			values, raw = append(values, int64(int32(d.order.Uint32(raw)))), raw[4:]
		case len(values) == 0:
			return nil, fmt.Errorf("its tag %d holds no integers but type %d", tag, typ)
		default:
			return values, nil
		}
	}
	return values, nil
}

// Types of an entry's values; the others are not read.
const (
	typeByte        = 1
	typeShort       = 3
	typeLong        = 4
	typeSignedByte  = 6
	typeUndefined   = 7
	typeSignedShort = 8
	typeSignedLong  = 9
	typeDirectory   = 13
)

// raw returns the type and the bytes of a tag's values; nil if the directory
// has none, or they do not lie in the data.
func (d directory) raw(tag uint16) (typ uint16, values []byte) {
	for e := d.entries; len(e) >= 12; e = e[12:] {
		if d.order.Uint16(e) != tag {
			continue
		}
		typ = d.order.Uint16(e[2:])
		size := int64(d.order.Uint32(e[4:]))
		switch typ {
		case typeByte, typeSignedByte, typeUndefined:
		case typeShort, typeSignedShort:
			size *= 2
		case typeLong, typeSignedLong, typeDirectory:
			size *= 4
		default:
			return typ, nil
		}
		if size <= 4 {
			return typ, e[8 : 8+size]
		}
		offset := int64(d.order.Uint32(e[8:]))
		if offset+size > int64(len(d.data)) {
			return typ, nil
		}
		return typ, d.data[offset : offset+size]
	}
	return 0, nil
}

// numbers returns the first of a tag's values, 8 at most.
func (d directory) numbers(tag uint16) []uint32 {
	typ, raw := d.raw(tag)
	var values []uint32
	for len(values) < 8 {
		switch {
		case typ == typeByte && len(raw) >= 1:
			values, raw = append(values, uint32(raw[0])), raw[1:]
		case typ == typeShort && len(raw) >= 2:
			values, raw = append(values, uint32(d.order.Uint16(raw))), raw[2:]
		case typ == typeLong && len(raw) >= 4:
			values, raw = append(values, d.order.Uint32(raw)), raw[4:]
		default:
			return values
		}
	}
	return values
}

// count is the number of a tag's values.
func (d directory) count(tag uint16) (n int, ok bool) {
	typ, raw := d.raw(tag)
	return len(raw) / max(int(typeSizes[typ]), 1), raw != nil
}

// number returns the first value of a tag, or absent.
func (d directory) number(tag uint16, absent uint32) uint32 {
	if values := d.numbers(tag); len(values) > 0 {
		return values[0]
	}
	return absent
}

const tagOrientation = 274

// orientation returns 1 to 8, or 0 if the directory has no such value. It is a
// short by TIFF 6.0; Pillow's exif_transpose goes by an integer of any other
// type too, but not by bytes.
func (d directory) orientation() int {
	o := uint32(0)
	switch typ, raw := d.raw(tagOrientation); typ {
	case typeSignedByte:
		if len(raw) >= 1 {
			o = uint32(raw[0])
		}
	case typeShort, typeSignedShort:
		if len(raw) >= 2 {
			o = uint32(d.order.Uint16(raw))
		}
	case typeLong, typeSignedLong, typeDirectory:
		if len(raw) >= 4 {
			o = d.order.Uint32(raw)
		}
	}
	if o > 8 { // or negative
		return 0
	}
	return int(o)
}

// exifOrientation returns the orientation of an Exif block (CIPA DC-008), with
// or without the mark that starts it in a JPEG; 0 if it has none.
func exifOrientation(block []byte) int {
	block = bytes.TrimPrefix(block, []byte(exifMark))
	order, first, err := tiffHeader(block)
	if err != nil {
		return 0
	}
	d, err := readDirectory(block, order, first)
	if err != nil {
		return 0
	}
	return d.orientation()
}

const exifMark = "Exif\x00\x00"
