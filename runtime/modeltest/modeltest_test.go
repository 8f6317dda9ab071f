package modeltest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/modeltest"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/serve"
	"github.com/irgdata/irgdata/runtime/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const caption = "three red striped circles above a blue square on a green background in warm light from the left"

// call makes a request of texts (string) and encoded images ([]byte).
func call(want runtime.Output, seed uint64, parts ...any) runtime.Request {
	r := runtime.Request{Want: want, Sampling: runtime.Sampling{Seed: seed}}
	if want == runtime.Paint {
		r.Sampling.Width, r.Sampling.Height = 128, 128
	}
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

func answer(t *testing.T, m runtime.Model, r runtime.Request) runtime.Answer {
	t.Helper()
	a, err := m.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// steps are the calls of a trajectory in both strategies, as the model in the
// box answers them directly.
func steps(t *testing.T) map[string]runtime.Request {
	model, prompts := scenes.New(), modes.DefaultPrompts()
	system := prompts.Get(modes.PromptSystem).Text
	s := map[string]runtime.Request{
		"reference":      call(runtime.Paint, 1, caption),
		"draft thinking": call(runtime.Text, 1, system, caption),
	}
	reference := answer(t, model, s["reference"]).Image
	plan := answer(t, model, s["draft thinking"]).Text
	s["hindsight"] = call(runtime.Text, 1, prompts.Get(modes.PromptHindsight).Render(caption), reference)
	s["draft"] = call(runtime.Paint, 1, system, caption, plan)
	draft := answer(t, model, s["draft"]).Image
	s["reflection"] = call(runtime.Text, 1, prompts.Get(modes.PromptReflection).Render(caption), draft, reference)
	s["self reflection"] = call(runtime.Text, 1, system, caption, plan, draft)
	s["alignment"] = call(runtime.Text, 1, prompts.Get(modes.PromptJudgeAlignment).Render(caption), draft)
	s["preference"] = call(runtime.Text, 1, prompts.Get(modes.PromptJudgePreference).Render(caption), draft, reference)
	reflection := answer(t, model, s["self reflection"]).Text
	s["improved"] = call(runtime.Paint, 1, system, caption, plan, draft, reflection)
	s["edit"] = call(runtime.Paint, 1, draft, reflection)
	return s
}

// served is the model in the box, over loopback.
func served(t *testing.T, so serve.Options, co chat.Options) runtime.Model {
	t.Helper()
	handler, err := serve.New(scenes.New(), so)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	co.Name, co.Revision, co.URL = scenes.Name, scenes.Revision, server.URL+"/v1"
	c, err := chat.New(co)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// workerOf is the model in the box behind the protocol of a worker
// (docs/worker-protocol.md), over loopback. What it refuses is a bad request
// there.
func workerOf(t *testing.T, id runtime.Identity) runtime.Model {
	t.Helper()
	type part struct {
		Text  string
		Image []byte
	}
	parts := func(list []part) (out []runtime.Part) {
		for _, p := range list {
			if p.Image != nil {
				out = append(out, runtime.ImagePart(irgdata.ImageRef{}, p.Image))
			} else {
				out = append(out, runtime.TextPart(p.Text))
			}
		}
		return out
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/model", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"protocol":1,"checkpoint":%q}`, id.Revision)
	})
	mux.HandleFunc("POST /v1/generate", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Context       []part
			Want          runtime.Output
			Seed          uint64
			Width, Height int
			CFGText       struct{ Context []part } `json:"cfg_text"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a, err := scenes.New().Generate(r.Context(), runtime.Request{
			Context: parts(body.Context), Negative: parts(body.CFGText.Context), Want: body.Want,
			Sampling: runtime.Sampling{Seed: body.Seed, Width: body.Width, Height: body.Height},
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"text": a.Text, "image": a.Image, "finish": "stop", "seconds": a.Elapsed.Seconds()}) // the client may be gone
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := worker.New(worker.Options{Name: id.Name, Revision: id.Revision, URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestModels runs the suite, and compares every answer over a wire with the
// direct one.
func TestModels(t *testing.T) {
	all := steps(t)
	pick := func(name string) *runtime.Request { r := all[name]; return &r }
	refusedText, refusedImage := call(runtime.Text, 1, "a dragon in the rain"), call(runtime.Paint, 1, "a dragon in the rain")
	sizes := [][2]int{{64, 64}, {192, 128}}
	judged := all["alignment"]
	judged.Sampling.Candidates = 5
	caps := modeltest.Caps{
		Identity: scenes.New().Identity(), Repeatable: true, Sizes: sizes, Refused: &refusedText, Judged: &judged,
		TextFromText: pick("draft thinking"), TextFromImage: pick("self reflection"),
		ImageFromText: pick("draft"), ImageFromImage: pick("improved"),
	}
	t.Run("scenes", func(t *testing.T) {
		modeltest.Run(t, func(*testing.T) runtime.Model { return scenes.New() }, caps)
	})
	t.Run("worker", func(t *testing.T) {
		inOrder := caps
		inOrder.Identity = runtime.Identity{Name: scenes.Name, Revision: "sha256:0123456789abcdef"}
		inOrder.Judged, inOrder.Refused = nil, nil // the protocol has neither
		modeltest.Run(t, func(t *testing.T) runtime.Model { return workerOf(t, inOrder.Identity) }, inOrder)
		model := workerOf(t, inOrder.Identity)
		for name, step := range all {
			want, got := answer(t, scenes.New(), step), answer(t, model, step)
			if want.Text != got.Text || !bytes.Equal(want.Image, got.Image) {
				t.Errorf("%s: another answer than the direct one: %.200q", name, got.Text)
			}
		}
	})
	writes := caps
	writes.ImageFromText, writes.ImageFromImage = nil, nil
	caps.Judged = nil // no other wire form has candidates
	paints := caps
	paints.TextFromText, paints.TextFromImage, paints.Refused = nil, nil, &refusedImage
	paints.ImageFromText, paints.ImageFromImage = pick("reference"), pick("edit")
	for _, tc := range []struct {
		name   string
		server serve.Options
		client chat.Options
		caps   modeltest.Caps
		steps  string
	}{
		{"openai", serve.Options{}, chat.Options{Flavor: chat.OpenAI}, writes, "draft thinking, hindsight, reflection, self reflection, alignment, preference"},
		{"omni", serve.Options{}, chat.Options{Flavor: chat.Omni}, caps, "reference, draft thinking, hindsight, draft, self reflection, improved, edit, alignment"},
		{"omni of two stages", serve.Options{Stages: 2}, chat.Options{Flavor: chat.Omni, Stages: 2}, caps, "reference, draft thinking, draft, self reflection, improved"},
		{"images", serve.Options{}, chat.Options{Flavor: chat.Images}, paints, "reference, edit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			modeltest.Run(t, func(t *testing.T) runtime.Model { return served(t, tc.server, tc.client) }, tc.caps)
			model := served(t, tc.server, tc.client)
			for _, step := range strings.Split(tc.steps, ", ") {
				want, got := answer(t, scenes.New(), all[step]), answer(t, model, all[step])
				if want.Text != got.Text || !bytes.Equal(want.Image, got.Image) {
					t.Errorf("%s: another answer than the direct one: %.200q", step, got.Text)
				}
			}
		})
	}
}

// TestStageSeed: a client that does not know of the stages paints every draft
// from the deployment's own seed.
func TestStageSeed(t *testing.T) {
	draft := steps(t)["draft"]
	other := draft
	other.Sampling.Seed = 2
	for stages, differ := range map[int]bool{1: false, 2: true} {
		model := served(t, serve.Options{Stages: 2}, chat.Options{Flavor: chat.Omni, Stages: stages})
		if got := !bytes.Equal(answer(t, model, draft).Image, answer(t, model, other).Image); got != differ {
			t.Errorf("client of %d stages: two seeds give different drafts: %v", stages, got)
		}
	}
}
