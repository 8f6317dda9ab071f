package pool_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/pool"
)

// TestRealServers: of several servers one is not there, one resets each
// connection, one is loading, one is busy, one has another key and one works.
// Every call is answered.
func TestRealServers(t *testing.T) {
	absent := httptest.NewServer(nil)
	absent.Close()
	handlers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0) // a reset and no end
			c.Close()
		},
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "loading", http.StatusServiceUnavailable) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "busy", http.StatusTooManyRequests)
		},
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you?", http.StatusUnauthorized) },
		func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`)
		},
	}
	addresses := []string{absent.URL}
	var asked [6]atomic.Int32
	for i, h := range handlers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[i+1].Add(1)
			h(w, r)
		}))
		defer server.Close()
		addresses = append(addresses, server.URL)
	}
	var endpoints []pool.Endpoint
	for _, address := range addresses {
		c, err := chat.New(chat.Options{Name: identity.Name, Revision: identity.Revision, URL: address + "/v1", Flavor: chat.OpenAI})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		endpoints = append(endpoints, pool.Endpoint{Name: address, Model: c, Limit: 8})
	}
	p, err := pool.New(pool.Options{Rest: time.Hour, MaxRest: time.Hour}, endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	var calls conc.WaitGroup
	for range 8 {
		calls.Go(func() {
			for range 10 {
				if answer, err := p.Generate(t.Context(), request("hello?")); err != nil || answer.Text != "hello" {
					t.Errorf("got %+v, %v", answer, err)
				}
			}
		})
	}
	calls.Wait()
	stats := p.Stats()
	for i, want := range []pool.State{pool.Resting, pool.Resting, pool.Resting, pool.Resting, pool.Out, pool.Up} {
		if s := stats[i]; s.State != want || want != pool.Up && (s.Calls != 0 || s.Failures != 1) {
			t.Errorf("endpoint %d: got %+v, want %s", i, s, want)
		}
	}
	if stats[5].Calls != 80 || asked[5].Load() != 80 {
		t.Errorf("the server that works got %d requests, and %d calls count", asked[5].Load(), stats[5].Calls)
	}
}

// TestRealOutage: nobody is there at all.
func TestRealOutage(t *testing.T) {
	absent := httptest.NewServer(nil)
	absent.Close()
	c, err := chat.New(chat.Options{Name: identity.Name, Revision: identity.Revision, URL: absent.URL, Flavor: chat.OpenAI})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := pool.New(pool.Options{Patience: time.Millisecond, Rest: time.Microsecond}, pool.Endpoint{Name: absent.URL, Model: c, Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, call(t, p), runtime.Transient, "no endpoint could be used for ", absent.URL, "connection refused")
}
