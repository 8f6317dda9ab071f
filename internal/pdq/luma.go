package pdq

import (
	"image"
	"image/color"
)

// The weights of the colours in the luma, of ITU-R BT.601.
const (
	weightR float32 = 0.299
	weightG float32 = 0.587
	weightB float32 = 0.114
)

// luma is the brightness of 8-bit colours. The conversions forbid the compiler
// to fuse a product and a sum, which would round otherwise on some machines.
func luma(r, g, b uint8) float32 {
	return float32(float32(weightR*float32(r))+float32(weightG*float32(g))) + float32(weightB*float32(b))
}

// lumaOf returns a function that fills row with the brightness, 0 to 255, of
// the pixels of line y, counted from the top of the picture.
func lumaOf(img image.Image) func(y int, row []float32) {
	b := img.Bounds()
	switch img := img.(type) {
	case *image.YCbCr:
		return func(y int, row []float32) { grey(img.Y[img.YOffset(b.Min.X, b.Min.Y+y):], row) }
	case *image.NYCbCrA:
		return func(y int, row []float32) { grey(img.Y[img.YOffset(b.Min.X, b.Min.Y+y):], row) }
	case *image.Gray:
		return func(y int, row []float32) { grey(img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):], row) }
	case *image.NRGBA:
		return func(y int, row []float32) { rgb(img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):], row) }
	case *image.RGBA:
		if img.Opaque() {
			return func(y int, row []float32) { rgb(img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):], row) }
		}
	case *image.Paletted:
		var lumas [256]float32
		for i, c := range img.Palette {
			lumas[i] = lumaOfColor(c)
		}
		return func(y int, row []float32) {
			pix := img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range row {
				row[x] = lumas[pix[x]]
			}
		}
	}
	return func(y int, row []float32) {
		for x := range row {
			row[x] = lumaOfColor(img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
}

// grey reads one byte for each pixel.
func grey(pix []uint8, row []float32) {
	pix = pix[:len(row)]
	for x := range row {
		row[x] = float32(pix[x])
	}
}

// rgb reads four bytes for each pixel, of which the last is the opacity.
func rgb(pix []uint8, row []float32) {
	pix = pix[:4*len(row)]
	for x := range row {
		p := pix[4*x : 4*x+4]
		row[x] = luma(p[0], p[1], p[2])
	}
}

func lumaOfColor(c color.Color) float32 {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return luma(n.R, n.G, n.B)
}
