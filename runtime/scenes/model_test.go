package scenes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

var _ runtime.Model = Model{}

// request makes a request of texts (string) and encoded images ([]byte).
func request(want runtime.Output, seed uint64, parts ...any) runtime.Request {
	r := runtime.Request{Want: want, Sampling: runtime.Sampling{Seed: seed}}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			r.Context = append(r.Context, runtime.TextPart(p))
		case []byte:
			r.Context = append(r.Context, runtime.ImagePart(irgdata.ImageRef{}, p))
		}
	}
	return r
}

func generate(t testing.TB, r runtime.Request) runtime.Answer {
	t.Helper()
	a, err := New().Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// trajectory is all that the model makes of one pair, with the requests of
// the steps table.
type trajectory struct {
	caption                                     string
	reference, draft, improved                  []byte
	hindsight, plan, reflection, selfReflection string
	draftRequest                                runtime.Request
}

func run(t testing.TB, seed uint64, i int) trajectory {
	t.Helper()
	reference, text, err := encodeSample(seed, i)
	if err != nil {
		t.Fatal(err)
	}
	caption := strings.TrimSpace(string(text))
	prompts := modes.DefaultPrompts()
	system := prompts.Get(modes.PromptSystem).Text
	tr := trajectory{caption: caption, reference: reference}
	tr.hindsight = generate(t, request(runtime.Text, seed, prompts.Get(modes.PromptHindsight).Render(caption), reference)).Text
	tr.plan = generate(t, request(runtime.Text, seed, system, caption)).Text
	tr.draftRequest = request(runtime.Paint, seed, system, caption, tr.plan)
	tr.draft = generate(t, tr.draftRequest).Image
	tr.reflection = generate(t, request(runtime.Text, seed, prompts.Get(modes.PromptReflection).Render(caption), tr.draft, reference)).Text
	tr.selfReflection = generate(t, request(runtime.Text, seed, system, caption, tr.plan, tr.draft)).Text
	tr.improved = generate(t, request(runtime.Paint, seed, system, caption, tr.plan, tr.draft, tr.selfReflection)).Image
	return tr
}

func mustSee(t testing.TB, encoded []byte) Picture {
	t.Helper()
	img, err := decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	p, err := See(img)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTrajectories runs samples through both strategies and holds what is
// found against what was planted.
func TestTrajectories(t *testing.T) {
	n := 80
	if testing.Short() {
		n = 20
	}
	form := regexp.MustCompile(`(?s)^<think>\n[^#\n]+\n\n` + regexp.QuoteMeta(headingExplanation) + `\n[^#\n]+\n\n` +
		regexp.QuoteMeta(headingSteps) + `\n1\. [^#]+\n\n` + regexp.QuoteMeta(headingFinal) + `\n[^#\n]+\n</think>$`)
	leak := regexp.MustCompile(`(?i)second|reference|two (images|pictures)|improved (image|picture)|draft|compare`)
	found := map[FlawKind][2]int{} // found, planted
	exact, answered := 0, 0
	for i := range n {
		tr := run(t, 11, i)
		scene, want, err := understand(tr.caption)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"hindsight": tr.hindsight, "plan": tr.plan} {
			if got, err := readPlan(text); err != nil || len(diff(want, got)) > 0 {
				t.Errorf("%q: the %s plan differs from the layout: %v, %v", tr.caption, name, diff(want, got), err)
			}
		}
		planted, err := Flaws(tr.draftRequest)
		if err != nil || len(planted) < 1 || len(planted) > 3 {
			t.Fatalf("%q: planted %v, %v; want one to three flaws", tr.caption, planted, err)
		}
		seen := diff(want, mustSee(t, tr.draft))
		if sameFlaws(planted, seen) {
			exact++
		} else {
			t.Logf("%q: planted %v, seen %v", tr.caption, planted, seen)
		}
		for _, f := range planted {
			c := found[f.Kind]
			if c[1]++; slices.Contains(seen, f) {
				c[0]++
			}
			found[f.Kind] = c
		}
		for name, text := range map[string]string{"distilled": tr.reflection, "own": tr.selfReflection} {
			if !form.MatchString(text) {
				t.Errorf("%q: the %s reflection has not the form of the template:\n%s", tr.caption, name, text)
			}
			if m := leak.FindString(strings.ReplaceAll(text, headingFinal, "")); m != "" {
				t.Errorf("%q: the %s reflection speaks of %q:\n%s", tr.caption, name, m, text)
			}
			if got, err := readReflection(text); err != nil || len(diff(want, got)) > 0 {
				t.Errorf("%q: the %s reflection leads elsewhere: %v, %v", tr.caption, name, diff(want, got), err)
			}
		}
		improved := mustSee(t, tr.improved)
		if scene.check(improved).score() == 1 && len(diff(want, improved)) == 0 {
			answered++
		}
	}
	for kind, c := range found {
		t.Logf("%-11s found %3d of %3d", kind, c[0], c[1])
		if c[0] < c[1]*9/10 {
			t.Errorf("%s: found %d of %d", kind, c[0], c[1])
		}
	}
	t.Logf("the flaws of %d of %d drafts are seen exactly; %d improved images are as planned", exact, n, answered)
	if exact < n*95/100 || answered < n*97/100 {
		t.Errorf("the flaws of %d of %d drafts are seen exactly, %d improved images are as planned", exact, n, answered)
	}
}

// TestReflectionNamesFlaws: each kind of flaw is told in words, and a draft
// without one is not given any.
func TestReflectionNamesFlaws(t *testing.T) {
	s, err := Parse("three red striped circles above a blue square on a green background in warm light from the left")
	if err != nil {
		t.Fatal(err)
	}
	want, err := decide(s)
	if err != nil {
		t.Fatal(err)
	}
	square := slices.IndexFunc(want.Objects, func(o Object) bool { return o.Shape == Square })
	for _, c := range []struct {
		spoil func(p *Picture)
		says  string
	}{
		{func(p *Picture) { p.Objects = slices.Delete(p.Objects, square, square+1) }, "(?i)blue square.* (missing|no|nothing)|no blue square"},
		{func(p *Picture) { p.Objects[square].Colour = Purple }, "purple"},
		{func(p *Picture) { p.Objects[square].Shape = Star }, "star instead of a square"},
		{func(p *Picture) { p.Soft = true }, "soft and fuzzy|blurred|smeared"},
		{func(p *Picture) { p.Flat, p.Light = true, Light{} }, "flat|evenly|no modelling"},
		{func(p *Picture) { p.Backdrop = Backdrop{PinkTint, PinkTint} }, "background is pink and should be green"},
		{func(p *Picture) { p.Light.Tone = Cool }, "light is cool and from the left and should be warm"},
		{func(p *Picture) {}, "already answers|Nothing is wrong|holds what was asked"},
	} {
		draft := want
		draft.Objects = slices.Clone(want.Objects)
		c.spoil(&draft)
		for seed := range uint64(5) {
			text := writeReflection(s, want, draft, cast("t", seed))
			first, _, _ := strings.Cut(text, "\n\n")
			if !regexp.MustCompile(c.says).MatchString(first) {
				t.Errorf("want %q in:\n%s", c.says, first)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	const caption = "three red striped circles above a blue square on a green background in warm light from the left"
	_, right, err := understand(caption)
	if err != nil {
		t.Fatal(err)
	}
	wrong := right
	wrong.Objects, wrong.Soft = right.Objects[1:], true
	paint := func(p Picture) []byte {
		encoded, err := encode(Draw(p, 256, 256))
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	good, bad := paint(right), paint(wrong)
	quoted := "\n<prompt>\n" + caption + "\n</prompt>"
	for _, c := range []struct {
		question string
		images   [][]byte
		want     string
	}{
		{"Does the image show a blue square? Answer yes or no.", [][]byte{good}, "yes"},
		{"Does the image show three red circles above a blue square?", [][]byte{good}, "yes"},
		{"Does the image show three red circles below a blue square?", [][]byte{good}, "no"},
		{"Does the image show two red circles?", [][]byte{good}, "no"},
		{"Does the image show a purple heart?", [][]byte{good}, "no"},
		{"How many striped circles are in the image?", [][]byte{good}, "3"},
		{"How many hearts are there in the image?", [][]byte{good}, "0"},
		{"Does the image follow the prompt?" + quoted, [][]byte{good}, "yes"},
		{"Does the image follow the prompt?" + quoted, [][]byte{bad}, "no"},
		{"How well does the image follow the prompt?" + quoted, [][]byte{good}, "10"},
		{"Which image follows the prompt better? Answer 1 or 2." + quoted, [][]byte{good, bad}, "1"},
		{"Which image follows the prompt better? Answer 1 or 2." + quoted, [][]byte{bad, good}, "2"},
		{"Which image follows the prompt better? Answer 1 or 2." + quoted, [][]byte{good, good}, "equal"},
	} {
		parts := []any{c.question}
		for _, img := range c.images {
			parts = append(parts, img)
		}
		if got := generate(t, request(runtime.Text, 0, parts...)).Text; got != c.want {
			t.Errorf("%q: %q, want %q", c.question, got, c.want)
		}
	}
}

// TestRefusals: what is outside of this world is refused in one sentence.
func TestRefusals(t *testing.T) {
	tr := run(t, 12, 0)
	prompts := modes.DefaultPrompts()
	var gray, webpage bytes.Buffer
	if err := png.Encode(&gray, image.NewGray(image.Rect(0, 0, 300, 300))); err != nil {
		t.Fatal(err)
	}
	webpage.WriteString("<html>404</html>")
	hindsight := prompts.Get(modes.PromptHindsight)
	for name, c := range map[string]struct {
		r    runtime.Request
		want string
	}{
		"a dog":               {request(runtime.Text, 0, "sys", "a dog riding a bicycle"), `no "dog"`},
		"a dog in hindsight":  {request(runtime.Text, 0, hindsight.Render("a dog"), tr.reference), `no "dog"`},
		"another prompt":      {request(runtime.Text, 0, hindsight.Render("five huge teal stars"), tr.reference), "does not answer the prompt"},
		"no scene":            {request(runtime.Text, 0, hindsight.Render(tr.caption), gray.Bytes()), "not a scene of this world"},
		"no image":            {request(runtime.Text, 0, hindsight.Render(tr.caption), webpage.Bytes()), "cannot be decoded"},
		"a truncated image":   {request(runtime.Text, 0, hindsight.Render(tr.caption), tr.reference[:len(tr.reference)/2]), "cannot be decoded"},
		"an unknown question": {request(runtime.Text, 0, "Is it nice?", tr.reference, tr.draft), "no form that the scenes world knows"},
		"an unknown caption":  {request(runtime.Text, 0, "Does the image show a dog?", tr.reference), `no "dog"`},
		"a question to one":   {request(runtime.Text, 0, "Which image follows the prompt better? <prompt>a star</prompt>", tr.reference), "about 2 images"},
		"nothing":             {request(runtime.Text, 0), "no text"},
		"no words":            {request(runtime.Paint, 0, tr.reference), "no text"},
		"an alien plan":       {request(runtime.Paint, 0, "sys", "a star", "<think>A star is born.</think>"), "places no object"},
		"a sound":             {request("sound", 0, "a star"), "answers with text or image"},
		"a vast image":        {runtime.Request{Want: runtime.Paint, Context: []runtime.Part{runtime.TextPart("a star")}, Sampling: runtime.Sampling{Width: 100_000}}, "from 64 to 2048"},
		"a speck":             {runtime.Request{Want: runtime.Paint, Context: []runtime.Part{runtime.TextPart("a star")}, Sampling: runtime.Sampling{Width: -3, Height: 7}}, "from 64 to 2048"},
	} {
		_, err := New().Generate(context.Background(), c.r)
		var refused *runtime.Error
		if !errors.As(err, &refused) || refused.Kind != runtime.Refused || !strings.Contains(refused.Reason, c.want) || strings.Contains(refused.Reason, "\n") {
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New().Generate(ctx, request(runtime.Text, 0, "a star")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := Flaws(request(runtime.Paint, 0, "sys", "a dog")); err == nil {
		t.Error("Flaws of a refused request: want the refusal")
	}
	if flaws, err := Flaws(request(runtime.Text, 0, "a star")); err != nil || flaws != nil {
		t.Errorf("Flaws of a text: %v, %v; want none", flaws, err)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ width, height, wantWidth, wantHeight int }{{0, 0, 256, 256}, {128, 0, 128, 128}, {320, 200, 320, 200}, {0, 512, 512, 512}} {
		r := request(runtime.Paint, 1, "a red star")
		r.Sampling.Width, r.Sampling.Height = c.width, c.height
		got, err := jpeg.DecodeConfig(bytes.NewReader(generate(t, r).Image))
		if err != nil || got.Width != c.wantWidth || got.Height != c.wantHeight {
			t.Errorf("asked for %dx%d: %dx%d, %v", c.width, c.height, got.Width, got.Height, err)
		}
	}
}

// TestSeeds: the seed changes flaws and wording, and nothing else does.
func TestSeeds(t *testing.T) {
	drafts, plans := map[string]bool{}, map[string]bool{}
	for seed := range uint64(8) {
		for range 2 {
			plans[generate(t, request(runtime.Text, seed, "sys", "two red hearts and a green star")).Text] = true
			drafts[string(generate(t, request(runtime.Paint, seed, "sys", "two red hearts and a green star")).Image)] = true
		}
	}
	if len(plans) != 8 || len(drafts) < 7 || len(drafts) > 8 {
		t.Errorf("8 seeds twice give %d plans and %d drafts", len(plans), len(drafts))
	}
}

func TestConcurrentUse(t *testing.T) {
	want := run(t, 13, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := run(t, 13, 0); got.selfReflection != want.selfReflection || !bytes.Equal(got.improved, want.improved) {
				t.Error("concurrent calls answer differently")
			}
		})
	}
	wg.Wait()
}

// TestRevision pins what the model answers, in words and in bytes, to its
// revision: ledgers of calls rely on it.
func TestRevision(t *testing.T) {
	d := irgdata.NewDigester("scenes answers")
	for i := range 12 {
		tr := run(t, 14, i)
		for _, text := range []string{tr.caption, tr.hindsight, tr.plan, tr.reflection, tr.selfReflection} {
			d.Text(text)
		}
		for _, img := range [][]byte{tr.reference, tr.draft, tr.improved} {
			d.Digest(irgdata.DigestOf(img))
		}
	}
	got := fmt.Sprintf("%s %s\n", Revision, d.Sum())
	golden := filepath.Join("testdata", "revision.txt")
	pinned, err := os.ReadFile(golden)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	pinnedRevision, _, _ := strings.Cut(string(pinned), " ")
	switch {
	case string(pinned) == got:
	case pinnedRevision == Revision:
		t.Errorf("the model's answers have changed and its revision %q has not: raise Revision in model.go, then run this test with -update", Revision)
	case *update:
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s pins revision %q, the model has %q: run this test with -update", golden, pinnedRevision, Revision)
	}
}

// TestReference: an image of a caption alone answers it, without a flaw.
func TestReference(t *testing.T) {
	for i := range 10 {
		caption, _ := Sample(16, i)
		a, err := New().Generate(t.Context(), request(runtime.Paint, uint64(i), caption))
		if err != nil {
			t.Fatal(err)
		}
		img, err := decode(a.Image)
		if err != nil {
			t.Fatal(err)
		}
		s, want, err := understand(caption)
		if err != nil {
			t.Fatal(err)
		}
		got, err := See(img)
		if err != nil || got.Flat != want.Flat || !s.check(got).shown() {
			t.Errorf("%q: %+v, %v", caption, got, err)
		}
	}
}

// FuzzGenerate: no context makes the model panic or answer with neither a
// result nor a refusal.
func FuzzGenerate(f *testing.F) {
	tr := run(f, 15, 0)
	f.Add("sys", tr.caption, tr.plan, tr.draft, uint8(0))
	f.Add("sys", tr.plan, tr.selfReflection, tr.draft, uint8(1))
	f.Add("Does the image show a star?", "<prompt>", "</prompt><prompt>a star</prompt>", tr.reference, uint8(2))
	f.Add("</think>", headingFinal, "one star at the center and the center", []byte{}, uint8(3))
	f.Add("a huge star", "a", "five huge red circles above five huge blue squares", []byte("GIF89a"), uint8(4))
	f.Fuzz(func(t *testing.T, a, b, c string, img []byte, shape uint8) {
		want := runtime.Text
		if shape&1 != 0 {
			want = runtime.Paint
		}
		for _, parts := range [][]any{{c}, {a, b}, {a, img}, {a, b, c, img}, {a, img, img}, {a, b, c, img, c}, {img, c}} {
			answer, err := New().Generate(context.Background(), request(want, uint64(shape), parts...))
			var refused *runtime.Error
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("an error that is no refusal: %v", err)
			}
			if err == nil && answer.Text == "" && len(answer.Image) == 0 {
				t.Error("an empty answer")
			}
		}
	})
}
