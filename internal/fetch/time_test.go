package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"
)

// The tests of this file run in bubbles, where time passes when everything
// waits: default timeouts and pauses are met to the nanosecond, and take none.

// pipes is a listener whose connections are in memory, as a bubble needs them:
// what waits for a socket does not count as waiting. It stands for all hosts.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bubble runs the test in a bubble with a server for all hosts. The bubble
// fails if a goroutine is left, or a connection of a closed fetcher.
func bubble(t *testing.T, o Options, handler http.HandlerFunc, test func(*testing.T, *Fetcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		var open atomic.Int64
		server := &http.Server{Handler: handler, ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		}}
		var serving conc.WaitGroup
		serving.Go(func() { server.Serve(p) })
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		f.transport.DialContext = p.dial
		defer serving.Wait()
		defer server.Close()
		defer func() {
			f.Close()
			synctest.Wait()
			if n := open.Load(); n != 0 {
				t.Errorf("%d connections are left open", n)
			}
		}()
		test(t, f)
	})
}

// after sleeps and then answers.
func after(d time.Duration, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			handler(w, r)
		case <-r.Context().Done():
		}
	}
}

// drips sends a byte of the image every so often.
func drips(every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Content-Length", strconv.Itoa(len(aPNG)))
		for i := range aPNG {
			if _, err := w.Write(aPNG[i : i+1]); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			after(every, func(http.ResponseWriter, *http.Request) {})(w, r)
		}
	}
}

type timeoutCase struct {
	handler http.HandlerFunc
	want    time.Duration
	says    string
}

// timeoutCases are slow servers; docs/ingest.md has a row for each.
func timeoutCases() map[string]timeoutCase {
	never := after(24*time.Hour, nil)
	return map[string]timeoutCase{
		"nothing comes":       {never, defaultHeaderTimeout, "no answer came: net/http: timeout awaiting response headers"},
		"headers come slowly": {after(defaultHeaderTimeout+time.Nanosecond, says("", aPNG)), defaultHeaderTimeout, "no answer came"},
		"half of the headers": {func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le")
			conn.Read(make([]byte, 1)) // until the client gives up
		}, defaultHeaderTimeout, "no answer came"},
		"the body drips": {drips(7 * time.Second), defaultTimeout, "the body broke off after 5 bytes: the attempt took longer than 30s"},
		"the body stops": {func(w http.ResponseWriter, r *http.Request) {
			w.Write(aPNG[:100])
			http.NewResponseController(w).Flush()
			never(w, r)
		}, defaultTimeout, "the body broke off after 100 bytes: the attempt took longer than 30s"},
		"redirects take long": {after(8*time.Second, redirect(302, "/")), defaultTimeout, "no answer came: the attempt took longer than 30s"},
		"a page of an error stops": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			http.NewResponseController(w).Flush()
			never(w, r)
		}, time.Second, "500"},
	}
}

