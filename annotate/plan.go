package annotate

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// Reasons why a call would be made that name no change.
const (
	ReasonDownload  = "the image is to be downloaded first"
	ReasonNewPair   = "new pair"
	ReasonNewPrompt = "new prompt for a known image"
	ReasonNewStep   = "new step for the pair"
	ReasonLost      = "the painted image was lost and given up"
	ReasonUnknown   = "not known"
	// OrUntold is added to the first three where the ledger holds calls that do
	// not say what was asked.
	OrUntold = ", or its calls do not say what was asked"
)

// Planned is a call that a build would make, or reuse.
type Planned struct {
	Pair irgdata.Pair
	Step string // "draft/1"
	// About tells the calls of a step from each other: what it shows.
	About string
	// Reason is empty for a call that is in the ledger.
	Reason string
}

// Plan says what Run would do with the pairs, and makes no call. A call whose
// context a missing call has yet to fill is counted as one to be made. If see is
// not nil it is told of each call of each pair.
func (a *Annotator) Plan(ctx context.Context, pairs iter.Seq2[irgdata.Item[irgdata.Pair], error], see func(Planned)) (manifests.Plan, error) {
	p := planner{Annotator: a, see: see}
	costs, err := a.ledger.Costs(ctx)
	if err != nil {
		return p.plan, err
	}
	for _, step := range a.calls {
		calls := manifests.PlannedCalls{Step: step.ID(), Model: a.o.Models[step.Role].Identity().String(), Images: step.Want() == runtime.Paint}
		for _, c := range costs {
			if c.Step == calls.Step && c.Model == calls.Model && c.Calls > 0 {
				calls.Seconds = c.Seconds / float64(c.Calls)
			}
		}
		p.plan.Calls = append(p.plan.Calls, calls)
		p.reasons = append(p.reasons, map[string]int64{})
	}
	rejected := map[manifests.ReasonCount]int64{}
	for item, err := range pairs {
		if err != nil {
			return p.plan, err
		}
		switch r := item.Reject; {
		case r == nil:
			p.plan.Pairs++
			p.plan.Bytes += item.Value.Image.Size
			if err := p.pair(ctx, item.Value); err != nil {
				return p.plan, err
			}
		case r.Rule == irgdata.RulePending:
			p.plan.Pending++
			p.pending()
		default:
			p.plan.Rejected++
			rejected[manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule}]++
		}
	}
	p.plan.Reasons = manifests.CountReasons(rejected)
	for i, counts := range p.reasons {
		p.plan.Calls[i].Reasons = manifests.CountCallReasons(counts)
	}
	return p.plan, nil
}

// planner is a plan under way.
type planner struct {
	*Annotator
	plan    manifests.Plan
	reasons []map[string]int64 // of the calls to make, as plan.Calls
	see     func(Planned)
	// untold: the ledger has calls that do not say what was asked. Unset as long
	// as nobody asked.
	untold *bool
}

// pending counts a pair that needs all calls.
func (p *planner) pending() {
	count := func(i int, n int64) {
		p.plan.Calls[i].Make += n
		p.reasons[i][ReasonDownload] += n
	}
	for i, step := range p.steps {
		if step.Fills != irgdata.SlotReference {
			count(i, 1)
		}
	}
	for i, q := range p.questions {
		if q.Each {
			count(p.planned[i], modes.MaxClaims)
		} else {
			count(p.planned[i], 1)
		}
	}
}

// pairPlan is the plan of one pair under way.
type pairPlan struct {
	t irgdata.Trajectory
	// unknown slots will be filled by a missing call.
	unknown [irgdata.NumSlots]bool
	// history is read when the first missing call is found.
	history *manifests.History
}

func (p *planner) pair(ctx context.Context, pair irgdata.Pair) error {
	w := pairPlan{t: irgdata.NewTrajectory(pair, p.o.Strategy)}
	for i, step := range p.steps {
		if !w.t.Slots[step.Fills].IsZero() {
			continue // the pair brought it
		}
		c, found, asked, err := p.planCall(ctx, &w, i, step, 1, step.Needs())
		if err != nil {
			return err
		}
		switch {
		case !asked: // a failure on record took what this step would show
		case !found:
			w.unknown[step.Fills] = true
			if step.Fills == irgdata.SlotReference && p.o.Strategy == irgdata.Distill {
				w.unknown[irgdata.SlotImproved] = true
			}
		default:
			p.plan.Calls[i].PaintedBytes += c.Image.Size
			if !c.Failed() {
				w.t.Fill(step.Fills, irgdata.Filling{Text: c.Text, Image: c.Image, Call: c.Key})
			}
		}
	}
	return p.pairQuestions(ctx, &w)
}

// pairQuestions plans the calls of a pair's questions. Of claims that are not
// known yet it counts as many as may be asked.
func (p *planner) pairQuestions(ctx context.Context, w *pairPlan) error {
	var claims []string
	listed := true // the claims are known
	for i, q := range p.questions {
		at := p.planned[i]
		waits := slices.ContainsFunc(q.Needs(), func(s irgdata.Slot) bool { return w.unknown[s] })
		quotes, times := []string{""}, int64(1)
		switch {
		case q.Each && !listed && !waits:
			if !filled(w.t, q.Needs()) {
				continue
			}
			p.make(w, at, q.Step, modes.MaxClaims, "after "+modes.QuestionClaims)
			continue
		case q.Each && waits:
			times = modes.MaxClaims
		case !waits:
			quotes = quoted(q, w.t, claims)
		}
		for _, quote := range quotes {
			c, found, asked, err := p.planCall(ctx, w, at, q.Quoting(quote), times, q.Needs())
			if err != nil {
				return err
			}
			switch {
			case !asked || q.Form != modes.Claims:
			case !found:
				listed = false
			case !c.Failed():
				claims, _ = modes.ReadClaims(c.Text)
			}
		}
	}
	return nil
}

