package filter

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
)

// Length rejects texts of more than most tokens. The function count must be
// safe for concurrent use; nil counts words.
func Length(most int, count func(text string) int) Rule {
	unit := "tokens"
	if count == nil {
		unit, count = "words", func(text string) int { return len(words(text)) }
	}
	return Rule{
		Name: "length", Version: "1", Slots: textSlots, Unit: unit, Threshold: float64(most),
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			return float64(count(s.Trajectory.Slots[slot].Text)), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= float64(most) {
				return ""
			}
			return fmt.Sprintf("the %s text has %.0f %s, want at most %d", slot, value, unit, most)
		},
	}
}
