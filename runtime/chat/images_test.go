package chat

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/runtime"
)

func imagesReply(encoded []byte) string {
	return fmt.Sprintf(`{"created":1,"data":[{"b64_json":%q}]}`, base64.StdEncoding.EncodeToString(encoded))
}

// TestImagesRequests: generations for a text alone, a form for edits when there
// is an image, and in neither what BAGEL alone understands.
func TestImagesRequests(t *testing.T) {
	var path string
	var got map[string]string
	c := serve(t, Images, func(w http.ResponseWriter, r *http.Request) {
		path, got = r.URL.Path, map[string]string{}
		if path == "/v1/images/edits" {
			if err := r.ParseMultipartForm(1 << 20); err != nil {
				t.Error(err)
				return
			}
			for name, values := range r.MultipartForm.Value {
				got[name] = values[0]
			}
			file, header, err := r.FormFile("image")
			if err != nil {
				t.Error(err)
				return
			}
			defer file.Close()
			encoded, err := io.ReadAll(file)
			if err != nil || string(encoded) != string(tinyWebP) || header.Filename != "image.webp" || header.Header.Get("Content-Type") != "image/webp" {
				t.Errorf("%d bytes, %v, %+v", len(encoded), err, header)
			}
		} else {
			var fields map[string]any
			if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
				t.Error(err)
			}
			for name, value := range fields {
				got[name] = fmt.Sprint(value)
			}
		}
		io.WriteString(w, imagesReply(picture(32, 32)))
	}, func(o *Options) { o.Model = "org/served" })
	want := map[string]string{
		"model": "org/served", "prompt": "a cat\n\nredder", "n": "1", "size": "32x32", "response_format": "b64_json",
		"seed": "7", "num_inference_steps": "50", "guidance_scale": "4",
	}
	for wantPath, parts := range map[string][]runtime.Part{
		"/v1/images/generations": {runtime.TextPart("a cat"), runtime.TextPart("redder")},
		"/v1/images/edits":       {runtime.TextPart("a cat"), imageOf(tinyWebP), runtime.TextPart("redder")},
	} {
		answer, err := c.Generate(t.Context(), paintRequest(32, parts...))
		if err != nil {
			t.Fatal(err)
		}
		if path != wantPath || len(answer.Image) == 0 || answer.Finish != "stop" || answer.Text != "" {
			t.Errorf("%s gives %+v", path, answer)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestImagesFailures(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		kind    runtime.Kind
		says    string
	}{
		{"wrong size", says(imagesReply(picture(32, 16))), runtime.Fatal, "32×16 pixels, and 32×32"},
		{"no image", says(`{"data":[]}`), runtime.Transient, "holds no image"},
		{"an empty image", says(`{"data":[{"b64_json":null,"url":null}]}`), runtime.Transient, "holds no image"},
		{"no base64", says(`{"data":[{"b64_json":"%%%"}]}`), runtime.Transient, "not base64"},
		{"no image in base64", says(imagesReply([]byte("hello"))), runtime.Transient, "the answer is no image"},
		{"half an image", says(imagesReply(picture(32, 32)[:45])), runtime.Transient, "does not decode"},
		{"an address", says(`{"data":[{"url":"https://host/a.png"}]}`), runtime.Fatal, "have it answer with `b64_json`, not with \"https://host/a.png\""},
		{"a chat", says(textReply(`"so"`, "stop")), runtime.Fatal, "no list of images"},
		{"data of another type", says(`{"data":"so"}`), runtime.Fatal, "no list of images"},
		{"no JSON", says(`<html>`), runtime.Transient, "not JSON"},
		{"error within", says(`{"error":{"message":"out of memory","code":503}}`), runtime.Transient, "out of memory"},
		{"FastAPI 400", status(400, `{"detail":"size is bad"}`), runtime.Invalid, `"size is bad"`},
		{"FastAPI 422", status(422, `{"detail":[{"msg":"n is bad"}]}`), runtime.Invalid, "n is bad"},
		{"FastAPI 503", status(503, `{"detail":"not initialized"}`), runtime.Transient, `"not initialized"`},
		{"policy", status(400, `{"error":{"message":"not that","code":"content_policy_violation"}}`), runtime.Refused, `"not that"`},
		{"moderation", status(400, `{"error":{"message":"not that","code":"moderation_blocked"}}`), runtime.Refused, `"not that"`},
		{"no such endpoint", status(404, `{"detail":"Not Found"}`), runtime.Fatal, "Not Found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := serve(t, Images, tc.handler).Generate(t.Context(), paintRequest(32, runtime.TextPart("a cat")))
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
}

func TestImagesUnsent(t *testing.T) {
	odd := paintRequest(32, runtime.TextPart("a"))
	odd.Sampling.Height = 0
	for _, tc := range []struct {
		name    string
		request runtime.Request
		kind    runtime.Kind
		says    string
	}{
		{"text", textRequest(runtime.TextPart("a")), runtime.Fatal, "writes no texts: bind the role to a model of kind openai or omni"},
		{"two images", paintRequest(32, imageOf(tinyPNG), imageOf(tinyWebP)), runtime.Fatal, "from one image at most, and this step shows 2"},
		{"half a size", odd, runtime.Fatal, "32×0"},
		{"negative size", paintRequest(-16, runtime.TextPart("a")), runtime.Fatal, "-16"},
		{"broken image", paintRequest(32, imageOf([]byte("x"))), runtime.Refused, "part 1 of the context is no image"},
		{"no text", paintRequest(32, imageOf(tinyPNG)), runtime.Refused, "holds no text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, Images, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
			_, err := c.Generate(t.Context(), tc.request)
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
}

// TestTwoStages: a thinker before the painter takes its limits from the fields
// of every OpenAI server, and leaves the painter's seed to the list.
func TestTwoStages(t *testing.T) {
	type fields struct {
		Seed        *uint64
		MaxTokens   int      `json:"max_tokens"`
		Temperature *float64 `json:"temperature"`
		List        []struct {
			MaxTokens int `json:"max_tokens"`
			Seed      *uint64
		} `json:"sampling_params_list"`
	}
	const configured = 52 // the painter's seed in the deployment
	for stages, wantSeed := range map[int]uint64{1: configured, 2: 7} {
		var seen fields
		c := serve(t, Omni, func(w http.ResponseWriter, r *http.Request) {
			seen = fields{}
			if err := json.NewDecoder(r.Body).Decode(&seen); err != nil {
				t.Error(err)
			}
			io.WriteString(w, imageReply(dataURI(picture(32, 32))))
		}, func(o *Options) { o.Stages = stages })
		if _, err := c.Generate(t.Context(), paintRequest(32, runtime.TextPart("a cat"))); err != nil {
			t.Fatal(err)
		}
		seed := uint64(configured)
		if len(seen.List) == 2 {
			seed = *seen.List[1].Seed
			if seen.List[0].MaxTokens != 1 {
				t.Errorf("the thinker writes up to %d tokens before the image", seen.List[0].MaxTokens)
			}
		}
		if seed != wantSeed {
			t.Errorf("%d stages: the painter's seed is %d, want %d", stages, seed, wantSeed)
		}
		_, _ = c.Generate(t.Context(), textRequest(runtime.TextPart("why?"))) // answered by an image
		if thinker := seen.MaxTokens == 4096 && seen.Temperature != nil && *seen.Temperature == 0.3; thinker != (stages == 2) || seen.List != nil {
			t.Errorf("%d stages: the thinker gets %+v", stages, seen)
		}
	}
}
