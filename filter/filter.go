// Package filter judges trajectories: rules measure them, thresholds turn the
// measurements into a verdict for each wanted mode, and what passes is selected
// for the dataset as a whole.
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
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// Options bound the work.
type Options struct {
	Modes   []modes.Mode
	Rules   []Rule
	Workers int
	// Memory bounds the decoded images.
	Memory *images.Memory
	// Scores keep what was measured; nil: everything is measured.
	Scores *manifests.Scores
}

// Run judges each trajectory, in order. One that no mode keeps becomes a
// reject. Only a broken store or a cancelled context ends the sequence.
func Run(ctx context.Context, trajectories iter.Seq2[irgdata.Item[irgdata.Trajectory], error], o Options, store *images.Store) iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	panel := NewPanel(o.Modes, o.Rules)
	return flow.Map(ctx, trajectories, flow.Options{Workers: o.Workers}, func(ctx context.Context, t irgdata.Item[irgdata.Trajectory]) (irgdata.Item[irgdata.Judged], error) {
		if t.Reject != nil || t.Cut != nil {
			return irgdata.Item[irgdata.Judged]{Reject: t.Reject, Cut: t.Cut}, nil
		}
		j, err := panel.measure(ctx, t.Value, o, store)
		if err != nil {
			return irgdata.Item[irgdata.Judged]{}, fmt.Errorf("filter pair %s: %w", t.Value.Pair.ID, err)
		}
		return item(j), nil
	})
}

// item is the trajectory, or the reject of one that no mode keeps.
func item(j irgdata.Judged) irgdata.Item[irgdata.Judged] {
	if !slices.ContainsFunc(j.Verdicts, func(v irgdata.Verdict) bool { return v.Keep }) {
		return irgdata.Item[irgdata.Judged]{Reject: whole(j)}
	}
	return irgdata.Item[irgdata.Judged]{Value: j}
}

// measure takes what is kept of the trajectory's scores, measures the rest and
// judges.
func (p *Panel) measure(ctx context.Context, t irgdata.Trajectory, o Options, store *images.Store) (irgdata.Judged, error) {
	j := irgdata.Judged{Trajectory: t}
	var known map[scoreName]float64
	content := contentOf(t)
	if o.Scores != nil {
		scores, err := o.Scores.Lookup(ctx, content)
		if err != nil {
			return j, err
		}
		known = byName(scores)
	}
	subject := &Subject{Trajectory: t, store: store, memory: o.Memory}
	defer subject.release()
	filled := filled(t)
	values := make([]float64, len(p.checks))
	var fresh []irgdata.Score
	for i, c := range p.checks {
		values[i] = math.NaN()
		if !c.applies(filled) {
			continue
		}
		value, there := known[scoreName{c.id, c.name}]
		if !there || !c.rule.Stored {
			var err error
			if value, err = c.measure(ctx, subject); err != nil {
				return j, fmt.Errorf("rule %s: %w", c.rule.Name, err)
			}
		}
		score := irgdata.Score{Rule: c.id, Name: c.name, Value: value}
		if !there && c.rule.Stored {
			fresh = append(fresh, score)
		}
		values[i] = value
		j.Scores = append(j.Scores, score)
	}
	if o.Scores != nil && len(fresh) > 0 {
		if err := o.Scores.Record(ctx, content, fresh); err != nil {
			return j, err
		}
	}
	j.Verdicts, j.Warnings = p.judge(filled, t.Failures, values)
	return j, nil
}

func (c check) measure(ctx context.Context, s *Subject) (float64, error) {
	if c.row != nil {
		return c.rule.MeasureRow(s, *c.row), nil
	}
	return c.rule.Measure(ctx, s, c.slot)
}

// contentOf identifies all that a stored score is a function of, besides the
// rule: the strategy and the contents of the slots.
func contentOf(t irgdata.Trajectory) irgdata.Digest {
	d := irgdata.NewDigester("scored/1").Text(string(t.Strategy))
	for _, f := range t.Slots {
		d.Text(f.Text).Digest(f.Image.Digest)
	}
	return d.Sum()
}

// whole is the reject of a pair that no mode keeps. It has the stage that took
// the last mode, with the rule of the first mode that it took, and its reason
// names the modes' reasons where these differ.
func whole(j irgdata.Judged) *irgdata.Reject {
	stages := irgdata.Stages()
	last := j.Verdicts[0]
	var reasons []string
	for _, v := range j.Verdicts {
		if slices.Index(stages, v.Stage) > slices.Index(stages, last.Stage) {
			last = v
		}
		if !slices.Contains(reasons, v.Reason) {
			reasons = append(reasons, v.Reason)
		}
	}
	return &irgdata.Reject{Pair: j.Trajectory.Pair, Stage: last.Stage, Rule: last.Rule, Reason: strings.Join(reasons, "; "), Score: last.Score, Judged: &j}
}
