package scenes

import (
	"slices"

	"github.com/irgdata/irgdata/runtime"
)

// FlawKind names a way in which a picture falls short of what was wanted.
type FlawKind string

// The kinds of flaws. Drafts are planted with the first seven; the others are
// differences that reflection may find besides.
const (
	FlawMissing  FlawKind = "missing"
	FlawExtra    FlawKind = "extra"
	FlawColour   FlawKind = "colour"
	FlawPosition FlawKind = "position"
	FlawTexture  FlawKind = "texture"
	FlawSoft     FlawKind = "soft_edges"
	FlawFlat     FlawKind = "flat_light"
	FlawShape    FlawKind = "shape"
	FlawSize     FlawKind = "size"
	FlawBackdrop FlawKind = "background"
	FlawLight    FlawKind = "light"
)

// Flaw is one difference between a wanted picture and another one.
type Flaw struct {
	Kind FlawKind
	// Want is the object as it should be and Got as it is; zero where there is
	// none (Want of an extra object, Got of a missing one, both of what
	// concerns the whole picture). X and Y are not set: words know cells.
	Want, Got Object
}

// Flaws returns what is planted into the draft that the model draws for the
// request. It is computed from the request alone, as the draft is, and so
// serves as an oracle for what looks at drafts. Requests that ask for no draft
// are refused as Generate refuses them, and an image drawn from a reflection
// or from a caption alone has no flaws.
func Flaws(r runtime.Request) ([]Flaw, error) {
	call, err := parse(r, nil)
	if err != nil {
		return nil, refuse(err)
	}
	draft, ok := call.(draftCall)
	if !ok {
		return nil, nil
	}
	_, flaws, err := draft.pictures()
	return flaws, refuse(err)
}

// plant returns the picture with one to three flaws.
func plant(p Picture, d *dice) (Picture, []Flaw) {
	for {
		flawed, planted := p, []Flaw(nil)
		flawed.Objects = slices.Clone(p.Objects)
		wanted := pick(d, 1, 1, 1, 2, 2, 2, 2, 3, 3)
		kinds := []FlawKind{FlawMissing, FlawExtra, FlawColour, FlawPosition, FlawTexture, FlawSoft, FlawFlat}
		shuffle(d, kinds)
		touched := map[Cell]bool{} // by an earlier flaw
		for _, kind := range kinds {
			if len(planted) == wanted {
				break
			}
			if f, ok := spoil(&flawed, kind, touched, d); ok {
				planted = append(planted, f)
			}
		}
		// Two flaws may add up to another one, as a missing and an extra circle
		// make a shifted one. What is planted must be what can be seen.
		if len(planted) > 0 && unambiguous(planted) && sameFlaws(planted, diff(p, flawed)) {
			return flawed, planted
		}
	}
}

// unambiguous reports whether each kind of object is missing, extra or out of
// place once at most: of two equal objects nothing tells which is which.
func unambiguous(flaws []Flaw) bool {
	seen := map[Kind]bool{}
	for _, f := range flaws {
		k := f.Want.Kind
		switch f.Kind {
		case FlawExtra:
			k = f.Got.Kind
		case FlawMissing, FlawPosition:
		default:
			continue
		}
		if seen[k] {
			return false
		}
		seen[k] = true
	}
	return true
}

