package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var identity = runtime.Identity{Name: "m", Revision: "1"}

// fake is a server of the model in a test's time: answer is called with the
// number of the call there, from 1, and of the calls under way.
type fake struct {
	answer func(ctx context.Context, call, running int) error

	mu                   sync.Mutex
	calls, running, most int
	texts                []string // the context of each call, in order
}

func (f *fake) Identity() runtime.Identity { return identity }

func (f *fake) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	f.mu.Lock()
	f.calls++
	f.running++
	f.most = max(f.most, f.running)
	if len(r.Context) > 0 {
		f.texts = append(f.texts, r.Context[0].Text)
	}
	call, running := f.calls, f.running
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	if err := f.answer(ctx, call, running); err != nil {
		return runtime.Answer{}, err
	}
	return runtime.Answer{Text: "done", Finish: "stop"}, nil
}

// work takes the time d, or until ctx is done.
func work(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takes is a server that finishes each call after d.
func takes(d time.Duration) *fake {
	return &fake{answer: func(ctx context.Context, _, _ int) error { return work(ctx, d) }}
}

// fails is a server that fails each call at once.
func fails(e runtime.Error) *fake {
	return &fake{answer: func(context.Context, int, int) error { return &e }}
}

var away = runtime.Error{Kind: runtime.Transient, Trouble: runtime.Away, Model: identity, Reason: "no answer came"}

// poolOf makes a pool of servers named a, b, …, which take one call at a time
// each.
func poolOf(t *testing.T, o pool.Options, servers ...*fake) *pool.Pool {
	t.Helper()
	var endpoints []pool.Endpoint
	for i, s := range servers {
		endpoints = append(endpoints, pool.Endpoint{Name: string(rune('a' + i)), Model: s, Limit: 1, Fixed: true})
	}
	p, err := pool.New(o, endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(text string) runtime.Request {
	return runtime.Request{Want: runtime.Text, Context: []runtime.Part{runtime.TextPart(text)}}
}

// call makes one call and returns its error.
func call(t *testing.T, p *pool.Pool) error {
	_, err := p.Generate(t.Context(), request(""))
	return err
}

// callMany makes n calls in the given order and returns their errors in it.
func callMany(t *testing.T, p *pool.Pool, n int) []error {
	errs := make([]error, n)
	var calls conc.WaitGroup
	for i := range n {
		calls.Go(func() { _, errs[i] = p.Generate(t.Context(), request(fmt.Sprint(i))) })
		synctest.Wait() // it has a turn or waits for one
	}
	calls.Wait()
	return errs
}

func wantFailure(t *testing.T, err error, kind runtime.Kind, says ...string) *runtime.Error {
	t.Helper()
	var failure *runtime.Error
	if !errors.As(err, &failure) || failure.Kind != kind || failure.Model != identity {
		t.Fatalf("got %v, want a %s failure of %s", err, kind, identity)
	}
	for _, s := range says {
		if !strings.Contains(failure.Error(), s) {
			t.Errorf("got %v, want %q in it", failure, s)
		}
	}
	return failure
}

func TestCallsWaitInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := takes(time.Second)
		p := poolOf(t, pool.Options{}, server)
		start := time.Now()
		if err := errors.Join(callMany(t, p, 20)...); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(server.texts, want) || server.most != 1 {
			t.Errorf("the calls were made in the order %v, %d at once", server.texts, server.most)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("20 calls of 1s took %v", took)
		}
		if s := p.Stats()[0]; s.Calls != 20 || s.Busy != 20*time.Second || s.Idle != 0 || s.Limit != 1 || s.State != pool.Up {
			t.Errorf("got %+v", s)
		}
	})
}