// planCall counts a call, or as many of them as may be made. It is not asked if
// a failure on record took what it needs.
func (p *planner) planCall(ctx context.Context, w *pairPlan, at int, step modes.Step, times int64, needs []irgdata.Slot) (c manifests.Call, found, asked bool, err error) {
	var waits []string
	for _, s := range needs {
		switch {
		case w.unknown[s]:
			waits = append(waits, s.String())
		case w.t.Slots[s].IsZero():
			return c, false, false, nil
		}
	}
	var key irgdata.Digest
	if len(waits) == 0 {
		if key, err = p.key(step, p.o.Models[step.Role].Identity(), p.sampling(step, w.t.Pair.ID), w.t); err != nil {
			return c, false, false, err
		}
		if c, found, err = p.ledger.Lookup(ctx, key); err != nil {
			return c, false, false, err
		}
	}
	if found {
		p.plan.Calls[at].Reuse++
		p.tell(w, step, "")
		return c, true, true, nil
	}
	reason, err := p.why(ctx, w, step, key, waits)
	if err != nil {
		return c, false, false, err
	}
	p.make(w, at, step, times, reason)
	return c, false, true, nil
}

func (p *planner) make(w *pairPlan, at int, step modes.Step, times int64, reason string) {
	p.plan.Calls[at].Make += times
	p.reasons[at][reason] += times
	for range times {
		p.tell(w, step, reason)
	}
}

func (p *planner) tell(w *pairPlan, step modes.Step, reason string) {
	if p.see == nil {
		return
	}
	var shown []string
	for _, seg := range step.Context {
		switch {
		case seg.Template == "":
			shown = append(shown, seg.Slot.String())
		case seg.Quote != "":
			shown = append(shown, fmt.Sprintf("%q", clip(seg.Quote)))
		}
	}
	p.see(Planned{Pair: w.t.Pair, Step: step.ID(), About: strings.Join(shown, ", "), Reason: reason})
}

// why says why a call is not in the ledger: what was asked for the same pair
// before, and what is not the same now. The key is zero for a call that waits
// for slots.
func (p *planner) why(ctx context.Context, w *pairPlan, step modes.Step, key irgdata.Digest, waits []string) (string, error) {
	if !key.IsZero() {
		switch rule, err := p.ledger.WhyAbsent(ctx, key); {
		case err != nil:
			return "", err
		case rule == manifests.AbsentLost:
			return ReasonLost, nil
		case rule != "":
			return "no answer before: " + rule, nil
		}
	}
	if w.history == nil {
		h, err := p.ledger.History(ctx, w.t.Pair.ID, manifests.Fingerprint(w.t.Pair.Image.Digest))
		if err != nil {
			return "", err
		}
		w.history = &h
	}
	if len(w.history.Asked) == 0 {
		if w.history.Image {
			return p.orUntold(ctx, ReasonNewPrompt)
		}
		return p.orUntold(ctx, ReasonNewPair)
	}
	reasons, before := p.closest(w, step)
	for _, s := range waits {
		reasons = append(reasons, "after "+s)
	}
	switch {
	case len(reasons) > 0:
		return strings.Join(reasons, ", "), nil
	case !before:
		return p.orUntold(ctx, ReasonNewStep)
	}
	return ReasonUnknown, nil
}

// orUntold is the reason of a call that the ledger knows no forerunner of, as
// far as its calls say what was asked.
func (p *planner) orUntold(ctx context.Context, reason string) (string, error) {
	if p.untold == nil {
		some, err := p.ledger.Untold(ctx)
		if err != nil {
			return "", err
		}
		p.untold = &some
	}
	if *p.untold {
		reason += OrUntold
	}
	return reason, nil
}

// closest names the changes since the call of the step for the same pair that
// differs least; of several such it is the newest. There may be none before.
func (p *planner) closest(w *pairPlan, step modes.Step) (changes []string, before bool) {
	now := p.recipe(step)
	shows := inputs(step, w.t, func(s irgdata.Slot) bool { return w.unknown[s] })
	for _, asked := range slices.Backward(w.history.Asked) {
		var then recipe
		if err := json.Unmarshal([]byte(asked.Recipe), &then); err != nil {
			continue // not one of ours
		}
		if name, _, _ := strings.Cut(then.Step, "/"); name != step.Name || then.Step == now.Step && !then.laidOutAs(now) {
			continue
		}
		list := then.changes(now, step.Role)
		showed := strings.Fields(asked.Inputs)
		for _, input := range shows {
			if !slices.Contains(showed, input) {
				name, _, _ := strings.Cut(input, ":")
				list = append(list, "input "+name+" changed")
			}
		}
		if !before || len(list) < len(changes) {
			changes, before = list, true
		}
	}
	return changes, before
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

// CallsDigest is that of all steps and questions, with everything that shapes
// their calls but the run's options.
func (a *Annotator) CallsDigest() (irgdata.Digest, error) {
	text, err := json.Marshal([]any{a.steps, a.questions})
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
