package filter

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
)

// The sides of an image in the trainer, in pixels: its transform for the VAE
// scales the longer side down to vaeMost, then the shorter side up to vaeLeast
// as far as the longer one allows, and crops nothing.
const vaeLeast, vaeMost = 512, 1024

// scale is what the trainer scales an image's sides by, before it rounds them
// to its stride.
func scale(width, height int) float64 {
	shorter, longer := float64(min(width, height)), float64(max(width, height))
	return min(max(min(vaeMost/longer, 1), vaeLeast/shorter), vaeMost/longer)
}

// Enlargement rejects images that the trainer enlarges by more than most.
func Enlargement(most float64) Rule {
	return Rule{
		Name: "enlargement", Version: "1", Slots: targetSlots, Unit: "scale", Threshold: most,
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			ref := s.Trajectory.Slots[slot].Image
			return scale(ref.Width, ref.Height), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the trainer enlarges the %s image %.1f times, want at most %.1f", slot, value, most)
		},
	}
}

// Aspect rejects images whose longer side is more than most times the shorter
// one: beyond 2, the trainer shows the shorter side with fewer than 512 pixels.
func Aspect(most float64) Rule {
	return Rule{
		Name: "aspect", Version: "1", Slots: imageSlots, Unit: "aspect", Threshold: most,
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			ref := s.Trajectory.Slots[slot].Image
			return float64(max(ref.Width, ref.Height)) / float64(min(ref.Width, ref.Height)), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s image's longer side is %.1f times its shorter one, want at most %.1f", slot, value, most)
		},
	}
}