// spoil plants one flaw, if the picture has a place for it.
func spoil(p *Picture, kind FlawKind, touched map[Cell]bool, d *dice) (Flaw, bool) {
	switch kind {
	case FlawSoft:
		p.Soft = true
		return Flaw{Kind: kind}, true
	case FlawFlat:
		p.Flat, p.Light = true, Light{}
		return Flaw{Kind: kind}, true
	}
	var candidates []int
	for i, o := range p.Objects {
		if !touched[o.At] && (kind != FlawTexture || o.Texture != Plain) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 || kind == FlawMissing && len(p.Objects) < 2 {
		return Flaw{}, false
	}
	i := pick(d, candidates...)
	want := p.Objects[i]
	switch kind {
	case FlawMissing:
		p.Objects = slices.Delete(p.Objects, i, i+1)
		touched[want.At] = true
		return Flaw{Kind: kind, Want: want.inWords()}, true
	case FlawTexture:
		p.Objects[i].Texture = Plain
	case FlawColour:
		for {
			c := Colour(1 + d.intn(int(numColours)-1))
			if c != want.Colour && !c.clashes(p.Backdrop) {
				p.Objects[i].Colour = c
				break
			}
		}
	case FlawExtra, FlawPosition:
		others := slices.Clone(p.Objects)
		if kind == FlawPosition {
			others = slices.Delete(others, i, i+1)
		}
		free := freeCells(want.Kind, others, touched)
		free = slices.DeleteFunc(free, func(o Object) bool { return o.At == want.At })
		if len(free) == 0 {
			return Flaw{}, false
		}
		got := pick(d, free...)
		touched[got.At] = true
		if kind == FlawExtra {
			p.Objects = append(p.Objects, got)
			return Flaw{Kind: kind, Got: got.inWords()}, true
		}
		p.Objects[i] = got
	}
	touched[want.At] = true
	return Flaw{kind, want.inWords(), p.Objects[i].inWords()}, true
}

// freeCells are the places where one more object of the kind would fit.
func freeCells(k Kind, others []Object, touched map[Cell]bool) []Object {
	var free []Object
	for row := range gridSide {
		for col := range gridSide {
			at := Cell{col, row}
			if o := place(k, at); !touched[at] && o.At == cellAt(vec{o.X, o.Y}) && fits([]Object{o}, others) {
				free = append(free, o)
			}
		}
	}
	return free
}

// inWords is the object as words give it: without its exact place.
func (o Object) inWords() Object {
	o.X, o.Y = 0, 0
	return o
}

// diff lists what is wrong with got if want is right.
func diff(want, got Picture) []Flaw {
	var flaws []Flaw
	missing, extra := slices.Clone(want.Objects), slices.Clone(got.Objects)
	// settle takes out the pairs that match and notes what flaw each has.
	settle := func(match func(w, g Object) bool, note func(w, g Object)) {
		missing = slices.DeleteFunc(missing, func(w Object) bool {
			i := slices.IndexFunc(extra, func(g Object) bool { return match(w, g) })
			if i < 0 {
				return false
			}
			note(w, extra[i])
			extra = slices.Delete(extra, i, i+1)
			return true
		})
	}
	settle(Object.sameAs, func(w, g Object) {})
	// An object of the right shape in the right cell, or with no other right
	// object for it elsewhere, is that object with a fault.
	settle(func(w, g Object) bool { return w.At == g.At && w.Shape == g.Shape }, func(w, g Object) {
		flaws = append(flaws, changes(w, g)...)
	})
	settle(func(w, g Object) bool { return w.Kind == g.Kind }, func(w, g Object) {
		flaws = append(flaws, Flaw{FlawPosition, w.inWords(), g.inWords()})
	})
	settle(func(w, g Object) bool { return w.At == g.At }, func(w, g Object) {
		flaws = append(flaws, changes(w, g)...)
	})
	for _, w := range missing {
		flaws = append(flaws, Flaw{Kind: FlawMissing, Want: w.inWords()})
	}
	for _, g := range extra {
		flaws = append(flaws, Flaw{Kind: FlawExtra, Got: g.inWords()})
	}
	if got.Backdrop != want.Backdrop {
		flaws = append(flaws, Flaw{Kind: FlawBackdrop})
	}
	switch {
	case got.Flat && !want.Flat:
		flaws = append(flaws, Flaw{Kind: FlawFlat})
	case !want.Flat && got.Light != want.Light:
		flaws = append(flaws, Flaw{Kind: FlawLight})
	}
	if got.Soft && !want.Soft {
		flaws = append(flaws, Flaw{Kind: FlawSoft})
	}
	return flaws
}

// changes lists the properties in which an object in its place is wrong.
func changes(want, got Object) []Flaw {
	var flaws []Flaw
	note := func(wrong bool, k FlawKind) {
		if wrong {
			flaws = append(flaws, Flaw{k, want.inWords(), got.inWords()})
		}
	}
	note(want.Shape != got.Shape, FlawShape)
	note(want.Colour != got.Colour, FlawColour)
	note(want.Texture != got.Texture, FlawTexture)
	note(want.Size != got.Size, FlawSize)
	return flaws
}

// sameFlaws compares without regard to order.
func sameFlaws(a, b []Flaw) bool {
	if len(a) != len(b) {
		return false
	}
	for _, f := range a {
		if !slices.Contains(b, f) {
			return false
		}
	}
	return true
}
