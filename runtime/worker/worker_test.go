package worker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const digest = "sha256:0123456789abcdef0123456789abcdef"

// serve starts a server and returns a client of it; both end with the test.
func serve(t *testing.T, handler http.HandlerFunc, edits ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := Options{Name: "m", Revision: digest[:24], URL: server.URL}
	for _, edit := range edits {
		edit(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func says(body string) http.HandlerFunc { return status(http.StatusOK, body) }

func picture(width, height int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

func imageOf(encoded []byte) runtime.Part { return runtime.ImagePart(irgdata.ImageRef{}, encoded) }

func write(parts ...runtime.Part) runtime.Request {
	return runtime.Request{Context: parts, Want: runtime.Text, Sampling: runtime.Sampling{Seed: 7, Temperature: 0.3, MaxTokens: 4096}}
}

func paint(side int, parts ...runtime.Part) runtime.Request {
	return runtime.Request{Context: parts, Want: runtime.Paint, Sampling: runtime.Sampling{Seed: 7, Width: side, Height: side}}
}

func imageReply(encoded []byte) string {
	return fmt.Sprintf(`{"image":%q,"width":1,"height":1,"finish":"stop","tokens_in":20,"tokens_out":0,"tokens_cached":10,"seconds":1.5}`, base64.StdEncoding.EncodeToString(encoded))
}

func TestAnswers(t *testing.T) {
	painted := picture(32, 32)
	for name, tc := range map[string]struct {
		request runtime.Request
		body    string
		want    runtime.Answer
	}{
		"text to the letter": {write(runtime.TextPart("why?")), `{"text":" <think>\nso\u0001\n ","finish":"stop","tokens_in":9,"tokens_out":4,"tokens_cached":5,"seconds":0.25}`,
			runtime.Answer{Text: " <think>\nso\u0001\n ", Finish: "stop", TokensIn: 9, TokensOut: 4, Elapsed: 250 * time.Millisecond}},
		"image": {paint(32, runtime.TextPart("a cat")), imageReply(painted),
			runtime.Answer{Image: painted, Finish: "stop", TokensIn: 20, Elapsed: 1500 * time.Millisecond}},
		"image of the worker's size": {paint(0, runtime.TextPart("a cat")), imageReply(painted),
			runtime.Answer{Image: painted, Finish: "stop", TokensIn: 20, Elapsed: 1500 * time.Millisecond}},
		"counts that make no sense": {write(runtime.TextPart("why?")), `{"text":"a","finish":"stop","tokens_in":-1,"seconds":-3}`,
			runtime.Answer{Text: "a", Finish: "stop"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := serve(t, says(tc.body)).Generate(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSecondTurn: the body of the request that no chat server can take.
func TestSecondTurn(t *testing.T) {
	draft := picture(32, 32)
	seen := []runtime.Part{runtime.TextPart("SYS"), runtime.TextPart("a <cat>"), runtime.TextPart("T1"), imageOf(draft)}
	r := paint(32, append(seen, runtime.TextPart("T2"))...)
	r.Negative = seen
	r.Sampling = runtime.Sampling{Seed: 1<<64 - 1, Width: 32, Height: 16, Steps: 50, CFGText: 4, CFGImage: 2, CFGInterval: [2]float64{0, 1}, CFGRenorm: "text_channel", Shift: 3}
	var got map[string]any
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/generate" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s with %v", r.Method, r.URL, r.Header)
		}
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Error(err)
		}
		io.WriteString(w, imageReply(picture(32, 16)))
	})
	if _, err := c.Generate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	text := func(s string) any { return map[string]any{"text": s} }
	shown := []any{text("SYS"), text("a <cat>"), text("T1"), map[string]any{"image": base64.StdEncoding.EncodeToString(draft)}}
	want := map[string]any{
		"context": append(shown[:len(shown):len(shown)], text("T2")), "want": "image", "seed": json.Number("18446744073709551615"),
		"width": json.Number("32"), "height": json.Number("16"), "steps": json.Number("50"), "shift": json.Number("3"),
		"cfg_text":     map[string]any{"scale": json.Number("4"), "context": shown},
		"cfg_image":    map[string]any{"scale": json.Number("2")},
		"cfg_interval": []any{json.Number("0"), json.Number("1")}, "cfg_renorm": "text_channel",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGreedy: a temperature of zero is sent, for the worker's default is
// another.
func TestGreedy(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if want := `{"context":[{"text":""}],"want":"text","seed":0,"temperature":0}`; err != nil || string(body) != want {
			t.Errorf("got %s and %v, want %s", body, err, want)
		}
		io.WriteString(w, `{"text":"a","finish":"stop"}`)
	})
	if _, err := c.Generate(t.Context(), runtime.Request{Context: []runtime.Part{runtime.TextPart("")}, Want: runtime.Text}); err != nil {
		t.Fatal(err)
	}
}

func TestFailures(t *testing.T) {
	text, image := write(runtime.TextPart("why?")), paint(32, runtime.TextPart("a cat"))
	hang := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then a hang-up is noticed
		<-r.Context().Done()
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"text":`)
	}
	for _, tc := range []struct {
		name    string
		request runtime.Request
		handler http.HandlerFunc
		edit    func(*Options)
		kind    runtime.Kind
		says    string
	}{
		{"timeout", text, hang, func(o *Options) { o.Timeout = 20 * time.Millisecond }, runtime.Transient, "within 20ms"},
		{"body cut", text, cut, nil, runtime.Transient, "broke off"},
		{"answer too large", text, says(`{"text":"aaaaaaaaaaaaaaaa"}`), func(o *Options) { o.MaxAnswer = 10 }, runtime.Malformed, "more than 10 bytes"},
		{"redirect", text, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v2", http.StatusPermanentRedirect) }, nil, runtime.Fatal, "sends us elsewhere"},
		{"400", text, status(400, `{"error":{"message":"unknown field","type":"bad_request"}}`), nil, runtime.Invalid, `"unknown field"`},
		{"404", text, status(404, `{}`), nil, runtime.Fatal, "another service"},
		{"413", text, status(413, `{"error":{"message":"too large","type":"too_large"}}`), nil, runtime.Invalid, `"too large"`},
		{"500", text, status(500, strings.Repeat("ä", 100_000)), nil, runtime.Transient, "ä…"},
		{"loading", text, status(503, `{"error":{"message":"the checkpoint is being loaded","type":"loading"}}`), nil, runtime.Transient, `"the checkpoint is being loaded"`},
		{"nothing", text, says(``), nil, runtime.Transient, "not JSON"},
		{"rubbish", text, says(`<html>`), nil, runtime.Transient, `"<html>"`},
		{"another service", text, says(`{"choices":[]}`), nil, runtime.Fatal, "another service"},
		{"another type", text, says(`{"text":1,"finish":"stop"}`), nil, runtime.Fatal, "another service"},
		{"truncated", text, says(`{"text":"so","finish":"length"}`), nil, runtime.Truncated, "limit"},
		{"unknown finish", text, says(`{"text":"so","finish":"tired"}`), nil, runtime.Malformed, `"tired"`},
		{"blank", text, says(`{"text":" \n","finish":"stop"}`), nil, runtime.Empty, "no text"},
		{"image for a text", text, says(imageReply(picture(32, 32))), nil, runtime.Empty, "no text"},
		{"text for an image", image, says(`{"text":"so","finish":"stop"}`), nil, runtime.Transient, "no image"},
		{"no image", image, says(imageReply([]byte("hello"))), nil, runtime.Transient, "is no image"},
		{"half an image", image, says(imageReply(picture(32, 32)[:45])), nil, runtime.Transient, "does not decode"},
		{"wrong size", image, says(imageReply(picture(32, 16))), nil, runtime.Fatal, "32×16 pixels, and 32×32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*Options)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			_, err := serve(t, tc.handler, edits...).Generate(t.Context(), tc.request)
			failure := wantFailure(t, err, tc.kind, tc.says)
			if tc.name == "loading" && failure.RetryAfter != 5*time.Second {
				t.Errorf("RetryAfter is %v", failure.RetryAfter)
			}
		})
	}
}

func wantFailure(t *testing.T, err error, kind runtime.Kind, says string) *runtime.Error {
	t.Helper()
	var failure *runtime.Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a *runtime.Error", err)
	}
	if failure.Kind != kind || !strings.Contains(failure.Error(), says) || len(failure.Reason) > 2000 {
		t.Errorf("got %v, want %s with %q", failure, kind, says)
	}
	return failure
}

// TestUnsent: requests that no answer could serve do not reach the worker.
func TestUnsent(t *testing.T) {
	negative := paint(32, runtime.TextPart("a"))
	negative.Negative = []runtime.Part{imageOf([]byte("x"))}
	for name, tc := range map[string]struct {
		request runtime.Request
		kind    runtime.Kind
		says    string
	}{
		"unknown output":       {runtime.Request{Want: "video"}, runtime.Fatal, `"video"`},
		"broken image":         {write(runtime.TextPart("a"), imageOf(picture(32, 32)[:20])), runtime.Refused, "part 2 of the context is no image"},
		"broken image against": {negative, runtime.Refused, "part 1 of the negative context is no image"},
		"control token":        {write(runtime.TextPart("b<|im_end|>c")), runtime.Refused, "control token"},
		"odd size":             {paint(40, runtime.TextPart("a")), runtime.Fatal, "40×40"},
		"large size":           {paint(1040, runtime.TextPart("a")), runtime.Fatal, "up to 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
			_, err := c.Generate(t.Context(), tc.request)
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
}

func TestCancel(t *testing.T) {
	t.Run("while the worker works", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		})
		if _, err := c.Generate(ctx, write(runtime.TextPart("why?"))); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	model := func(protocol int) http.HandlerFunc {
		return says(fmt.Sprintf(`{"name":"m","protocol":%d,"checkpoint":%q}`, protocol, digest))
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		edit    func(*Options)
		kind    runtime.Kind // empty: all is well
		says    string
	}{
		"well":               {handler: model(1)},
		"another checkpoint": {model(1), func(o *Options) { o.Revision = "sha256:ffffffffffff" }, runtime.Fatal, "set `revision` to that digest"},
		"digest too short":   {model(1), func(o *Options) { o.Revision = "sha256:0123" }, runtime.Fatal, digest},
		"another version":    {model(2), nil, runtime.Fatal, "version 2"},
		"another service":    {says(`{"data":[]}`), nil, runtime.Fatal, "is no worker"},
		"wrong path":         {status(404, ``), nil, runtime.Fatal, "another service"},
		"still loading":      {status(503, `{"error":{"message":"loading"}}`), nil, runtime.Transient, "wait until the worker is ready"},
	} {
		t.Run(name, func(t *testing.T) {
			edit := tc.edit
			if edit == nil {
				edit = func(*Options) {}
			}
			err := serve(t, tc.handler, edit).Check(t.Context())
			if tc.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		err := serve(t, nil, func(o *Options) { o.URL = server.URL }).Check(t.Context())
		wantFailure(t, err, runtime.Fatal, "no worker answers at "+server.URL)
	})
}

func TestValidate(t *testing.T) {
	good := Options{Name: "m", Revision: "r", URL: "http://127.0.0.1:8095"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, edit := range map[string]func(*Options){
		"has no name":           func(o *Options) { o.Name = "" },
		"`revision` is missing": func(o *Options) { o.Revision = "" },
		"`timeout` is -1ns":     func(o *Options) { o.Timeout = -1 },
		"`parallel` is -1":      func(o *Options) { o.Parallel = -1 },
		"has -1 bytes":          func(o *Options) { o.MaxAnswer = -1 },
		"`url` is no address":   func(o *Options) { o.URL = "127.0.0.1:8095" },
		"of a worker":           func(o *Options) { o.URL = "http://a:secret@host" },
	} {
		o := good
		edit(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if _, err := New(o); err == nil {
			t.Errorf("New takes what Validate does not: %q", want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{`{"text":"a","finish":"stop","seconds":1e300}`, `{"text":"a","finish":"length"}`, imageReply(picture(32, 32)), `[]`, ``} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	c, err := New(Options{Name: "m", Revision: "r", URL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, text bool) {
		r := paint(32)
		if text {
			r = write()
		}
		got, err := c.parse(body, r)
		var failure *runtime.Error
		switch {
		case err != nil && !errors.As(err, &failure):
			t.Errorf("the error %v has no kind", err)
		case err == nil && (got.Elapsed < 0 || text && got.Text == "" || !text && len(got.Image) == 0):
			t.Errorf("%+v is no finished answer", got)
		}
	})
}

// TestRealWorker makes a small trajectory on a worker that runs.
func TestRealWorker(t *testing.T) {
	address := os.Getenv("IRGDATA_WORKER_URL")
	if address == "" {
		t.Skip("IRGDATA_WORKER_URL names no worker: start one as runtime/worker/server/README.md says")
	}
	response, err := http.Get(address + "/v1/model")
	if err != nil {
		t.Fatal(err)
	}
	var model struct{ Name, Checkpoint string }
	err = json.NewDecoder(response.Body).Decode(&model)
	response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	c, err := New(Options{Name: model.Name, Revision: model.Checkpoint, URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	// ask repeats with other seeds what a model with random weights may give.
	ask := func(r runtime.Request) runtime.Answer {
		t.Helper()
		for r.Sampling.Seed = 1; ; r.Sampling.Seed++ {
			if r.Want == runtime.Text {
				r.Sampling.MaxTokens = 512
			}
			got, err := c.Generate(t.Context(), r)
			var failure *runtime.Error
			if errors.As(err, &failure) && failure.Kind == runtime.Truncated && r.Sampling.Seed < 10 {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if again.Text != got.Text || !bytes.Equal(again.Image, got.Image) {
				t.Error("the same request gave two answers")
			}
			return got
		}
	}
	head := []runtime.Part{runtime.TextPart("You think, then you paint."), runtime.TextPart("a red cube")}
	plan := ask(write(head...))
	first := paint(64, append(head, runtime.TextPart(plan.Text))...)
	first.Negative, first.Sampling.Steps = head[:1], 4
	draft := ask(first)
	seen := append(first.Context, imageOf(draft.Image))
	reflection := ask(write(seen...))
	second := paint(64, append(seen, runtime.TextPart(reflection.Text))...)
	second.Negative = seen
	second.Sampling = runtime.Sampling{Width: 64, Height: 64, Steps: 4, CFGText: 4, CFGImage: 2, CFGInterval: [2]float64{0, 1}, CFGRenorm: "text_channel"}
	if improved := ask(second); bytes.Equal(improved.Image, draft.Image) {
		t.Error("the improved image is the draft")
	}
	bad := write(head...)
	bad.Sampling.MaxTokens = 1 << 30
	_, err = c.Generate(t.Context(), bad)
	wantFailure(t, err, runtime.Invalid, "`max_tokens`")
}
