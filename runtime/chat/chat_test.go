package chat

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
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The key has characters that JSON and Go quote.
const key = `sk-very/secret&"key"-0123456789`

// serve starts a server and returns a client of it; both end with the test.
func serve(t *testing.T, flavor Flavor, handler http.HandlerFunc, edits ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("CHAT_TEST_KEY", key+"\n")
	o := Options{Name: "m", Revision: "r1", URL: server.URL + "/v1", Flavor: flavor, KeyEnv: "CHAT_TEST_KEY"}
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

func says(body string) http.HandlerFunc { return status(http.StatusOK, body) }

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// hijacked answers with raw bytes and hangs up.
func hijacked(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, raw)
		conn.Close()
	}
}

func picture(width, height int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

func fromBase64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Images whose bytes no encoder's next version changes.
var (
	tinyPNG  = fromBase64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	tinyWebP = fromBase64("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
)

func imageOf(encoded []byte) runtime.Part { return runtime.ImagePart(irgdata.ImageRef{}, encoded) }

func textRequest(parts ...runtime.Part) runtime.Request {
	return runtime.Request{Context: parts, Want: runtime.Text, Sampling: runtime.Sampling{Seed: 7, Temperature: 0.3, MaxTokens: 4096}}
}

func paintRequest(side int, parts ...runtime.Part) runtime.Request {
	return runtime.Request{Context: parts, Want: runtime.Paint, Sampling: runtime.Sampling{
		Seed: 7, Width: side, Height: side, Steps: 50, CFGText: 4, CFGImage: 1, CFGInterval: [2]float64{0.4, 1}, CFGRenorm: "global", Shift: 3,
	}}
}

func textReply(text, finish string) string {
	return fmt.Sprintf(`{"choices":[{"message":{"content":%s},"finish_reason":%q}],"usage":{"prompt_tokens":11,"completion_tokens":3}}`, text, finish)
}

func imageReply(uri string) string {
	return fmt.Sprintf(`{"choices":[{"message":{"content":null}},{"message":{"content":[{"type":"image_url","image_url":{"url":%q}}]},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":11,"completion_tokens":3}}`, uri)
}

func dataURI(encoded []byte) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(encoded)
}

func TestAnswers(t *testing.T) {
	painted := picture(32, 32)
	write, paint := textRequest(runtime.TextPart("why?")), paintRequest(32, runtime.TextPart("a cat"))
	for _, tc := range []struct {
		name    string
		flavor  Flavor
		request runtime.Request
		body    string
		want    runtime.Answer
	}{
		{"text", OpenAI, write, textReply(`" \n so  \"be\" it\n"`, "stop"), runtime.Answer{Text: `so  "be" it`, Finish: "stop", TokensIn: 11, TokensOut: 3}},
		{"text in parts", OpenAI, write, textReply(`[{"type":"text","text":"a "},{"type":"text","text":"b"}]`, "stop"), runtime.Answer{Text: "a b", Finish: "stop", TokensIn: 11, TokensOut: 3}},
		{"text without usage", OpenAI, write, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":null}`, runtime.Answer{Text: "a", Finish: "stop"}},
		{"counts that make no sense", OpenAI, write, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":4611686018427387904,"completion_tokens":-1}}`, runtime.Answer{Text: "a", Finish: "stop", TokensIn: 1 << 32}},
		{"words of omni are not tokens", Omni, write, textReply(`"a plan"`, "stop"), runtime.Answer{Text: "a plan", Finish: "stop"}},
		{"image in the second choice", Omni, paint, imageReply(dataURI(painted)), runtime.Answer{Image: painted, Finish: "stop"}},
		{"image of the server's size", Omni, paintRequest(0, runtime.TextPart("a cat")), imageReply(dataURI(painted)), runtime.Answer{Image: painted, Finish: "stop"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := serve(t, tc.flavor, says(tc.body)).Generate(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if got.Elapsed <= 0 {
				t.Errorf("elapsed is %v", got.Elapsed)
			}
			got.Elapsed = 0
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	write, paint := textRequest(runtime.TextPart("why?")), paintRequest(32, runtime.TextPart("a cat"))
	hang := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then a hang-up is noticed
		<-r.Context().Done()
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"choices":[`)
	}
	t.Setenv("CHAT_TEST_TWO_LINES", "a\nb")
	soon := func(o *Options) { o.Timeout = 20 * time.Millisecond }
	for _, tc := range []struct {
		name    string
		flavor  Flavor
		request runtime.Request
		handler http.HandlerFunc
		edit    func(*Options)
		kind    runtime.Kind
		says    string
	}{
		// The way there and back.
		{"connection dropped", OpenAI, write, hijacked(""), nil, runtime.Transient, "no answer came"},
		{"no HTTP", OpenAI, write, hijacked("hello\n"), nil, runtime.Transient, "no answer came"},
		{"timeout", OpenAI, write, hang, soon, runtime.Transient, "within 20ms"},
		{"body cut", OpenAI, write, cut, nil, runtime.Transient, "broke off"},
		{"chunks cut", OpenAI, write, hijacked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cho\r\n"), nil, runtime.Transient, "broke off"},
		{"TLS wanted of a plain server", OpenAI, write, says("{}"), func(o *Options) { o.URL = strings.Replace(o.URL, "http:", "https:", 1) }, runtime.Fatal, "no TLS connection"},
		{"answer too large", OpenAI, write, says(textReply(`"aaaaaaaaaaaaaaaa"`, "stop")), func(o *Options) { o.MaxAnswer = 20 }, runtime.Malformed, "more than 20 bytes"},
		{"no key", OpenAI, write, says("{}"), func(o *Options) { o.KeyEnv = "CHAT_TEST_NO_KEY" }, runtime.Fatal, "CHAT_TEST_NO_KEY is not set"},
		{"key of two lines", OpenAI, write, says("{}"), func(o *Options) { o.KeyEnv = "CHAT_TEST_TWO_LINES" }, runtime.Fatal, "CHAT_TEST_TWO_LINES holds more than one line"},
		// Statuses, and the forms of the server's sentence.
		{"301", OpenAI, write, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v2", http.StatusMovedPermanently) }, nil, runtime.Fatal, "set `url` to the address where it is, judging by \"/v2\""},
		{"400", OpenAI, write, status(400, `{"error":{"message":"context too long","type":"x","code":400}}`), nil, runtime.Invalid, `"context too long"`},
		{"401", OpenAI, write, status(401, `{"error":"bad key"}`), nil, runtime.Fatal, `"bad key"; put a valid API key into the environment variable CHAT_TEST_KEY`},
		{"401 without a key", OpenAI, write, status(401, ``), func(o *Options) { o.KeyEnv = "" }, runtime.Fatal, "set `key_env`"},
		{"403", OpenAI, write, status(403, ``), nil, runtime.Fatal, "403 Forbidden"},
		{"404", OpenAI, write, status(404, `{"message":"no model m"}`), nil, runtime.Fatal, `"no model m"; want `},
		{"405", OpenAI, write, status(405, `not <here>`), nil, runtime.Fatal, `"not <here>"; this is no answer of a chat server`},
		{"408", OpenAI, write, status(408, ``), nil, runtime.Transient, "408"},
		{"413", OpenAI, write, status(413, ``), nil, runtime.Invalid, "413"},
		{"422", Omni, paint, status(422, `{"detail":[{"loc":["body"],"msg":"bad"}]}`), nil, runtime.Invalid, `\"msg\":\"bad\"`},
		{"429", OpenAI, write, status(429, `{"detail":"busy"}`), nil, runtime.Transient, `"busy"`},
		{"500", OpenAI, write, status(500, `{"error":null}`), nil, runtime.Transient, "500"},
		{"501", OpenAI, write, status(501, ``), nil, runtime.Fatal, "501"},
		{"502", OpenAI, write, status(502, `<html>`), nil, runtime.Transient, "<html>"},
		{"503", OpenAI, write, status(503, `[]`), nil, runtime.Transient, "503"},
		{"504", OpenAI, write, status(504, strings.Repeat("ä", 100_000)), nil, runtime.Transient, "ä…"},
		// Bodies with status 200.
		{"rubbish", OpenAI, write, says(`<html>hello`), nil, runtime.Transient, `not JSON: "<html>hello"`},
		{"nothing", OpenAI, write, says(``), nil, runtime.Transient, "not JSON"},
		{"another dialect", OpenAI, write, says(`{"response":"hi"}`), nil, runtime.Fatal, "no chat completion"},
		{"choices of another type", OpenAI, write, says(`{"choices":"hi"}`), nil, runtime.Fatal, "no chat completion"},
		{"error within", OpenAI, write, says(`{"error":{"message":"upstream","code":502}}`), nil, runtime.Transient, `502 Bad Gateway: "upstream"`},
		{"refusal within", OpenAI, write, says(`{"error":{"message":"bad image","code":400}}`), nil, runtime.Invalid, `"bad image"`},
		{"error within, of no status", OpenAI, write, says(`{"error":"oops"}`), nil, runtime.Transient, `"oops"`},
		{"no choices", OpenAI, write, says(`{"choices":[]}`), nil, runtime.Transient, "no choices"},
		{"blank text", OpenAI, write, says(textReply(`" \n"`, "stop")), nil, runtime.Empty, "no text"},
		{"null text", OpenAI, write, says(textReply(`null`, "stop")), nil, runtime.Empty, "no text"},
		{"truncated", OpenAI, write, says(textReply(`"so"`, "length")), nil, runtime.Truncated, "limit"},
		{"truncated while reasoning", OpenAI, write, says(textReply(`null`, "length")), nil, runtime.Truncated, "limit"},
		{"filtered", OpenAI, write, says(textReply(`"so"`, "content_filter")), nil, runtime.Refused, "filter"},
		{"refused", OpenAI, write, says(`{"choices":[{"message":{"content":null,"refusal":"I will not"},"finish_reason":"stop"}]}`), nil, runtime.Refused, "I will not"},
		{"aborted", OpenAI, write, says(textReply(`"so"`, "abort")), nil, runtime.Transient, "abort"},
		{"not known to be finished", OpenAI, write, says(`{"choices":[{"message":{"content":"so"},"finish_reason":null}]}`), nil, runtime.Malformed, "finish_reason"},
		{"image for a text", Omni, write, says(textReply(`[{"type":"image_url","image_url":{"url":"data:"}}]`, "stop")), nil, runtime.Malformed, "the answer is an image"},
		{"text for an image", Omni, paint, says(textReply(`"Image generation completed but no images were produced."`, "stop")), nil, runtime.Transient, "no images were produced"},
		{"text part for an image", Omni, paint, says(textReply(`[{"type":"text","text":"sorry"}]`, "stop")), nil, runtime.Transient, `"sorry"`},
		{"no image", Omni, paint, says(textReply(`[]`, "stop")), nil, runtime.Transient, "no image"},
		{"image elsewhere", Omni, paint, says(imageReply("http://example.org/a.png")), nil, runtime.Transient, "no data URI"},
		{"image not base64", Omni, paint, says(imageReply("data:image/png;base64,%%%")), nil, runtime.Transient, "not base64"},
		{"no image in base64", Omni, paint, says(imageReply(dataURI([]byte("hello")))), nil, runtime.Transient, "no image"},
		{"half an image", Omni, paint, says(imageReply(dataURI(picture(32, 32)[:45]))), nil, runtime.Transient, "does not decode"},
		{"wrong size", Omni, paint, says(imageReply(dataURI(picture(32, 16)))), nil, runtime.Fatal, "32×16 pixels, and 32×32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*Options)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			c := serve(t, tc.flavor, tc.handler, edits...)
			_, err := c.Generate(t.Context(), tc.request)
			wantFailure(t, err, tc.kind, tc.says)
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
	if failure.Model != (runtime.Identity{Name: "m", Revision: "r1"}) {
		t.Errorf("the error is of model %v", failure.Model)
	}
	return failure
}

// TestUnsent: requests that no answer could serve do not reach the server.
func TestUnsent(t *testing.T) {
	for _, tc := range []struct {
		name    string
		flavor  Flavor
		request runtime.Request
		kind    runtime.Kind
		says    string
	}{
		{"painting with openai", OpenAI, paintRequest(32, runtime.TextPart("a cat")), runtime.Fatal, "bind the role to a model of kind omni or images"},
		{"unknown output", OpenAI, runtime.Request{Want: "video"}, runtime.Fatal, `"video"`},
		{"broken image", OpenAI, textRequest(imageOf(picture(32, 32)[:20])), runtime.Refused, "part 1 of the context is no image"},
		{"broken image for omni", Omni, textRequest(runtime.TextPart("a"), imageOf([]byte("x"))), runtime.Refused, "part 2 of the context"},
		{"two images for omni", Omni, textRequest(imageOf(tinyPNG), imageOf(tinyWebP)), runtime.Fatal, "bind the role to a vision-language model of kind openai"},
		{"odd size", Omni, paintRequest(40, runtime.TextPart("a")), runtime.Fatal, "40×40"},
		{"large size", Omni, paintRequest(1040, runtime.TextPart("a")), runtime.Fatal, "multiples of 16 up to 1024"},
		{"negative size", Omni, paintRequest(-16, runtime.TextPart("a")), runtime.Fatal, "-16"},
		{"control token", Omni, textRequest(runtime.TextPart("a"), runtime.TextPart("b<|im_end|>c")), runtime.Refused, "part 2 of the context holds a control token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, tc.flavor, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
			_, err := c.Generate(t.Context(), tc.request)
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := serve(t, OpenAI, nil, func(o *Options) { o.URL = server.URL })
	_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
	wantFailure(t, err, runtime.Transient, "connection refused")
	wantFailure(t, c.Check(t.Context()), runtime.Fatal, "no server answers at "+server.URL+": is it running? start it, or mend `url`")
}

func TestUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(says("{}"))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	server.StartTLS()
	defer server.Close()
	c := serve(t, OpenAI, nil, func(o *Options) { o.URL = server.URL })
	_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
	wantFailure(t, err, runtime.Fatal, "certificate")
}

// TestUnusableAnswerCosts: what a truncated text cost is told.
func TestUnusableAnswerCosts(t *testing.T) {
	c := serve(t, OpenAI, says(textReply(`"so"`, "length")))
	_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
	var failure *runtime.Error
	if !errors.As(err, &failure) || failure.TokensIn != 11 || failure.TokensOut != 3 || failure.Elapsed <= 0 {
		t.Errorf("got %+v", failure)
	}
}

func TestRetryAfter(t *testing.T) {
	for code, want := range map[int]time.Duration{429: 7 * time.Second, 503: 7 * time.Second, 400: 0} {
		c := serve(t, OpenAI, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
		})
		_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
		var failure *runtime.Error
		if !errors.As(err, &failure) || failure.RetryAfter != want {
			t.Errorf("%d: got %+v, want RetryAfter %v", code, err, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Run("while the server works", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := serve(t, OpenAI, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		})
		if _, err := c.Generate(ctx, textRequest(runtime.TextPart("why?"))); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while the answer comes", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := serve(t, OpenAI, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, `{"choices":`)
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		})
		if _, err := c.Generate(ctx, textRequest(runtime.TextPart("why?"))); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

// TestParallel holds every request at the server until the bound is reached,
// then lets one go at a time: each takes the place of one that left.
func TestParallel(t *testing.T) {
	const parallel, calls = 3, 12
	var at atomic.Int64
	entered, leave := make(chan struct{}), make(chan struct{})
	c := serve(t, OpenAI, func(w http.ResponseWriter, _ *http.Request) {
		if n := at.Add(1); n > parallel {
			t.Errorf("%d requests at once, want at most %d", n, parallel)
		}
		entered <- struct{}{}
		<-leave
		at.Add(-1)
		io.WriteString(w, textReply(`"a"`, "stop"))
	}, func(o *Options) { o.Parallel = parallel })
	done := make(chan error)
	for range calls {
		go func() {
			_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
			done <- err
		}()
	}
	for range parallel {
		<-entered
	}
	for i := range calls {
		leave <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if i < calls-parallel {
			<-entered
		}
	}
}

func TestRequestBodies(t *testing.T) {
	system, prompt, plan := runtime.TextPart("You think.\n<b>"), runtime.TextPart("a red “cat”"), runtime.TextPart("The cat sits.")
	draft := paintRequest(1024, system, prompt, plan)
	draft.Negative = []runtime.Part{system}
	improved := paintRequest(512, system, prompt, plan, imageOf(tinyPNG), runtime.TextPart("Redder."))
	improved.Negative = []runtime.Part{system, prompt, plan, imageOf(tinyPNG)}
	improved.Sampling.CFGImage, improved.Sampling.CFGInterval, improved.Sampling.CFGRenorm = 2, [2]float64{0, 1}, "text_channel"
	bare := runtime.Request{Context: []runtime.Part{prompt}, Want: runtime.Text}
	for _, tc := range []struct {
		name    string
		flavor  Flavor
		request runtime.Request
	}{
		{"openai-text", OpenAI, textRequest(system, prompt)},
		{"openai-text-image", OpenAI, textRequest(prompt, imageOf(tinyPNG))},
		{"openai-two-images", OpenAI, textRequest(prompt, imageOf(tinyPNG), plan, imageOf(tinyWebP))},
		{"openai-defaults", OpenAI, bare},
		{"omni-text", Omni, textRequest(system, prompt)},
		{"omni-text-image", Omni, textRequest(system, prompt, plan, imageOf(tinyPNG))},
		{"omni-defaults", Omni, bare},
		{"omni-paint", Omni, draft},
		{"omni-paint-again", Omni, improved},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got bytes.Buffer
			c := serve(t, tc.flavor, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer "+key {
					t.Errorf("got %s %s with %v", r.Method, r.URL, r.Header)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if err := json.Indent(&got, body, "", "  "); err != nil {
					t.Error(err)
				}
				if tc.request.Want == runtime.Paint {
					io.WriteString(w, imageReply(dataURI(picture(tc.request.Sampling.Width, tc.request.Sampling.Height))))
				} else {
					io.WriteString(w, textReply(`"a"`, "stop"))
				}
			}, func(o *Options) { o.Model = "org/served" })
			if _, err := c.Generate(t.Context(), tc.request); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", tc.name+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-update rewrites it): %s", golden, diff)
			}
		})
	}
}

// TestKeyStaysSecret: servers that echo the key wherever they can, and a
// redirect that asks for it.
func TestKeyStaysSecret(t *testing.T) {
	var lured atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	defer other.Close()
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"plain":      status(400, "the key is "+key),
		"across cut": status(401, strings.Repeat("x", 290)+key),
		"message":    status(500, `{"error":{"message":`+string(quoted)+`}}`),
		"rubbish":    says(key),
		"finish":     says(`{"choices":[{"message":{"content":"a"},"finish_reason":` + string(quoted) + `}]}`),
		"refusal":    says(`{"choices":[{"message":{"refusal":` + string(quoted) + `},"finish_reason":"stop"}]}`),
		"protocol":   hijacked(key + "\n"),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/"+key, http.StatusTemporaryRedirect)
		},
		"escaped": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/"+url.PathEscape(key))
			w.WriteHeader(308)
		},
		"models": says(`{"data":[{"id":` + string(quoted) + `}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, OpenAI, handler)
			_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
			for _, err := range []error{err, c.Check(t.Context())} {
				if err == nil {
					t.Fatal("want an error")
				}
				for ; err != nil; err = errors.Unwrap(err) {
					if s := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(s, "secret") || strings.Contains(s, "sk-") {
						t.Errorf("the error tells the key: %s", s)
					}
				}
			}
		})
	}
	if n := lured.Load(); n > 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		kind    runtime.Kind // empty: all is well
		says    string
	}{
		{"well", says(`{"object":"list","data":[{"id":"other"},{"id":"m"}]}`), "", ""},
		{"wrong model", says(`{"data":[{"id":"other"},{"id":"next"}]}`), runtime.Fatal, "has no model \"m\": set `model` to one of other, next"},
		{"wrong key", status(401, ""), runtime.Fatal, "put a valid API key into the environment variable CHAT_TEST_KEY"},
		{"wrong path", status(404, ""), runtime.Fatal, "mostly ends in /v1"},
		{"another service", says("<html>"), runtime.Fatal, "no list of models"},
		{"another API", says(`{"models":[]}`), runtime.Fatal, "no list of models"},
		{"TLS port", status(400, "plain HTTP sent to HTTPS port"), runtime.Fatal, "plain HTTP sent to HTTPS port"},
		{"still loading", status(503, `{"error":{"message":"Loading model"}}`), runtime.Transient, "wait until the server is ready"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, OpenAI, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer "+key {
					t.Errorf("got %s %s with %v", r.Method, r.URL, r.Header)
				}
				tc.handler(w, r)
			})
			err := c.Check(t.Context())
			if tc.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFailure(t, err, tc.kind, tc.says)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := serve(t, OpenAI, says("{}")).Check(ctx); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestValidate(t *testing.T) {
	good := Options{Name: "m", Revision: "r", URL: "http://127.0.0.1:8091/v1", Flavor: Omni, KeyEnv: "A_KEY"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, edit := range map[string]func(*Options){
		"has no name":           func(o *Options) { o.Name = "" },
		"`revision` is missing": func(o *Options) { o.Revision = "" },
		"`kind` is \"x\"":       func(o *Options) { o.Flavor = "x" },
		"`stages` is 3":         func(o *Options) { o.Stages = 3 },
		"`stages` is 2":         func(o *Options) { o.Stages, o.Flavor = 2, Images },
		"key_env":               func(o *Options) { o.KeyEnv = "sk-secret" },
		"`timeout` is -1ns":     func(o *Options) { o.Timeout = -1 },
		"`parallel` is -1":      func(o *Options) { o.Parallel = -1 },
		"has -1 bytes":          func(o *Options) { o.MaxAnswer = -1 },
		"want something":        func(o *Options) { o.URL = "127.0.0.1:8091" },
		"of a server":           func(o *Options) { o.URL = "http://a:sk-secret@[" },
		"`url` is no":           func(o *Options) { o.URL = "http:///v1" },
		"`url` holds more":      func(o *Options) { o.URL = "http://a:sk-secret@host/v1" },
		"than scheme":           func(o *Options) { o.URL = "http://host/v1?key=sk-secret" },
	} {
		o := good
		edit(&o)
		err := o.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if _, err := New(o); err == nil {
			t.Errorf("New takes what Validate does not: %q", want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{
		textReply(`"so be it"`, "stop"), textReply(`null`, "length"), imageReply(dataURI(picture(32, 32))), `{"error":{"code":502}}`,
		`{"choices":[{"message":{"content":[{"type":"text","text":"a"}],"refusal":"b"},"finish_reason":"content_filter"}]}`, `[]`, ``,
	} {
		f.Add([]byte(body), true, true)
		f.Add([]byte(body), false, false)
	}
	clients := map[bool]*Client{}
	for omni, flavor := range map[bool]Flavor{false: OpenAI, true: Omni} {
		c, err := New(Options{Name: "m", Revision: "r1", URL: "http://localhost/v1", Flavor: flavor})
		if err != nil {
			f.Fatal(err)
		}
		clients[omni] = c
	}
	f.Fuzz(func(t *testing.T, body []byte, omni, paint bool) {
		request := textRequest()
		if paint {
			request = paintRequest(32)
		}
		answer, err := clients[omni].parse(body, request)
		if err != nil {
			wantFailure(t, err, err.(*runtime.Error).Kind, err.(*runtime.Error).Reason)
			return
		}
		if paint {
			cfg, _, err := image.DecodeConfig(bytes.NewReader(answer.Image))
			if err != nil || cfg.Width != 32 || cfg.Height != 32 || answer.Text != "" {
				t.Errorf("%+v, %v", cfg, err)
			}
			return
		}
		if answer.Text == "" || answer.Text != strings.TrimSpace(answer.Text) || answer.Finish == "" || answer.Image != nil {
			t.Errorf("%+v", answer)
		}
	})
}
