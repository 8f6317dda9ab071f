package images

import (
	"encoding/binary"
	"testing"
)

// TestOrientationTypes: what turns an image is what turns it in Pillow 13.0.0's
// exif_transpose, of all the types that a writer may have given the value.
func TestOrientationTypes(t *testing.T) {
	for _, c := range []struct {
		name  string
		typ   uint16
		count uint32
		value func(binary.AppendByteOrder) []byte
		want  int
	}{
		{"byte", 1, 1, func(binary.AppendByteOrder) []byte { return []byte{6} }, 0},
		{"ASCII", 2, 2, func(binary.AppendByteOrder) []byte { return []byte("6\x00") }, 0},
		{"short", 3, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(nil, 6) }, 6},
		{"two shorts", 3, 2, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(o.AppendUint16(nil, 6), 3) }, 6},
		{"no shorts", 3, 0, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(nil, 6) }, 0},
		{"short out of range", 3, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(nil, 9) }, 0},
		{"long", 4, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint32(nil, 6) }, 6},
		{"signed byte", 6, 1, func(binary.AppendByteOrder) []byte { return []byte{6} }, 6},
		{"undefined", 7, 1, func(binary.AppendByteOrder) []byte { return []byte{6} }, 0},
		{"signed short", 8, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(nil, 6) }, 6},
		{"signed short below zero", 8, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint16(nil, 0xfffa) }, 0},
		{"signed long", 9, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint32(nil, 6) }, 6},
		{"directory", 13, 1, func(o binary.AppendByteOrder) []byte { return o.AppendUint32(nil, 6) }, 6},
	} {
		for mark, order := range map[string]binary.AppendByteOrder{"II*\x00": binary.LittleEndian, "MM\x00*": binary.BigEndian} {
			block := order.AppendUint16(order.AppendUint32([]byte(mark), 8), 1)
			block = order.AppendUint32(order.AppendUint16(order.AppendUint16(block, tagOrientation), c.typ), c.count)
			value := c.value(order)
			block = append(append(block, value...), make([]byte, 8-len(value))...)
			if got := exifOrientation(block); got != c.want {
				t.Errorf("%s, %q: got %d, want %d", c.name, mark, got, c.want)
			}
		}
	}
}
