package scenes

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
)

// quality is that of the JPEG images the model paints.
const quality = 92

// encode returns the image as the model answers it.
func encode(img image.Image) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encode a drawn image: %w", err)
	}
	return out.Bytes(), nil
}

// source is where the light comes from, in fractions of the picture's sides.
func (d Direction) source() vec {
	return [numDirections]vec{AnyDirection: {.5, .2}, FromLeft: {-.05, .25}, FromRight: {1.05, .25}, FromAbove: {.5, -.1}}[d]
}

// toward is the unit direction to the light.
func (d Direction) toward() vec {
	return [numDirections]vec{AnyDirection: {0, -1}, FromLeft: {-.8, -.6}, FromRight: {.8, -.6}, FromAbove: {0, -1}}[d]
}

// colours are the factors of the light far from its source, and what is added
// near it.
func (t Tone) colours() (ambient, key rgb) {
	switch t {
	case Warm:
		return rgb{.60, .60, .66}, rgb{.58, .44, .20}
	case Cool:
		return rgb{.64, .62, .60}, rgb{.24, .42, .58}
	}
	return rgb{.60, .60, .60}, rgb{.48, .48, .48}
}

// flatness is the factor of light without direction.
var flatness = rgb{.9, .9, .9}

// lighting is what falls onto every point of a picture.
type lighting struct {
	flat         bool
	ambient, key rgb
	from, toward vec
}

func newLighting(l Light, flat bool) lighting {
	ambient, key := l.Tone.colours()
	return lighting{flat, ambient, key, l.From.source(), l.From.toward()}
}

// at returns the factor of the light at a point in fractions of the sides.
func (l lighting) at(p vec) rgb {
	if l.flat {
		return flatness
	}
	off := p.minus(l.from)
	near := 1 / (1 + mul(1.15, off.dot(off)))
	fromMiddle := p.minus(vec{.5, .5})
	vignette := 1 - mul(.22, fromMiddle.dot(fromMiddle))
	return l.ambient.plus(l.key.scale(near)).scale(vignette)
}

// shade is how the body of an object takes the light at point p with the
// given distance to the edge: a factor, and a share of highlight. Under flat
// light there is neither.
func (l lighting) shade(s Shape, p vec, distance float64) (factor, highlight float64) {
	if l.flat {
		return 1, 0
	}
	const bevel = .24
	factor = 1 + mul(.08, p.dot(l.toward))
	if slope := 1 + distance/bevel; slope > 0 {
		// The rounded edge looks outwards: along the gradient of the distance.
		const h = .04
		out := vec{s.distance(vec{p.x + h, p.y}) - distance, s.distance(vec{p.x, p.y + h}) - distance}.times(1 / h)
		factor += mul(mul(.15, min(slope, 1)), out.dot(l.toward))
	}
	glint := p.distance(l.toward.times(.42))
	return factor, mul(.26, smooth(1-glint/.5))
}

// colour is the object's own colour at p before light: base and accent of its
// pattern, which leaves a rim free.
func (k Kind) colour(p vec, distance, pixel float64) rgb {
	base, accent := k.Colour.rendering()
	share := k.Texture.pattern(p, pixel)
	return base.mix(accent, mul(share, clamp(.5+(-rim-distance)/pixel, 0, 1)))
}

// rim is the width of the plain edge around a pattern, in radii.
const rim = .15

// softness is the width of a blurred edge as a fraction of the shorter side.
const softness = .032

// edgeMargin is how far beyond its edge an object reaches, in pixels.
func edgeMargin(side float64, soft bool) float64 {
	if soft {
		return max(1, mul(softness/2, side))
	}
	return 1
}

// edgeCover is the share of a pixel that an object covers whose edge is at
// the given distance in pixels, in a picture of the given shorter side.
func edgeCover(distance, side float64, soft bool) float64 {
	if soft {
		return smooth(.5 - distance/max(1, mul(softness, side)))
	}
	return clamp(.5-distance, 0, 1)
}

// raster is a picture being drawn.
type raster struct {
	width, height int
	side          float64 // the shorter one, in pixels
	pixels        []rgb
}

// at is the middle of a pixel in fractions of the sides.
func (r *raster) at(x, y int) vec {
	return vec{(float64(x) + .5) / float64(r.width), (float64(y) + .5) / float64(r.height)}
}