func TestTimeouts(t *testing.T) {
	for name, c := range timeoutCases() {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{Attempts: 1}, c.handler, func(t *testing.T, f *Fetcher) {
				start := time.Now()
				_, err := f.Get(t.Context(), "http://a.example/")
				wantFailure(t, err, Transient, c.says)
				if took := time.Since(start); took != c.want {
					t.Errorf("it took %v, want %v", took, c.want)
				}
			})
		})
	}
	t.Run("slow and in time", func(t *testing.T) {
		bubble(t, Options{}, after(defaultHeaderTimeout-1, says("", aPNG)), func(t *testing.T, f *Fetcher) {
			if _, err := f.Get(t.Context(), "http://a.example/"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("no name server answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, err := New(Options{Attempts: 1, HeaderTimeout: 3 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			start := time.Now()
			_, err = f.Get(t.Context(), "http://a.example/")
			wantFailure(t, err, Transient, "no answer came: dial tcp: lookup a.example")
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
}

// TestResumeSlowly: a server that is too slow for one attempt is not for three.
func TestResumeSlowly(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(slowly{w, r.Context()}, r, "a.png", time.Time{}, bytes.NewReader(aPNG))
	}
	bubble(t, Options{}, serve, func(t *testing.T, f *Fetcher) {
		got, err := f.Get(t.Context(), "http://a.example/")
		if err != nil || !bytes.Equal(got.Bytes, aPNG) {
			t.Errorf("got %d bytes, %v", len(got.Bytes), err)
		}
	})
}

// slowly writes 64 bytes a second.
type slowly struct {
	http.ResponseWriter
	ctx context.Context
}

func (s slowly) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var m int
		m, err = s.ResponseWriter.Write(b[n:min(n+64, len(b))])
		n += m
		http.NewResponseController(s.ResponseWriter).Flush()
		select {
		case <-time.After(time.Second):
		case <-s.ctx.Done():
			return n, s.ctx.Err()
		}
	}
	return n, err
}

// TestPauses: how long after one attempt the next one comes.
func TestPauses(t *testing.T) {
	date := func(after time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			status(503, "Retry-After", time.Now().Add(after).UTC().Format(http.TimeFormat))(w, r)
		}
	}
	type span struct{ least, most time.Duration }
	exactly := func(d time.Duration) span { return span{d, d} }
	usual := []span{{time.Second, 1500 * time.Millisecond}, {2 * time.Second, 3 * time.Second}}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		o       Options
		want    []span
	}{
		"doubled":                  {status(500), Options{}, usual},
		"up to the longest":        {status(500), Options{Attempts: 5, Pause: 10 * time.Second, MaxPause: 25 * time.Second}, []span{{10 * time.Second, 15 * time.Second}, {20 * time.Second, 25 * time.Second}, exactly(25 * time.Second), exactly(25 * time.Second)}},
		"as the server asks":       {inTurn(status(429, "Retry-After", "7"), date(11*time.Second)), Options{}, []span{exactly(7 * time.Second), exactly(11 * time.Second)}},
		"longest that it may ask":  {status(429, "Retry-After", "60"), Options{}, []span{exactly(time.Minute), exactly(time.Minute)}},
		"longer than it may ask":   {inTurn(status(500), status(503, "Retry-After", "61")), Options{}, usual[:1]},
		"less than we would pause": {status(503, "Retry-After", "0"), Options{}, usual},
		"rubbish asked":            {status(503, "Retry-After", "soon"), Options{}, usual},
	} {
		t.Run(name, func(t *testing.T) {
			var at []time.Time
			handler := func(w http.ResponseWriter, r *http.Request) {
				at = append(at, time.Now())
				c.handler(w, r)
			}
			bubble(t, c.o, handler, func(t *testing.T, f *Fetcher) {
				_, err := f.Get(t.Context(), "http://a.example/")
				wantFailure(t, err, Transient, "")
				if len(at) != len(c.want)+1 {
					t.Fatalf("there were %d attempts, want %d", len(at), len(c.want)+1)
				}
				for i, want := range c.want {
					if pause := at[i+1].Sub(at[i]); pause < want.least || pause > want.most {
						t.Errorf("pause %d was %v, want %v to %v", i+1, pause, want.least, want.most)
					}
				}
				if f.slots.hosts["a.example"] != nil {
					t.Error("the host is not forgotten")
				}
			})
		})
	}
}

// gate holds requests back and counts them by host.
type gate struct {
	mu    sync.Mutex
	held  map[string]int
	leave chan struct{}
}

// open is called in the bubble, to which the channel must belong.
func (g *gate) open() { g.held, g.leave = map[string]int{}, make(chan struct{}) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host + ":80")
	g.count(host, 1)
	defer g.count(host, -1)
	select {
	case <-g.leave:
		says("", aPNG)(w, r)
	case <-r.Context().Done():
	}
}

