package scenes

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
)

// See finds what is in an image by looking at its pixels: it explains the
// border by a lit background, and then the middle of each cell by the object
// that the pixels around agree with best. The error is one sentence that
// says why the image is not a picture of this world.
func See(img image.Image) (Picture, error) {
	size := img.Bounds().Size()
	if min(size.X, size.Y) < minSide {
		return Picture{}, fmt.Errorf("the image is not a scene of this world: at %dx%d pixels it is too small to be seen clearly, %d is the least side", size.X, size.Y, minSide)
	}
	r := readRaster(img)
	backdrop, light, flat, misfit := r.explainBorder()
	if misfit > 24 {
		return Picture{}, fmt.Errorf("the image is not a scene of this world: its border is no lit, even background")
	}
	v := newView(r, backdrop, newLighting(light, flat))
	found := v.findObjects()
	p := Picture{Backdrop: backdrop, Light: light, Flat: flat, Soft: v.soft}
	if err := v.unexplained(found); err != nil {
		return Picture{}, err
	}
	for _, f := range found {
		p.Objects = append(p.Objects, v.object(f))
	}
	return p, nil
}

const (
	// minSide is the least side in pixels of an image to be seen or drawn.
	minSide = 64
)

// readRaster copies the image, reduced to a side below 512 by averaging.
func readRaster(img image.Image) *raster {
	b := img.Bounds()
	step := max(1, min(b.Dx(), b.Dy())/256)
	r := newRaster(b.Dx()/step, b.Dy()/step)
	at := pixelReader(img)
	share := 1 / float64(step*step)
	for y := range r.height {
		for x := range r.width {
			var sum rgb
			for j := range step {
				for i := range step {
					sum = sum.plus(at(b.Min.X+x*step+i, b.Min.Y+y*step+j))
				}
			}
			r.pixels[y*r.width+x] = sum.scale(share)
		}
	}
	return r
}

// pixelReader returns the image's pixels without the cost of an interface
// value for each, where it knows the image's type.
func pixelReader(img image.Image) func(x, y int) rgb {
	switch img := img.(type) {
	case *image.YCbCr:
		return func(x, y int) rgb {
			i, j := img.YOffset(x, y), img.COffset(x, y)
			r, g, b := color.YCbCrToRGB(img.Y[i], img.Cb[j], img.Cr[j])
			return rgb{float64(r), float64(g), float64(b)}
		}
	case *image.RGBA:
		return func(x, y int) rgb {
			p := img.Pix[img.PixOffset(x, y):]
			return rgb{float64(p[0]), float64(p[1]), float64(p[2])}
		}
	}
	return func(x, y int) rgb {
		r, g, b, _ := img.At(x, y).RGBA()
		return rgb{float64(r >> 8), float64(g >> 8), float64(b >> 8)}
	}
}

// explainBorder tries every background under every light against the border,
// which objects leave free. misfit is the mean difference of the best one,
// summed over the channels.
func (r *raster) explainBorder() (backdrop Backdrop, light Light, flat bool, misfit float64) {
	const samples = 24 // on each side
	var at []vec
	var seen []rgb
	look := func(x, y int) {
		at = append(at, r.at(x, y))
		seen = append(seen, r.pixels[y*r.width+x])
	}
	for i := range samples {
		x, y := (2*i+1)*r.width/(2*samples), (2*i+1)*r.height/(2*samples)
		look(x, 0)
		look(x, r.height-1)
		look(0, y)
		look(r.width-1, y)
	}
	misfit = math.Inf(1)
	try := func(candidate Light, even bool) {
		l := newLighting(candidate, even)
		// What the background's own colour would be, light taken away.
		bare := make([]rgb, len(at))
		lit := make([]rgb, len(at))
		for i, p := range at {
			lit[i] = l.at(p)
			bare[i] = seen[i].by(lit[i])
		}
		for top := WhiteTint; top < numTints; top++ {
			for bottom := WhiteTint; bottom < numTints; bottom++ {
				b := Backdrop{top, bottom}
				sum := 0.0
				limit := mul(misfit, float64(len(at)))
				for i, p := range at {
					diff := b.at(p.y).minus(bare[i]).times(lit[i])
					sum += min(math.Abs(diff.r)+math.Abs(diff.g)+math.Abs(diff.b), 90)
					if sum > limit {
						break
					}
				}
				if mean := sum / float64(len(at)); mean < misfit {
					backdrop, light, flat, misfit = b, candidate, even, mean
				}
			}
		}
	}
	for tone := Soft; tone < numTones; tone++ {
		for from := FromLeft; from < numDirections; from++ {
			try(Light{tone, from}, false)
		}
	}
	try(Light{}, true)
	return backdrop, light, flat, misfit
}