// TestFasterServerGetsMore: of three servers one is four times as fast, and
// the work is done as soon as it can be.
func TestFasterServerGetsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast, other := takes(4*time.Second), takes(time.Second), takes(4*time.Second)
		p := poolOf(t, pool.Options{}, slow, fast, other)
		start := time.Now()
		if err := errors.Join(callMany(t, p, 60)...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 40*time.Second || fast.calls != 40 {
			t.Errorf("60 calls took %v, %d of them by the fast server", took, fast.calls)
		}
		// One call alone goes to the fast one, also when all are free.
		for range 3 {
			if err := call(t, p); err != nil {
				t.Fatal(err)
			}
		}
		if fast.calls != 43 {
			t.Errorf("of 3 single calls the fast server got %d", fast.calls-40)
		}
	})
}

func TestCancelledCallGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := takes(time.Minute)
		p := poolOf(t, pool.Options{}, server)
		ctx, cancel := context.WithCancel(t.Context())
		var calls conc.WaitGroup
		for range 3 { // one has its turn, two wait
			calls.Go(func() {
				if _, err := p.Generate(ctx, request("")); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		calls.Wait()
		if err := call(t, p); err != nil || server.calls != 2 {
			t.Errorf("got %v after %d calls", err, server.calls)
		}
		if s := p.Stats()[0]; s.Running != 0 || s.Failures != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestDrain: a call under way is waited for when its context is done, one that
// waits for a turn is not.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := takes(time.Minute)
		p, err := pool.New(pool.Options{Drain: true}, pool.Endpoint{Name: "a", Model: server, Limit: 1, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var calls conc.WaitGroup
		var mu sync.Mutex
		finished, ended := 0, 0
		for range 3 {
			calls.Go(func() {
				_, err := p.Generate(ctx, runtime.Request{})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					finished++
				case errors.Is(err, context.Canceled):
					ended++
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		calls.Wait()
		if finished != 1 || ended != 2 || server.calls != 1 {
			t.Errorf("%d finished, %d ended, %d calls", finished, ended, server.calls)
		}
	})
}

func TestPanicGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, pool.Options{}, &fake{answer: func(_ context.Context, call, _ int) error {
			if call == 1 {
				panic("boom")
			}
			return nil
		}})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = call(t, p)
		}()
		if err := call(t, p); err != nil {
			t.Error(err)
		}
	})
}

// TestFailuresOfTheCall go to the caller and leave the endpoint in use.
func TestFailuresOfTheCall(t *testing.T) {
	for _, kind := range []runtime.Kind{runtime.Refused, runtime.Invalid, runtime.Truncated, runtime.Empty, runtime.Malformed} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := fails(runtime.Error{Kind: kind, Model: identity}), takes(time.Second)
				p := poolOf(t, pool.Options{}, a, b)
				wantFailure(t, call(t, p), kind)
				if s := p.Stats()[0]; b.calls != 0 || s.State != pool.Up || s.Calls != 1 || s.Failures != 0 {
					t.Errorf("%d calls elsewhere, got %+v", b.calls, s)
				}
			})
		})
	}
}

