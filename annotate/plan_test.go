package annotate_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// edit changes what a build depends on.
type edit func(t *testing.T, o *annotate.Options, b *bench)

func edits(f func(*annotate.Options)) edit {
	return func(_ *testing.T, o *annotate.Options, _ *bench) { f(o) }
}

func template(name string) edit {
	return func(t *testing.T, o *annotate.Options, _ *bench) { o.Prompts = with(t, o.Prompts, name) }
}

// why lists "step: n × reason" of the calls that a plan would make.
func why(plan manifests.Plan) (list []string) {
	for _, c := range plan.Calls {
		for _, r := range c.Reasons {
			list = append(list, fmt.Sprintf("%s: %d × %s", c.Step, r.Calls, r.Reason))
		}
	}
	return list
}

func (b *bench) plan(t *testing.T, o annotate.Options, see func(annotate.Planned)) manifests.Plan {
	t.Helper()
	a, err := annotate.New(o, b.images, b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := a.Plan(t.Context(), b.sequence(), see)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Calls {
		var reasons int64
		for _, r := range c.Reasons {
			reasons += r.Calls
		}
		if reasons != c.Make {
			t.Errorf("%s: reasons for %d calls of %d", c.Step, reasons, c.Make)
		}
	}
	return plan
}

// TestInvalidation: a change re-runs the steps that depend on it, and no other;
// the plan says so before, why, and exactly how many calls.
func TestInvalidation(t *testing.T) {
	const pairs = 3
	other := &digestModel{revision: "2"}
	for _, tc := range []struct {
		name string
		edit edit
		want []string // for three pairs
	}{
		{"nothing", edits(func(*annotate.Options) {}), nil},
		{"workers", edits(func(o *annotate.Options) { o.Workers = 9 }), nil},
		{"fewer modes", edits(func(o *annotate.Options) { o.Modes = o.Modes[:1] }), nil},
		{"a template that no call shows", template("initial_question"), nil},
		{"hindsight template", template("hindsight"), []string{"hindsight/1: 3 × template hindsight v1 → custom"}},
		{"reflection template", template("reflection"), []string{"reflection/1: 3 × template reflection v1 → custom"}},
		{"system template", template("system"), []string{
			"draft_thinking/1: 3 × template system v1 → custom",
			"draft/1: 3 × template system v1 → custom, after draft_thinking",
			"reflection/1: 3 × after draft",
		}},
		{"image size", edits(func(o *annotate.Options) { o.Width = 128 }), []string{
			"draft/1: 3 × image size 64×64 → 128×64", "reflection/1: 3 × after draft",
		}},
		{"annotator", edits(func(o *annotate.Options) { o.Models[modes.RoleAnnotator] = other }), []string{
			"hindsight/1: 3 × model annotator digest revision 1 → 2", "reflection/1: 3 × model annotator digest revision 1 → 2",
		}},
		{"base model", edits(func(o *annotate.Options) { o.Models[modes.RoleBase] = renamed{other} }), []string{
			"draft_thinking/1: 3 × model base digest@1 → other@2",
			"draft/1: 3 × model base digest@1 → other@2, after draft_thinking",
			"reflection/1: 3 × after draft",
		}},
		{"seed", edits(func(o *annotate.Options) { o.Seed = 7 }), []string{
			"hindsight/1: 3 × seed 0 → 7", "draft_thinking/1: 3 × seed 0 → 7", "draft/1: 3 × seed 0 → 7, after draft_thinking", "reflection/1: 3 × seed 0 → 7, after draft",
		}},
		{"another strategy", edits(func(o *annotate.Options) { o.Strategy = irgdata.Self }), []string{
			"self_reflection/1: 3 × new step for the pair", "improved/1: 3 × after reflection",
		}},
		{"a new pair", func(t *testing.T, _ *annotate.Options, b *bench) { b.pairs = append(b.pairs, newBenchPair(t, b, 77)) }, []string{
			"hindsight/1: 1 × new pair", "draft_thinking/1: 1 × new pair", "draft/1: 1 × new pair", "reflection/1: 1 × new pair",
		}},
		{"another prompt", func(_ *testing.T, _ *annotate.Options, b *bench) {
			p := &b.pairs[1].Value
			p.Prompt = "another prompt"
			p.ID = irgdata.PairID(p.Prompt, p.Image.Digest)
		}, []string{
			"hindsight/1: 1 × new prompt for a known image", "draft_thinking/1: 1 × new prompt for a known image",
			"draft/1: 1 × new prompt for a known image", "reflection/1: 1 × new prompt for a known image",
		}},
		{"two changes", edits(func(o *annotate.Options) { o.Seed, o.Height = 7, 32 }), []string{
			"hindsight/1: 3 × seed 0 → 7", "draft_thinking/1: 3 × seed 0 → 7",
			"draft/1: 3 × seed 0 → 7, image size 64×64 → 64×32, after draft_thinking", "reflection/1: 3 × seed 0 → 7, after draft",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, pairs)
			o := options(&digestModel{revision: "1"})
			first, _, err := b.run(t, o)
			if err != nil {
				t.Fatal(err)
			}
			tc.edit(t, &o, b)
			plan := b.plan(t, o, nil)
			if diff := cmp.Diff(tc.want, why(plan)); diff != "" {
				t.Error(diff)
			}
			second, count, err := b.run(t, o)
			if err != nil || int64(count.Made) != plan.Make() || int64(count.Reused) != plan.Reuse() {
				t.Errorf("made %d calls and reused %d; planned were %d and %d (%v)", count.Made, count.Reused, plan.Make(), plan.Reuse(), err)
			}
			if len(tc.want) == 0 && tc.name != "fewer modes" && !cmp.Equal(first, second) {
				t.Error("nothing was made, and the trajectories differ")
			}
			if again := b.plan(t, o, nil); again.Make() > 0 {
				t.Errorf("after the build a plan would make %q", why(again))
			}
		})
	}
}