// view is an image whose background is known.
type view struct {
	*raster
	light lighting
	// behind is the background alone, and floor the same with the shadows of
	// the objects that are known.
	behind, floor *raster
	// soft is set when the edges are found to be blurred.
	soft bool
}

func newView(r *raster, b Backdrop, l lighting) *view {
	v := &view{raster: r, light: l, behind: newRaster(r.width, r.height)}
	v.behind.paintBackdrop(b, l)
	v.floor = v.behind
	return v
}

// weigh turns a colour difference into one of luma and chroma in which luma
// counts more: JPEG keeps it at twice the resolution.
func weigh(p rgb) rgb {
	const chroma = .35
	y := p.luma()
	return rgb{y, mul(chroma, p.r-y), mul(chroma, p.b-y)}
}

// backgroundMisfit is the squared difference of a pixel to the background or
// to the background in shadow, whichever is nearer.
func (v *view) backgroundMisfit(i int) float64 {
	p, bg := v.pixels[i], v.behind.pixels[i]
	k := clamp(p.dot(bg)/max(bg.dot(bg), 1), 1-shadowDepth, 1)
	diff := weigh(p.minus(bg.scale(k)))
	return diff.dot(diff)
}

// lit is how a surface of the colour looks, as far as 8 bits can show it.
func lit(colour rgb, highlight float64, light rgb) rgb {
	c := colour.mix(rgb{255, 255, 255}, highlight).times(light)
	return rgb{min(c.r, 255), min(c.g, 255), min(c.b, 255)}
}

// between is the point nearest to p of the line from a to b: the look of a
// pixel that shows some of both.
func between(p, a, b rgb) rgb {
	way := b.minus(a)
	return a.mix(b, clamp(p.minus(a).dot(way)/max(way.dot(way), 1), 0, 1))
}

// fit is a shape found in a view.
type fit struct {
	frame
	Kind
	// gain is how much better than by the background the pixels are explained
	// by the object, and share is its part of what there was to gain.
	gain, share float64
}

// as returns the fit with another shape and size in the same place.
func (v *view) as(f fit, s Shape, size Size) fit {
	f.Shape, f.Size = s, size
	f.radius = mul(size.radius(), v.side)
	return f
}

// findObjects looks for an object in each cell: first roughly, which shows
// how the light throws shadows and whether edges are blurred, then exactly.
func (v *view) findObjects() []fit {
	var found []*search
	for row := range gridSide {
		for col := range gridSide {
			if colour, ok := v.colourAt(Cell{col, row}); ok {
				found = append(found, v.searchCell(Cell{col, row}, colour))
			}
		}
	}
	all := func(fitOf func(s *search) fit) []fit {
		var fits []fit
		for _, s := range found {
			fits = append(fits, fitOf(s))
		}
		return v.distinct(fits)
	}
	fits := all(func(s *search) fit { return s.best })
	v.lieUnder(fits)
	v.soft = v.seesSoft(fits)
	fits = all(v.finish)
	// Exact fits may correct what the rough ones said of the edges.
	v.lieUnder(fits)
	if soft := v.seesSoft(fits); soft != v.soft {
		v.soft = soft
		fits = all(v.finish)
	}
	return fits
}

// distinct drops what gains nothing, and the fits whose middle lies within a
// better one: an edge of a large object taken for an object of the next cell.
func (v *view) distinct(found []fit) []fit {
	slices.SortStableFunc(found, func(a, b fit) int { return cmp.Compare(b.gain, a.gain) })
	var kept []fit
	for _, f := range found {
		if f.gain > 0 && !slices.ContainsFunc(kept, func(k fit) bool {
			return k.Shape.distance(f.middle.minus(k.middle).times(1/k.radius)) < .1
		}) {
			kept = append(kept, f)
		}
	}
	return kept
}

