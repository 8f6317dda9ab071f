package serve

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func post(t *testing.T, handler http.Handler, path, contentType, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestRefuses: what is not served is said in the form of the endpoint.
func TestRefuses(t *testing.T) {
	handler, err := New(scenes.New(), Options{MaxRequest: 2000})
	if err != nil {
		t.Fatal(err)
	}
	chat := func(rest string) string { return `{"messages":[{"role":"user","content":"a red circle"}]` + rest + `}` }
	for _, tc := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"no JSON", "chat/completions", `<`, 400, `{"error":{"code":400,"message":"the request cannot be read as JSON`},
		{"no messages", "chat/completions", `{}`, 400, "no messages"},
		{"too large", "chat/completions", chat(`,"user":"` + strings.Repeat("a", 2000) + `"`), 413, "more than 2000 bytes"},
		{"another model", "chat/completions", chat(`,"model":"gpt"`), 404, "the model gpt does not exist; scenes is served"},
		{"stream", "chat/completions", chat(`,"stream":true`), 400, "not served"},
		{"modality", "chat/completions", chat(`,"modalities":["audio"]`), 400, "modalities are"},
		{"side", "chat/completions", chat(`,"modalities":["image"],"width":1040,"height":64`), 400, "1040×64 pixels: want sides up to 1024"},
		{"address", "chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://host/a.png"}}]}]}`, 400, "want a data URI"},
		{"audio", "chat/completions", `{"messages":[{"role":"user","content":[{"type":"audio"}]}]}`, 400, "want text or image_url"},
		{"refused", "chat/completions", `{"messages":[{"role":"user","content":"a dragon"}]}`, 200, `"refusal":"`},
		{"no prompt", "images/generations", `{}`, 400, `{"detail":"the request has no prompt"}`},
		{"size", "images/generations", `{"prompt":"a red circle","size":"big"}`, 400, "want WIDTHxHEIGHT"},
		{"url", "images/generations", `{"prompt":"a red circle","response_format":"url"}`, 400, "b64_json"},
		{"refused image", "images/generations", `{"prompt":"a dragon"}`, 400, "content_policy_violation"},
		{"no form", "images/edits", `{}`, 400, "cannot be read as a form"},
	} {
		status, body := post(t, handler, "/v1/"+tc.path, "application/json", tc.body)
		if status != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %s, want %d with %q", tc.name, status, body, tc.status, tc.says)
		}
	}
}

// TestThink: the thinking comes with the image that was painted from it, and
// sides are cut down to multiples of 16.
func TestThink(t *testing.T) {
	handler, err := New(scenes.New(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	status, body := post(t, handler, "/v1/chat/completions", "application/json",
		`{"messages":[{"role":"user","content":"<|im_start|>a red circle<|im_end|>"}],"modalities":["image"],"think":true,"width":79,"height":64}`)
	if status != 200 || !strings.Contains(body, `"think_text":"\u003cthink\u003e`) || !strings.Contains(body, "data:image/jpeg;base64,") {
		t.Errorf("%d %.300s", status, body)
	}
}

// waiting is a model that answers when it is told to.
type waiting struct{ entered, leave chan struct{} }

func (waiting) Identity() runtime.Identity { return runtime.Identity{Name: "waiting", Revision: "1"} }

func (m waiting) Generate(ctx context.Context, _ runtime.Request) (runtime.Answer, error) {
	close(m.entered)
	select {
	case <-m.leave:
		return runtime.Answer{Text: "done", Finish: "stop"}, nil
	case <-ctx.Done():
		return runtime.Answer{}, ctx.Err()
	}
}

// TestShutdown: a request under way is finished within the grace, and broken
// off after it.
func TestShutdown(t *testing.T) {
	for name, finish := range map[string]bool{"finished": true, "broken off": false} {
		t.Run(name, func(t *testing.T) {
			m := waiting{make(chan struct{}), make(chan struct{})}
			handler, err := New(m, Options{})
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			grace := time.Minute
			if !finish {
				grace = time.Nanosecond
			}
			served, answered := make(chan error, 1), make(chan string, 1)
			go func() { served <- Serve(ctx, listener, handler, grace) }()
			client := http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			go func() {
				response, err := client.Post("http://"+listener.Addr().String()+"/v1/chat/completions", "application/json", strings.NewReader(`{"messages":[{"role":"user","content":"a"}]}`))
				if err != nil {
					answered <- err.Error()
					return
				}
				defer response.Body.Close()
				body, _ := io.ReadAll(response.Body)
				answered <- string(body)
			}()
			<-m.entered
			stop()
			if finish {
				close(m.leave)
			}
			if body, err := <-answered, <-served; strings.Contains(body, "done") != finish || (err == nil) != finish {
				t.Errorf("answered %s, stopped by %v", body, err)
			}
		})
	}
}

func FuzzChat(f *testing.F) {
	handler, err := New(scenes.New(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{
		`{"messages":[{"role":"user","content":[{"type":"text","text":"a red circle"}]}],"modalities":["image"],"width":64,"height":64,"sampling_params_list":[{},{"seed":7}]}`,
		`{"messages":[{"role":"user","content":"a"}],"seed":-1}`, `{"messages":[null]}`, `[]`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", bytes.NewReader(body))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