// TestCallGoesOnElsewhere: a server that is gone costs its caller nothing, and
// is tried by one call at a time, after 1, 2, 4 … seconds.
func TestCallGoesOnElsewhere(t *testing.T) {
	for _, trouble := range []runtime.Trouble{runtime.Away, runtime.Broken, runtime.Busy} {
		t.Run(string(trouble), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var tries []time.Duration
				gone := &fake{}
				gone.answer = func(ctx context.Context, call, running int) error {
					tries = append(tries, time.Since(start))
					if running > 1 {
						t.Errorf("%d calls try a server that is gone", running)
					}
					if len(tries) <= 5 {
						return &runtime.Error{Kind: runtime.Transient, Trouble: trouble, Model: identity}
					}
					return work(ctx, time.Second)
				}
				p := poolOf(t, pool.Options{}, gone, takes(time.Second))
				if err := errors.Join(callMany(t, p, 40)...); err != nil {
					t.Fatal(err)
				}
				seconds := []time.Duration{0, 1, 3, 7, 15, 31}
				for i, s := range seconds {
					if tries[i] != s*time.Second {
						t.Errorf("try %d came after %v, want %v", i+1, tries[i], s*time.Second)
					}
				}
				if s := p.Stats()[0]; s.State != pool.Up || s.Failures != 5 || s.Calls < 2 {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		busy := &fake{answer: func(ctx context.Context, call, _ int) error {
			if call == 1 {
				return &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Busy, Model: identity, RetryAfter: 17 * time.Second}
			}
			if call == 2 && time.Since(start) != 17*time.Second {
				t.Errorf("the server was asked again after %v", time.Since(start))
			}
			return work(ctx, time.Second)
		}}
		p := poolOf(t, pool.Options{}, busy)
		if err := call(t, p); err != nil || time.Since(start) != 18*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// TestOutage: when all are gone, calls wait for the patience that is left, and
// fail with what the endpoints said. Then each tries what is due and fails at
// once, until one of them succeeds.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := true
		answer := func(ctx context.Context, _, _ int) error {
			if gone {
				e := away
				e.Err = errors.New("connection refused")
				return &e
			}
			return work(ctx, time.Second)
		}
		a, b := &fake{answer: answer}, &fake{answer: answer}
		p := poolOf(t, pool.Options{Patience: 5 * time.Minute, MaxRest: 40 * time.Second}, a, b)
		start := time.Now()
		for _, err := range callMany(t, p, 10) {
			failure := wantFailure(t, err, runtime.Transient, "no endpoint could be used for 5m0s: a: no answer came: connection refused; b: no answer came: connection refused")
			if failure.RetryAfter <= 0 || failure.RetryAfter > 40*time.Second {
				t.Errorf("asks to try again after %v", failure.RetryAfter)
			}
		}
		if took := time.Since(start); took != 5*time.Minute {
			t.Errorf("the calls failed after %v", took)
		}
		if a.calls > 15 {
			t.Errorf("a server that is gone got %d calls in 5 minutes", a.calls)
		}
		before := time.Now()
		wantFailure(t, call(t, p), runtime.Transient, "no endpoint")
		if !time.Now().Equal(before) {
			t.Error("a call waited though the patience was over")
		}
		gone = false
		time.Sleep(40 * time.Second)
		if err := errors.Join(callMany(t, p, 10)...); err != nil {
			t.Error(err)
		}
		// The next outage has the whole patience again.
		gone = true
		start = time.Now()
		wantFailure(t, call(t, p), runtime.Transient)
		if took := time.Since(start); took != 5*time.Minute {
			t.Errorf("in the second outage the call failed after %v", took)
		}
	})
}

// TestOutageEnds: calls that wait when a server comes back are answered.
func TestOutageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, pool.Options{}, &fake{answer: func(ctx context.Context, call, _ int) error {
			if call <= 6 {
				return &away
			}
			return work(ctx, time.Second)
		}})
		start := time.Now()
		if err := errors.Join(callMany(t, p, 5)...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 63*time.Second+5*time.Second {
			t.Errorf("took %v, want 1+2+4+8+16+32 s of rests and 5 calls", took)
		}
	})
}

// TestBusyForGood: a server that is always busy is no sign of life.
func TestBusyForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, pool.Options{Patience: time.Minute}, fails(runtime.Error{Kind: runtime.Transient, Trouble: runtime.Busy, Model: identity, Reason: "429"}))
		start := time.Now()
		for _, err := range callMany(t, p, 3) {
			wantFailure(t, err, runtime.Transient, "429")
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the calls failed after %v", took)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, pool.Options{}, fails(away))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.Generate(ctx, request("")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrongKey := runtime.Error{Kind: runtime.Fatal, Model: identity, Reason: "wrong key"}
		a, b := fails(wrongKey), takes(time.Second)
		p := poolOf(t, pool.Options{}, a, b)
		if err := errors.Join(callMany(t, p, 5)...); err != nil || a.calls != 1 {
			t.Errorf("got %v after %d calls of the server that is out", err, a.calls)
		}
		if s := p.Stats()[0]; s.State != pool.Out || s.Error == nil {
			t.Errorf("got %+v", s)
		}
		b.answer = fails(runtime.Error{Kind: runtime.Fatal, Model: identity, Reason: "no such model"}).answer
		for _, err := range callMany(t, p, 3) {
			wantFailure(t, err, runtime.Fatal, "a: wrong key; b: no such model")
		}
		alone := poolOf(t, pool.Options{}, a)
		wantFailure(t, call(t, alone), runtime.Fatal, "model m@1: fatal: wrong key")
	})
}

