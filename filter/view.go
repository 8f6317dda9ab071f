package filter

import (
	"context"
	"image"
	"image/draw"

	"github.com/irgdata/irgdata"
)

// view is an image as the rules on pictures look at it: its brightness at a
// few sizes and its colours in small. Nobody may modify these, which may be
// pixels of the image itself.
type view struct {
	grey     *image.Gray // at the image's own size
	sharp    *image.Gray // with a longer side of sharpSide at most
	small    *image.Gray // with a longer side of smallSide at most
	colours  *image.RGBA // 64×64
	original image.Image
	measured map[string]float64 // by the names of rules
}

const (
	sharpSide = 1024 // the longer side in the trainer, which shrinks what is larger
	smallSide = 512
)

// view returns the view of a slot's image; nil if the image does not decode. It
// is made once for each image.
func (s *Subject) view(ctx context.Context, slot irgdata.Slot) (*view, error) {
	img, err := s.image(ctx, slot)
	if err != nil || img == nil || img.Bounds().Empty() {
		return nil, err
	}
	digest := s.Trajectory.Slots[slot].Image.Digest
	if v, ok := s.views[digest]; ok {
		return v, nil
	}
	v := newView(img)
	if s.views == nil {
		s.views = map[irgdata.Digest]*view{}
	}
	s.views[digest] = v
	return v, nil
}

func newView(img image.Image) *view {
	v := &view{original: img, grey: greyOf(img), colours: thumbnail(img), measured: map[string]float64{}}
	v.sharp = atMost(v.grey, sharpSide)
	v.small = atMost(v.sharp, smallSide)
	return v
}

// greyOf is the brightness of an image, from (0, 0). It shares the pixels of
// the image where these hold the brightness.
func greyOf(img image.Image) *image.Gray {
	b := img.Bounds()
	out := image.Rect(0, 0, b.Dx(), b.Dy())
	switch img := img.(type) {
	case *image.YCbCr:
		return &image.Gray{Pix: img.Y[img.YOffset(b.Min.X, b.Min.Y):], Stride: img.YStride, Rect: out}
	case *image.Gray:
		return &image.Gray{Pix: img.Pix[img.PixOffset(b.Min.X, b.Min.Y):], Stride: img.Stride, Rect: out}
	case *image.RGBA:
		return luma(img.Pix[img.PixOffset(b.Min.X, b.Min.Y):], img.Stride, out)
	case *image.NRGBA:
		return luma(img.Pix[img.PixOffset(b.Min.X, b.Min.Y):], img.Stride, out)
	}
	rgba := image.NewRGBA(out)
	draw.Draw(rgba, out, img, b.Min, draw.Src)
	return luma(rgba.Pix, rgba.Stride, out)
}

// luma is the brightness of opaque pixels of four bytes, as JPEG has it.
func luma(pix []uint8, stride int, rect image.Rectangle) *image.Gray {
	out := image.NewGray(rect)
	for y := range rect.Dy() {
		row := out.Pix[y*out.Stride:][:rect.Dx()]
		from := pix[y*stride:][:4*len(row)]
		for x := range row {
			p := from[4*x : 4*x+4 : 4*x+4]
			row[x] = uint8((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
		}
	}
	return out
}

// atMost shrinks an image to a longer side of the given length, if it is larger.
func atMost(img *image.Gray, side int) *image.Gray {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	longer := max(w, h)
	if longer <= side {
		return img
	}
	return shrink(img, max(1, (w*side+longer/2)/longer), max(1, (h*side+longer/2)/longer))
}

// shrink averages the brightness over the area of each new pixel. It computes
// in integers, so that all machines measure the same.
func shrink(img *image.Gray, w, h int) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, w, h))
	width, height := img.Rect.Dx(), img.Rect.Dy()
	// In units in which an old pixel is w×h large and a new one width×height.
	upTo := make([]int, width+1) // the sum of a row's pixels before each place
	row, sums := make([]int, w), make([]int, w)
	area := width * height
	y, end := 0, height // the new row, and where it ends
	for old := range height {
		pix := img.Pix[old*img.Stride:][:width]
		sum := 0
		for x, v := range pix {
			sum += int(v)
			upTo[x+1] = sum
		}
		before := 0
		for x := range row {
			at := (x + 1) * width
			i, part := at/w, at%w
			until := upTo[i] * w
			if part > 0 {
				until += int(pix[i]) * part
			}
			row[x] = until - before
			before = until
		}
		for top, bottom := old*h, (old+1)*h; top < bottom; {
			weight := min(bottom, end) - top
			for x, v := range row {
				sums[x] += v * weight
			}
			if top += weight; top == end {
				for x, v := range sums {
					out.Pix[y*out.Stride+x] = uint8((v + area/2) / area)
				}
				clear(sums)
				y, end = y+1, end+height
			}
		}
	}
	return out
}