func newBenchPair(t *testing.T, b *bench, i int) irgdata.Item[irgdata.Pair] {
	t.Helper()
	ref, err := b.images.Put(t.Context(), paint(irgdata.DigestOf(fmt.Append(nil, i))))
	if err != nil {
		t.Fatal(err)
	}
	prompt := fmt.Sprintf("prompt %d", i)
	return irgdata.Item[irgdata.Pair]{Value: irgdata.Pair{ID: irgdata.PairID(prompt, ref.Digest), Prompt: prompt, Image: ref}}
}

// renamed is the model under another name.
type renamed struct{ *digestModel }

func (r renamed) Identity() runtime.Identity {
	return runtime.Identity{Name: "other", Revision: r.revision}
}

// TestPlanSaysWhy: reasons that lie in what became of a call before.
func TestPlanSaysWhy(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		b := newBench(t, 2)
		m := &digestModel{revision: "1", fail: func(_ int, r runtime.Request) error {
			if r.Want == runtime.Paint {
				return &runtime.Error{Kind: runtime.Transient, Reason: "away"}
			}
			return nil
		}}
		o := options(m)
		if _, _, err := b.run(t, o); err != nil {
			t.Fatal(err)
		}
		want := []string{"draft/1: 2 × no answer before: unavailable", "reflection/1: 2 × after draft"}
		if diff := cmp.Diff(want, why(b.plan(t, o, nil))); diff != "" {
			t.Error(diff)
		}
		m.fail = nil
		if _, count, err := b.run(t, o); err != nil || count.Made != 4 {
			t.Errorf("made %d calls, want 4 (%v)", count.Made, err)
		}
	})
	t.Run("a failure on record is not asked again", func(t *testing.T) {
		b := newBench(t, 1)
		o := options(&digestModel{revision: "1", fail: func(_ int, r runtime.Request) error {
			if r.Want == runtime.Paint {
				return &runtime.Error{Kind: runtime.Refused, Reason: "no"}
			}
			return nil
		}})
		if _, _, err := b.run(t, o); err != nil {
			t.Fatal(err)
		}
		if plan := b.plan(t, o, nil); plan.Make() != 0 || plan.Reuse() != 3 {
			t.Errorf("got %+v", plan)
		}
		o.Seed++ // the reflection would show a draft that a new call may give
		want := []string{"hindsight/1: 1 × seed 0 → 1", "draft_thinking/1: 1 × seed 0 → 1", "draft/1: 1 × seed 0 → 1, after draft_thinking", "reflection/1: 1 × after draft"}
		if diff := cmp.Diff(want, why(b.plan(t, o, nil))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an interrupted build", func(t *testing.T) {
		b := newBench(t, 2)
		all := b.pairs
		b.pairs = all[:1]
		o := options(&digestModel{revision: "1"})
		if _, _, err := b.run(t, o); err != nil {
			t.Fatal(err)
		}
		b.pairs = all
		o.Prompts = with(t, o.Prompts, "hindsight")
		want := []string{
			"hindsight/1: 1 × new pair", "hindsight/1: 1 × template hindsight v1 → custom",
			"draft_thinking/1: 1 × new pair", "draft/1: 1 × new pair", "reflection/1: 1 × new pair",
		}
		if diff := cmp.Diff(want, why(b.plan(t, o, nil))); diff != "" {
			t.Error(diff)
		}
		var of []string
		b.plan(t, o, func(c annotate.Planned) {
			if c.Pair.ID == all[0].Value.ID {
				of = append(of, c.Step+" ("+c.About+"): "+c.Reason)
			}
		})
		if want := []string{
			"hindsight/1 (reference): template hindsight v1 → custom", "draft_thinking/1 (prompt): ", "draft/1 (prompt, draft_thinking): ", "reflection/1 (draft, improved): ",
		}; !slices.Equal(of, want) {
			t.Errorf("got %q, want %q", of, want)
		}
	})
	t.Run("calls that do not say what was asked", func(t *testing.T) {
		b := newBench(t, 1)
		if _, err := b.ledger.Record(t.Context(), manifests.Call{Key: irgdata.DigestOf([]byte("old")), Step: "hindsight/1", Text: "a"}); err != nil {
			t.Fatal(err)
		}
		if got := why(b.plan(t, options(&digestModel{revision: "1"}), nil)); got[0] != "hindsight/1: 1 × new pair, or its calls do not say what was asked" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a lost image", func(t *testing.T) {
		b := newBench(t, 2)
		o := options(&digestModel{revision: "1"})
		out, _, err := b.run(t, o)
		if err != nil {
			t.Fatal(err)
		}
		draft := out[1].Value.Slots[irgdata.SlotDraft].Image.Digest
		if err := b.store.Delete(t.Context(), images.Key(draft)); err != nil {
			t.Fatal(err)
		}
		if err := blob.PutBytes(t.Context(), b.store, "lost/"+draft.String(), nil, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ledger.Pull(t.Context(), b.store); err != nil {
			t.Fatal(err)
		}
		want := []string{"draft/1: 1 × the painted image was lost and given up", "reflection/1: 1 × after draft"}
		if diff := cmp.Diff(want, why(b.plan(t, o, nil))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a text edited twice", func(t *testing.T) {
		b := newBench(t, 1)
		o := options(&digestModel{revision: "1"})
		o.Prompts = with(t, o.Prompts, "reflection")
		if _, _, err := b.run(t, o); err != nil {
			t.Fatal(err)
		}
		o.Prompts = with(t, o.Prompts, "reflection")
		want := []string{"reflection/1: 1 × template reflection has another text (custom)"}
		if diff := cmp.Diff(want, why(b.plan(t, o, nil))); diff != "" {
			t.Error(diff)
		}
	})
}
