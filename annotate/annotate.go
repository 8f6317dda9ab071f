// Package annotate fills the slots of trajectories by the model calls that
// the wanted modes need, and then asks judge and scorers about them. Each call goes through the ledger: what has been paid
// for once is not asked again.
package annotate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// Options say what is asked, and how hard.
type Options struct {
	Strategy irgdata.Strategy
	Modes    []modes.Mode
	Prompts  modes.Prompts
	// Seed is the seed of the run, from which each call's seed derives.
	Seed uint64
	// Width and Height of painted images, in pixels.
	Width, Height int
	// PaintReferences: some pairs have no image, and get one from the painter.
	PaintReferences bool
	// Topics are those on which the judge is asked, and Scorers give numbers.
	Topics  []string
	Scorers []modes.Scorer
	// Workers is the number of pairs under way at one time, and Window the
	// number of finished ones that may wait for a slower one before them.
	Workers, Window int
	// Attempts is how often a call is sent when it fails for transient
	// reasons, with Pause between the first two, doubled each time.
	Attempts int
	Pause    time.Duration
	// Hold is how long an answer is held that cannot be kept, because the disk is
	// full or the store away, before it is given up; 0: not at all. Held, unless
	// nil, is told why when this begins.
	Hold time.Duration
	Held func(error)
	// Models binds each role that the steps need to a model.
	Models map[modes.Role]runtime.Model
	// Prices are of the models, and Budget bounds the calls that this run makes.
	Prices manifests.Prices
	Budget manifests.Budget
}

// Validate reports what is missing.
func (o Options) Validate() error {
	if o.Strategy != irgdata.Distill && o.Strategy != irgdata.Self {
		return fmt.Errorf("strategy is %q: want %q or %q", o.Strategy, irgdata.Distill, irgdata.Self)
	}
	if len(o.Modes) == 0 {
		return errors.New("no mode is wanted")
	}
	for _, step := range modes.StepsFor(o.Strategy, o.Modes, o.PaintReferences) {
		if o.Models[step.Role] == nil {
			return fmt.Errorf("role %s has no model, and step %s needs one", step.Role, step.Name)
		}
	}
	if err := modes.CheckTopics(o.Topics); err != nil {
		return err
	}
	for _, q := range o.questions() {
		if o.Models[q.Role] == nil {
			return fmt.Errorf("role %s has no model, and question %s needs one", q.Role, q.Name)
		}
	}
	if o.Width <= 0 || o.Height <= 0 {
		return fmt.Errorf("image size is %d×%d: want positive numbers of pixels", o.Width, o.Height)
	}
	if o.Workers < 1 || o.Attempts < 1 {
		return fmt.Errorf("workers is %d and attempts is %d: want at least 1", o.Workers, o.Attempts)
	}
	if err := o.Prices.Validate(); err != nil {
		return err
	}
	if err := o.Budget.Validate(o.Prices); err != nil {
		return fmt.Errorf("budget: %w", err)
	}
	return nil
}

func (o Options) questions() []modes.Question {
	return modes.QuestionsFor(o.Strategy, o.Modes, o.Topics, o.Scorers)
}

// Annotator makes the calls of one run.
type Annotator struct {
	o         Options
	steps     []modes.Step
	questions []modes.Question
	// calls are all kinds of call, those of the steps first, and planned[i] is
	// the place of questions[i] there: questions of one name share theirs.
	calls   []modes.Step
	planned []int
	images  *images.Store
	ledger  *manifests.Ledger
	tally   *Tally
	spent   *manifests.Spending
	holding holding
}

// New returns an annotator over the given stores, which the caller closes.
func New(o Options, images *images.Store, ledger *manifests.Ledger) (*Annotator, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("annotate: %w", err)
	}
	a := &Annotator{
		o: o, steps: modes.StepsFor(o.Strategy, o.Modes, o.PaintReferences), questions: o.questions(), images: images, ledger: ledger,
		tally: newTally(), spent: manifests.NewSpending(o.Budget, o.Prices),
		holding: holding{most: o.Hold, told: o.Held},
	}
	a.calls = slices.Clone(a.steps)
	for _, q := range a.questions {
		i := slices.IndexFunc(a.calls, func(s modes.Step) bool { return s.ID() == q.ID() })
		if i < 0 {
			i, a.calls = len(a.calls), append(a.calls, q.Step)
		}
		a.planned = append(a.planned, i)
	}
	return a, nil
}

// Questions are those that judge and scorers are asked.
func (a *Annotator) Questions() []modes.Question { return a.questions }

// Tally counts the calls made and reused so far.
func (a *Annotator) Tally() *Tally { return a.tally }

// Used says what the calls made so far used and cost.
func (a *Annotator) Used() manifests.Usage { return a.spent.Used() }

