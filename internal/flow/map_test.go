package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/internal/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func count(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func square(_ context.Context, i int) (int, error) { return i * i, nil }

func collect[T any](seq iter.Seq2[T, error]) (values []T, err error) {
	for v, e := range seq {
		if e != nil {
			return values, e
		}
		values = append(values, v)
	}
	return values, nil
}

func TestMapKeepsOrder(t *testing.T) {
	for _, o := range []flow.Options{{}, {Workers: 1, Window: 1}, {Workers: 3}, {Workers: 8, Window: 64}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			// Each call waits until its successor has started, where workers
			// allow it, so that results come in out of order.
			got, err := collect(flow.Map(t.Context(), count(100), o, square))
			if err != nil {
				t.Fatal(err)
			}
			var want []int
			for i := range 100 {
				want = append(want, i*i)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestMapOvertakes: the first item finishes last, and still comes first.
func TestMapOvertakes(t *testing.T) {
	var others sync.WaitGroup
	others.Add(9)
	got, err := collect(flow.Map(t.Context(), count(10), flow.Options{Workers: 2, Window: 16}, func(_ context.Context, i int) (int, error) {
		if i == 0 {
			others.Wait()
		} else {
			others.Done()
		}
		return i, nil
	}))
	if err != nil || !slices.IsSorted(got) || len(got) != 10 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestMapUsesAllWorkers: as many calls run at once as there are workers, however
// narrow the window is.
func TestMapUsesAllWorkers(t *testing.T) {
	for workers := 1; workers <= 4; workers++ {
		var others sync.WaitGroup
		others.Add(workers)
		got, err := collect(flow.Map(t.Context(), count(workers), flow.Options{Workers: workers}, func(_ context.Context, i int) (int, error) {
			others.Done()
			others.Wait()
			return i, nil
		}))
		if err != nil || len(got) != workers {
			t.Errorf("%d workers: got %v, %v", workers, got, err)
		}
	}
}

// TestMapAsksForNoMore: an item is asked for when there is room for it in the window.
func TestMapAsksForNoMore(t *testing.T) {
	for window := 1; window <= 3; window++ {
		asked, taken := 0, 0
		synctest.Test(t, func(t *testing.T) {
			in := func(yield func(int, error) bool) {
				for i := range 20 {
					if asked++; !yield(i, nil) {
						return
					}
				}
			}
			for _, err := range flow.Map(t.Context(), in, flow.Options{Window: window}, square) {
				if err != nil {
					t.Fatal(err)
				}
				taken++
				synctest.Wait()
				if want := min(taken+window, 20); asked != want {
					t.Errorf("window %d: %d items were asked for when %d were taken, want %d", window, asked, taken, want)
				}
			}
		})
	}
}

func TestMapBounds(t *testing.T) {
	const workers, window = 3, 7
	var running, most, started, taken atomic.Int64
	seq := flow.Map(t.Context(), count(200), flow.Options{Workers: workers, Window: window}, func(_ context.Context, i int) (int, error) {
		now := running.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if ahead := started.Add(1) - taken.Load(); ahead > window {
			t.Errorf("%d items are ahead of the consumer, window is %d", ahead, window)
		}
		running.Add(-1)
		return i, nil
	})
	for _, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		taken.Add(1)
	}
	if most.Load() > workers {
		t.Errorf("%d calls ran at once, want at most %d", most.Load(), workers)
	}
}

func TestMapEnds(t *testing.T) {
	broken := errors.New("broken")
	t.Run("on an error of the function", func(t *testing.T) {
		got, err := collect(flow.Map(t.Context(), count(100), flow.Options{Workers: 4}, func(_ context.Context, i int) (int, error) {
			if i == 5 {
				return 0, broken
			}
			return i, nil
		}))
		if !errors.Is(err, broken) || len(got) != 5 {
			t.Errorf("got %v, %v: want the five items before the error", got, err)
		}
	})
	t.Run("on an error of the input", func(t *testing.T) {
		in := func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, broken) }
		got, err := collect(flow.Map(t.Context(), in, flow.Options{Workers: 4}, square))
		if !errors.Is(err, broken) || !slices.Equal(got, []int{1}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("when the consumer breaks off", func(t *testing.T) {
		var cancelled atomic.Int64
		for v, err := range flow.Map(t.Context(), count(1000), flow.Options{Workers: 4, Window: 8}, func(ctx context.Context, i int) (int, error) {
			if i == 0 {
				return i, nil
			}
			<-ctx.Done() // only the break can end these
			cancelled.Add(1)
			return 0, ctx.Err()
		}) {
			if v != 0 || err != nil {
				t.Fatal(v, err)
			}
			break
		}
		if n := cancelled.Load(); n > 8 {
			t.Errorf("%d calls were started behind a window of 8", n)
		}
	})
	t.Run("when the context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := collect(flow.Map(ctx, count(1000), flow.Options{Workers: 2}, func(ctx context.Context, i int) (int, error) {
			if i == 3 {
				cancel()
			}
			return i, ctx.Err()
		}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with the panic of the function", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		_, _ = collect(flow.Map(t.Context(), count(10), flow.Options{Workers: 2}, func(_ context.Context, i int) (int, error) {
			if i == 4 {
				panic("boom")
			}
			return i, nil
		}))
	})
}

// TestMapNests: a map over a map, broken off by the outermost consumer.
func TestMapNests(t *testing.T) {
	inner := flow.Map(t.Context(), count(1000), flow.Options{Workers: 4}, square)
	outer := flow.Map(t.Context(), inner, flow.Options{Workers: 4}, square)
	n := 0
	for v, err := range outer {
		if err != nil || v != n*n*n*n {
			t.Fatal(v, err)
		}
		if n++; n == 10 {
			break
		}
	}
}

func BenchmarkMap(b *testing.B) {
	n := 0
	for range flow.Map(b.Context(), count(b.N), flow.Options{Workers: 4, Window: 32}, square) {
		n++
	}
}
