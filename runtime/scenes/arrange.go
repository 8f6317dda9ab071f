package scenes

import (
	"fmt"
	"math"
	"slices"
)

// decide makes every choice that the scene leaves open and puts the objects
// in their places. Equal scenes give equal pictures, so that all calls about
// one prompt agree on its layout without talking to each other.
func decide(s Scene) (Picture, error) {
	d := cast("decide", 0, s.String())
	total := 0
	for _, g := range s.Groups() {
		total += g.Count
	}
	p := Picture{Backdrop: s.Backdrop, Light: s.Light}
	if p.Light.Tone == AnyTone {
		p.Light.Tone = Tone(1 + d.intn(int(numTones)-1))
	}
	if p.Light.From == AnyDirection {
		p.Light.From = Direction(1 + d.intn(int(numDirections)-1))
	}
	for p.Backdrop.Top == AnyTint || slices.ContainsFunc(s.Groups(), func(g Group) bool { return g.Colour.clashes(p.Backdrop) }) {
		t := Tint(1 + d.intn(int(numTints)-1))
		p.Backdrop = Backdrop{t, t}
	}
	// Objects whose size is open are as large as there is room for.
	sizes := []Size{Medium, Small}
	if total <= 4 {
		sizes = []Size{Large, Medium, Small}
	}
	if total == 1 {
		sizes = []Size{Huge}
	}
	colours := make(map[Colour]bool)
	for _, g := range s.Groups() {
		colours[g.Colour] = true
	}
	first, second := slices.Clone(s.First), slices.Clone(s.Second)
	for _, groups := range [][]Group{first, second} {
		for i := range groups {
			if groups[i].Texture == AnyTexture {
				groups[i].Texture = Plain
			}
			for groups[i].Colour == AnyColour {
				if c := Colour(1 + d.intn(int(numColours)-1)); !colours[c] && !c.clashes(p.Backdrop) {
					colours[c], groups[i].Colour = true, c
				}
			}
		}
	}
	for _, size := range sizes {
		if objects, ok := arrange(d, withSize(first, size), s.Relation, withSize(second, size)); ok {
			p.Objects = objects
			return p, nil
		}
	}
	return Picture{}, fmt.Errorf("the %d objects of %q do not fit into one picture of the scenes world; ask for fewer or smaller ones", total, s)
}

// withSize gives the size to the groups that leave theirs open.
func withSize(groups []Group, size Size) []Group {
	groups = slices.Clone(groups)
	for i := range groups {
		if groups[i].Size == AnySize {
			groups[i].Size = size
		}
	}
	return groups
}

// box is a rectangle of cells, all bounds inclusive.
type box struct{ left, top, right, bottom int }

// task asks for a group's objects within a box.
type task struct {
	kind  Kind
	count int
	box   box
}

// arrange places the groups so that the relation holds. It prefers tidy
// formations near the middle of the room that each side has.
func arrange(d *dice, first []Group, relation Relation, second []Group) ([]Object, bool) {
	var best []Object
	bestCost := math.Inf(1)
	for _, tasks := range divisions(first, relation, second) {
		for range 12 {
			if objects, cost := attempt(d, tasks); objects != nil && cost < bestCost {
				best, bestCost = objects, cost
			}
		}
	}
	return best, best != nil
}

// divisions lists the ways to give the two sides of a relation their room.
func divisions(first []Group, relation Relation, second []Group) [][]task {
	const last = gridSide - 1
	in := func(b box, groups ...Group) []task {
		var tasks []task
		for _, g := range groups {
			tasks = append(tasks, task{g.Kind, g.Count, b})
		}
		return tasks
	}
	var ways [][]task
	switch relation {
	case NoRelation:
		ways = append(ways, in(box{0, 0, last, last}, first...))
	case LeftOf, RightOf, Above, Below:
		before, after := first, second
		if relation == RightOf || relation == Below {
			before, after = second, first
		}
		for cut := range last {
			b, a := box{0, 0, cut, last}, box{cut + 1, 0, last, last}
			if relation == Above || relation == Below {
				b, a = box{0, 0, last, cut}, box{0, cut + 1, last, last}
			}
			ways = append(ways, slices.Concat(in(b, before...), in(a, after...)))
		}
	case Between:
		outer := second
		if len(second) == 1 {
			one := Group{1, second[0].Kind}
			outer = []Group{one, one}
		}
		for _, side := range []int{0, 1} {
			ways = append(ways,
				slices.Concat(in(box{side + 1, 0, last - side - 1, last}, first...), in(box{0, 0, side, last}, outer[0]), in(box{last - side, 0, last, last}, outer[1])))
		}
	}
	return ways
}

