package scenes

import "math"

// rounding is the radius of a shape's corners; the outlines below are drawn
// that much smaller.
const rounding = .06

// outlines are the right halves of the shapes that are polygons, from top to
// bottom, in units of the object's radius. The left half mirrors it.
var outlines = [numShapes][]vec{
	Square:   {{0, -.84}, {.84, -.84}, {.84, .84}, {0, .84}},
	Triangle: {{0, -.92}, {.98, .78}, {0, .78}},
	Diamond:  {{0, -.98}, {.76, 0}, {0, .98}},
	Hexagon:  {{0, -.95}, {.823, -.475}, {.823, .475}, {0, .95}},
	Star:     {{0, -.9}, {.2763, -.2902}, {.9416, -.2159}, {.4470, .2352}, {.5819, .8909}, {0, .56}},
	Cross:    {{0, -.94}, {.34, -.94}, {.34, -.34}, {.94, -.34}, {.94, .34}, {.34, .34}, {.34, .94}, {0, .94}},
}

// segment is one line of an outline, ready for distance.
type segment struct {
	from, along vec
	perSquare   float64 // one over the square of its length
	slope       float64 // how far x goes for one of y; unused where y is constant
}

var segments = func() (all [numShapes][]segment) {
	for s, outline := range outlines {
		for i := 1; i < len(outline); i++ {
			along := outline[i].minus(outline[i-1])
			g := segment{from: outline[i-1], along: along, perSquare: 1 / along.dot(along)}
			if along.y != 0 {
				g.slope = along.x / along.y
			}
			all[s] = append(all[s], g)
		}
	}
	return all
}()

// distance is the signed distance of a point to the shape's edge, negative
// inside. Point and distance are in units of the object's radius.
func (s Shape) distance(p vec) float64 {
	p.x = math.Abs(p.x)
	switch s {
	case Circle:
		return p.length() - .98
	case Heart:
		const k = .62 // of the unit heart, whose tip is at the origin
		q := vec{mul(p.x, k), .56 - mul(p.y, k)}
		if q.x+q.y > 1 {
			return (q.distance(vec{.25, .75})-math.Sqrt2/4)/k - .02
		}
		d := min(q.distance(vec{0, 1}), q.distance(vec{.5, .5}.times(max(q.x+q.y, 0))))
		if q.x < q.y {
			d = -d
		}
		return d/k - .02
	}
	nearest, inside := math.Inf(1), false
	for _, g := range segments[s] {
		to := p.minus(g.from)
		off := to.minus(g.along.times(clamp(mul(to.dot(g.along), g.perSquare), 0, 1)))
		if square := off.dot(off); square < nearest {
			nearest = square
		}
		// A ray to the right crosses the half outline once from inside.
		if (to.y < 0) != (to.y < g.along.y) && to.x < mul(to.y, g.slope) {
			inside = !inside
		}
	}
	if inside {
		return -math.Sqrt(nearest) - rounding
	}
	return math.Sqrt(nearest) - rounding
}

// mass is the area of the shape, and the height of its centre of mass, in
// units of the object's radius. TestMass measures them.
func (s Shape) mass() (area, center float64) {
	m := [numShapes][2]float64{
		AnyShape: {1, 0},
		Circle:   {3.0172, 0},
		Square:   {3.2370, 0},
		Triangle: {2.0304, .2133},
		Diamond:  {1.7986, 0},
		Hexagon:  {2.6993, 0},
		Star:     {1.7795, .0900},
		Cross:    {2.5595, 0},
		Heart:    {2.4423, -.1552},
	}[s]
	return m[0], m[1]
}

// reach is how far the shape extends from its middle to the left and right,
// and up and down at most, in units of the radius.
const reach = 1.04

// pattern is the share of the accent colour at a point of an object with the
// texture, from 0 to 1. Point and pixel, the size of a pixel, are in units of
// the object's radius.
func (t Texture) pattern(p vec, pixel float64) float64 {
	// step is 1 where x is positive, with a soft edge one pixel wide.
	step := func(x float64) float64 { return clamp(.5+x/pixel, 0, 1) }
	switch t {
	case Striped:
		const period = .62 // across the stripes, which run at 45 degrees
		x := fraction(mul(p.x+p.y, math.Sqrt2/2)/period+.25) - .5
		return step(mul(.25-math.Abs(x), period))
	case Dotted:
		const pitch, radius = .56, .18
		// Every second row is shifted by half a pitch.
		row := math.Floor(p.y/pitch + .5)
		shift := mul(pitch/2, math.Abs(row-mul(2, math.Floor(row/2))))
		x := fraction((p.x-shift)/pitch+.5) - .5
		y := p.y/pitch - row
		return step(radius - mul(vec{x, y}.length(), pitch))
	case Checkered:
		const side = .42
		// The product of two triangle waves is positive on every other square.
		wave := func(x float64) float64 { return math.Abs(mul(fraction(x/mul(2, side)), 2)-1) - .5 }
		x, y := wave(p.x), wave(p.y)
		edge := step(mul(min(math.Abs(x), math.Abs(y)), side))
		if mul(x, y) < 0 {
			return 1 - edge
		}
		return edge
	}
	return 0
}
