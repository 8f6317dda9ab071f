package scenes

import (
	"math"
	"testing"
)

// TestMass checks the constants of Shape.mass and reach against the shapes.
func TestMass(t *testing.T) {
	for s := Circle; s < numShapes; s++ {
		const n = 500
		var area, moment, extent float64
		for y := range n {
			for x := range n {
				p := vec{(float64(x)+.5)/n*2.4 - 1.2, (float64(y)+.5)/n*2.4 - 1.2}
				if s.distance(p) < 0 {
					area++
					moment += p.y
					extent = max(extent, math.Abs(p.x), math.Abs(p.y))
				}
			}
		}
		center := moment / area
		_, wantCenter := s.mass()
		if math.Abs(center-wantCenter) > .005 || extent > reach {
			t.Errorf("%s: centre %.4f, reach %.3f; the tables say %.4f, at most %.2f", s, center, extent, wantCenter, reach)
		}
	}
}

// TestDecide: what is decided agrees with the caption, and nothing overlaps.
func TestDecide(t *testing.T) {
	d := cast("decide test", 1)
	for range 300 {
		s := randomScene(d)
		p, err := decide(s)
		if err != nil {
			t.Fatal(err)
		}
		if f := s.check(p); f.score() != 1 {
			t.Errorf("%q is laid out so that it scores %.2f: %v", s, f.score(), f.unmet)
		}
		for i, o := range p.Objects {
			if !fits([]Object{o}, p.Objects[:i]) {
				t.Errorf("%q: objects overlap at the %s", s, o.At)
			}
			if o.At != cellAt(vec{o.X, o.Y}) {
				t.Errorf("%q: the object of the %s is nearer to the %s", s, o.At, cellAt(vec{o.X, o.Y}))
			}
		}
	}
}

func TestDecideRefusesCrowds(t *testing.T) {
	s, err := Parse("five huge red circles above five huge blue squares")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decide(s); err == nil {
		t.Error("want an error: ten huge objects do not fit")
	}
}
