package scorer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scorer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func picture(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// open returns a client of a server with the handler; both end with the test.
func open(t *testing.T, handler http.HandlerFunc) *scorer.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("SCORER_TEST_KEY", "very-secret")
	c, err := scorer.New(scorer.Options{Name: "s", Revision: "r1", URL: server.URL, KeyEnv: "SCORER_TEST_KEY"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func request(t testing.TB) runtime.Request {
	return runtime.Request{Want: runtime.Text, Context: []runtime.Part{runtime.TextPart("a cat"), runtime.ImagePart(irgdata.ImageRef{}, picture(t))}}
}

func TestScore(t *testing.T) {
	want := picture(t)
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Image  []byte
			Prompt string
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !bytes.Equal(body.Image, want) || body.Prompt != "a cat" ||
			r.URL.Path != "/v1/score" || r.Header.Get("Authorization") != "Bearer very-secret" {
			t.Errorf("got %s %+v, %v", r.URL, body.Prompt, err)
		}
		io.WriteString(w, `{"scores":{"b":0.5,"a":-3}}`)
	})
	got, err := c.Generate(t.Context(), request(t))
	if err != nil || got.Text != `{"a":-3,"b":0.5}` || got.Finish != "stop" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		kind   runtime.Kind
		says   string
	}{
		{422, `{"error":{"message":"the image is too small"}}`, runtime.Refused, "the image is too small"},
		{400, `{}`, runtime.Invalid, "400"},
		{401, `very-secret is no key`, runtime.Fatal, "[key] is no key"},
		{404, `nothing here`, runtime.Fatal, "another service"},
		{503, `loading`, runtime.Transient, "loading"},
		{200, `<html>`, runtime.Transient, "not JSON"},
		{200, `{"choices":[]}`, runtime.Fatal, "another service"},
		{200, `{"scores":{}}`, runtime.Empty, "no score"},
		{200, `{"scores":{"Not A Name":1}}`, runtime.Malformed, "Not A Name"},
		{200, `{"scores":{"a":"high"}}`, runtime.Fatal, "another service"},
		{200, strings.Repeat(" ", 70_000), runtime.Malformed, "more than 65536 bytes"},
	} {
		c := open(t, says(tc.status, tc.body))
		_, err := c.Generate(t.Context(), request(t))
		var failure *runtime.Error
		if !errors.As(err, &failure) || failure.Kind != tc.kind || !strings.Contains(failure.Reason, tc.says) || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%d %.40s: %v, want %s with %q", tc.status, tc.body, err, tc.kind, tc.says)
		}
	}
	c := open(t, says(200, `{"scores":{"a":1}}`))
	for _, r := range []runtime.Request{
		{Want: runtime.Text, Context: []runtime.Part{runtime.TextPart("a")}},
		{Want: runtime.Paint, Context: request(t).Context},
		{Want: runtime.Text, Context: append(request(t).Context, request(t).Context...)},
	} {
		var failure *runtime.Error
		if _, err := c.Generate(t.Context(), r); !errors.As(err, &failure) || failure.Kind != runtime.Fatal {
			t.Errorf("%d parts: %v, want a fatal failure", len(r.Context), err)
		}
	}
}

func TestCheck(t *testing.T) {
	for body, want := range map[string]string{
		`{"protocol":1,"revision":"r1"}`:      "",
		`{"protocol":1,"revision":"r1-full"}`: "",
		`{"protocol":2,"revision":"r1"}`:      "version 2",
		`{"protocol":1,"revision":"r2"}`:      "set `revision`",
		`{}`:                                  "no score server",
	} {
		err := open(t, says(200, body)).Check(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}
