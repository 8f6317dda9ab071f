package pool_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/pool"
)

// BenchmarkUtilisation measures, in fake time and so exactly, the part of the
// time in which an endpoint has no call while there is work left: idle% is the
// mean over the endpoints, from the first call until no pair is left to be
// begun. Each endpoint takes one call at a time. The pairs go through flow.Map as
// in a build, with a window of eight times the workers. A pair has four calls
// one after another, of 2 to 40 seconds, and half a second of other work before
// each.
func BenchmarkUtilisation(b *testing.B) {
	for _, endpoints := range []int{1, 8, 64} {
		for _, workers := range []int{1, 2, 3} {
			b.Run(fmt.Sprintf("endpoints=%d/workers=%d", endpoints, workers*endpoints), func(b *testing.B) {
				var idle float64
				for b.Loop() {
					idle = inFakeTime(b, func(ctx context.Context) float64 { return utilise(ctx, endpoints, workers*endpoints) })
				}
				b.ReportMetric(100*idle, "idle%")
			})
		}
	}
}

// inFakeTime runs f in a bubble of synctest, which wants a test.
func inFakeTime(b *testing.B, f func(context.Context) float64) (result float64) {
	passed := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: b.Name(),
		F:    func(t *testing.T) { synctest.Test(t, func(t *testing.T) { result = f(t.Context()) }) },
	}})
	if !passed {
		b.Fatal("the run in fake time failed")
	}
	return result
}

// timed is a server that finishes a call after its seed's number of
// milliseconds.
type timed struct{}

func (timed) Identity() runtime.Identity { return identity }

func (timed) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	return runtime.Answer{Text: "done"}, work(ctx, time.Duration(r.Sampling.Seed)*time.Millisecond)
}

// utilise returns the idle part of the endpoints' time.
func utilise(ctx context.Context, endpoints, workers int) float64 {
	const pairsEach = 100
	var all []pool.Endpoint
	for i := range endpoints {
		all = append(all, pool.Endpoint{Name: fmt.Sprint(i), Model: timed{}, Limit: 1, Fixed: true})
	}
	p, err := pool.New(pool.Options{}, all...)
	if err != nil {
		panic(err)
	}
	start := time.Now()
	var end time.Time // when no pair was left to be begun
	var stats []pool.Stats
	pairs := func(yield func(uint64, error) bool) {
		for i := range uint64(pairsEach * endpoints) {
			if !yield(i, nil) {
				return
			}
		}
		end = time.Now()
		stats = p.Stats()
	}
	seq := flow.Map(ctx, iter.Seq2[uint64, error](pairs), flow.Options{Workers: workers, Window: 8 * workers}, func(ctx context.Context, i uint64) (uint64, error) {
		random := rand.New(rand.NewPCG(i, 1))
		for range 4 {
			time.Sleep(500 * time.Millisecond)
			service := 2 + 38*random.Float64()*random.Float64()
			r := runtime.Request{Want: runtime.Text, Sampling: runtime.Sampling{Seed: uint64(service * 1000)}}
			if _, err := p.Generate(ctx, r); err != nil {
				return 0, err
			}
		}
		return i, nil
	})
	for _, err := range seq {
		if err != nil {
			panic(err)
		}
	}
	var busy time.Duration
	for _, s := range stats {
		busy += s.Busy
	}
	whole := time.Duration(endpoints) * end.Sub(start)
	return float64(whole-busy) / float64(whole)
}