// Run fills a trajectory for each pair, in order. A pair whose calls give no
// usable answer stays in the sequence with its failures; only a broken store,
// a fatal model error, a cancelled context or a budget that is used up ends it.
// The last is an error that wraps [manifests.ErrBudget]; the calls that were
// under way have then ended and are recorded, and another run goes on from
// there. An Annotator's runs share one budget.
func (a *Annotator) Run(ctx context.Context, pairs iter.Seq2[irgdata.Item[irgdata.Pair], error]) iter.Seq2[irgdata.Item[irgdata.Trajectory], error] {
	return flow.Map(ctx, pairs, flow.Options{Workers: a.o.Workers, Window: a.o.Window}, func(ctx context.Context, p irgdata.Item[irgdata.Pair]) (irgdata.Item[irgdata.Trajectory], error) {
		if p.Reject != nil || p.Cut != nil {
			return irgdata.Item[irgdata.Trajectory]{Reject: p.Reject, Cut: p.Cut}, nil
		}
		t, err := a.fill(ctx, p.Value)
		if err == nil {
			err = a.judge(ctx, &t)
		}
		return irgdata.Item[irgdata.Trajectory]{Value: t}, err
	})
}

func (a *Annotator) fill(ctx context.Context, p irgdata.Pair) (irgdata.Trajectory, error) {
	t := irgdata.NewTrajectory(p, a.o.Strategy)
	for _, step := range a.steps {
		if !t.Slots[step.Fills].IsZero() || !filled(t, step.Needs()) {
			continue // the pair brought it, or an earlier failure took what this step would show
		}
		c, err := a.call(ctx, step, t)
		if err != nil {
			return t, fmt.Errorf("annotate pair %s: step %s: %w", p.ID, step.Name, err)
		}
		if c.Failed() {
			t.Unanswered = t.Unanswered || unanswered(c)
			t.Failures = append(t.Failures, irgdata.Failure{Slot: step.Fills, Step: step.Name, Rule: c.Rule, Reason: c.Reason})
			continue
		}
		t.Fill(step.Fills, irgdata.Filling{Text: c.Text, Image: c.Image, Call: c.Key})
	}
	return t, nil
}

func filled(t irgdata.Trajectory, slots []irgdata.Slot) bool {
	for _, s := range slots {
		if t.Slots[s].IsZero() {
			return false
		}
	}
	return true
}

// call finds the step's answer in the ledger or asks the model for it.
func (a *Annotator) call(ctx context.Context, step modes.Step, t irgdata.Trajectory) (manifests.Call, error) {
	model := a.o.Models[step.Role]
	sampling := a.sampling(step, t.Pair.ID)
	key, err := a.key(step, model.Identity(), sampling, t)
	if err != nil {
		return manifests.Call{}, err
	}
	if c, found, err := a.ledger.Lookup(ctx, key); err != nil || found {
		if err == nil {
			a.tally.add(step, model, reused)
		}
		return c, err
	}
	if err := a.spent.Begin(ctx); err != nil {
		return manifests.Call{}, err
	}
	var recorded *manifests.Call
	defer func() { a.spent.End(recorded) }()
	request := runtime.Request{Want: step.Want(), Sampling: sampling}
	if request.Context, err = a.context(ctx, step.Context, t); err != nil {
		return manifests.Call{}, err
	}
	if request.Negative, err = a.context(ctx, step.Negative, t); err != nil {
		return manifests.Call{}, err
	}
	if err := a.holding.wait(ctx); err != nil {
		return manifests.Call{}, err
	}
	c := manifests.Call{Key: key, Step: step.ID(), Model: model.Identity().String()}
	if c.Asked, err = a.asked(step, t); err != nil {
		return manifests.Call{}, err
	}
	answer, err := a.ask(ctx, model, request, &c)
	var failure *runtime.Error
	switch {
	case errors.As(err, &failure) && failure.Answered():
		c.Rule, c.Reason = string(failure.Kind), failure.Reason
		c.Seconds, c.TokensIn, c.TokensOut, c.Server = failure.Elapsed.Seconds(), failure.TokensIn, failure.TokensOut, failure.Server
	case errors.As(err, &failure) && failure.Kind != runtime.Fatal:
		// Not recorded: no answer was given, so the next run asks again.
		c.Rule, c.Reason = string(failure.Kind), failure.Reason
		if failure.Kind != runtime.Transient {
			a.tally.add(step, model, invalid)
		} else {
			a.tally.add(step, model, failed)
			c.Rule, c.Reason = Unavailable, fmt.Sprintf("no answer after %d attempts: %s", c.Attempts, failure.Reason)
		}
		return c, a.ledger.Absent(ctx, key, c.Rule)
	case err != nil:
		return manifests.Call{}, err
	}
	// The answer has been paid for: from here on it is kept, also if the run is
	// cancelled.
	answered := err == nil
	err = a.holding.keep(ctx, func(ctx context.Context) (err error) {
		if answered {
			if err := a.keep(ctx, step, answer, &c); err != nil {
				return err
			}
		}
		holds, err := a.ledger.Record(ctx, c)
		if err == nil {
			c = holds
		}
		return err
	})
	if err != nil {
		return manifests.Call{}, err
	}
	recorded = &c
	a.tally.add(step, model, made)
	return c, nil
}

