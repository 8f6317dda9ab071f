package annotate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// judgeModel answers the questions of the templates as it is told to.
type judgeModel struct {
	answers map[string]func(r runtime.Request) (runtime.Answer, error) // by the beginning of the question
	asked   atomic.Int32
}

func (m *judgeModel) Identity() runtime.Identity {
	return runtime.Identity{Name: "judge", Revision: "1"}
}

func (m *judgeModel) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	m.asked.Add(1)
	for beginning, answer := range m.answers {
		if strings.HasPrefix(r.Context[0].Text, beginning) {
			return answer(r)
		}
	}
	return runtime.Answer{}, fmt.Errorf("nobody expected %.80q", r.Context[0].Text)
}

func says(text string) func(runtime.Request) (runtime.Answer, error) {
	return func(runtime.Request) (runtime.Answer, error) {
		return runtime.Answer{Text: text, Finish: "stop"}, nil
	}
}

// The beginnings of the questions.
const (
	askAlignment    = "Does the image follow the prompt?"
	askPreference   = "Below are a prompt and two images that were painted for it. Which"
	askPreservation = "Below are a prompt and two images that were painted for it; the second"
	askClaims       = "Below is what an artist wrote"
	askDefect       = "Someone said of the image"
	askInvention    = "Below are a prompt, a text"
)

func newJudge() *judgeModel {
	return &judgeModel{answers: map[string]func(runtime.Request) (runtime.Answer, error){
		askAlignment: func(r runtime.Request) (runtime.Answer, error) {
			a := runtime.Answer{Text: "Yes", Finish: "stop"}
			if r.Sampling.Candidates > 0 {
				a.First = []runtime.Candidate{{Token: "Yes", Logprob: -0.2876820724517809}, {Token: "no", Logprob: -1.3862943611198906}} // ¾ and ¼
			}
			return a, nil
		},
		askPreference:   says("1"),
		askPreservation: says("I cannot tell."),
		askClaims:       says(`["It is pale.", "It is small."]`),
		askDefect: func(r runtime.Request) (runtime.Answer, error) {
			if strings.Contains(r.Context[0].Text, "pale") {
				return says("yes")(r)
			}
			return runtime.Answer{}, &runtime.Error{Kind: runtime.Refused, Reason: "no"}
		},
		askInvention: says("no"),
	}}
}

func judgeOptions(m, judge runtime.Model) annotate.Options {
	o := options(m)
	o.Topics = modes.Topics()
	o.Models[modes.RoleJudge] = judge
	return o
}

