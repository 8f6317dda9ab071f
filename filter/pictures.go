package filter

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/irgdata/irgdata"
)

// targetSlots hold the images that the trainer learns to paint. A draft may be
// blurred or tinted: that is what the improvement mends.
var targetSlots = []irgdata.Slot{irgdata.SlotReference, irgdata.SlotImproved}

// onView measures a view under the name of a rule, once where several slots hold
// the same image. One that does not decode gets the value undecoded, which must
// pass: rule decode objects to it.
func onView(rule string, undecoded float64, measure func(*view) float64) func(context.Context, *Subject, irgdata.Slot) (float64, error) {
	return func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
		v, err := s.view(ctx, slot)
		if err != nil || v == nil {
			return undecoded, err
		}
		value, ok := v.measured[rule]
		if !ok {
			value = measure(v)
			v.measured[rule] = value
		}
		return value, nil
	}
}

// Blank rejects images whose colours deviate by less than least, of 255, from
// their mean.
func Blank(least float64) Rule {
	return Rule{
		Name: "blank", Version: "1", Slots: imageSlots, Unit: "deviation", Threshold: least,
		Measure: onView("blank", 255, deviation),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("the %s image is blank or nearly so: it deviates from its mean colour by %.2f of 255, want at least %.2f", slot, value, least)
		},
	}
}

// deviation is the standard deviation of the brightness, or of that one of the
// primary colours that has the largest.
func deviation(v *view) float64 {
	most := greyDeviation(v.small)
	n := len(v.colours.Pix) / 4
	for c := range 3 {
		sum, squares := 0, 0
		for i := range n {
			p := int(v.colours.Pix[4*i+c])
			sum += p
			squares += p * p
		}
		most = max(most, standardDeviation(n, sum, squares))
	}
	return most
}

func greyDeviation(img *image.Gray) float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	sum, squares := 0, 0
	for y := range h {
		for _, p := range img.Pix[y*img.Stride:][:w] {
			sum += int(p)
			squares += int(p) * int(p)
		}
	}
	return standardDeviation(w*h, sum, squares)
}

func standardDeviation(n, sum, squares int) float64 {
	return math.Sqrt(float64(n*squares-sum*sum)) / float64(n)
}

// Blur rejects images whose sharpest edges are wider than most pixels, after
// the image was shrunk to the trainer's 1024 pixels; see [edgeWidth].
func Blur(most float64) Rule {
	return Rule{
		Name: "blur", Version: "1", Slots: targetSlots, Unit: "edge_width", Threshold: most,
		Measure: onView("blur", 1, func(v *view) float64 { return edgeWidth(v.sharp) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s image is blurred: its sharpest edges are %.1f pixels wide, want at most %.1f", slot, value, most)
		},
	}
}

const (
	edgeCell     = 16 // pixels of the side of the cells that are searched for edges
	edgeContrast = 16 // the least range of brightness around an edge
)

// edgeWidth is the width in pixels of the sharpest edges. Where a cell has a
// steeper step from one pixel to the next than the cells around it, there is an
// edge, and the range of the brightness in these nine cells over the step tells
// how many such steps it takes: 1 for a hard edge, 2.5 standard deviations of
// a Gaussian blur. What counts is the sharpest edges, as many as one cell of
// 200, so that a picture may have a soft ground; or the sharpest tenth of those
// with at least half of the most contrast, so that a small thing on a shaded
// ground is enough. A picture without edges gets what nine cells measure.
func edgeWidth(img *image.Gray) float64 {
	columns, rows := (img.Rect.Dx()+edgeCell-1)/edgeCell, (img.Rect.Dy()+edgeCell-1)/edgeCell
	cells := make([]cell, columns*rows)
	for i := range cells {
		at := image.Pt(i%columns, i/columns).Mul(edgeCell)
		cells[i] = newCell(img, image.Rectangle{at, at.Add(image.Pt(edgeCell, edgeCell))}.Intersect(img.Rect))
	}
	var edges []edge
	most := 0
	for i, c := range cells {
		around, x, y := c, i%columns, i/columns
		for v := max(y-1, 0); v <= min(y+1, rows-1); v++ {
			for u := max(x-1, 0); u <= min(x+1, columns-1); u++ {
				n := cells[v*columns+u]
				around = cell{min(around.darkest, n.darkest), max(around.brightest, n.brightest), max(around.step, n.step)}
			}
		}
		if contrast := around.brightest - around.darkest; contrast >= edgeContrast && c.step == around.step {
			edges = append(edges, edge{float64(contrast) / float64(c.step), contrast})
			most = max(most, contrast)
		}
	}
	if len(edges) == 0 {
		return 3 * edgeCell
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.width, b.width) })
	sharp := edges[min(len(cells)/200, len(edges)-1)].width
	strong := slices.DeleteFunc(edges, func(e edge) bool { return 2*e.contrast < most })
	return min(sharp, strong[len(strong)/10].width)
}