// formations are tidy ways to set up n objects, as offsets in cells.
func formations(n int) [][]Cell {
	line := func(dx, dy int) []Cell {
		var cells []Cell
		for i := range n {
			cells = append(cells, Cell{i * dx, i * dy})
		}
		return cells
	}
	list := [][]Cell{line(1, 0), line(2, 0), line(0, 1), line(0, 2)}
	switch n {
	case 1:
		list = list[:1]
	case 2:
		list = append(list, []Cell{{0, 0}, {1, 1}}, []Cell{{1, 0}, {0, 1}}, []Cell{{0, 0}, {3, 0}})
	case 3:
		list = append(list, []Cell{{1, 0}, {0, 1}, {2, 1}}, []Cell{{0, 0}, {2, 0}, {1, 1}}, []Cell{{1, 0}, {0, 2}, {2, 2}}, []Cell{{0, 0}, {2, 0}, {0, 2}})
	case 4:
		list = append(list, []Cell{{0, 0}, {1, 0}, {0, 1}, {1, 1}}, []Cell{{0, 0}, {2, 0}, {0, 2}, {2, 2}}, []Cell{{1, 0}, {0, 1}, {2, 1}, {1, 2}})
	case 5:
		list = append(list, []Cell{{0, 0}, {2, 0}, {1, 1}, {0, 2}, {2, 2}}, []Cell{{0, 0}, {2, 0}, {4, 0}, {1, 1}, {3, 1}},
			[]Cell{{0, 0}, {2, 0}, {4, 0}, {1, 2}, {3, 2}}, []Cell{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}})
	}
	return list
}

// attempt places the tasks one after the other, the largest objects first,
// each by the cheapest formation that is free. Cost has a random part, so
// that attempts differ. It returns nil if a task finds no room.
func attempt(d *dice, tasks []task) ([]Object, float64) {
	order := slices.Clone(tasks)
	slices.SortStableFunc(order, func(a, b task) int { return int(b.kind.Size) - int(a.kind.Size) })
	var placed []Object
	total := 0.0
	for _, t := range order {
		var best []Object
		bestCost := math.Inf(1)
		cells := t.cells()
		middle := vec{float64(t.box.left+t.box.right) / 2, float64(t.box.top+t.box.bottom) / 2}
		for _, formation := range formations(t.count) {
			for row := t.box.top; row <= t.box.bottom; row++ {
				for col := t.box.left; col <= t.box.right; col++ {
					objects := t.at(cells, formation, Cell{col, row})
					if objects == nil || !fits(objects, placed) {
						continue
					}
					var sum vec
					for _, o := range objects {
						sum = vec{sum.x + float64(o.At.Col), sum.y + float64(o.At.Row)}
					}
					cost := sum.times(1/float64(t.count)).distance(middle) + mul(1.6, d.unit())
					if cost < bestCost {
						best, bestCost = objects, cost
					}
				}
			}
		}
		if best == nil {
			return nil, 0
		}
		placed = append(placed, best...)
		total += bestCost
	}
	return placed, total
}

// cells are the objects that the task could place, one for each cell; the
// shape is open where the object does not fit into its cell.
func (t task) cells() [gridSide][gridSide]Object {
	var cells [gridSide][gridSide]Object
	for row := t.box.top; row <= t.box.bottom; row++ {
		for col := t.box.left; col <= t.box.right; col++ {
			if o := place(t.kind, Cell{col, row}); o.At == cellAt(vec{o.X, o.Y}) {
				cells[row][col] = o
			}
		}
	}
	return cells
}

// at places the formation with its origin at the cell; nil if it leaves the
// box or its own objects touch.
func (t task) at(cells [gridSide][gridSide]Object, formation []Cell, origin Cell) []Object {
	objects := make([]Object, 0, len(formation))
	for _, c := range formation {
		col, row := origin.Col+c.Col, origin.Row+c.Row
		if col > t.box.right || row > t.box.bottom {
			return nil
		}
		o := cells[row][col]
		if o.Shape == AnyShape || !fits([]Object{o}, objects) {
			return nil
		}
		objects = append(objects, o)
	}
	return objects
}

// place puts an object into the cell: a hair off the middle, as a hand would,
// and clear of the picture's border.
func place(k Kind, at Cell) Object {
	const wobble, border = .005, .03
	d := cast("wobble", uint64(at.Row*gridSide+at.Col), k.Shape.String(), k.Colour.String())
	margin := border + mul(reach, k.Size.radius())
	c := at.center()
	c = vec{c.x + mul(wobble, mul(2, d.unit())-1), c.y + mul(wobble, mul(2, d.unit())-1)}
	return Object{k, at, clamp(c.x, margin, 1-margin), clamp(c.y, margin, 1-margin)}
}

// fits reports whether the objects keep a gap to those already placed.
func fits(objects, placed []Object) bool {
	const gap = .018
	for _, a := range objects {
		for _, b := range placed {
			apart := mul(reach, a.Size.radius()+b.Size.radius()) + gap
			if math.Abs(a.X-b.X) < apart && math.Abs(a.Y-b.Y) < apart {
				return false
			}
		}
	}
	return true
}
