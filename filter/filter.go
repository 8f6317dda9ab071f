// Package filter judges trajectories: rules measure them, thresholds turn the
// measurements into a verdict for each wanted mode.
package filter

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
)

// Rule measures one number on each of its slots and says which numbers are no
// good. The verdict is a function of the number alone, so that a threshold can
// change without a new measurement.
type Rule struct {
	Name    string
	Version string
	Slots   []irgdata.Slot
	// Measure is called for slots that are filled. NaN: there is nothing to
	// measure, and so nothing to object to.
	Measure func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error)
	// Unit names the number in the stored score: "draft.min_side".
	Unit string
	// Threshold is what the value is held against, for the record.
	Threshold float64
	// Reject gives the reason against a measured value, or "".
	Reject func(slot irgdata.Slot, value float64) string
}

// ID is the rule's name and version.
func (r Rule) ID() string { return r.Name + "/" + r.Version }

// Options bound the work.
type Options struct {
	Modes   []modes.Mode
	Rules   []Rule
	Workers int
	// Memory bounds the decoded images.
	Memory *images.Memory
}

// Run judges each trajectory, in order. One that no mode keeps becomes a
// reject. Only a broken store or a cancelled context ends the sequence.
func Run(ctx context.Context, trajectories iter.Seq2[irgdata.Item[irgdata.Trajectory], error], o Options, store *images.Store) iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	return flow.Map(ctx, trajectories, flow.Options{Workers: o.Workers}, func(ctx context.Context, t irgdata.Item[irgdata.Trajectory]) (irgdata.Item[irgdata.Judged], error) {
		if t.Reject != nil {
			return irgdata.Item[irgdata.Judged]{Reject: t.Reject}, nil
		}
		j, err := judge(ctx, t.Value, o, store)
		if err != nil {
			return irgdata.Item[irgdata.Judged]{}, fmt.Errorf("filter pair %s: %w", t.Value.Pair.ID, err)
		}
		if !slices.ContainsFunc(j.Verdicts, func(v irgdata.Verdict) bool { return v.Keep }) {
			return irgdata.Item[irgdata.Judged]{Reject: whole(j)}, nil
		}
		return irgdata.Item[irgdata.Judged]{Value: j}, nil
	})
}

// objection is a reason against a slot, and so against the modes that show it.
type objection struct {
	slot                irgdata.Slot
	stage, rule, reason string
	score               float64
}

// failed is the objection that a model call without a usable answer makes.
func failed(f irgdata.Failure) objection {
	return objection{f.Slot, "annotate", f.Rule, fmt.Sprintf("step %s: %s", f.Step, f.Reason), math.NaN()}
}

// against is the verdict of the objection.
func (x objection) against(mode string) irgdata.Verdict {
	return irgdata.Verdict{Mode: mode, Stage: x.stage, Rule: x.rule, Reason: x.reason, Score: x.score}
}

func judge(ctx context.Context, t irgdata.Trajectory, o Options, store *images.Store) (irgdata.Judged, error) {
	j := irgdata.Judged{Trajectory: t}
	var against []objection
	for _, f := range t.Failures {
		against = append(against, failed(f))
	}
	subject := &Subject{Trajectory: t, store: store, memory: o.Memory}
	defer subject.release()
	for _, rule := range o.Rules {
		for _, slot := range rule.Slots {
			if t.Slots[slot].IsZero() {
				continue
			}
			value, err := rule.Measure(ctx, subject, slot)
			if err != nil {
				return j, fmt.Errorf("rule %s: %w", rule.Name, err)
			}
			if math.IsNaN(value) {
				continue // there was nothing to measure
			}
			j.Scores = append(j.Scores, irgdata.Score{Rule: rule.ID(), Name: slot.String() + "." + rule.Unit, Value: value})
			if reason := rule.Reject(slot, value); reason != "" {
				against = append(against, objection{slot, "filter", rule.Name, reason, value})
			}
		}
	}
	for _, m := range o.Modes {
		j.Verdicts = append(j.Verdicts, verdict(m, t, against))
	}
	return j, nil
}

// verdict keeps the mode unless there is an objection to a slot that it shows.
// The first objection in slot order decides, because later slots depend on
// earlier ones.
func verdict(m modes.Mode, t irgdata.Trajectory, against []objection) irgdata.Verdict {
	// A slot is missing because a call failed, its own or one before it.
	for _, slot := range m.Needs() {
		for _, x := range against {
			if x.slot == slot {
				return x.against(m.Name)
			}
		}
		if t.Slots[slot].IsZero() {
			for _, f := range t.Failures {
				return failed(f).against(m.Name)
			}
			return irgdata.Verdict{Mode: m.Name, Stage: "annotate", Rule: "missing", Reason: fmt.Sprintf("slot %s is empty", slot), Score: math.NaN()}
		}
	}
	return irgdata.Verdict{Mode: m.Name, Keep: true}
}

// whole is the reject of a pair that no mode keeps. Its rule is the first
// mode's, its reason names the modes where the reasons differ.
func whole(j irgdata.Judged) *irgdata.Reject {
	first := j.Verdicts[0]
	var reasons []string
	for _, v := range j.Verdicts {
		if !slices.Contains(reasons, v.Reason) {
			reasons = append(reasons, v.Reason)
		}
	}
	return &irgdata.Reject{Pair: j.Trajectory.Pair, Stage: first.Stage, Rule: first.Rule, Reason: strings.Join(reasons, "; "), Score: first.Score}
}
