package filter

import (
	"context"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// Rule measures one number on each of its slots, or on each row of a mode, and
// says which numbers are no good. The verdict is a function of the number alone,
// so that a threshold can change without a new measurement.
type Rule struct {
	Name    string
	Version string
	// Action is what an objection does; empty means [Reject].
	Action Action
	Slots  []irgdata.Slot
	// Measure is called for slots that are filled. NaN abstains: nothing could be
	// measured, and nothing is objected to.
	Measure func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error)
	// MeasureRow is set instead of Measure by a rule on the rows of modes. It is
	// called for the wanted modes whose slots all are filled.
	MeasureRow func(s *Subject, m modes.Mode) float64
	// Stored says that the number is a function of the slots' contents and the
	// strategy, so that it is measured once and kept. What rests on anything else
	// is measured by every build.
	Stored bool
	// Unit names the number in the stored score: "draft.min_side".
	Unit string
	// Threshold is what the value is held against, and Parameters are all numbers
	// that the configuration gave the rule, for the record.
	Threshold  float64
	Parameters map[string]float64
	// Reject gives the reason against a measured value, or "", and RejectRow that
	// against a row.
	Reject    func(slot irgdata.Slot, value float64) string
	RejectRow func(value float64) string
	// dataset marks the rule that [Select] measures, for it needs all texts.
	dataset bool
}

// ID is the rule's name and version. Rules with equal IDs measure the same: what
// changes the number, such as the words of a list, is in the version.
func (r Rule) ID() string { return r.Name + "/" + r.Version }

// action is the rule's, filled in.
func (r Rule) action() Action {
	if r.Action == "" {
		return Reject
	}
	return r.Action
}
