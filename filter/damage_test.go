package filter

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"

	xdraw "golang.org/x/image/draw"
)

// pixels returns a copy of the image.
func pixels(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, img, b.Min, draw.Src)
	return out
}

// each returns the image with every pixel changed.
func each(img image.Image, change func(x, y int, p color.RGBA) color.RGBA) image.Image {
	out := pixels(img)
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.SetRGBA(x, y, change(x, y, out.RGBAAt(x, y)))
		}
	}
	return out
}

// blurred is the image under three box filters with so many pixels on either
// side, which together are nearly a Gaussian blur; see [blurDeviation].
func blurred(img image.Image, half int) image.Image {
	out := pixels(img)
	w, h := out.Rect.Dx(), out.Rect.Dy()
	for range 3 {
		for y := range h {
			box(out.Pix[y*out.Stride:], w, 4, half)
		}
		for x := range w {
			box(out.Pix[4*x:], h, out.Stride, half)
		}
	}
	return out
}

// blurDeviation is the standard deviation of that blur: each of the three boxes
// of n = 2·half+1 pixels has the variance (n²-1)/12.
func blurDeviation(half int) float64 { return math.Sqrt(float64(half * (half + 1))) }

// box averages n pixels that are so many bytes apart, in place.
func box(pix []uint8, n, apart, half int) {
	upTo := make([]int, n+2*half+1) // sums of the line, whose ends go on to both sides
	for c := range 3 {
		for i := range n + 2*half {
			upTo[i+1] = upTo[i] + int(pix[min(max(i-half, 0), n-1)*apart+c])
		}
		size := 2*half + 1
		for i := range n {
			pix[i*apart+c] = uint8((upTo[i+size] - upTo[i] + half) / size)
		}
	}
}

// asJPEG encodes the image with a quality from 1 to 100, and decodes it again.
func asJPEG(img image.Image, quality int) image.Image {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err) // a buffer takes every write
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		panic(err) // it was encoded just now
	}
	return out
}

// tinted leaves this share of green and blue.
func tinted(img image.Image, share float64) image.Image {
	return each(img, func(_, _ int, p color.RGBA) color.RGBA {
		return color.RGBA{p.R, uint8(share * float64(p.G)), uint8(share * float64(p.B)), 255}
	})
}

// faded leaves this share of the contrast.
func faded(img image.Image, share float64) image.Image {
	fade := func(v uint8) uint8 { return uint8(128 + float64(share*(float64(v)-128))) }
	return each(img, func(_, _ int, p color.RGBA) color.RGBA {
		return color.RGBA{fade(p.R), fade(p.G), fade(p.B), 255}
	})
}

// letterboxed squeezes the image between bands that take this share of it.
func letterboxed(img image.Image, share float64, c color.Color) image.Image {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	height := int(share * float64(b.Dy()) / 2)
	xdraw.ApproxBiLinear.Scale(out, image.Rect(0, height, b.Dx(), b.Dy()-height), img, b, draw.Src, nil)
	return asJPEG(out, 85)
}

// shuffled exchanges the quarters of the image.
func shuffled(img image.Image) image.Image {
	from := pixels(img)
	w, h := from.Rect.Dx()/2, from.Rect.Dy()/2
	out := image.NewRGBA(image.Rect(0, 0, 2*w, 2*h))
	for i, j := range []int{3, 2, 0, 1} {
		draw.Draw(out, image.Rect(0, 0, w, h).Add(image.Pt(i%2*w, i/2*h)), from, image.Pt(j%2*w, j/2*h), draw.Src)
	}
	return out
}

// mirrored exchanges left and right.
func mirrored(img image.Image) image.Image {
	from := pixels(img)
	return each(img, func(x, y int, _ color.RGBA) color.RGBA { return from.RGBAAt(from.Rect.Dx()-1-x, y) })
}

// deadLeaves is a synthetic photo: discs of all sizes and colours that cover
// each other, with grain, which share many statistics with natural images (Lee,
// Mumford and Huang, "Occlusion Models for Natural Images", International
// Journal of Computer Vision 41, 2001).
func deadLeaves(seed uint64, side int) image.Image {
	random := rand.New(rand.NewPCG(seed, 1))
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	for range 8 * side {
		radius := 3 / (0.06 + random.Float64()) // few large ones, many small
		cx, cy := random.IntN(side), random.IntN(side)
		c := [3]int{random.IntN(256), random.IntN(256), random.IntN(256)}
		grain := 1 + random.IntN(24)
		r := int(radius)
		for y := max(cy-r, 0); y < min(cy+r, side); y++ {
			for x := max(cx-r, 0); x < min(cx+r, side); x++ {
				if (x-cx)*(x-cx)+(y-cy)*(y-cy) > r*r {
					continue
				}
				g := random.IntN(grain) - grain/2
				p := out.Pix[out.PixOffset(x, y):]
				for i, v := range c {
					p[i] = uint8(min(max(v+g, 0), 255))
				}
				p[3] = 255
			}
		}
	}
	return each(out, func(_, _ int, p color.RGBA) color.RGBA { p.A = 255; return p })
}
