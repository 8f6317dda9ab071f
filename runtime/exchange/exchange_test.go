package exchange

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns an exchange with a server that answers by handler.
func serve(t *testing.T, handler http.HandlerFunc, edit func(*Options)) *Exchange {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := Options{
		Identity: runtime.Identity{Name: "m", Revision: "1"}, URL: server.URL, Timeout: time.Minute, Parallel: 1, MaxAnswer: 1 << 10,
		Server: "the box", Kind: "a box",
	}
	if edit != nil {
		edit(&o)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 0 ": 0, "-3": 0, "soon": 0, "1.5": 0, "9223372036854775807": 24 * time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat):  90 * time.Second,
		now.Add(-90 * time.Second).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q gives %v, want %v", value, got, want)
		}
	}
}

// TestCancelInTheQueue: who waits for room at the server stops waiting when its
// context ends, and nothing is sent.
func TestCancelInTheQueue(t *testing.T) {
	e := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") }, nil)
	e.slots <- struct{}{} // the one request that the server gets
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := e.Do(ctx, Call{Method: http.MethodGet})
		done <- err
	}()
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// TestStatuses: what a status means everywhere, and what the owner of the
// exchange says of it first.
func TestStatuses(t *testing.T) {
	for code, tc := range map[int]struct {
		kind  runtime.Kind
		keyed bool
		want  string
	}{
		301: {runtime.Fatal, true, "sends us elsewhere"},
		400: {runtime.Invalid, true, `the box answered 400 Bad Request: "too \"odd\""`},
		401: {runtime.Fatal, true, "set `key_env`"},
		403: {runtime.Fatal, false, "this is no answer of a box"},
		404: {runtime.Fatal, true, "this is no answer of a box"},
		418: {runtime.Refused, true, "no tea"},
		422: {runtime.Invalid, true, "422"},
		429: {runtime.Transient, true, "429"},
		501: {runtime.Fatal, true, "501"},
		503: {runtime.Transient, true, "503"},
	} {
		e := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"error":{"message":"too \"odd\""}}`)) // the client may be gone
		}, nil)
		e.o.Keyed = tc.keyed
		e.o.Sort = func(s Status) *runtime.Error {
			if s.Code == http.StatusTeapot {
				return e.Fail(runtime.Refused, nil, "no tea")
			}
			return nil
		}
		_, err := e.Do(t.Context(), Call{Method: http.MethodGet, Path: "tea"})
		var failure *runtime.Error
		if !errors.As(err, &failure) || failure.Kind != tc.kind || !strings.Contains(failure.Reason, tc.want) {
			t.Errorf("%d: got %v, want %s with %q", code, err, tc.kind, tc.want)
		}
	}
}

// TestNoKeyGetsOut: a key that the server echoes, in whichever form, is in no
// error.
func TestNoKeyGetsOut(t *testing.T) {
	const key = `s3cr+t/"key`
	t.Setenv("BOX_KEY", key)
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization")+` "s3cr+t/\"key" s3cr%2Bt%2F%22key`, http.StatusForbidden)
	}, func(o *Options) { o.Keyed, o.KeyEnv = true, "BOX_KEY" })
	_, err := e.Do(t.Context(), Call{Method: http.MethodGet})
	if err == nil || strings.Contains(err.Error(), "s3cr") || !strings.Contains(err.Error(), "[key]") {
		t.Errorf("got %v", err)
	}
}