// unexplained returns an error if there is something besides the objects, or
// nothing at all.
func (v *view) unexplained(found []fit) error {
	if len(found) == 0 {
		return fmt.Errorf("the image is not a scene of this world: it shows a background and none of its objects")
	}
	explained := make([]bool, len(v.pixels))
	for _, f := range found {
		if f.share < .4 {
			return fmt.Errorf("the image is not a scene of this world: what stands at the %s is none of its objects", v.object(f).At)
		}
		margin := mul(.012, v.side) + edgeMargin(v.side, v.soft)
		v.each(f.frame, reach, margin, func(x, y int) {
			if mul(f.Shape.distance(f.local(x, y)), f.radius) < margin {
				explained[y*v.width+x] = true
			}
		})
	}
	const clear = 30
	rest := make(map[Cell]int)
	for i, done := range explained {
		if !done && v.backgroundMisfit(i) > clear*clear {
			rest[cellAt(v.at(i%v.width, i/v.width))]++
		}
	}
	least := int(mul(mul(v.side, v.side), .001))
	for row := range gridSide {
		for col := range gridSide {
			if c := (Cell{col, row}); rest[c] > least {
				return fmt.Errorf("the image is not a scene of this world: what stands at the %s is none of its objects", c)
			}
		}
	}
	return nil
}

// colourAt looks at the middle of a cell, which every object covers, and
// returns the colour of the object that may be there; false if there clearly
// is none.
func (v *view) colourAt(at Cell) (Colour, bool) {
	c := at.center()
	f := frame{vec{mul(c.x, float64(v.width)), mul(c.y, float64(v.height))}, mul(.35, mul(Small.radius(), v.side))}
	behind, n := 0.0, 0.0
	var misfit [numColours]float64
	distance := func(a, b rgb) float64 { d := a.minus(b); return d.dot(d) }
	v.each(f, 1, 0, func(x, y int) {
		p := f.local(x, y)
		if p.dot(p) > 1 {
			return
		}
		i := y*v.width + x
		pixel, bg := v.pixels[i], v.behind.pixels[i]
		behind += distance(pixel, bg.scale(clamp(pixel.dot(bg)/bg.dot(bg), 1-shadowDepth, 1)))
		n++
		light := v.light.at(v.at(x, y))
		for c := Red; c < numColours; c++ {
			base, accent := c.rendering()
			misfit[c] += distance(pixel, between(pixel, lit(base, .03, light), lit(accent, .03, light)))
		}
	})
	best := Red
	for c := Red; c < numColours; c++ {
		if misfit[c] < misfit[best] {
			best = c
		}
	}
	const noise = 8
	return best, behind > mul(n, noise*noise)
}

// search is the search for a cell's object.
type search struct {
	cover covering
	// list are the candidates, the likeliest first; tried of them were
	// compared with the pixels, and best is the best of these.
	list  []fit
	tried int
	best  fit
	// soft says with what edges they were compared.
	soft bool
}

// density is how many samples along its radius an object is judged by.
const density = 15

// convincing is the share of a fit from which no better one is looked for.
const convincing = .93

// searchCell finds what shapes agree with the pixels that the colour covers,
// and compares the first few.
func (v *view) searchCell(at Cell, colour Colour) *search {
	c := at.center()
	f := fit{frame: frame{middle: vec{mul(c.x, float64(v.width)), mul(c.y, float64(v.height))}}}
	s := &search{cover: v.coverMap(f.frame, colour)}
	s.list = v.candidates(f, s.cover, 8, Small, Medium, Large, Huge)
	f = v.center(s.list[0], s.cover)
	f = v.center(f, s.cover)
	s.list = v.candidates(f, s.cover, 14, max(f.Size-1, Small), f.Size, min(f.Size+1, Huge))
	v.try(s, 3)
	return s
}

// candidates are the shapes in the sizes at the middle of the fit, those that
// agree best first.
func (v *view) candidates(f fit, cover covering, density float64, sizes ...Size) []fit {
	var list []fit
	for _, size := range slices.Compact(sizes) {
		for s := Circle; s < numShapes; s++ {
			candidate := v.as(f, s, size)
			candidate.gain = v.agreement(candidate, cover, density)
			list = append(list, candidate)
		}
	}
	slices.SortStableFunc(list, func(a, b fit) int { return cmp.Compare(b.gain, a.gain) })
	return list
}

// try compares the first n candidates with the pixels.
func (v *view) try(s *search, n int) {
	n = min(n, len(s.list))
	for ; s.tried < n; s.tried++ {
		s.list[s.tried] = v.explain(v.center(s.list[s.tried], s.cover))
	}
	slices.SortStableFunc(s.list[:n], func(a, b fit) int { return cmp.Compare(b.gain, a.gain) })
	s.best = s.list[0]
}

