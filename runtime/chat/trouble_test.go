package chat

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// TestTrouble: what a failure tells of the server.
func TestTrouble(t *testing.T) {
	absent := httptest.NewServer(nil)
	absent.Close()
	hang := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then a hang-up is noticed
		<-r.Context().Done()
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		edit    func(*Options)
		want    runtime.Trouble
	}{
		{"nobody there", nil, func(o *Options) { o.URL = absent.URL }, runtime.Away},
		{"connection dropped", hijacked(""), nil, runtime.Broken},
		{"answer cut", hijacked("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), nil, runtime.Broken},
		{"no answer in time", hang, func(o *Options) { o.Timeout = 20 * time.Millisecond }, runtime.Slow},
		{"429", status(429, ``), nil, runtime.Busy},
		{"502", status(502, ``), nil, runtime.Away},
		{"503", status(503, ``), nil, runtime.Away},
		{"504", status(504, ``), nil, runtime.Slow},
		{"500", status(500, ``), nil, ""},
		{"503 within", says(`{"error":{"message":"upstream","code":503}}`), nil, runtime.Away},
		{"no JSON", says(`hello`), nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*Options)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			c := serve(t, OpenAI, tc.handler, edits...)
			_, err := c.Generate(t.Context(), textRequest(runtime.TextPart("why?")))
			if failure := wantFailure(t, err, runtime.Transient, ""); failure.Trouble != tc.want {
				t.Errorf("got %q of %v, want %q", failure.Trouble, err, tc.want)
			}
		})
	}
}
