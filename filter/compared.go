package filter

import (
	"context"
	"fmt"
	"image"

	"github.com/irgdata/irgdata"
)

// onBoth measures draft and improved image together. Where there is no draft,
// or one of them does not decode, the value is 1.
func onBoth(measure func(draft, improved *view) float64) func(context.Context, *Subject, irgdata.Slot) (float64, error) {
	return func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
		if s.Trajectory.Slots[irgdata.SlotDraft].IsZero() {
			return 1, nil
		}
		improved, err := s.view(ctx, slot)
		if err != nil {
			return 0, err
		}
		draft, err := s.view(ctx, irgdata.SlotDraft)
		if err != nil {
			return 0, err
		}
		if improved == nil || draft == nil {
			return 1, nil // rule decode objects to these
		}
		return measure(draft, improved), nil
	}
}

// Smoothed rejects improved images that keep less than least of the draft's
// fine detail; see [detailKept].
func Smoothed(least float64) Rule {
	return Rule{
		Name: "smoothed", Version: "1", Slots: []irgdata.Slot{irgdata.SlotImproved}, Unit: "detail_kept", Threshold: least,
		Measure: onBoth(detailKept),
		Reject: func(_ irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("the improved image is over-smoothed: it has %.0f%% of the draft's fine detail, want at least %.0f%%", 100*value, 100*least)
		},
	}
}

// detailKept is the fine detail of the improved image over that of the draft:
// the mean size of the Laplacian, beyond what rounding makes, where both have the same scale.
func detailKept(draft, improved *view) float64 {
	d, i := draft.small, improved.small
	side := min(max(d.Rect.Dx(), d.Rect.Dy()), max(i.Rect.Dx(), i.Rect.Dy()))
	had := detail(atMost(d, side))
	if had == 0 {
		return 1 // there was none to keep
	}
	return detail(atMost(i, side)) / had
}

// flat is what the Laplacian can be because brightness is rounded.
const flat = 4

// detail is the mean size of the Laplacian, beyond flat, over the inner pixels.
func detail(img *image.Gray) float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < 3 || h < 3 {
		return 0
	}
	sum := 0
	for y := 1; y < h-1; y++ {
		above, row, below := img.Pix[(y-1)*img.Stride:][:w], img.Pix[y*img.Stride:][:w], img.Pix[(y+1)*img.Stride:][:w]
		for x := 1; x < w-1; x++ {
			l := 4*int(row[x]) - int(row[x-1]) - int(row[x+1]) - int(above[x]) - int(below[x])
			sum += max(l-flat, -l-flat, 0)
		}
	}
	return float64(sum) / float64((w-2)*(h-2))
}

// Layout rejects improved images whose layout is like the draft's by less than
// least, from -1 to 1; see [likeness]. Under [irgdata.Distill] the value is 1:
// two models painted from the same words, and no layout was there to be kept.
func Layout(least float64) Rule {
	compare := onBoth(func(draft, improved *view) float64 {
		return likeness(shrink(draft.small, layoutSide, layoutSide), shrink(improved.small, layoutSide, layoutSide))
	})
	return Rule{
		Name: "layout", Version: "1", Slots: []irgdata.Slot{irgdata.SlotImproved}, Unit: "likeness", Threshold: least,
		Measure: func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			if s.Trajectory.Strategy == irgdata.Distill {
				return 1, nil
			}
			return compare(ctx, s, slot)
		},
		Reject: func(_ irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("the improved image does not keep the draft's layout: their likeness is %.2f, want at least %.2f", value, least)
		},
	}
}

const (
	layoutSide   = 32
	layoutWindow = 16
)

// likeness is the structural similarity of two images of 32×32 pixels without
// its term of luminance, which an improvement may change: the mean over windows
// of 16×16 pixels that overlap by half (Wang, Bovik, Sheikh and Simoncelli,
// "Image Quality Assessment: From Error Visibility to Structural Similarity",
// IEEE Transactions on Image Processing 13, 2004).
func likeness(a, b *image.Gray) float64 {
	const n = layoutWindow * layoutWindow
	const c2 = (0.03 * 255) * (0.03 * 255)
	sum, windows := 0.0, 0
	for top := 0; top+layoutWindow <= layoutSide; top += layoutWindow / 2 {
		for left := 0; left+layoutWindow <= layoutSide; left += layoutWindow / 2 {
			sa, sb, saa, sbb, sab := 0, 0, 0, 0, 0
			for y := top; y < top+layoutWindow; y++ {
				for x := left; x < left+layoutWindow; x++ {
					p, q := int(a.Pix[y*a.Stride+x]), int(b.Pix[y*b.Stride+x])
					sa += p
					sb += q
					saa += p * p
					sbb += q * q
					sab += p * q
				}
			}
			covariance := float64(n*sab-sa*sb) / (n * n)
			variances := float64(n*saa-sa*sa+n*sbb-sb*sb) / (n * n)
			sum += (float64(2*covariance) + c2) / (variances + c2)
			windows++
		}
	}
	return sum / float64(windows)
}
