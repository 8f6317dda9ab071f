package pool

import "time"

// limit is the number of calls that an endpoint gets at once.
//
// It adapts in rounds of as many finished calls as it has. It begins at one and
// doubles with each round that used it to the full, until the first sign of
// trouble; from then on a round adds one. When the server says that it is busy
// or an answer does not come in time, it is halved. When a round's latencies
// are several times what they were at their best, the server queues, and a
// quarter is taken off: a server that has all it can work on answers later with
// each call more, and no sooner.
type limit struct {
	n, most int
	fixed   bool
	careful bool // there was trouble
	full    bool // all of it was in use in this round
	done    int  // finished calls of this round
	strain  float64
	paces   map[kind]*pace
}

// pace is the latency of one kind of call, in seconds.
type pace struct {
	calls     int
	mean, low float64 // the moving mean, and the lowest that it was
}

const (
	// memory is the number of calls that the moving mean remembers.
	memory = 16
	// first is the number of calls whose mean is the first measure.
	first = 4
	// strained is the latency, in multiples of the lowest, from which the
	// limit goes down. Latencies of texts differ by their length: the mean of
	// sixteen of them strays by a half and not by three.
	strained = 3
	// maxKinds bounds what is kept for callers whose every call is another.
	maxKinds = 256
)

func newLimit(most int, fixed bool) limit {
	l := limit{n: 1, most: most, fixed: fixed, paces: map[kind]*pace{}}
	if fixed {
		l.n = most
	}
	return l
}

// latency is the mean of the kind's latencies in seconds, 0 if none is known.
func (l *limit) latency(k kind) float64 {
	if p := l.paces[k]; p != nil {
		return p.mean
	}
	return 0
}

// finished takes the latency of a call that the server finished.
func (l *limit) finished(k kind, took time.Duration) {
	p := l.paces[k]
	if p == nil {
		if len(l.paces) == maxKinds {
			clear(l.paces)
		}
		p = &pace{}
		l.paces[k] = p
	}
	p.calls++
	p.mean += (took.Seconds() - p.mean) / float64(min(p.calls, memory))
	if p.calls <= first || p.mean < p.low {
		p.low = p.mean
	}
	l.done++
	if p.low > 0 {
		l.strain += p.mean / p.low
	}
	if l.done < l.n {
		return
	}
	strain := l.strain / float64(l.done)
	switch {
	case strain > strained && l.n == 1:
		// What one call at a time takes is no queue of ours: it is the measure.
		for _, p := range l.paces {
			p.low = p.mean
		}
	case strain > strained:
		l.set(l.n * 3 / 4)
		l.careful = true
	case l.full && l.careful:
		l.set(l.n + 1)
	case l.full:
		l.set(l.n * 2)
	}
	l.begin()
}

// cut halves the limit.
func (l *limit) cut() {
	l.set(l.n / 2)
	l.careful = true
	l.begin()
}

func (l *limit) set(n int) {
	if !l.fixed {
		l.n = min(max(n, 1), l.most)
	}
}

// begin begins a new round.
func (l *limit) begin() { l.done, l.strain, l.full = 0, 0, false }
