package annotate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// digestModel answers with a digest of the request, so that equal requests
// have equal answers and others differ; fail may make a call fail instead.
type digestModel struct {
	revision string
	fail     func(n int, r runtime.Request) error

	mu       sync.Mutex
	requests []runtime.Request
}

func (m *digestModel) Identity() runtime.Identity {
	return runtime.Identity{Name: "digest", Revision: m.revision}
}

func (m *digestModel) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	m.mu.Lock()
	m.requests = append(m.requests, r)
	n := len(m.requests)
	m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(n, r); err != nil {
			return runtime.Answer{}, err
		}
	}
	sum := irgdata.DigestOf(fmt.Appendf(nil, "%s %v %v", m.revision, r.Want, r.Sampling))
	for _, p := range r.Context {
		d := irgdata.NewDigester("part").Digest(sum).Text(p.Text)
		if p.Image != nil {
			d.Digest(irgdata.DigestOf(p.Image.Bytes))
		}
		sum = d.Sum()
	}
	if r.Want == runtime.Paint {
		return runtime.Answer{Image: paint(sum), Finish: "stop"}, nil
	}
	return runtime.Answer{Text: "<think>" + sum.String() + "</think>", Finish: "stop"}, nil
}

func (m *digestModel) calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests)
}

func paint(d irgdata.Digest) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 2, 2))
	img.SetRGBA(0, 0, color.RGBA{d[0], d[1], d[2], 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

// bench is a place to run in: what a second run on it finds, the first left.
type bench struct {
	store  blob.Store
	images *images.Store
	ledger *manifests.Ledger
	pairs  []irgdata.Item[irgdata.Pair]
}

func newBench(t testing.TB, pairs int) *bench {
	t.Helper()
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := manifests.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{store: objects, images: images.NewStore(objects), ledger: ledger}
	for i := range pairs {
		ref, err := b.images.Put(t.Context(), paint(irgdata.DigestOf(fmt.Append(nil, i))))
		if err != nil {
			t.Fatal(err)
		}
		prompt := fmt.Sprintf("prompt %d", i)
		b.pairs = append(b.pairs, irgdata.Item[irgdata.Pair]{Value: irgdata.Pair{ID: irgdata.PairID(prompt, ref.Digest), Prompt: prompt, Image: ref}})
	}
	return b
}

func (b *bench) sequence() iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		for _, p := range b.pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func options(m runtime.Model) annotate.Options {
	return annotate.Options{
		Strategy: irgdata.Distill, Modes: modes.All(), Prompts: modes.DefaultPrompts(), Width: 64, Height: 64,
		Workers: 4, Window: 16, Attempts: 3, Pause: time.Microsecond,
		Models: map[modes.Role]runtime.Model{modes.RoleBase: m, modes.RoleAnnotator: m, modes.RolePainter: m},
	}
}

func (b *bench) run(t testing.TB, o annotate.Options) ([]irgdata.Item[irgdata.Trajectory], annotate.Count, error) {
	t.Helper()
	a, err := annotate.New(o, b.images, b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	var out []irgdata.Item[irgdata.Trajectory]
	for item, err := range a.Run(t.Context(), b.sequence()) {
		if err != nil {
			return out, a.Tally().Total(), err
		}
		out = append(out, item)
	}
	return out, a.Tally().Total(), nil
}

func TestRunFillsAndReuses(t *testing.T) {
	for _, tc := range []struct {
		strategy irgdata.Strategy
		calls    int // for each pair
	}{{irgdata.Distill, 4}, {irgdata.Self, 5}} {
		t.Run(string(tc.strategy), func(t *testing.T) {
			const pairs = 12
			b := newBench(t, pairs)
			b.pairs[3] = irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Rule: "duplicate"}}
			m := &digestModel{revision: "1"}
			o := options(m)
			o.Strategy = tc.strategy
			first, count, err := b.run(t, o)
			if err != nil {
				t.Fatal(err)
			}
			want := annotate.Count{Made: (pairs - 1) * tc.calls}
			if count != want || m.calls() != want.Made {
				t.Errorf("counted %+v, the model %d, want %+v", count, m.calls(), want)
			}
			for i, item := range first {
				if i == 3 {
					if item.Reject == nil || item.Reject.Rule != "duplicate" {
						t.Errorf("the reject did not pass: %+v", item)
					}
					continue
				}
				for slot := range irgdata.NumSlots {
					if item.Value.Slots[slot].IsZero() {
						t.Errorf("pair %d: slot %s is empty", i, irgdata.Slot(slot))
					}
				}
				if item.Value.Pair.ID != b.pairs[i].Value.ID {
					t.Errorf("pair %d is out of order", i)
				}
			}

			o.Workers, o.Window = 1, 1
			second, count, err := b.run(t, o)
			if err != nil {
				t.Fatal(err)
			}
			if want := (annotate.Count{Reused: want.Made}); count != want || m.calls() != want.Reused {
				t.Errorf("the second run counted %+v, the model %d calls in all", count, m.calls())
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("the second run differs: %s", diff)
			}
		})
	}
}

// TestContexts pins what each step shows, in order: "t" for text, "i" for
// image; "|" divides the context from the negative one.
func TestContexts(t *testing.T) {
	shape := func(parts []runtime.Part) (s string) {
		for _, p := range parts {
			if p.Image != nil {
				s += "i"
			} else {
				s += "t"
			}
		}
		return s
	}
	for strategy, want := range map[irgdata.Strategy][]string{
		irgdata.Distill: {"text ti|", "text tt|", "image ttt|t", "text tii|"},
		irgdata.Self:    {"text ti|", "text tt|", "image ttt|t", "text ttti|", "image tttit|ttti"},
	} {
		b := newBench(t, 1)
		m := &digestModel{}
		o := options(m)
		o.Strategy = strategy
		if _, _, err := b.run(t, o); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range m.requests {
			got = append(got, fmt.Sprintf("%s %s|%s", r.Want, shape(r.Context), shape(r.Negative)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", strategy, got, want)
		}
	}
}

func with(t *testing.T, p modes.Prompts, name string) modes.Prompts {
	t.Helper()
	p, err := p.With(name, p.Get(name).Text+" And be brief.")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFailures(t *testing.T) {
	kind := func(k runtime.Kind) error { return &runtime.Error{Kind: k, Reason: "because"} }
	painting := func(k runtime.Kind) func(int, runtime.Request) error {
		return func(_ int, r runtime.Request) error {
			if r.Want == runtime.Paint {
				return kind(k)
			}
			return nil
		}
	}
	t.Run("a bad answer is kept and not asked for again", func(t *testing.T) {
		for _, k := range []runtime.Kind{runtime.Refused, runtime.Truncated, runtime.Empty, runtime.Malformed} {
			b := newBench(t, 1)
			m := &digestModel{fail: painting(k)}
			for run := range 2 {
				out, count, err := b.run(t, options(m))
				if err != nil {
					t.Fatal(err)
				}
				want := []irgdata.Failure{{Slot: irgdata.SlotDraft, Step: "draft", Rule: string(k), Reason: "because"}}
				if diff := cmp.Diff(want, out[0].Value.Failures); diff != "" {
					t.Error(diff)
				}
				if run == 1 && count.Made != 0 {
					t.Errorf("%s: the second run made %d calls", k, count.Made)
				}
				if out[0].Value.Slots[irgdata.SlotThinking].IsZero() || !out[0].Value.Slots[irgdata.SlotReflection].IsZero() {
					t.Errorf("%s: want the thinking kept and no reflection on a missing draft", k)
				}
			}
		}
	})
	t.Run("a transient failure is tried again, in this run and the next", func(t *testing.T) {
		b := newBench(t, 1)
		m := &digestModel{fail: painting(runtime.Transient)}
		out, count, err := b.run(t, options(m))
		if err != nil || count.Failed != 1 || out[0].Value.Failures[0].Rule != "unavailable" || m.calls() != 5 {
			t.Errorf("got %+v, %+v, %v, %d calls; want 2 thinking calls and 3 attempts", out[0].Value.Failures, count, err, m.calls())
		}
		m.fail = nil
		out, count, err = b.run(t, options(m))
		if err != nil || count.Made != 2 || count.Reused != 2 || len(out[0].Value.Failures) != 0 {
			t.Errorf("the next run gave %+v, %+v, %v", out[0].Value.Failures, count, err)
		}
	})
	t.Run("a request that the server does not take is sent once, and again by the next run", func(t *testing.T) {
		b := newBench(t, 1)
		m := &digestModel{fail: painting(runtime.Invalid)}
		out, count, err := b.run(t, options(m))
		if err != nil || count.Invalid != 1 || count.Failed != 0 || out[0].Value.Failures[0].Rule != "invalid" || m.calls() != 3 {
			t.Errorf("got %+v, %+v, %v, %d calls", out[0].Value.Failures, count, err, m.calls())
		}
		m.fail = nil
		if out, count, err = b.run(t, options(m)); err != nil || count.Made != 2 || len(out[0].Value.Failures) != 0 {
			t.Errorf("the next run gave %+v, %+v, %v", out[0].Value.Failures, count, err)
		}
	})
	t.Run("a fatal failure stops the run", func(t *testing.T) {
		b := newBench(t, 4)
		_, _, err := b.run(t, options(&digestModel{fail: painting(runtime.Fatal)}))
		if err == nil || !strings.Contains(err.Error(), "because") || !strings.Contains(err.Error(), "step draft") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("rubbish instead of an image", func(t *testing.T) {
		b := newBench(t, 1)
		o := options(&digestModel{})
		o.Models[modes.RoleBase] = rubbish{o.Models[modes.RoleBase]}
		out, _, err := b.run(t, o)
		if err != nil || len(out[0].Value.Failures) != 1 || out[0].Value.Failures[0].Rule != "malformed" {
			t.Errorf("got %+v, %v", out[0].Value.Failures, err)
		}
	})
}

// rubbish cuts the pictures of a model short.
type rubbish struct{ runtime.Model }

func (r rubbish) Generate(ctx context.Context, request runtime.Request) (runtime.Answer, error) {
	answer, err := r.Model.Generate(ctx, request)
	answer.Image = answer.Image[:len(answer.Image)*2/3]
	return answer, err
}

func TestValidate(t *testing.T) {
	for want, edit := range map[string]func(*annotate.Options){
		"strategy":     func(o *annotate.Options) { o.Strategy = "guess" },
		"no mode":      func(o *annotate.Options) { o.Modes = nil },
		"role base":    func(o *annotate.Options) { delete(o.Models, modes.RoleBase) },
		"image size":   func(o *annotate.Options) { o.Width = 0 },
		"attempts":     func(o *annotate.Options) { o.Attempts = 0 },
		"workers is 0": func(o *annotate.Options) { o.Workers = 0 },
	} {
		o := options(&digestModel{})
		edit(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	o := options(&digestModel{})
	delete(o.Models, modes.RolePainter) // distill paints nothing with it
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

// finishing calls finished when a call is answered.
type finishing struct {
	*digestModel
	finished func(runtime.Request)
}

func (m *finishing) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	a, err := m.digestModel.Generate(ctx, r)
	if err == nil {
		m.finished(r)
	}
	return a, err
}

// TestInterruptedRunKeepsAnswers cancels a run at the very moment at which an
// answer has come: each answer that came is in the ledger.
func TestInterruptedRunKeepsAnswers(t *testing.T) {
	for _, want := range []runtime.Output{runtime.Paint, runtime.Text} {
		for range 10 {
			b := newBench(t, 4)
			ctx, cancel := context.WithCancel(t.Context())
			m := &finishing{digestModel: &digestModel{revision: "1"}, finished: func(r runtime.Request) {
				if r.Want == want {
					cancel()
				}
			}}
			a, err := annotate.New(options(m), b.images, b.ledger)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range a.Run(ctx, b.sequence()) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			cancel()
			costs, err := b.ledger.Costs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			for _, c := range costs {
				kept += c.Calls
			}
			if kept != m.calls() {
				t.Errorf("%s: %d of %d answers were kept", want, kept, m.calls())
			}
		}
	}
}
