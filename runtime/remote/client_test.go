package chat_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/remote"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "sk-very-secret"

func picture(t testing.TB, w, h int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func imagePart(t testing.TB, w, h int) runtime.Part {
	t.Helper()
	encoded := picture(t, w, h)
	ref, err := images.Probe(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.ImagePart(ref, encoded)
}

// serve runs a server and returns a client of it.
func serve(t *testing.T, flavor chat.Flavor, handler http.HandlerFunc) *chat.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("TEST_CHAT_KEY", secret)
	c, err := chat.New(chat.Options{Name: "irg", Revision: "r1", URL: server.URL + "/v1", Model: "served", Flavor: flavor, KeyEnv: "TEST_CHAT_KEY"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// says is a reply of one choice.
func says(content any, finish string) string {
	b, err := json.Marshal(map[string]any{
		"choices": []any{map[string]any{"message": map[string]any{"content": content}, "finish_reason": finish}},
		"usage":   map[string]int{"prompt_tokens": 11, "completion_tokens": 5},
	})
	if err != nil {
		panic(err) // strings and maps
	}
	return string(b)
}

func imageReply(uri string) any {
	return []any{map[string]any{"type": "image_url", "image_url": map[string]string{"url": uri}}}
}

func dataURI(b []byte) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b)
}

func asText(context ...runtime.Part) runtime.Request {
	return runtime.Request{Context: context, Want: runtime.Text, Sampling: runtime.Sampling{Seed: 7, Temperature: 0.3, MaxTokens: 4096}}
}

func asImage(context ...runtime.Part) runtime.Request {
	return runtime.Request{
		Context: context, Negative: []runtime.Part{runtime.TextPart("SYS")}, Want: runtime.Paint,
		Sampling: runtime.Sampling{Seed: 7, Width: 64, Height: 32, Steps: 50, CFGText: 4, CFGImage: 1, CFGInterval: [2]float64{0.4, 1}, CFGRenorm: "global", Shift: 3},
	}
}

// TestRequests pins what goes over the wire.
func TestRequests(t *testing.T) {
	sys, prompt := runtime.TextPart("SYS"), runtime.TextPart("a red <circle>")
	for _, tc := range []struct {
		name    string
		flavor  chat.Flavor
		request runtime.Request
	}{
		{"openai_text", chat.OpenAI, asText(sys, prompt)},
		{"openai_two_images", chat.OpenAI, asText(prompt, imagePart(t, 1, 1), imagePart(t, 2, 1))},
		{"omni_text", chat.Omni, asText(sys, prompt, imagePart(t, 1, 1))},
		{"omni_image", chat.Omni, asImage(sys, prompt)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var sent []byte
			c := serve(t, tc.flavor, func(w http.ResponseWriter, r *http.Request) {
				sent, _ = io.ReadAll(r.Body)
				if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer "+secret {
					t.Errorf("asked %s with authorization %q", r.URL.Path, r.Header.Get("Authorization"))
				}
				if tc.request.Want == runtime.Paint {
					fmt.Fprint(w, says(imageReply(dataURI(picture(t, 64, 32))), "stop"))
					return
				}
				fmt.Fprint(w, says(" <think>yes</think>\n", "stop"))
			})
			a, err := c.Generate(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if tc.request.Want == runtime.Text && a.Text != "<think>yes</think>" || tc.request.Want == runtime.Paint && !bytes.Equal(a.Image, picture(t, 64, 32)) {
				t.Errorf("answer %q, %d bytes of image", a.Text, len(a.Image))
			}
			if want := map[chat.Flavor]int{chat.OpenAI: 11}[tc.flavor]; a.TokensIn != want || a.Finish != "stop" || a.Elapsed <= 0 {
				t.Errorf("answer %+v", a)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, sent, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", tc.name+".json")
			if *update {
				if err := os.WriteFile(golden, append(pretty.Bytes(), '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if pretty.String()+"\n" != string(want) {
				t.Errorf("the request changed:\n%s", pretty.String())
			}
		})
	}
}

// TestMisbehaviour: each way in which a server fails has its kind, and a
// reason for a person; none repeats the key.
func TestMisbehaviour(t *testing.T) {
	text, paint := asText(runtime.TextPart("p")), asImage(runtime.TextPart("p"))
	answer := func(status int, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	cut := picture(t, 64, 32)
	cut = cut[:len(cut)-20]
	for _, tc := range []struct {
		name    string
		request runtime.Request
		handler http.HandlerFunc
		kind    runtime.Kind
		reason  string
	}{
		{"wrong key", text, answer(401, `{"error":{"message":"no `+secret+`"}}`), runtime.Fatal, "key_env"},
		{"forbidden", text, answer(403, ""), runtime.Fatal, "key_env"},
		{"no such model", text, answer(404, `{"error":{"message":"The model does not exist"}}`), runtime.Fatal, "does not exist"},
		{"bad request", text, answer(400, `{"error":{"message":"too long, `+secret+`","type":"x"}}`), runtime.Refused, "too long"},
		{"fastapi detail", text, answer(422, `{"detail":"no"}`), runtime.Refused, "no"},
		{"overload", text, answer(429, "", "Retry-After", "3"), runtime.Transient, "429"},
		{"unavailable", text, answer(503, "<html>"), runtime.Transient, "503"},
		{"crash", text, answer(500, `{"error":"CUDA out of memory"}`), runtime.Transient, "CUDA"},
		{"redirect", text, answer(302, "", "Location", "http://example.com/"), runtime.Fatal, "302"},
		{"rubbish", text, answer(200, "<html>hello"), runtime.Transient, "no JSON"},
		{"error with 200", text, answer(200, `{"error":{"message":"engine died"}}`), runtime.Transient, "engine died"},
		{"no choices", text, answer(200, `{}`), runtime.Malformed, "choices"},
		{"truncated text", text, answer(200, says("<think>and so", "length")), runtime.Truncated, "4096"},
		{"empty text", text, answer(200, says("  ", "stop")), runtime.Empty, "no text"},
		{"null content", text, answer(200, says(nil, "stop")), runtime.Empty, "no text"},
		{"content filter", text, answer(200, says("", "content_filter")), runtime.Refused, "refused"},
		{"no image", paint, answer(200, says("Image generation completed but no images were produced.", "stop")), runtime.Malformed, "no images were produced"},
		{"text for an image", paint, answer(200, says([]any{map[string]string{"type": "text", "text": "here it is"}}, "stop")), runtime.Malformed, "here it is"},
		{"address for an image", paint, answer(200, says(imageReply("http://example.com/x.png"), "stop")), runtime.Malformed, "data URI"},
		{"base64 rubbish", paint, answer(200, says(imageReply("data:image/png;base64,%%%%"), "stop")), runtime.Malformed, "base64"},
		{"no picture", paint, answer(200, says(imageReply(dataURI([]byte("hello"))), "stop")), runtime.Malformed, "cannot be read"},
		{"cut picture", paint, answer(200, says(imageReply(dataURI(cut)), "stop")), runtime.Malformed, "decode"},
		{"wrong size", paint, answer(200, says(imageReply(dataURI(picture(t, 32, 32))), "stop")), runtime.Malformed, "32×32 pixels, want 64×32"},
		{"cut body", text, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"choices":[`)
		}, runtime.Transient, "broke off"},
		{"reset", text, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Close()
		}, runtime.Transient, "broke off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, chat.Omni, tc.handler)
			_, err := c.Generate(t.Context(), tc.request)
			var failure *runtime.Error
			if !errors.As(err, &failure) || failure.Kind != tc.kind || !strings.Contains(failure.Reason, tc.reason) {
				t.Fatalf("got %v, want %s with %q", err, tc.kind, tc.reason)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(failure.Reason, secret) {
				t.Errorf("the error tells the key: %v", err)
			}
			if tc.name == "overload" && failure.RetryAfter != 3*time.Second {
				t.Errorf("wait %s", failure.RetryAfter)
			}
		})
	}
}

// TestImageInAnyChoice: servers put the image into the second one.
func TestImageInAnyChoice(t *testing.T) {
	c := serve(t, chat.Omni, func(w http.ResponseWriter, _ *http.Request) {
		body, _ := json.Marshal(map[string]any{"choices": []any{
			map[string]any{"message": map[string]any{"content": "thinking"}, "finish_reason": "stop"},
			map[string]any{"message": map[string]any{"content": imageReply(dataURI(picture(t, 64, 32)))}},
		}})
		w.Write(body)
	})
	if a, err := c.Generate(t.Context(), asImage(runtime.TextPart("p"))); err != nil || len(a.Image) == 0 {
		t.Error(err)
	}
}

// TestImpossibleRequests are refused before anything is sent.
func TestImpossibleRequests(t *testing.T) {
	broken := runtime.ImagePart(imagePart(t, 1, 1).Image.Ref, []byte("no image"))
	large := asImage(runtime.TextPart("p"))
	large.Sampling.Width = 1040
	for _, tc := range []struct {
		name    string
		flavor  chat.Flavor
		request runtime.Request
		kind    runtime.Kind
		reason  string
	}{
		{"a VLM paints", chat.OpenAI, asImage(runtime.TextPart("p")), runtime.Fatal, "kind omni"},
		{"two images for omni", chat.Omni, asText(imagePart(t, 1, 1), imagePart(t, 2, 1)), runtime.Fatal, "kind openai"},
		{"large image", chat.Omni, large, runtime.Fatal, "1040×32"},
		{"undecodable image", chat.Omni, asText(broken), runtime.Refused, "does not decode"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, tc.flavor, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
			_, err := c.Generate(t.Context(), tc.request)
			var failure *runtime.Error
			if !errors.As(err, &failure) || failure.Kind != tc.kind || !strings.Contains(failure.Reason, tc.reason) {
				t.Errorf("got %v, want %s with %q", err, tc.kind, tc.reason)
			}
		})
	}
}

// TestParallelIsBounded: no more requests than configured are under way, and a
// waiting one gives up with its context.
func TestParallelIsBounded(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		fmt.Fprint(w, says("text", "stop"))
	}))
	defer server.Close()
	c, err := chat.New(chat.Options{Name: "m", Revision: "1", URL: server.URL, Flavor: chat.OpenAI, Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := c.Generate(t.Context(), asText(runtime.TextPart("p"))); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := c.Generate(ctx, asText(runtime.TextPart("p"))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	cancel() // the third never enters
	close(leave)
	wg.Wait()
	select {
	case <-entered:
		t.Error("a third request was sent")
	default:
	}
}

// TestTimeoutAndCancel: a server that hangs is a transient failure after the
// timeout; a cancelled context is its own error.
func TestTimeoutAndCancel(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	c, err := chat.New(chat.Options{Name: "m", Revision: "1", URL: server.URL, Flavor: chat.OpenAI, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Generate(t.Context(), asText(runtime.TextPart("p")))
	var failure *runtime.Error
	if !errors.As(err, &failure) || failure.Kind != runtime.Transient || !strings.Contains(failure.Reason, "within 20ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Generate(ctx, asText(runtime.TextPart("p"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	models := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/models" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			fmt.Fprint(w, body)
		}
	}
	if err := serve(t, chat.OpenAI, models(`{"data":[{"id":"served"}]}`)).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for body, want := range map[string]string{`{"data":[{"id":"other"}]}`: "one of other", `hello`: "/v1"} {
		if err := serve(t, chat.OpenAI, models(body)).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
	c, err := chat.New(chat.Options{Name: "m", Revision: "1", URL: "http://127.0.0.1:1/v1", Flavor: chat.OpenAI})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	good := chat.Options{Name: "m", Revision: "1", URL: "http://h/v1", Flavor: chat.OpenAI}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*chat.Options){
		"flavor": func(o *chat.Options) { o.Flavor = "x" }, "name": func(o *chat.Options) { o.Name = "" }, "revision": func(o *chat.Options) { o.Revision = "" },
		"url": func(o *chat.Options) { o.URL = "h:8000" }, "credentials": func(o *chat.Options) { o.URL = "http://u:p@h/v1" }, "parallel": func(o *chat.Options) { o.Parallel = -1 },
	} {
		o := good
		spoil(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
	good.KeyEnv = "IRGDATA_TEST_NO_SUCH_KEY"
	if _, err := chat.New(good); err == nil || !strings.Contains(err.Error(), good.KeyEnv) {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswer: whatever a server says with status 200 is an answer or an error
// of a kind.
func FuzzAnswer(f *testing.F) {
	f.Add(says("text", "stop"), true)
	f.Add(says(imageReply(dataURI(picture(f, 64, 32))), "stop"), false)
	f.Add(`{"choices":[{"message":{"content":[null,{"image_url":{}}]}}],"error":[]}`, false)
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
	f.Cleanup(server.Close)
	c, err := chat.New(chat.Options{Name: "m", Revision: "1", URL: server.URL, Flavor: chat.Omni})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, reply string, text bool) {
		body = reply
		request := asImage(runtime.TextPart("p"))
		if text {
			request = asText(runtime.TextPart("p"))
		}
		a, err := c.Generate(t.Context(), request)
		var failure *runtime.Error
		if err != nil && !errors.As(err, &failure) || err == nil && a.Text == "" && len(a.Image) == 0 {
			t.Errorf("answer %+v, error %v", a, err)
		}
	})
}