// finish ends a search: where no candidate convinces, it compares more of
// them and moves the best ones about.
func (v *view) finish(s *search) fit {
	few, many := 3, 5
	if v.soft { // blurred edges make shapes alike, so look at more of them
		few, many = 4, 10
	}
	if s.soft != v.soft {
		s.soft, s.tried = v.soft, 0
		v.try(s, few)
	}
	if s.best.share > convincing {
		return s.best
	}
	v.try(s, many)
	best := s.best
	for _, candidate := range s.list[:min(few, len(s.list))] {
		if candidate = v.climb(candidate); candidate.gain > best.gain {
			best = candidate
		}
		if best.share > convincing {
			break
		}
	}
	return best
}

// sample calls do for pixels spread over the frame, about as many times twice
// density along its radius, and returns how many pixels each stands for.
func (v *view) sample(f frame, margin, density float64, do func(x, y int)) float64 {
	stride := 1 + int(f.radius/density)
	extent := mul(f.radius, reach) + margin
	x0, x1 := v.clip(f.middle.x-extent, v.width), v.clip(f.middle.x+extent+1, v.width)
	y0, y1 := v.clip(f.middle.y-extent, v.height), v.clip(f.middle.y+extent+1, v.height)
	for y := y0; y < y1; y += stride {
		for x := x0; x < x1; x += stride {
			do(x, y)
		}
	}
	return float64(stride * stride)
}

// climb moves the fit by small steps as long as it gains.
func (v *view) climb(f fit) fit {
	for _, step := range []float64{.005, .0025, .00125} {
		step = mul(step, v.side)
		for range 4 {
			best := f
			for _, way := range []vec{{-step, 0}, {step, 0}, {0, -step}, {0, step}} {
				moved := f
				moved.middle = vec{f.middle.x + way.x, f.middle.y + way.y}
				if moved = v.explain(moved); moved.gain > best.gain {
					best = moved
				}
			}
			if best == f {
				break
			}
			f = best
		}
	}
	return f
}

// explain finds the surface of the fit and its gain.
func (v *view) explain(f fit) fit {
	f.Colour, f.Texture = v.surface(f)
	f.gain, f.share = v.explains(f, density)
	return f
}

// covering says how much of each pixel around a cell's middle is covered by
// the cell's colour, from -1 for none to 1 for all, times the weight of the
// pixel's word.
type covering struct {
	x0, y0, width, height int
	sure                  []float64
}

// at returns the value of a pixel, 0 where nothing is known.
func (c covering) at(x, y int) float64 {
	if x -= c.x0; x < 0 || x >= c.width {
		return 0
	}
	if y -= c.y0; y < 0 || y >= c.height {
		return 0
	}
	return c.sure[y*c.width+x]
}

func (v *view) coverMap(f frame, colour Colour) covering {
	f.radius = mul(Huge.radius(), v.side)
	var c covering
	extent := mul(f.radius, 1.1)
	c.x0, c.y0 = v.clip(f.middle.x-extent, v.width), v.clip(f.middle.y-extent, v.height)
	c.width, c.height = v.clip(f.middle.x+extent, v.width)-c.x0, v.clip(f.middle.y+extent, v.height)-c.y0
	c.sure = make([]float64, c.width*c.height)
	base, accent := colour.rendering()
	for k := range c.sure {
		x, y := c.x0+k%c.width, c.y0+k/c.width
		i := y*v.width + x
		pixel, light := v.pixels[i], v.light.at(v.at(x, y))
		// The body of an object may be darker or brighter than its colour by
		// its shading.
		look := between(pixel, lit(base, .03, light), lit(accent, .03, light))
		look = look.scale(clamp(pixel.dot(look)/look.dot(look), .8, 1.25))
		toPaint := weigh(pixel.minus(look)).length()
		toBackground := math.Sqrt(v.backgroundMisfit(i))
		c.sure[k] = (toBackground - toPaint) / max(toBackground+toPaint, 12)
	}
	return c
}

// agreement is the sum of the covering over the shape of the fit.
func (v *view) agreement(f fit, c covering, density float64) float64 {
	sum := 0.0
	each := v.sample(f.frame, 0, density, func(x, y int) {
		if inside := clamp(.5-mul(f.Shape.distance(f.local(x, y)), f.radius), 0, 1); inside > 0 {
			sum += mul(inside, c.at(x, y))
		}
	})
	return mul(sum, each)
}

