package export

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// counter counts what goes into a snapshot.
type counter struct {
	c        manifests.Counts
	modes    []modes.Mode
	reasons  map[manifests.ReasonCount]int64 // Count is zero in the keys
	losses   []manifests.Losses              // of items, then of each mode
	warnings map[string]int64                // by rule
	lengths  map[string]*manifests.Histogram
	opinions *manifests.Opinions
	calls    int64
}

func newCounter(o ShardOptions) *counter {
	c := &counter{
		modes: o.Modes, reasons: map[manifests.ReasonCount]int64{}, losses: []manifests.Losses{{}},
		warnings: map[string]int64{}, lengths: map[string]*manifests.Histogram{}, opinions: manifests.NewOpinions(o.Questions),
	}
	for _, m := range o.Modes {
		c.losses = append(c.losses, manifests.Losses{})
		c.c.Modes = append(c.c.Modes, manifests.ModeCount{Mode: m.Name})
	}
	return c
}

// add counts an item and returns its rejects: the item itself, or the modes
// that a kept trajectory lost.
func (c *counter) add(item irgdata.Item[irgdata.Judged]) []irgdata.Reject {
	c.c.Items++
	var rejects []irgdata.Reject
	if item.Reject != nil {
		c.c.Rejected++
		rejects = append(rejects, *item.Reject)
		if j := item.Reject.Judged; j != nil {
			c.opinions.Add(j.Trajectory)
			c.calls += int64(j.Trajectory.Calls())
		}
		c.losses[0].Add(item.Reject.Stage, item.Reject.Rule)
		for i, m := range c.modes {
			stage, rule := lostAt(*item.Reject, m.Name)
			c.losses[1+i].Add(stage, rule)
		}
	} else {
		c.c.Trajectories++
		c.opinions.Add(item.Value.Trajectory)
		c.calls += int64(item.Value.Trajectory.Calls())
		rejects = c.judged(item.Value)
	}
	for _, r := range rejects {
		c.reasons[manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule, Mode: r.Mode}]++
	}
	return rejects
}

// lostAt says where a rejected item lost a mode.
func lostAt(r irgdata.Reject, mode string) (stage, rule string) {
	if r.Judged != nil {
		for _, v := range r.Judged.Verdicts {
			if v.Mode == mode {
				return v.Stage, v.Rule
			}
		}
	}
	return r.Stage, r.Rule
}

// lengthRules measure the lengths that a snapshot's manifest sums up, on slots
// and on rows.
var lengthRules = []string{"length/", "row_tokens/"}

func (c *counter) judged(j irgdata.Judged) (lost []irgdata.Reject) {
	warned := map[string]bool{}
	for _, w := range j.Warnings {
		if !warned[w.Rule] {
			warned[w.Rule] = true
			c.warnings[w.Rule]++
		}
	}
	for _, score := range j.Scores {
		of, _, _ := strings.Cut(score.Name, ".")
		if math.IsNaN(score.Value) || !slices.ContainsFunc(lengthRules, func(r string) bool { return strings.HasPrefix(score.Rule, r) }) ||
			slices.Contains(modes.Names(), of) && !j.Keeps(of) {
			continue
		}
		if c.lengths[score.Name] == nil {
			c.lengths[score.Name] = &manifests.Histogram{Name: score.Name}
		}
		c.lengths[score.Name].Add(int64(score.Value))
	}
	for i, m := range c.modes {
		if j.Keeps(m.Name) {
			c.c.Modes[i].Rows++
			size := int64(0)
			for _, s := range m.Needs() {
				f := j.Trajectory.Slots[s]
				size += int64(len(f.Text)) + f.Image.Size
			}
			c.c.Modes[i].Bytes += size
			c.c.Modes[i].MaxBytes = max(c.c.Modes[i].MaxBytes, size)
			continue
		}
		c.c.Modes[i].Rejected++
		reject := irgdata.Reject{Pair: j.Trajectory.Pair, Mode: m.Name, Stage: irgdata.StageFilter, Rule: "unjudged", Reason: "no verdict was given for this mode", Score: math.NaN()}
		for _, v := range j.Verdicts {
			if v.Mode == m.Name {
				reject.Stage, reject.Rule, reject.Reason, reject.Score = v.Stage, v.Rule, v.Reason, v.Score
			}
		}
		c.losses[1+i].Add(reject.Stage, reject.Rule)
		lost = append(lost, reject)
	}
	return lost
}

// merge adds the counts of others, which are of the same modes.
func (c *counter) merge(others manifests.Counts, opinions []manifests.Opinion) {
	c.c.Items += others.Items
	c.c.Trajectories += others.Trajectories
	c.c.Rejected += others.Rejected
	for i, m := range others.Modes {
		of := &c.c.Modes[i]
		of.Rows += m.Rows
		of.Rejected += m.Rejected
		of.Bytes += m.Bytes
		of.MaxBytes = max(of.MaxBytes, m.MaxBytes)
	}
	for _, r := range others.Reasons {
		n := r.Count
		r.Count = 0
		c.reasons[r] += n
	}
	for i, f := range others.Funnels {
		c.losses[i].Merge(f)
	}
	for _, w := range others.Warnings {
		c.warnings[w.Rule] += w.Count
	}
	for _, h := range others.Lengths {
		if c.lengths[h.Name] == nil {
			c.lengths[h.Name] = &manifests.Histogram{Name: h.Name}
		}
		c.lengths[h.Name].Merge(h)
	}
	c.opinions.Merge(opinions)
}

func (c *counter) counts() manifests.Counts {
	c.c.Reasons = manifests.CountReasons(c.reasons)
	c.c.Funnels = []manifests.Funnel{c.losses[0].Funnel("", c.c.Items)}
	for i, m := range c.modes {
		c.c.Funnels = append(c.c.Funnels, c.losses[1+i].Funnel(m.Name, c.c.Items))
	}
	c.c.Warnings = manifests.CountRules(c.warnings)
	c.c.Lengths = []manifests.Histogram{}
	for _, name := range slices.Sorted(maps.Keys(c.lengths)) {
		c.c.Lengths = append(c.c.Lengths, *c.lengths[name])
	}
	return c.c
}
