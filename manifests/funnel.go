package manifests

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/irgdata/irgdata"
)

// Funnel says how many of the items came through each stage, or in how many of
// them a mode did: an item that loses a mode is out of that mode's funnel.
type Funnel struct {
	Mode   string        `json:"mode,omitempty"` // empty: whole items
	Stages []FunnelStage `json:"stages"`         // all of them, in order
}

// FunnelStage is what went into a stage and came out; the reasons, most frequent
// first, count the difference.
type FunnelStage struct {
	Stage   string      `json:"stage"`
	In      int64       `json:"in"`
	Out     int64       `json:"out"`
	Reasons []RuleCount `json:"reasons"`
}

// RuleCount counts by rule.
type RuleCount struct {
	Rule  string `json:"rule"`
	Count int64  `json:"count"`
}

// CountRules lists the counts, the most frequent first.
func CountRules(counts map[string]int64) []RuleCount {
	list := []RuleCount{}
	for rule, n := range counts {
		list = append(list, RuleCount{rule, n})
	}
	slices.SortFunc(list, func(a, b RuleCount) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule)) })
	return list
}

// Losses count what left a funnel, by stage and rule.
type Losses map[string]map[string]int64

// Add counts one.
func (l Losses) Add(stage, rule string) {
	if l[stage] == nil {
		l[stage] = map[string]int64{}
	}
	l[stage][rule]++
}

// Merge counts what left another funnel.
func (l Losses) Merge(f Funnel) {
	for _, s := range f.Stages {
		for _, r := range s.Reasons {
			if l[s.Stage] == nil {
				l[s.Stage] = map[string]int64{}
			}
			l[s.Stage][r.Rule] += r.Count
		}
	}
}

// Funnel makes the funnel of so many items.
func (l Losses) Funnel(mode string, items int64) Funnel {
	f := Funnel{Mode: mode}
	for _, stage := range irgdata.Stages() {
		s := FunnelStage{Stage: stage, In: items, Reasons: CountRules(l[stage])}
		for _, r := range s.Reasons {
			items -= r.Count
		}
		s.Out = items
		f.Stages = append(f.Stages, s)
	}
	return f
}

// checkFunnels reports funnels that do not add up.
func (c Counts) checkFunnels() error {
	if len(c.Funnels) != 1+len(c.Modes) {
		return fmt.Errorf("it has %d funnels, want %d", len(c.Funnels), 1+len(c.Modes))
	}
	for i, f := range c.Funnels {
		mode, end := "", c.Trajectories
		if i > 0 {
			mode, end = c.Modes[i-1].Mode, c.Modes[i-1].Rows
		}
		in, stages := c.Items, irgdata.Stages()
		if f.Mode != mode || len(f.Stages) != len(stages) {
			return fmt.Errorf("its funnel %d is of mode %q with %d stages, want mode %q with %d", i, f.Mode, len(f.Stages), mode, len(stages))
		}
		for k, s := range f.Stages {
			out := s.In
			for _, r := range s.Reasons {
				out -= r.Count
			}
			if s.Stage != stages[k] || s.In != in || s.Out != out || out < 0 {
				return fmt.Errorf("its funnel of mode %q does not add up at stage %s: %d in, %d out", mode, stages[k], s.In, s.Out)
			}
			in = out
		}
		if in != end {
			return fmt.Errorf("its funnel of mode %q ends with %d, want %d", mode, in, end)
		}
	}
	// The reasons of whole items are those of their funnel.
	whole := map[string]map[string]int64{}
	for _, r := range c.Reasons {
		if r.Mode == "" {
			if whole[r.Stage] == nil {
				whole[r.Stage] = map[string]int64{}
			}
			whole[r.Stage][r.Rule] += r.Count
		}
	}
	for _, s := range c.Funnels[0].Stages {
		if !slices.Equal(s.Reasons, CountRules(whole[s.Stage])) {
			return fmt.Errorf("its funnel has other reasons at stage %s than its counts", s.Stage)
		}
	}
	return nil
}

// Histogram counts lengths.
type Histogram struct {
	Name string `json:"name"` // "thinking.tokens", "improving_full_learning.row_tokens"
	// Counts has at place i the number of lengths of i binary digits: 0, 1, 2–3,
	// 4–7, ….
	Counts []int64 `json:"counts"`
	Sum    int64   `json:"sum"`
	Most   int64   `json:"most"`
}

// Add counts a length.
func (h *Histogram) Add(length int64) {
	at := bits.Len64(uint64(max(length, 0)))
	for len(h.Counts) <= at {
		h.Counts = append(h.Counts, 0)
	}
	h.Counts[at]++
	h.Sum += length
	h.Most = max(h.Most, length)
}

// Merge adds the lengths of another one.
func (h *Histogram) Merge(other Histogram) {
	for len(h.Counts) < len(other.Counts) {
		h.Counts = append(h.Counts, 0)
	}
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Sum += other.Sum
	h.Most = max(h.Most, other.Most)
}
