// Package flow runs a function over a sequence with bounded, ordered and
// cancellable concurrency.
package flow

import (
	"context"
	"iter"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"
)

// Options bound a [Map].
type Options struct {
	// Workers is the number of calls of the function at one time; less than
	// one means one.
	Workers int
	// Window is the number of items that may be under way or finished and not
	// yet taken by the consumer. A window wider than Workers keeps them busy
	// while the oldest item is slow; memory is bounded by it. Less than
	// Workers means Workers.
	Window int
}

type result[O any] struct {
	value O
	err   error
	done  bool // false: the function panicked and gave no result
}

// Map calls f on each item of in and yields the results in the order of in.
//
// The sequence ends after the first error, be it in's, f's or the context's.
// The function f runs on goroutines of the returned sequence, and in is ranged
// over on one of them; all have ended when the range over the result ends, also when
// it is broken off: then f's context is cancelled, and in is left at its next item.
// A panic in f is raised again in the consumer.
func Map[I, O any](ctx context.Context, in iter.Seq2[I, error], o Options, f func(context.Context, I) (O, error)) iter.Seq2[O, error] {
	workers := max(o.Workers, 1)
	window := max(o.Window, workers)

	return func(yield func(O, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		// pending holds a place for each item under way, in order. One more
		// place than its capacity is in the feeder's hand and one in the
		// consumer's.
		pending := make(chan chan result[O], max(window-2, 0))
		var feeder conc.WaitGroup
		feeder.Go(func() {
			defer close(pending)
			feed(ctx, in, pending, pool.New().WithMaxGoroutines(workers), f)
		})
		// Runs last to first: stop the feeder, empty its channel, join it.
		defer feeder.Wait()
		defer func() {
			for range pending {
			}
		}()
		defer cancel()

		for place := range pending {
			r := <-place
			if !r.done {
				return // feeder.Wait raises the panic
			}
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			var none O
			yield(none, err)
		}
	}
}

// feed starts f on each item and leaves its place in pending. It returns when
// in is exhausted or ctx is done, with all calls of f joined.
func feed[I, O any](ctx context.Context, in iter.Seq2[I, error], pending chan<- chan result[O], workers *pool.Pool, f func(context.Context, I) (O, error)) {
	defer workers.Wait()
	for item, err := range in {
		place := make(chan result[O], 1)
		select {
		case pending <- place:
		case <-ctx.Done():
			return
		}
		if err == nil {
			err = ctx.Err() // the select may have found both ready
		}
		if err != nil {
			place <- result[O]{err: err, done: true}
			return
		}
		workers.Go(func() {
			var r result[O]
			defer func() { place <- r }() // also when f panics
			r.value, r.err = f(ctx, item)
			r.done = true
		})
	}
}
