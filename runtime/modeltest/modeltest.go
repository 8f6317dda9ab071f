// Package modeltest is the conformance suite of models: what the pipeline
// relies on, whatever stands behind a [runtime.Model].
package modeltest

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sourcegraph/conc/pool"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// Caps say what a model can do, in requests that it must answer. Those left
// out (no context) must be refused where the model does not serve their kind.
type Caps struct {
	Identity runtime.Identity
	// TextFromText and so on are requests for each kind of call.
	TextFromText, TextFromImage, ImageFromText, ImageFromImage *runtime.Request
	// Judged is a request of the form yes or no that asks for the candidates of
	// the first token, which must be given.
	Judged *runtime.Request
	// Refused is a request that the model understands and turns down.
	Refused *runtime.Request
	// Repeatable promises the same answer to the same request.
	Repeatable bool
	// Sizes are sizes that are painted as asked, in pixels.
	Sizes [][2]int
}

// Run checks the model that open returns; open also arranges its end.
func Run(t *testing.T, open func(t *testing.T) runtime.Model, caps Caps) {
	calls := map[string]*runtime.Request{
		"text from text": caps.TextFromText, "text from image": caps.TextFromImage,
		"image from text": caps.ImageFromText, "image from image and text": caps.ImageFromImage,
	}
	t.Run("identity", func(t *testing.T) {
		if got := open(t).Identity(); got != caps.Identity {
			t.Errorf("got %v, want %v", got, caps.Identity)
		}
	})
	for name, request := range calls {
		if request == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			model := open(t)
			answer := generate(t, model, *request)
			if caps.Repeatable {
				if diff := cmp.Diff(answer, generate(t, model, *request), cmpopts.IgnoreFields(runtime.Answer{}, "Elapsed")); diff != "" {
					t.Errorf("the same request has two answers: %s", diff)
				}
			}
		})
		t.Run(name+", cancelled", func(t *testing.T) { cancelled(t, open(t), *request) })
	}
	if caps.ImageFromText != nil {
		t.Run("sizes", func(t *testing.T) {
			model := open(t)
			for _, size := range caps.Sizes {
				request := *caps.ImageFromText
				request.Sampling.Width, request.Sampling.Height = size[0], size[1]
				generate(t, model, request)
			}
		})
	}
	if caps.Judged != nil {
		t.Run("candidates", func(t *testing.T) { candidates(t, open(t), *caps.Judged) })
	}
	t.Run("refusals", func(t *testing.T) {
		model := open(t)
		if caps.Refused != nil {
			wantFailure(t, model, *caps.Refused, runtime.Refused)
		}
		for _, request := range calls {
			if request == nil {
				continue
			}
			wantFailure(t, model, runtime.Request{Context: request.Context, Want: "video"}, runtime.Refused, runtime.Fatal)
			broken := *request
			broken.Context = append([]runtime.Part{{Image: &runtime.Image{Bytes: []byte("no image")}}}, request.Context[len(request.Context)-1])
			wantFailure(t, model, broken, runtime.Refused, runtime.Fatal)
		}
	})
	t.Run("at once", func(t *testing.T) { atOnce(t, open(t), calls, caps.Repeatable) })
}

// generate returns an answer, which must be what was asked for and finished.
func generate(t *testing.T, model runtime.Model, r runtime.Request) runtime.Answer {
	t.Helper()
	answer, err := model.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := finished(answer, r); err != nil {
		t.Fatal(err)
	}
	return answer
}

func finished(a runtime.Answer, r runtime.Request) error {
	if a.Finish == "" || a.Elapsed < 0 {
		return errors.New("the answer does not say that it is finished")
	}
	if r.Want == runtime.Text {
		if a.Text == "" || a.Image != nil {
			return errors.New("the answer is no text alone")
		}
		return nil
	}
	if a.Text != "" {
		return errors.New("the answer is no image alone")
	}
	if _, err := images.Decode(a.Image); err != nil {
		return err
	}
	ref, err := images.Probe(a.Image)
	if err == nil && r.Sampling.Width > 0 && (ref.Width != r.Sampling.Width || ref.Height != r.Sampling.Height) {
		err = errors.New("the image has another size than was asked for")
	}
	return err
}

// candidates: as many as were asked for at most, with probabilities that can be
// such, the token that was taken among them; and none that nobody asked for.
func candidates(t *testing.T, model runtime.Model, r runtime.Request) {
	answer := generate(t, model, r)
	if n := len(answer.First); n == 0 || n > r.Sampling.Candidates {
		t.Fatalf("got %d candidates, want 1 to %d", n, r.Sampling.Candidates)
	}
	total, taken := 0.0, false
	for _, c := range answer.First {
		if !(c.Logprob <= 0) {
			t.Errorf("candidate %+v: want a logarithm of a probability", c)
		}
		total += math.Exp(c.Logprob)
		word := strings.ToLower(strings.TrimSpace(c.Token))
		taken = taken || word != "" && strings.HasPrefix(strings.ToLower(answer.Text), word)
	}
	if total > 1.001 || !taken {
		t.Errorf("%+v add up to %v; want the beginning of %q among them", answer.First, total, answer.Text)
	}
	r.Sampling.Candidates = 0
	if answer := generate(t, model, r); answer.First != nil {
		t.Errorf("got %+v, and nobody asked for it", answer.First)
	}
}

// cancelled: a context that is done gives its error, before the call and,
// unless the answer is there first, while it is under way.
func cancelled(t *testing.T, model runtime.Model, r runtime.Request) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := model.Generate(ctx, r)
		done <- err
	}()
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("while it is under way: got %v", err)
	}
	if _, err := model.Generate(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("before the call: got %v", err)
	}
}

func wantFailure(t *testing.T, model runtime.Model, r runtime.Request, kinds ...runtime.Kind) {
	t.Helper()
	_, err := model.Generate(t.Context(), r)
	var failure *runtime.Error
	if !errors.As(err, &failure) {
		t.Errorf("got %v, want a *runtime.Error", err)
		return
	}
	for _, kind := range kinds {
		if failure.Kind == kind && failure.Reason != "" && failure.Model == model.Identity() {
			return
		}
	}
	t.Errorf("got %+v, want one of kind %v of %v, with a reason", failure, kinds, model.Identity())
}

// atOnce: answers do not mix, and are those that each request has alone.
func atOnce(t *testing.T, model runtime.Model, calls map[string]*runtime.Request, repeatable bool) {
	p := pool.New().WithErrors()
	for name, request := range calls {
		if request == nil {
			continue
		}
		alone := generate(t, model, *request)
		for range 2 {
			p.Go(func() error {
				answer, err := model.Generate(t.Context(), *request)
				if err == nil {
					err = finished(answer, *request)
				}
				if err == nil && repeatable && (answer.Text != alone.Text || string(answer.Image) != string(alone.Image)) {
					err = errors.New(name + ": another answer than alone")
				}
				return err
			})
		}
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
