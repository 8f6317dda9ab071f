// Package pdq computes PDQ, the perceptual image hash of Facebook's
// ThreatExchange: pictures that look alike have hashes that differ in few bits.
//
// A picture is hashed at its full size, as the C++ library, the Java
// implementation and the Python package pdqhash do, and by the same operations
// on the same 32-bit floats, so that equal pixels give equal hashes. (Two
// programs of the reference shrink large pictures to 512 pixels first, each in
// another way, and so differ from all others by a few bits.)
//
// Source: https://github.com/facebook/ThreatExchange, folder pdq, and "The
// TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm",
// hashing/hashing.pdf there.
package pdq

import (
	"encoding/hex"
	"fmt"
	"image"
	"math/bits"
	"slices"
)

// Hash256 is a hash, its highest bits first. Bit 16·i+j, counted from the
// lowest, belongs to row i and column j of the frequencies.
type Hash256 [4]uint64

// minSide is the least width and height that is hashed.
const minSide = 5

// Hash returns the hash of img and its quality, 0 to 100: how much there is to
// see. Pictures of little quality, below about 50, look alike to the hash
// because they are flat. A picture of less than 5 pixels a side has the zero
// hash of quality 0. Transparency is ignored.
//
// It allocates about 4 bytes for each 128 pixels and 20 for each column.
func Hash(img image.Image) (h Hash256, quality int) {
	size := img.Bounds().Size()
	if size.X < minSide || size.Y < minSide {
		return Hash256{}, 0
	}
	small := shrink(lumaOf(img), size.X, size.Y)
	frequencies := transform(small)
	median := median(frequencies)
	for i, row := range frequencies {
		for j, v := range row {
			if v > median {
				bit := 16*i + j
				h[3-bit/64] |= 1 << (bit % 64)
			}
		}
	}
	return h, gradients(small)
}

// median is the lower of the two values in the middle.
func median(m *[16][16]float32) float32 {
	var all []float32
	for _, row := range m {
		all = append(all, row[:]...)
	}
	slices.Sort(all)
	return all[len(all)/2-1]
}

// gradients is the quality: the sum of the steps between neighbours that are
// larger than a hundredth of the range, in the reference's scale.
func gradients(m *[side][side]float32) int {
	sum := 0
	step := func(u, v float32) {
		d := int((u - v) * 100 / 255)
		sum += max(d, -d)
	}
	for i := range side {
		for j := range side - 1 {
			step(m[i][j], m[i][j+1])
			step(m[j][i], m[j+1][i])
		}
	}
	return min(sum/90, 100)
}

// Distance is the number of bits in which the hashes differ, 0 to 256. The
// reference takes pictures at a distance of up to 31 for similar.
func (h Hash256) Distance(other Hash256) int {
	return bits.OnesCount64(h[0]^other[0]) + bits.OnesCount64(h[1]^other[1]) +
		bits.OnesCount64(h[2]^other[2]) + bits.OnesCount64(h[3]^other[3])
}

// String returns h as 64 lower-case hexadecimal digits, as the reference does.
func (h Hash256) String() string {
	return fmt.Sprintf("%016x%016x%016x%016x", h[0], h[1], h[2], h[3])
}

// Parse reads the 64 hexadecimal digits that [Hash256.String] writes.
func Parse(s string) (Hash256, error) {
	var b [32]byte
	if len(s) != 2*len(b) {
		return Hash256{}, fmt.Errorf("PDQ hash %.80q: want %d hexadecimal digits, got %d characters", s, 2*len(b), len(s))
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return Hash256{}, fmt.Errorf("PDQ hash %q: %w", s, err)
	}
	var h Hash256
	for i, octet := range b {
		h[i/8] = h[i/8]<<8 | uint64(octet)
	}
	return h, nil
}
