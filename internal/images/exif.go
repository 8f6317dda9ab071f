package images

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// directory is an image file directory as TIFF 6.0 (section 2) has it and Exif
// borrowed it: entries of 12 bytes, by tag.
type directory struct {
	data    []byte // the whole file, or the whole Exif block
	order   binary.ByteOrder
	entries []byte
	next    uint32 // offset of the next directory; 0 if this is the last
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

// readDirectory reads the directory at offset.
func readDirectory(data []byte, order binary.ByteOrder, offset uint32) (directory, error) {
	if int64(offset)+2 > int64(len(data)) {
		return directory{}, fmt.Errorf("%w: its directory lies at %d of %d bytes", errCut, offset, len(data))
	}
	body := data[offset+2:]
	size := 12 * int(order.Uint16(data[offset:]))
	if size > len(body) {
		return directory{}, errCut
	}
	d := directory{data: data, order: order, entries: body[:size]}
	if len(body) >= size+4 { // Exif blocks are seen that end here
		d.next = order.Uint32(body[size:])
	}
	return d, nil
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
