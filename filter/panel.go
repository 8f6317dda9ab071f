package filter

import (
	"fmt"
	"math"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// Panel turns scores into verdicts. It does not change, and is safe for
// concurrent use.
type Panel struct {
	modes  []modes.Mode
	checks []check
}

// check is a rule on one slot, or on the rows of one mode.
type check struct {
	rule Rule
	slot irgdata.Slot
	row  *modes.Mode // nil: on the slot
	id   string      // of the rule
	name string      // of the score
}

// NewPanel judges for the modes by the rules.
func NewPanel(wanted []modes.Mode, rules []Rule) *Panel {
	p := &Panel{modes: wanted}
	for _, r := range rules {
		if r.dataset {
			continue
		}
		for _, slot := range r.Slots {
			p.checks = append(p.checks, check{rule: r, slot: slot, id: r.ID(), name: slot.String() + "." + r.Unit})
		}
		if r.MeasureRow == nil {
			continue
		}
		for i := range wanted {
			p.checks = append(p.checks, check{rule: r, row: &wanted[i], id: r.ID(), name: wanted[i].Name + "." + r.Unit})
		}
	}
	return p
}

// filled says which slots of a trajectory have content.
func filled(t irgdata.Trajectory) (slots [irgdata.NumSlots]bool) {
	for s, f := range t.Slots {
		slots[s] = !f.IsZero()
	}
	return slots
}

// applies reports whether there is something to check.
func (c check) applies(filled [irgdata.NumSlots]bool) bool {
	if c.row == nil {
		return filled[c.slot]
	}
	for _, s := range c.row.Needs() {
		if !filled[s] {
			return false
		}
	}
	return true
}

// scoreName tells scores of a trajectory apart.
type scoreName struct{ rule, name string }

func byName(scores []irgdata.Score) map[scoreName]float64 {
	m := make(map[scoreName]float64, len(scores))
	for _, s := range scores {
		m[scoreName{s.Rule, s.Name}] = s.Value
	}
	return m
}

// Again judges a trajectory by its stored scores alone. The slots that have
// content are given: what was read back from a snapshot lacks the images. It
// also lists the rules of which a score is lacking; these object to nothing.
func (p *Panel) Again(j irgdata.Judged, filled [irgdata.NumSlots]bool) (again irgdata.Item[irgdata.Judged], lacking []string) {
	scores := byName(j.Scores)
	values := make([]float64, len(p.checks))
	for i, c := range p.checks {
		values[i] = math.NaN()
		if !c.applies(filled) {
			continue
		}
		value, ok := scores[scoreName{c.id, c.name}]
		if ok {
			values[i] = value
		} else if !slices.Contains(lacking, c.rule.Name) {
			lacking = append(lacking, c.rule.Name)
		}
	}
	j.Verdicts, j.Warnings = p.judge(filled, j.Trajectory.Failures, values)
	return item(j), lacking
}

// objection is a reason against a slot, and so against the modes that show it,
// or against the row of one mode.
type objection struct {
	slot                irgdata.Slot
	mode                string // empty: against the slot
	stage, rule, reason string
	score               float64
}

// failed is the objection that a model call without a usable answer makes.
func failed(f irgdata.Failure) objection {
	return objection{slot: f.Slot, stage: "annotate", rule: f.Rule, reason: fmt.Sprintf("step %s: %s", f.Step, f.Reason), score: math.NaN()}
}

// verdict is that of the objection.
func (x objection) verdict(mode string) irgdata.Verdict {
	return irgdata.Verdict{Mode: mode, Stage: x.stage, Rule: x.rule, Reason: x.reason, Score: x.score}
}

// judge is given the value of each check, NaN where there is none.
func (p *Panel) judge(filled [irgdata.NumSlots]bool, failures []irgdata.Failure, values []float64) (verdicts []irgdata.Verdict, warnings []irgdata.Warning) {
	var against []objection
	for _, f := range failures {
		against = append(against, failed(f))
	}
	for i, c := range p.checks {
		action := c.rule.action()
		if math.IsNaN(values[i]) || action == Score {
			continue
		}
		x := objection{slot: c.slot, stage: irgdata.StageFilter, rule: c.rule.Name, score: values[i]}
		if c.row == nil {
			x.reason = c.rule.Reject(c.slot, values[i])
		} else {
			x.mode, x.reason = c.row.Name, c.rule.RejectRow(values[i])
		}
		switch {
		case x.reason == "":
		case action == Warn:
			warnings = append(warnings, irgdata.Warning{Rule: c.rule.Name, Name: c.name, Reason: x.reason, Score: x.score})
		default:
			against = append(against, x)
		}
	}
	for _, m := range p.modes {
		verdicts = append(verdicts, verdict(m, filled, failures, against))
	}
	return verdicts, warnings
}

// verdict keeps the mode unless there is an objection to a slot that it shows or
// to its row. The first objection in slot order decides, because later slots
// depend on earlier ones.
func verdict(m modes.Mode, filled [irgdata.NumSlots]bool, failures []irgdata.Failure, against []objection) irgdata.Verdict {
	// A slot is missing because a call failed, its own or one before it.
	for _, slot := range m.Needs() {
		for _, x := range against {
			if x.mode == "" && x.slot == slot {
				return x.verdict(m.Name)
			}
		}
		if !filled[slot] {
			for _, f := range failures {
				return failed(f).verdict(m.Name)
			}
			return irgdata.Verdict{Mode: m.Name, Stage: irgdata.StageAnnotate, Rule: "missing", Reason: fmt.Sprintf("slot %s is empty", slot), Score: math.NaN()}
		}
	}
	for _, x := range against {
		if x.mode == m.Name {
			return x.verdict(m.Name)
		}
	}
	return irgdata.Verdict{Mode: m.Name, Keep: true}
}