// told are the judgements without their calls, as lines.
func told(t irgdata.Trajectory) (lines []string) {
	for _, j := range t.Judgements {
		line := fmt.Sprintf("%s %s %v", j.Question, j.Subject, j.Value)
		if j.Abstained != "" {
			line = fmt.Sprintf("%s %s abstained: %s", j.Question, j.Subject, j.Abstained)
		}
		if j.About != "" {
			line += " (" + j.About + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestJudge(t *testing.T) {
	const pairs = 3
	b := newBench(t, pairs)
	judge := newJudge()
	o := judgeOptions(&digestModel{revision: "1"}, judge)
	first, count, err := b.run(t, o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"alignment/1 draft 0.75",
		"alignment/1 improved 0.75",
		"preference/1 draft,improved 0", // the first one, the draft
		"preference/1 improved,draft 1", // the first one, the improved image
		"preservation/1 draft,improved abstained: the answer tells nothing: I cannot tell.",
		"claims/1 reflection 2",
		"defect/1 draft 1 (It is pale.)",
		"defect/1 draft abstained: refused: no (It is small.)",
		"defect/1 improved 1 (It is pale.)",
		"defect/1 improved abstained: refused: no (It is small.)",
		"invention/1 thinking 0",
		"invention/1 draft_thinking 0",
		"invention/1 reflection 0",
	}
	if diff := cmp.Diff(want, told(first[0].Value)); diff != "" {
		t.Error(diff)
	}
	if asked := int(judge.asked.Load()); asked != pairs*len(want) || count.Made != pairs*(4+len(want)) {
		t.Errorf("the judge was asked %d times, and %d calls were made", asked, count.Made)
	}
	if v, ok := modes.Preferred(first[0].Value); ok {
		t.Errorf("a judge that always names the first image gave %v", v)
	}

	// Nothing is asked twice: the candidates of the first token are on record.
	o.Workers, o.Window = 1, 1
	second, count, err := b.run(t, o)
	if err != nil || count.Made != 0 {
		t.Fatalf("the second run made %+v, %v", count, err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second run differs: %s", diff)
	}

	// Another question makes the calls of that question alone.
	o.Prompts = with(t, o.Prompts, "judge_defect")
	if _, count, err = b.run(t, o); err != nil || count.Made != pairs*4 {
		t.Errorf("another template of one question made %+v, %v", count, err)
	}
}

// TestOpinions: what was said is counted over all pairs, and a judge that
// always prefers the image shown first is found out.
func TestOpinions(t *testing.T) {
	b := newBench(t, 5)
	o := judgeOptions(&digestModel{revision: "1"}, newJudge())
	var counts [2][]manifests.Opinion
	for i, workers := range []int{8, 1} {
		o.Workers = workers
		a, err := annotate.New(o, b.images, b.ledger)
		if err != nil {
			t.Fatal(err)
		}
		opinions := manifests.NewOpinions(a.Questions())
		for item, err := range a.Run(t.Context(), b.sequence()) {
			if err != nil {
				t.Fatal(err)
			}
			opinions.Add(item.Value)
		}
		counts[i] = opinions.Counts()
	}
	if diff := cmp.Diff(counts[0], counts[1]); diff != "" {
		t.Error(diff)
	}
	for _, want := range []manifests.Opinion{
		{Question: "alignment/1", Subject: "improved", Asked: 5, Yes: 5},
		{Question: "preference/1", Subject: "both orders", Asked: 5, Abstained: 5},
		{Question: "preservation/1", Subject: "draft,improved", Asked: 5, Abstained: 5},
		{Question: "defect/1", Subject: "draft", Asked: 10, Yes: 5, Abstained: 5},
		{Question: "claims/1", Subject: "reflection", Asked: 5},
		{Question: "invention/1", Subject: "thinking", Asked: 5, No: 5},
	} {
		if !slices.Contains(counts[0], want) {
			t.Errorf("want %+v among %+v", want, counts[0])
		}
	}
	if first, decided := manifests.PositionBias(counts[0]); first != 10 || decided != 10 {
		t.Errorf("the first image was preferred in %d of %d answers, want all of 10", first, decided)
	}
}

// TestJudgePlan: the plan counts the judge's calls, those on claims that are
// not known yet as many as there may be.
func TestJudgePlan(t *testing.T) {
	const pairs = 2
	b := newBench(t, pairs)
	o := judgeOptions(&digestModel{revision: "1"}, newJudge())
	plan := func() map[string][2]int64 {
		a, err := annotate.New(o, b.images, b.ledger)
		if err != nil {
			t.Fatal(err)
		}
		p, err := a.Plan(t.Context(), b.sequence(), nil)
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string][2]int64{}
		for _, c := range p.Calls {
			calls[c.Step] = [2]int64{c.Make, c.Reuse}
		}
		return calls
	}
	want := map[string][2]int64{
		"hindsight/1": {pairs}, "draft_thinking/1": {pairs}, "draft/1": {pairs}, "reflection/1": {pairs},
		"alignment/1": {2 * pairs}, "preference/1": {2 * pairs}, "preservation/1": {pairs}, "claims/1": {pairs},
		"defect/1": {2 * modes.MaxClaims * pairs}, "invention/1": {3 * pairs},
	}
	if diff := cmp.Diff(want, plan()); diff != "" {
		t.Error(diff)
	}
	topics := o.Topics
	o.Topics = nil
	if _, _, err := b.run(t, o); err != nil {
		t.Fatal(err)
	}
	o.Topics = topics
	for step := range want {
		if step == "hindsight/1" || step == "draft_thinking/1" || step == "draft/1" || step == "reflection/1" {
			want[step] = [2]int64{0, pairs}
		}
	}
	if diff := cmp.Diff(want, plan()); diff != "" {
		t.Errorf("with the slots filled: %s", diff)
	}
	if _, _, err := b.run(t, o); err != nil {
		t.Fatal(err)
	}
	for step, calls := range want {
		want[step] = [2]int64{0, calls[0] + calls[1]}
	}
	want["defect/1"] = [2]int64{0, 2 * 2 * pairs} // two claims there are
	if diff := cmp.Diff(want, plan()); diff != "" {
		t.Errorf("with all on record: %s", diff)
	}
}

// TestJudgeAway: a judge that does not answer costs no trajectory; it is an
// abstention that the next run asks again.
func TestJudgeAway(t *testing.T) {
	b := newBench(t, 1)
	judge := newJudge()
	answer := judge.answers[askAlignment]
	judge.answers[askAlignment] = func(runtime.Request) (runtime.Answer, error) {
		return runtime.Answer{}, &runtime.Error{Kind: runtime.Transient, Reason: "busy"}
	}
	o := judgeOptions(&digestModel{}, judge)
	o.Topics = []string{modes.TopicAlignment}
	out, count, err := b.run(t, o)
	if err != nil || count.Failed != 2 || len(out[0].Value.Failures) != 0 || !strings.Contains(out[0].Value.Judgements[0].Abstained, "unavailable: no answer after 3 attempts: busy") {
		t.Errorf("got %+v, %+v, %v", told(out[0].Value), count, err)
	}
	judge.answers[askAlignment] = answer
	if out, count, err = b.run(t, o); err != nil || count.Made != 2 || out[0].Value.Judgements[0].Value != .75 {
		t.Errorf("the next run: %+v, %+v, %v", told(out[0].Value), count, err)
	}
}

// numbersModel scores every image.
type numbersModel struct{ judgeModel }

func (*numbersModel) Identity() runtime.Identity {
	return runtime.Identity{Name: "clip", Revision: "1"}
}

func (m *numbersModel) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	m.asked.Add(1)
	if len(r.Context) != 2 || r.Context[0].Text == "" || r.Context[1].Image == nil {
		return runtime.Answer{}, fmt.Errorf("want a prompt and an image, got %d parts", len(r.Context))
	}
	return runtime.Answer{Text: `{"aesthetic":5.25,"similarity":0.31}`, Finish: "stop"}, nil
}

// TestScorer: each number is a judgement of its own, from one call.
func TestScorer(t *testing.T) {
	b := newBench(t, 2)
	m := &numbersModel{}
	o := options(&digestModel{})
	o.Scorers = []modes.Scorer{{Model: "clip", Images: []irgdata.Slot{irgdata.SlotImproved}}}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "role scorer.clip has no model") {
		t.Errorf("got %v", err)
	}
	o.Models[modes.ScorerRole("clip")] = m
	out, _, err := b.run(t, o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"score.clip/1 improved 5.25 (aesthetic)", "score.clip/1 improved 0.31 (similarity)"}
	if diff := cmp.Diff(want, told(out[1].Value)); diff != "" || m.asked.Load() != 2 {
		t.Error(m.asked.Load(), diff)
	}
	if _, count, err := b.run(t, o); err != nil || count.Made != 0 {
		t.Errorf("the second run made %+v, %v", count, err)
	}
}
