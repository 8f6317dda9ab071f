package annotate

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// Plan says what Run would do with the pairs, and makes no call. A call whose
// context a missing call has yet to fill is counted as one to be made.
func (a *Annotator) Plan(ctx context.Context, pairs iter.Seq2[irgdata.Item[irgdata.Pair], error]) (manifests.Plan, error) {
	costs, err := a.ledger.Costs(ctx)
	if err != nil {
		return manifests.Plan{}, err
	}
	var plan manifests.Plan
	for _, step := range a.calls {
		calls := manifests.PlannedCalls{Step: step.ID(), Model: a.o.Models[step.Role].Identity().String(), Images: step.Want() == runtime.Paint}
		for _, c := range costs {
			if c.Step == calls.Step && c.Model == calls.Model && c.Calls > 0 {
				calls.Seconds = c.Seconds / float64(c.Calls)
			}
		}
		plan.Calls = append(plan.Calls, calls)
	}
	reasons := map[manifests.ReasonCount]int64{}
	for item, err := range pairs {
		if err != nil {
			return plan, err
		}
		if r := item.Reject; r != nil && r.Rule == irgdata.RulePending {
			plan.Pending++
			for i, step := range a.steps {
				if step.Fills != irgdata.SlotReference {
					plan.Calls[i].Make++
				}
			}
			for i, q := range a.questions {
				if q.Each {
					plan.Calls[a.planned[i]].Make += modes.MaxClaims - 1
				}
				plan.Calls[a.planned[i]].Make++
			}
			continue
		}
		if r := item.Reject; r != nil {
			plan.Rejected++
			reasons[manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule}]++
			continue
		}
		plan.Pairs++
		plan.Bytes += item.Value.Image.Size
		if err := a.planPair(ctx, item.Value, plan.Calls); err != nil {
			return plan, err
		}
	}
	plan.Reasons = manifests.CountReasons(reasons)
	return plan, nil
}

// planPair adds a pair's calls to the counts of the steps.
func (a *Annotator) planPair(ctx context.Context, p irgdata.Pair, calls []manifests.PlannedCalls) error {
	t := irgdata.NewTrajectory(p, a.o.Strategy)
	var unknown [irgdata.NumSlots]bool // a missing call will fill it
	for i, step := range a.steps {
		if !t.Slots[step.Fills].IsZero() {
			continue // the pair brought it
		}
		waits := false
		for _, s := range step.Needs() {
			waits = waits || unknown[s]
		}
		if waits {
			calls[i].Make++
			a.expect(&unknown, step)
			continue
		}
		if !filled(t, step.Needs()) {
			continue // a failure on record took what this step would show
		}
		key, err := a.key(step, a.o.Models[step.Role].Identity(), a.sampling(step, p.ID), t)
		if err != nil {
			return err
		}
		c, found, err := a.ledger.Lookup(ctx, key)
		switch {
		case err != nil:
			return err
		case !found:
			calls[i].Make++
			a.expect(&unknown, step)
		default:
			calls[i].Reuse++
			calls[i].PaintedBytes += c.Image.Size
			if !c.Failed() {
				t.Fill(step.Fills, irgdata.Filling{Text: c.Text, Image: c.Image, Call: c.Key})
			}
		}
	}
	return a.planQuestions(ctx, t, unknown, calls)
}

// expect notes what a missing call will fill.
func (a *Annotator) expect(unknown *[irgdata.NumSlots]bool, step modes.Step) {
	unknown[step.Fills] = true
	if step.Fills == irgdata.SlotReference && a.o.Strategy == irgdata.Distill {
		unknown[irgdata.SlotImproved] = true
	}
}

// StepNames lists the name and version of each step and question that the
// options need.
func (a *Annotator) StepNames() []string {
	var names []string
	for _, step := range a.calls {
		names = append(names, step.ID())
	}
	return names
}

// CallsDigest is that of all kinds of call, with everything that shapes them but
// the run's options.
func (a *Annotator) CallsDigest() (irgdata.Digest, error) {
	text, err := json.Marshal(a.calls)
	if err != nil {
		return irgdata.Digest{}, fmt.Errorf("annotate: digest the calls: %w", err)
	}
	return irgdata.DigestOf(text), nil
}

// Bindings lists the models of the roles that steps and questions need, in the
// order of modes.Roles and then of the scorers.
func (a *Annotator) Bindings() []manifests.Binding {
	var bindings []manifests.Binding
	bind := func(role modes.Role) {
		bindings = append(bindings, manifests.Binding{Role: string(role), Model: a.o.Models[role].Identity().String()})
	}
	asked := func(role modes.Role) bool {
		return slices.ContainsFunc(a.calls, func(s modes.Step) bool { return s.Role == role })
	}
	for _, role := range modes.Roles() {
		if asked(role) {
			bind(role)
		}
	}
	for _, scorer := range a.o.Scorers {
		if role := modes.ScorerRole(scorer.Model); asked(role) {
			bind(role)
		}
	}
	return bindings
}