// TestPoison: a call under which servers break stops after three of them, and
// the others are served.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Broken, Model: identity, Reason: "broke off"}
		var servers []*fake
		for range 5 {
			s := &fake{}
			s.answer = func(ctx context.Context, call, _ int) error {
				if s.texts[call-1] == "0" {
					return broken
				}
				return work(ctx, time.Second)
			}
			servers = append(servers, s)
		}
		p := poolOf(t, pool.Options{}, servers...)
		errs := callMany(t, p, 10)
		wantFailure(t, errs[0], runtime.Transient, "broke off")
		if err := errors.Join(errs[1:]...); err != nil {
			t.Error(err)
		}
		failed := 0
		for _, s := range p.Stats() {
			failed += s.Failures
		}
		if failed != 3 {
			t.Errorf("the call broke %d servers", failed)
		}
	})
}

// TestFastFailure: a server that fails every call at once does not get them
// all.
func TestFastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t, pool.Options{}, fails(runtime.Error{Kind: runtime.Transient, Model: identity, Reason: "500"}), takes(time.Second))
		failed := 0
		for _, err := range callMany(t, p, 100) {
			if err != nil {
				wantFailure(t, err, runtime.Transient, "500")
				failed++
			}
		}
		if failed < 3 || failed > 10 {
			t.Errorf("%d of 100 calls failed", failed)
		}
	})
}

// TestLimitFindsTheServersOwn: a server works on so many calls at a time and
// queues, or refuses, what is above. The limit comes near, and the server is
// never without work.
func TestLimitFindsTheServersOwn(t *testing.T) {
	const most, calls, service = 64, 4096, time.Second
	for _, tc := range []struct {
		name         string
		slots        int
		refuses      bool
		least, large int // limits that are right
	}{
		{"no limit", most, false, most, most},
		{"queues above 8", 8, false, 8, 32},
		{"queues above 1", 1, false, 1, 24},
		{"refuses above 8", 8, true, 4, 9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slots := make(chan struct{}, tc.slots)
				server := &fake{answer: func(ctx context.Context, _, running int) error {
					if tc.refuses && running > tc.slots {
						return &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Busy, Model: identity}
					}
					slots <- struct{}{}
					defer func() { <-slots }()
					return work(ctx, service)
				}}
				p, err := pool.New(pool.Options{}, pool.Endpoint{Name: "a", Model: server, Limit: most})
				if err != nil {
					t.Fatal(err)
				}
				var workers conc.WaitGroup
				var mu sync.Mutex
				var limits []int // after each call of the third quarter
				done := 0
				for range 2 * most {
					workers.Go(func() {
						for range calls / (2 * most) {
							if err := call(t, p); err != nil {
								t.Error(err)
							}
							mu.Lock()
							if done++; done > calls/2 && done <= calls*3/4 {
								limits = append(limits, p.Stats()[0].Limit)
							}
							mu.Unlock()
						}
					})
				}
				workers.Wait()
				slices.Sort(limits)
				if least, large := limits[0], limits[len(limits)-1]; least < tc.least || large > tc.large {
					t.Errorf("the limit was %d to %d, want %d to %d", least, large, tc.least, tc.large)
				}
			})
		})
	}
}