// edge is a place in which the brightness changes by so much over so many
// pixels.
type edge struct {
	width    float64
	contrast int
}

// cell is the range of the brightness in a part of an image, and the largest
// step between neighbours.
type cell struct{ darkest, brightest, step int }

func newCell(img *image.Gray, part image.Rectangle) cell {
	c := cell{darkest: 255}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		row := img.Pix[y*img.Stride+part.Min.X:][:part.Dx()]
		below := row
		if y+1 < img.Rect.Max.Y {
			below = img.Pix[(y+1)*img.Stride+part.Min.X:][:len(row)]
		}
		last := int(row[0])
		for x, v := range row {
			p := int(v)
			c.darkest, c.brightest = min(c.darkest, p), max(c.brightest, p)
			across, down := p-last, p-int(below[x])
			c.step = max(c.step, across, -across, down, -down)
			last = p
		}
	}
	return c
}

// Blocking rejects images with the squares of a coarse JPEG in more than most
// of their area; see [blocking].
func Blocking(most float64) Rule {
	return Rule{
		Name: "blocking", Version: "1", Slots: imageSlots, Unit: "blocking", Threshold: most,
		Measure: onView("blocking", 0, func(v *view) float64 { return blocking(v.grey) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s image shows the 8×8 squares of a coarse JPEG along %.0f%% of their sides, want at most %.0f%%", slot, 100*value, 100*most)
		},
	}
}

const (
	blockSide   = 8
	blockedSide = 512 // of the middle of an image, which is enough to see squares
	// A square's side shows when the brightness makes such a step there, beyond
	// what it does on both sides of it. Larger steps are the picture's own.
	leastStep, mostStep = 4, 64
)

// blocking is the share of the sides of the 8×8 squares of a JPEG that show,
// less the share that show if the squares are thought to lie elsewhere; not at
// the next pixel, where the same step is half seen.
// The grid must be where JPEG put it: it does not find what was scaled or
// cropped afterwards.
func blocking(img *image.Gray) float64 {
	w, h := min(img.Rect.Dx(), blockedSide)&^7, min(img.Rect.Dy(), blockedSide)&^7
	if w < 4*blockSide || h < 4*blockSide {
		return 0
	}
	// The middle of the image, from a corner of a square.
	left, top := (img.Rect.Dx()-w)/2&^7, (img.Rect.Dy()-h)/2&^7
	line := func(y int) []uint8 { return img.Pix[(top+y)*img.Stride+left:][:w] }
	var shows [blockSide]int // sides that show, by where the grid lies
	sides := 0               // of the grid, at each place
	note := func(i, sum int) {
		sum = max(sum, -sum)
		if sum >= leastStep*3*blockSide && sum <= mostStep*3*blockSide {
			shows[i%blockSide]++
		}
	}
	upright := make([]int, w)
	for y := 0; y < h; y += blockSide {
		clear(upright)
		for dy := range blockSide {
			row := line(y + dy)
			a, b, c := int(row[0]), int(row[1]), int(row[2])
			sums := upright[2:]
			for x, v := range row[3:] {
				d := int(v)
				sums[x] += a - 3*b + 3*c - d
				a, b, c = b, c, d
			}
		}
		for x := blockSide; x < w-blockSide; x++ {
			note(x, upright[x])
		}
		sides += w/blockSide - 2
	}
	for y := blockSide; y < h-blockSide; y++ {
		a, b, c, d := line(y-2), line(y-1), line(y), line(y+1)
		for x := 0; x < w; x += blockSide {
			a, b, c, d := a[x:x+blockSide], b[x:x+blockSide], c[x:x+blockSide], d[x:x+blockSide]
			sum := 0
			for i := range blockSide {
				sum += int(a[i]) - 3*int(b[i]) + 3*int(c[i]) - int(d[i])
			}
			note(y, sum)
		}
	}
	sides += (h/blockSide - 2) * (w / blockSide)
	return max(0, float64(shows[0]-slices.Max(shows[2:blockSide-1]))/float64(sides))
}

// Cast rejects images of which nearly every pixel leans to one colour by more
// than most; see [cast].
func Cast(most float64) Rule {
	return Rule{
		Name: "cast", Version: "1", Slots: targetSlots, Unit: "cast", Threshold: most,
		Measure: onView("cast", 0, func(v *view) float64 { return cast(v.colours) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s image has a colour cast: in nearly all of it one primary colour is %.0f%% below another, want at most %.0f%%", slot, 100*value, 100*most)
		},
	}
}

// darkest is the brightness below which a pixel's hue says nothing.
const darkest = 32

// cast is how far one primary colour stays below another in nearly all pixels,
// as a share of the other: 0 if the pixels lean to different sides, as those
// of a picture with anything grey in it do, 1 if one primary is missing.
func cast(img *image.RGBA) float64 {
	const parts = 1000
	most := 0
	for more := range 3 {
		for less := range 3 {
			var pixels [2*parts + 1]int // by how far they lean
			n := 0
			for i := 0; i < len(img.Pix); i += 4 {
				p := img.Pix[i : i+4]
				if m, l := int(p[more]), int(p[less]); max(p[0], p[1], p[2]) >= darkest {
					pixels[parts+parts*(m-l)/max(m, l, 1)]++
					n++
				}
			}
			if n < len(img.Pix)/4/50 {
				return 0 // too dark
			}
			lean, below := -parts, 0
			for below += pixels[0]; below <= n/20; below += pixels[parts+lean] {
				lean++
			}
			most = max(most, lean)
		}
	}
	return float64(most) / parts
}

// Borders rejects images that are by more than most of their area a black,
// white or grey border around the picture proper; see [borders].
func Borders(most float64) Rule {
	return Rule{
		Name: "borders", Version: "1", Slots: targetSlots, Unit: "border", Threshold: most,
		Measure: onView("borders", 0, borders),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s image is border by %.0f%% of its area, want at most %.0f%%", slot, 100*value, 100*most)
		},
	}
}

// borders is the share of the area that bands of one grey take: above and
// below, or left and right, or both. A band has one brightness, an opposite
// one like it, and ends on a straight line at which three quarters of the
// picture differ from it; so the plain ground of a drawing and the sky are none.
func borders(v *view) float64 {
	img := v.small
	w, h := img.Rect.Dx(), img.Rect.Dy()
	b := v.original.Bounds()
	at := func(x, y int) uint8 { return img.Pix[y*img.Stride+x] }
	opposite := func(one, other band, lines int) float64 {
		if d := int(one.brightness) - int(other.brightness); max(d, -d) > 2*bandNoise {
			return 0
		}
		return float64(2*min(one.lines, other.lines)) / float64(lines)
	}
	rows, columns := 0.0, 0.0
	if middle := b.Min.X + b.Dx()/2; neutral(v.original.At(middle, b.Min.Y)) && neutral(v.original.At(middle, b.Max.Y-1)) {
		rows = opposite(
			findBand(h, w, func(line, i int) uint8 { return at(i, line) }),
			findBand(h, w, func(line, i int) uint8 { return at(i, h-1-line) }), h)
	}
	if middle := b.Min.Y + b.Dy()/2; neutral(v.original.At(b.Min.X, middle)) && neutral(v.original.At(b.Max.X-1, middle)) {
		columns = opposite(
			findBand(w, h, func(line, i int) uint8 { return at(line, i) }),
			findBand(w, h, func(line, i int) uint8 { return at(w-1-line, i) }), w)
	}
	return rows + columns - float64(rows*columns)
}

// neutral reports whether a colour is about grey.
func neutral(c color.Color) bool {
	p := color.NRGBAModel.Convert(c).(color.NRGBA)
	return max(p.R, p.G, p.B)-min(p.R, p.G, p.B) <= 24
}

// band is so many lines of one brightness at an edge of an image.
type band struct {
	lines      int
	brightness uint8
}

const (
	bandNoise = 4  // what a pixel of a band may differ, as JPEG makes it
	bandEdge  = 16 // what a pixel of the picture beyond it must
)

// findBand looks for a band in an image of so many lines of a length, from
// line 0 on.
func findBand(lines, length int, at func(line, i int) uint8) band {
	differ := func(line int, by uint8, from uint8) int {
		n := 0
		for i := range length {
			if p := at(line, i); max(p, from)-min(p, from) > by {
				n++
			}
		}
		return n
	}
	b := band{brightness: at(0, length/2)}
	for b.lines < lines/2-1 && differ(b.lines, bandNoise, b.brightness) <= length/100 {
		b.lines++
	}
	// JPEG rings across the last square of the band.
	for beyond := b.lines; beyond < min(b.lines+blockSide, lines/2); beyond++ {
		if 4*differ(beyond, bandEdge, b.brightness) > 3*length {
			b.lines = beyond
			return b
		}
	}
	return band{brightness: b.brightness}
}
