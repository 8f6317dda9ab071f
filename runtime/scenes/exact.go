package scenes

import (
	"encoding/binary"
	"math"

	"github.com/irgdata/irgdata"
)

// The bytes of a drawn image are part of the model's identity, so they must
// be the same on every platform. Go may fuse x*y+z into one rounding where
// the processor can; an explicit conversion forbids it. So every product in
// this package is made by mul or by a function that rests on it, and of math
// only the correctly rounded functions are used.
func mul(a, b float64) float64 { return float64(a * b) }

func lerp(a, b, t float64) float64 { return a + mul(b-a, t) }

func clamp(x, low, high float64) float64 {
	if x < low {
		return low
	}
	if x > high {
		return high
	}
	return x
}

// smooth is the smoothstep from 0 at edge 0 to 1 at edge 1.
func smooth(t float64) float64 {
	t = clamp(t, 0, 1)
	return mul(mul(t, t), 3-mul(2, t))
}

// fraction is x minus its floor.
func fraction(x float64) float64 { return x - math.Floor(x) }

// vec is a point or direction of the plane: x to the right, y down.
type vec struct{ x, y float64 }

func (a vec) minus(b vec) vec        { return vec{a.x - b.x, a.y - b.y} }
func (a vec) dot(b vec) float64      { return mul(a.x, b.x) + mul(a.y, b.y) }
func (a vec) times(k float64) vec    { return vec{mul(a.x, k), mul(a.y, k)} }
func (a vec) length() float64        { return math.Sqrt(a.dot(a)) }
func (a vec) distance(b vec) float64 { return a.minus(b).length() }

// rgb is a colour with channels from 0 to 255, or a factor for each channel.
type rgb struct{ r, g, b float64 }

func (a rgb) times(b rgb) rgb     { return rgb{mul(a.r, b.r), mul(a.g, b.g), mul(a.b, b.b)} }
func (a rgb) by(b rgb) rgb        { return rgb{a.r / b.r, a.g / b.g, a.b / b.b} }
func (a rgb) scale(k float64) rgb { return rgb{mul(a.r, k), mul(a.g, k), mul(a.b, k)} }
func (a rgb) plus(b rgb) rgb      { return rgb{a.r + b.r, a.g + b.g, a.b + b.b} }
func (a rgb) minus(b rgb) rgb     { return rgb{a.r - b.r, a.g - b.g, a.b - b.b} }
func (a rgb) dot(b rgb) float64   { return mul(a.r, b.r) + mul(a.g, b.g) + mul(a.b, b.b) }
func (a rgb) length() float64     { return math.Sqrt(a.dot(a)) }
func (a rgb) luma() float64       { return mul(a.r, .299) + mul(a.g, .587) + mul(a.b, .114) }

func (a rgb) mix(b rgb, t float64) rgb {
	return rgb{lerp(a.r, b.r, t), lerp(a.g, b.g, t), lerp(a.b, b.b, t)}
}

// dice is a stream of choices (SplitMix64). Everything that looks random in
// this package comes from one that was cast from a request's own content.
type dice struct{ state uint64 }

// cast returns the dice that belong to the given texts and seed.
func cast(domain string, seed uint64, texts ...string) *dice {
	d := irgdata.NewDigester("scenes/" + domain).Uint(seed)
	for _, t := range texts {
		d.Text(t)
	}
	sum := d.Sum()
	return &dice{binary.BigEndian.Uint64(sum[:])}
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// intn returns a number from 0 to n-1.
func (d *dice) intn(n int) int { return int(d.next() % uint64(n)) }

// unit returns a number from 0 to below 1.
func (d *dice) unit() float64 { return mul(float64(d.next()>>11), 1.0/(1<<53)) }

// chance is true with the given probability.
func (d *dice) chance(p float64) bool { return d.unit() < p }

func pick[T any](d *dice, from ...T) T { return from[d.intn(len(from))] }

func shuffle[T any](d *dice, list []T) {
	for i := len(list) - 1; i > 0; i-- {
		j := d.intn(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}