func (g *gate) count(host string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[host] += n
}

// wants waits until everything waits, and then compares the requests held.
func (g *gate) wants(t *testing.T, want map[string]int) {
	t.Helper()
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for host, n := range want {
		if g.held[host] != n {
			t.Errorf("%s is at work on %d requests, want %d", host, g.held[host], n)
		}
	}
}

// TestSlots: requests to one host queue before they count against those to all
// hosts, and the queue moves up.
func TestSlots(t *testing.T) {
	var g gate
	bubble(t, Options{PerHost: 2, Total: 5}, g.ServeHTTP, func(t *testing.T, f *Fetcher) {
		g.open()
		var gets conc.WaitGroup
		get := func(n int, host string) {
			for i := range n {
				gets.Go(func() {
					if _, err := f.Get(t.Context(), fmt.Sprintf("http://%s/%d", host, i)); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		get(5, "slow.example")
		get(5, "SLOW.example.") // the same
		g.wants(t, map[string]int{"slow.example": 2, "SLOW.example.": 0})
		get(2, "b.example")
		get(2, "c.example")
		get(2, "d.example")
		g.wants(t, map[string]int{"slow.example": 2, "b.example": 2, "c.example": 1, "d.example": 0})
		for range 16 {
			g.leave <- struct{}{}
		}
		gets.Wait()
		if n := len(f.slots.hosts) + len(f.slots.total); n != 0 {
			t.Errorf("%d slots were not given back", n)
		}
	})
}

// TestSlotsOfRedirects: a redirect waits for a slot of the host that it leads
// to, and lets go of the one that it came from.
func TestSlotsOfRedirects(t *testing.T) {
	var g gate
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "a.example" {
			redirect(302, "http://b.example"+r.URL.Path)(w, r)
			return
		}
		g.ServeHTTP(w, r)
	}
	// The wait for a slot is none of the attempt's time.
	bubble(t, Options{PerHost: 1, Attempts: 1}, handler, func(t *testing.T, f *Fetcher) {
		g.open()
		var gets conc.WaitGroup
		for i := range 10 {
			gets.Go(func() {
				if _, err := f.Get(t.Context(), fmt.Sprintf("http://a.example/%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		for range 10 {
			g.wants(t, map[string]int{"b.example": 1})
			if h := f.slots.hosts["a.example"]; h != nil {
				t.Errorf("%d downloads stay at the first host", h.users)
			}
			time.Sleep(defaultHeaderTimeout - 1)
			g.leave <- struct{}{}
		}
		gets.Wait()
	})
}

// TestCancelWaits: the context ends every wait.
func TestCancelWaits(t *testing.T) {
	never := after(24*time.Hour, nil)
	for name, c := range map[string]struct {
		o       Options
		handler http.HandlerFunc
		gets    []string
	}{
		"for an answer":        {Options{Attempts: 1}, never, []string{"a"}},
		"for a body":           {Options{Attempts: 1}, drips(time.Second), []string{"a"}},
		"for the next attempt": {Options{}, status(503, "Retry-After", "60"), []string{"a"}},
		"for a slot of a host": {Options{PerHost: 1}, never, []string{"a", "a", "a"}},
		"for a slot of all":    {Options{Total: 1}, never, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.o, c.handler, func(t *testing.T, f *Fetcher) {
				ctx, cancel := context.WithCancel(t.Context())
				var gets conc.WaitGroup
				for _, host := range c.gets {
					gets.Go(func() {
						if _, err := f.Get(ctx, "http://"+host+".example/"); err != context.Canceled {
							t.Errorf("got %v", err)
						}
					})
				}
				time.Sleep(5 * time.Second) // of the bubble: all of them wait
				start := time.Now()
				cancel()
				gets.Wait()
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
				if n := len(f.slots.hosts) + len(f.slots.total); n != 0 {
					t.Errorf("%d slots were not given back", n)
				}
			})
		})
	}
}