// Unavailable is the rule of a call that got no answer for transient reasons.
const Unavailable = "unavailable"

// unanswered reports whether a failed call is in no ledger.
func unanswered(c manifests.Call) bool {
	return !(&runtime.Error{Kind: runtime.Kind(c.Rule)}).Answered()
}

// ask sends the request until it is answered, fails for good, or the attempts
// are used up.
func (a *Annotator) ask(ctx context.Context, model runtime.Model, request runtime.Request, c *manifests.Call) (runtime.Answer, error) {
	for pause := a.o.Pause; ; pause *= 2 {
		c.Attempts++
		answer, err := model.Generate(ctx, request)
		var failure *runtime.Error
		if err == nil || !errors.As(err, &failure) || failure.Kind != runtime.Transient || c.Attempts >= a.o.Attempts {
			return answer, err
		}
		if failure.Trouble == runtime.Away { // its pool has waited for a server as long as it may
			return answer, err
		}
		select {
		case <-time.After(max(pause, failure.RetryAfter)):
		case <-ctx.Done():
			return runtime.Answer{}, ctx.Err()
		}
	}
}

// keep puts a finished answer into the call. A painted image is durable in the
// image store before the ledger speaks of it.
func (a *Annotator) keep(ctx context.Context, step modes.Step, answer runtime.Answer, c *manifests.Call) error {
	c.Finish, c.Seconds, c.Server = answer.Finish, answer.Elapsed.Seconds(), answer.Server
	c.TokensIn, c.TokensOut = answer.TokensIn, answer.TokensOut
	if step.Want() == runtime.Text {
		c.Text, c.First = answer.Text, answer.First
		if c.Text == "" {
			c.Rule, c.Reason = string(runtime.Empty), "the model gave an empty text"
		}
		return nil
	}
	if _, err := images.Decode(answer.Image); err != nil {
		c.Rule, c.Reason = string(runtime.Malformed), fmt.Sprintf("the painted image does not decode: %v", err)
		return nil
	}
	var err error
	c.Image, err = a.images.Put(ctx, answer.Image)
	return err
}

// sampling is the step's sampling with the run's image size and the call's own
// seed. Seeds have 31 bits, which every server takes.
func (a *Annotator) sampling(step modes.Step, pair irgdata.Digest) runtime.Sampling {
	s := step.Sampling
	d := irgdata.NewDigester("seed/1").Uint(a.o.Seed).Digest(pair).Text(step.Name).Sum()
	s.Seed = uint64(binary.BigEndian.Uint32(d[:]) >> 1)
	if step.Want() == runtime.Paint {
		s.Width, s.Height = a.o.Width, a.o.Height
	}
	return s
}

// key digests everything that shapes the answer; what is added here goes into
// [recipe] or inputs too, so that a plan can name it.
func (a *Annotator) key(step modes.Step, model runtime.Identity, sampling runtime.Sampling, t irgdata.Trajectory) (irgdata.Digest, error) {
	parameters, err := json.Marshal(sampling)
	if err != nil {
		return irgdata.Digest{}, err
	}
	d := irgdata.NewDigester("call/1").Text(step.Name).Text(step.Version).Text(model.Name).Text(model.Revision).Text(string(parameters))
	for _, segments := range [][]modes.Segment{step.Context, step.Negative} {
		d.Uint(uint64(len(segments)))
		for _, seg := range segments {
			switch {
			case seg.Template != "":
				d.Text("template").Digest(a.o.Prompts.Get(seg.Template).Digest()).Text(t.Pair.Prompt)
				if seg.Quote != "" {
					d.Text("quote").Text(seg.Quote)
				}
			case seg.Slot.IsImage():
				d.Text("image").Digest(t.Slots[seg.Slot].Image.Digest)
			default:
				d.Text("text").Text(t.Slots[seg.Slot].Text)
			}
		}
	}
	return d.Sum(), nil
}

// context loads what the segments show.
func (a *Annotator) context(ctx context.Context, segments []modes.Segment, t irgdata.Trajectory) ([]runtime.Part, error) {
	var parts []runtime.Part
	for _, seg := range segments {
		switch {
		case seg.Template != "":
			parts = append(parts, runtime.TextPart(a.o.Prompts.Get(seg.Template).RenderQuoting(t.Pair.Prompt, seg.Quote)))
		case seg.Slot.IsImage():
			ref := t.Slots[seg.Slot].Image
			encoded, err := a.images.Bytes(ctx, ref)
			if err != nil {
				return nil, err
			}
			parts = append(parts, runtime.ImagePart(ref, encoded))
		default:
			parts = append(parts, runtime.TextPart(t.Slots[seg.Slot].Text))
		}
	}
	return parts, nil
}
