package pool

import (
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// endpoint is an endpoint and what is known of it. The pool's lock guards it.
type endpoint struct {
	Endpoint
	limit   limit
	running int
	latest  uint64 // number of its latest turn

	out   bool // for good
	away  bool // until a call that tries it succeeds
	trial bool // such a call is under way
	until time.Time
	// epoch counts the rests: what a call of an earlier epoch says is old news.
	epoch   int
	pause   time.Duration // the last rest that no Retry-After set
	unsound int           // failures in a row that say no more
	last    *runtime.Error

	calls, failures int
	busy, idle      time.Duration
}

func newEndpoint(e Endpoint) *endpoint {
	return &endpoint{Endpoint: e, limit: newLimit(e.Limit, e.Fixed)}
}

// hasRoom reports whether the endpoint takes a call now.
func (e *endpoint) hasRoom(now time.Time) bool {
	switch {
	case e.out || now.Before(e.until):
		return false
	case e.away:
		return !e.trial
	}
	return e.running < e.limit.n
}

// before reports whether e is to be preferred to f: it is due for a try, is
// likely to answer sooner, or was idle for longer. An endpoint of which
// nothing is known is taken for fast.
func (e *endpoint) before(f *endpoint, k kind) bool {
	if e.away != f.away {
		return e.away
	}
	if a, b := e.expected(k), f.expected(k); a != b {
		return a < b
	}
	return e.latest < f.latest
}

// expected is a measure of the time to the answer of one call more.
func (e *endpoint) expected(k kind) float64 {
	return e.limit.latency(k) * float64(e.running+1) / float64(e.limit.n)
}

func (e *endpoint) enter(now time.Time, number uint64) turn {
	e.running++
	e.latest = number
	e.trial = e.away
	e.limit.full = e.limit.full || e.running >= e.limit.n
	return turn{at: e, start: now, epoch: e.epoch, trial: e.away}
}

func (e *endpoint) leave(t turn) {
	e.running--
	if t.trial {
		e.trial = false
	}
}