// paintBackdrop fills the raster with the lit background.
func (r *raster) paintBackdrop(b Backdrop, l lighting) {
	for y := range r.height {
		row := r.pixels[y*r.width : (y+1)*r.width]
		colour := b.at(r.at(0, y).y)
		for x := range row {
			row[x] = colour.times(l.at(r.at(x, y)))
		}
	}
}

// at is the background's own colour at a height from 0, the top, to 1.
func (b Backdrop) at(y float64) rgb {
	top := b.Top.rendering()
	if b.Top == b.Bottom {
		return top
	}
	return top.mix(b.Bottom.rendering(), smooth(y))
}

// frame is the place of an object in a raster.
type frame struct {
	middle vec     // pixels
	radius float64 // pixels
}

func (r *raster) frame(o Object) frame {
	return frame{vec{mul(o.X, float64(r.width)), mul(o.Y, float64(r.height))}, mul(o.Size.radius(), r.side)}
}

// local converts the middle of a pixel to units of the object's radius.
func (f frame) local(x, y int) vec {
	return vec{(float64(x) + .5 - f.middle.x) / f.radius, (float64(y) + .5 - f.middle.y) / f.radius}
}

// each calls do for the pixels within the given number of radii and pixels
// around the frame's middle.
func (r *raster) each(f frame, radii, margin float64, do func(x, y int)) {
	extent := mul(f.radius, radii) + margin
	x0, x1 := r.clip(f.middle.x-extent, r.width), r.clip(f.middle.x+extent+1, r.width)
	y0, y1 := r.clip(f.middle.y-extent, r.height), r.clip(f.middle.y+extent+1, r.height)
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			do(x, y)
		}
	}
}

func (r *raster) clip(x float64, limit int) int { return int(clamp(math.Floor(x), 0, float64(limit))) }

// shadowDepth is the share of light that the darkest shadow takes away.
const shadowDepth = .24

// castShadows darkens the background on the side of the objects away from the
// light. Where shadows meet, the darker one counts.
func (r *raster) castShadows(objects []Object, l lighting) {
	const blur = .34 // radii
	if l.flat {
		return
	}
	covers := make([]float64, len(r.pixels))
	shift := l.toward.times(-.2).minus(vec{0, -.1})
	for _, o := range objects {
		f := r.frame(o)
		r.each(f, reach+blur+.3, 0, func(x, y int) {
			i := y*r.width + x
			covers[i] = max(covers[i], smooth(.5-o.Shape.distance(f.local(x, y).minus(shift))/(2*blur)))
		})
	}
	for i, cover := range covers {
		if cover > 0 {
			r.pixels[i] = r.pixels[i].scale(1 - mul(shadowDepth, cover))
		}
	}
}

// paintObject lays the object over what is there.
func (r *raster) paintObject(o Object, l lighting, soft bool) {
	f := r.frame(o)
	pixel := 1 / f.radius
	r.each(f, reach, edgeMargin(r.side, soft), func(x, y int) {
		p := f.local(x, y)
		d := o.Shape.distance(p)
		cover := edgeCover(mul(d, f.radius), r.side, soft)
		if cover == 0 {
			return
		}
		factor, highlight := l.shade(o.Shape, p, d)
		colour := o.Kind.colour(p, d, pixel).mix(rgb{255, 255, 255}, highlight)
		i := y*r.width + x
		r.pixels[i] = r.pixels[i].mix(colour.scale(factor).times(l.at(r.at(x, y))), cover)
	})
}

// image rounds the raster to 8 bits.
func (r *raster) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, r.width, r.height))
	for i, p := range r.pixels {
		img.Pix[4*i] = uint8(clamp(p.r+.5, 0, 255))
		img.Pix[4*i+1] = uint8(clamp(p.g+.5, 0, 255))
		img.Pix[4*i+2] = uint8(clamp(p.b+.5, 0, 255))
		img.Pix[4*i+3] = 255
	}
	return img
}

func newRaster(width, height int) *raster {
	return &raster{width, height, float64(min(width, height)), make([]rgb, width*height)}
}

// Draw paints the picture in the given size in pixels. Equal arguments give
// equal pixels on every platform.
func Draw(p Picture, width, height int) *image.RGBA {
	r := newRaster(width, height)
	l := newLighting(p.Light, p.Flat)
	r.paintBackdrop(p.Backdrop, l)
	r.castShadows(p.Objects, l)
	for _, o := range p.Objects {
		r.paintObject(o, l, p.Soft)
	}
	return r.image()
}
