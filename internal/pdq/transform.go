package pdq

import "math"

// transform is the part of the discrete cosine transform of m that the hash
// looks at: frequencies 1 to 16 of the 64 in each direction. The conversions
// forbid the compiler to fuse a product and a sum, as in [luma].
func transform(m *[side][side]float32) *[16][16]float32 {
	d := cosines()
	var t [16][side]float32 // d·m
	for i := range t {
		for j := range side {
			for k := range side {
				t[i][j] += float32(d[i][k] * m[k][j])
			}
		}
	}
	out := new([16][16]float32) // d·m·dᵀ
	for i := range out {
		for j := range out[i] {
			for k := range side {
				out[i][j] += float32(t[i][k] * d[j][k])
			}
		}
	}
	return out
}

// cosines is the matrix of the transform.
func cosines() *[16][side]float32 {
	d := new([16][side]float32)
	scale := float32(math.Sqrt(2.0 / side))
	for i := range d {
		for j := range d[i] {
			d[i][j] = float32(float64(scale) * math.Cos(math.Pi/2/side*float64(i+1)*float64(2*j+1)))
		}
	}
	return d
}