// center moves the fit to the centre of mass of the covered pixels around.
func (v *view) center(f fit, c covering) fit {
	mass, x0, y0 := 0.0, 0.0, 0.0
	v.each(f.frame, reach, mul(.012, v.side), func(x, y int) {
		p := f.local(x, y)
		if mul(f.Shape.distance(p), f.radius) > mul(.012, v.side) {
			return
		}
		if covered := (c.at(x, y) + 1) / 2; covered > .25 {
			mass += covered
			x0 += mul(covered, float64(x)+.5)
			y0 += mul(covered, float64(y)+.5)
		}
	})
	if mass > 0 {
		_, center := f.Shape.mass()
		f.middle = vec{x0 / mass, y0/mass - mul(center, f.radius)}
	}
	return f
}

// explains compares the pixels with the object as it would be drawn, and with
// the background.
func (v *view) explains(f fit, density float64) (gain, share float64) {
	behind := 0.0
	pixel := 1 / f.radius
	each := v.sample(f.frame, edgeMargin(v.side, v.soft), density, func(x, y int) {
		p := f.local(x, y)
		d := f.Shape.distance(p)
		cover := edgeCover(mul(d, f.radius), v.side, v.soft)
		if cover == 0 {
			return
		}
		i := y*v.width + x
		factor, highlight := v.light.shade(f.Shape, p, d)
		object := lit(f.Kind.colour(p, d, pixel), highlight, v.light.at(v.at(x, y)).scale(factor))
		diff := weigh(v.pixels[i].minus(v.floor.pixels[i].mix(object, cover)))
		misfit := v.backgroundMisfit(i)
		behind += misfit
		gain += misfit - diff.dot(diff)
	})
	return mul(gain, each), gain / max(behind, 1)
}

// lieUnder casts the shadows of the fits onto the floor.
func (v *view) lieUnder(found []fit) {
	var casting []Object
	for _, f := range found {
		casting = append(casting, v.object(f))
	}
	v.floor = newRaster(v.width, v.height)
	copy(v.floor.pixels, v.behind.pixels)
	v.floor.castShadows(casting, v.light)
}

// object returns what the fit found.
func (v *view) object(f fit) Object {
	at := vec{f.middle.x / float64(v.width), f.middle.y / float64(v.height)}
	return Object{Kind: f.Kind, At: cellAt(at), X: at.x, Y: at.y}
}

// seesSoft reports whether the fits explain more when their edges are blurred.
func (v *view) seesSoft(found []fit) bool {
	crisp, soft := *v, *v
	crisp.soft, soft.soft = false, true
	gain := 0.0
	for _, f := range found {
		s, _ := soft.explains(f, math.Inf(1))
		c, _ := crisp.explains(f, math.Inf(1))
		gain += s - c
	}
	return gain > 0
}

// surface explains the pixels inside a shape by a colour and a texture, light
// taken away.
func (v *view) surface(f fit) (Colour, Texture) {
	// What is counted for a texture: pixels, the share of accent and its
	// square, the colour, and the colour times the share.
	type sums struct {
		share, square  float64
		colour, shared rgb
	}
	var n, square float64
	var of [numTextures]sums
	edge := 1.2
	if v.soft {
		edge = mul(softness/2, v.side)
	}
	pixel := 1 / f.radius
	white := rgb{255, 255, 255}
	v.sample(f.frame, 0, density, func(x, y int) {
		p := f.local(x, y)
		d := f.Shape.distance(p)
		if mul(d, f.radius) > -edge {
			return
		}
		factor, highlight := v.light.shade(f.Shape, p, d)
		lit := v.pixels[y*v.width+x].by(v.light.at(v.at(x, y)).scale(factor))
		c := lit.minus(white.scale(highlight)).scale(1 / (1 - highlight))
		n++
		square += c.dot(c)
		free := clamp(.5+mul(-rim-d, f.radius), 0, 1)
		for t := Plain; t < numTextures; t++ {
			share := mul(t.pattern(p, pixel), free)
			s := &of[t]
			s.share += share
			s.square += mul(share, share)
			s.colour = s.colour.plus(c)
			s.shared = s.shared.plus(c.scale(share))
		}
	})
	bestColour, bestTexture, least := Red, Plain, math.Inf(1)
	for c := Red; c < numColours; c++ {
		base, accent := c.rendering()
		change := accent.minus(base)
		for t := Plain; t < numTextures; t++ {
			s := of[t]
			// The sum of |seen - (base + share*change)|² over the pixels.
			misfit := square - mul(2, base.dot(s.colour)) - mul(2, change.dot(s.shared)) +
				mul(n, base.dot(base)) + mul(mul(2, s.share), base.dot(change)) + mul(s.square, change.dot(change))
			if misfit < least {
				bestColour, bestTexture, least = c, t, misfit
			}
		}
	}
	return bestColour, bestTexture
}
