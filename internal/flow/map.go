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
		l := line[O]{room: make(chan struct{}, window), places: make(chan chan result[O], window)}
		var feeder conc.WaitGroup
		feeder.Go(func() {
			defer close(l.places)
			feed(ctx, in, l, pool.New().WithMaxGoroutines(workers), f)
		})
		// Runs last to first: stop the feeder, join it.
		defer feeder.Wait()
		defer cancel()

		for place := range l.places {
			r := <-place
			if !r.done {
				return // feeder.Wait raises the panic
			}
			<-l.room
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

// line holds the places of the items under way, in order.
type line[O any] struct {
	room   chan struct{} // has a sign for each item of the window
	places chan chan result[O]
}

// enter waits for room for an item, and reports whether there is some.
func (l line[O]) enter(ctx context.Context) bool {
	select {
	case l.room <- struct{}{}:
		return ctx.Err() == nil // both may have been ready
	case <-ctx.Done():
		return false
	}
}

// feed starts f on each item and leaves its place in the line. It asks for an item
// when there is room for it. It returns when in is exhausted or ctx is done, with
// all calls of f joined.
func feed[I, O any](ctx context.Context, in iter.Seq2[I, error], l line[O], workers *pool.Pool, f func(context.Context, I) (O, error)) {
	defer workers.Wait()
	if !l.enter(ctx) {
		return
	}
	for item, err := range in {
		place := make(chan result[O], 1)
		l.places <- place // has room for the window
		if err == nil {
			err = ctx.Err()
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
		if !l.enter(ctx) {
			return
		}
	}
}
