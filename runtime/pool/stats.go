package pool

import (
	"fmt"
	"strings"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// State is that of an endpoint.
type State string

// The states.
const (
	Up      State = "up"
	Resting State = "resting" // it failed, and will be tried again
	Out     State = "out"     // for good
)

// Stats are the statistics of an endpoint.
type Stats struct {
	Name  string
	State State
	// Calls counts the calls that the server answered, also with a refusal or
	// another failure of the call; Failures those that it did not.
	Calls, Failures int
	// Busy is the time in which the endpoint had a call, and Idle that in which
	// it had none while calls waited.
	Busy, Idle time.Duration
	// Running is the number of calls under way, and Limit the most at present.
	Running, Limit int
	// Error is the endpoint's last failure, nil if there was none.
	Error error
}

// Stats returns the statistics of each endpoint, in the order of New.
func (p *Pool) Stats() []Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count()
	var stats []Stats
	for _, e := range p.endpoints {
		s := Stats{Name: e.Name, State: Up, Calls: e.calls, Failures: e.failures, Busy: e.busy, Idle: e.idle, Running: e.running, Limit: e.limit.n}
		switch {
		case e.out:
			s.State = Out
		case e.away || p.at.Before(e.until):
			s.State = Resting
		}
		if e.last != nil {
			s.Error = e.last
		}
		stats = append(stats, s)
	}
	return stats
}

// hopeless returns the error with which calls end that no endpoint may serve
// in time, nil as long as one may.
func (p *Pool) hopeless() error {
	out, next := 0, time.Duration(-1) // until an endpoint is tried again
	for _, e := range p.endpoints {
		if e.out {
			out++
		} else if rest := max(e.until.Sub(p.at), 0); next < 0 || rest < next {
			next = rest
		}
	}
	switch {
	case out == len(p.endpoints) && out == 1:
		return p.endpoints[0].last
	case out == len(p.endpoints):
		return &runtime.Error{Kind: runtime.Fatal, Model: p.identity, Reason: "no endpoint is left: " + p.complaints()}
	case p.usable() || p.at.Sub(p.dark) < p.o.Patience:
		return nil
	}
	return &runtime.Error{
		Kind: runtime.Transient, Trouble: runtime.Away, Model: p.identity, RetryAfter: next,
		Reason: fmt.Sprintf("no endpoint could be used for %v: %s", p.at.Sub(p.dark).Round(time.Second), p.complaints()),
	}
}

// complaints names the endpoints with the last failure of each.
func (p *Pool) complaints() string {
	var all []string
	for _, e := range p.endpoints {
		said := "no call was tried yet"
		if e.last != nil {
			said = e.last.Reason
			if e.last.Err != nil {
				said += ": " + e.last.Err.Error()
			}
		}
		all = append(all, e.Name+": "+said)
	}
	return strings.Join(all, "; ")
}