// TestFixedLimit stays as it is, whatever the server says.
func TestFixedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fake{answer: func(ctx context.Context, call, _ int) error {
			if call%10 == 0 {
				return &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Busy, Model: identity}
			}
			return work(ctx, time.Duration(call)*time.Second)
		}}
		p, err := pool.New(pool.Options{}, pool.Endpoint{Name: "a", Model: server, Limit: 3, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(callMany(t, p, 50)...); err != nil {
			t.Fatal(err)
		}
		if s := p.Stats()[0]; s.Limit != 3 || server.most != 3 {
			t.Errorf("%d calls at once, got %+v", server.most, s)
		}
	})
}

// TestIdleTime is that without a call while calls wait.
func TestIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &fake{answer: func(context.Context, int, int) error {
			return &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Away, Model: identity, RetryAfter: time.Hour}
		}}
		p := poolOf(t, pool.Options{}, gone, takes(10*time.Second))
		if err := errors.Join(callMany(t, p, 5)...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // nothing waits
		s := p.Stats()
		if s[0].Idle != 40*time.Second || s[0].Busy != 0 || s[1].Idle != 0 || s[1].Busy != 50*time.Second {
			t.Errorf("got %+v", s)
		}
	})
}

func TestMovingFollowsItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		address, why := "http://a", error(nil)
		var opened []*closing
		m := pool.NewMoving(identity, func() (string, error) {
			if time.Since(start) < 10*time.Minute {
				return "", &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Away, Reason: "it is loading", RetryAfter: time.Second}
			}
			return address, why
		}, func(address string) (pool.Client, error) {
			c := &closing{fake: takes(time.Second), address: address}
			opened = append(opened, c)
			return c, nil
		})
		p, err := pool.New(pool.Options{}, pool.Endpoint{Name: "gpu 0", Model: m, Limit: 1, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t, p); err != nil || time.Since(start) != 10*time.Minute+time.Second {
			t.Errorf("got %v after %v: want the call to begin as soon as the server is there", err, time.Since(start))
		}
		address = "http://b"
		if err := errors.Join(callMany(t, p, 3)...); err != nil {
			t.Error(err)
		}
		if len(opened) != 2 || !opened[0].closed || opened[1].closed || opened[1].address != "http://b" || opened[1].calls != 3 {
			t.Errorf("got %+v", opened)
		}
		m.Close()
		if !opened[1].closed {
			t.Error("the client is left open")
		}
		why = &runtime.Error{Kind: runtime.Fatal, Reason: "it died 3 times"}
		wantFailure(t, call(t, p), runtime.Fatal, "it died 3 times")
	})
}

type closing struct {
	*fake
	address string
	closed  bool
}

func (c *closing) Close() { c.closed = true }

type another struct{ fake }

func (*another) Identity() runtime.Identity { return runtime.Identity{Name: "m", Revision: "2"} }

func TestNewRefuses(t *testing.T) {
	model := takes(0)
	for says, make := range map[string]func() (*pool.Pool, error){
		"there is no endpoint": func() (*pool.Pool, error) { return pool.New(pool.Options{}) },
		"endpoint a serves m@1 and endpoint b serves m@2": func() (*pool.Pool, error) {
			return pool.New(pool.Options{}, pool.Endpoint{Name: "a", Model: model, Limit: 1}, pool.Endpoint{Name: "b", Model: &another{}, Limit: 1})
		},
		`two endpoints are named "a"`: func() (*pool.Pool, error) {
			return pool.New(pool.Options{}, pool.Endpoint{Name: "a", Model: model, Limit: 1}, pool.Endpoint{Name: "a", Model: model, Limit: 1})
		},
		"the limit of endpoint a is 0": func() (*pool.Pool, error) { return pool.New(pool.Options{}, pool.Endpoint{Name: "a", Model: model}) },
		"patience is -1s":              func() (*pool.Pool, error) { return pool.New(pool.Options{Patience: -time.Second}) },
		"rests are -1s":                func() (*pool.Pool, error) { return pool.New(pool.Options{Rest: -time.Second}) },
		"want the first to be":         func() (*pool.Pool, error) { return pool.New(pool.Options{Rest: 2, MaxRest: 1}) },
	} {
		if _, err := make(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
