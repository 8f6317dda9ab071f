// Package pool puts several servers of one model behind one [runtime.Model].
//
// A call goes to the endpoint that is likeliest to answer it first; calls for
// which none has room wait in the order in which they came. How many calls an
// endpoint gets at once follows its latency and its refusals.
//
// # Who repeats what
//
// The pool moves a call, and its caller repeats it; neither does the other's
// part.
//
//   - A server that cannot be reached, is busy or loses the connection
//     ([runtime.Away], [runtime.Busy], [runtime.Broken]) has given no answer,
//     so the call goes on elsewhere at once and the caller hears nothing of
//     it. The endpoint rests: as long as its Retry-After says, else twice as
//     long each time. One that was away or broke gets one call to try it
//     before it gets others. A call under which three servers broke is under
//     suspicion itself: the caller gets the failure.
//   - When no endpoint is left, calls wait for one to come back, up to
//     [Options.Patience] after the last sign of life. Then they fail as
//     Transient, each after one try of the endpoints whose rest is over, with
//     [runtime.Away] as their trouble: the caller, which would only wait once
//     more, gives the call up.
//   - A Fatal failure takes the endpoint out for good. The call goes on
//     elsewhere, and fails as Fatal when no endpoint is left.
//   - All other failures are about the call and go to the caller, which
//     repeats the Transient ones among them after a pause of its own; the next
//     attempt may well go to another endpoint. An endpoint that has nothing
//     but such failures rests too, so that one which fails fast does not get
//     all the calls.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// Endpoint is one server of the model.
type Endpoint struct {
	// Name stands in messages and statistics, such as the server's address;
	// no two are the same.
	Name string
	// Model makes the calls; whoever made it closes it after the last call.
	Model runtime.Model
	// Limit is the most calls at once, at least 1.
	Limit int
	// Starting: the server is being started, and that it is away is no news
	// until it has answered once.
	Starting bool
	// Fixed keeps Limit as it is, for a server that works on so many at a time
	// and queues the others. Else the limit begins at 1 and adapts.
	Fixed bool
}

// Options say how long the pool waits. The zero value is usable.
type Options struct {
	// Patience is how long calls wait when no endpoint can be used; 0: 15
	// minutes. It must be longer than a server takes to start.
	Patience time.Duration
	// Rest is the first rest of an endpoint that failed, doubled with each
	// failure in a row up to MaxRest; 0: 1 second and 1 minute.
	Rest, MaxRest time.Duration
	// Drain has calls that an endpoint has begun waited for when their context
	// is done, because they are paid for; calls that wait for a turn end.
	Drain bool
	// Log is told of endpoints that go away, come back or are out; nil: none.
	Log *slog.Logger
}

const (
	defaultPatience = 15 * time.Minute
	defaultRest     = time.Second
	defaultMaxRest  = time.Minute

	// maxBroken is the number of servers that may break under one call.
	maxBroken = 3
	// maxFailures is the number of failures in a row, none of which says more,
	// after which an endpoint rests.
	maxFailures = 3
)

func (o Options) withDefaults() Options {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Rest == 0 {
		o.Rest = defaultRest
	}
	if o.MaxRest == 0 {
		o.MaxRest = defaultMaxRest
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate returns an error that says what to mend.
func (o Options) Validate() error {
	switch {
	case o.Patience < 0:
		return fmt.Errorf("patience is %v: want a positive duration, or 0 for %v", o.Patience, defaultPatience)
	case o.Rest < 0 || o.MaxRest < 0:
		return fmt.Errorf("the rests are %v to %v: want positive durations, or 0 for %v and %v", o.Rest, o.MaxRest, defaultRest, defaultMaxRest)
	case o.MaxRest > 0 && o.Rest > o.MaxRest:
		return fmt.Errorf("the first rest is %v and the longest %v: want the first to be the shorter one", o.Rest, o.MaxRest)
	}
	return nil
}

// Pool is a model with several endpoints. It is safe for concurrent use, has no
// goroutines of its own and needs no closing.
type Pool struct {
	o        Options
	identity runtime.Identity

	mu        sync.Mutex
	endpoints []*endpoint
	queue     queue
	arrivals  uint64    // calls so far
	turns     uint64    // turns given so far
	at        time.Time // until when busy and idle times are counted
	// dark is when, after the last sign of life, no endpoint could be used for
	// the first time; zero as long as that was not so.
	dark  time.Time
	alarm *time.Timer // wakes the queue for the next rest that ends; nil if none was needed yet
}

// New returns a pool of the endpoints, all of which must have one identity.
func New(o Options, endpoints ...Endpoint) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	if len(endpoints) == 0 {
		return nil, errors.New("pool: there is no endpoint: want at least one")
	}
	p := &Pool{o: o.withDefaults(), identity: endpoints[0].Model.Identity(), at: time.Now()}
	names := map[string]bool{}
	for _, e := range endpoints {
		switch id := e.Model.Identity(); {
		case id != p.identity:
			return nil, fmt.Errorf("pool: endpoint %s serves %s and endpoint %s serves %s: want one model and revision, since any of them may answer a call", endpoints[0].Name, p.identity, e.Name, id)
		case e.Name == "" || names[e.Name]:
			return nil, fmt.Errorf("pool: two endpoints are named %q: want a name for each", e.Name)
		case e.Limit < 1:
			return nil, fmt.Errorf("pool: the limit of endpoint %s is %d: want at least 1", e.Name, e.Limit)
		}
		names[e.Name] = true
		p.endpoints = append(p.endpoints, newEndpoint(e))
	}
	return p, nil
}

// Identity implements [runtime.Model].
func (p *Pool) Identity() runtime.Identity { return p.identity }

// Generate implements [runtime.Model].
func (p *Pool) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Answer{}, err
	}
	c := p.arrive(kindOf(r))
	for {
		t, err := p.wait(ctx, c)
		if err != nil {
			return runtime.Answer{}, err
		}
		answer, moves, err := p.try(ctx, c, t, r)
		if !moves {
			return answer, err
		}
	}
}

// arrive puts a new call into the queue.
func (p *Pool) arrive(k kind) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count()
	p.arrivals++
	c := &call{number: p.arrivals, kind: k, ready: make(chan turn, 1)}
	p.queue.put(c)
	p.dispatch()
	return c
}

// wait returns the call's turn at an endpoint.
func (p *Pool) wait(ctx context.Context, c *call) (turn, error) {
	select {
	case t := <-c.ready:
		return t, t.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count()
	if !p.queue.remove(c) { // the turn came at the same time
		if t := <-c.ready; t.err == nil {
			t.at.leave(t)
		}
	}
	p.dispatch()
	return turn{}, ctx.Err()
}

// try makes the call at the endpoint; moves reports that the call is in the
// queue again, in its old place.
func (p *Pool) try(ctx context.Context, c *call, t turn, r runtime.Request) (answer runtime.Answer, moves bool, err error) {
	returned := false
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.count()
		t.at.leave(t)
		if returned { // and did not panic
			moves = p.judge(ctx, c, t, err)
		}
		if moves {
			p.queue.put(c)
		}
		p.dispatch()
	}()
	under := ctx
	if p.o.Drain {
		under = context.WithoutCancel(ctx)
	}
	answer, err = t.at.Model.Generate(under, r)
	returned = true
	answer.Server = t.at.Name
	if failure, ok := err.(*runtime.Error); ok {
		named := *failure // which is the endpoint's
		named.Server = t.at.Name
		err = &named
	}
	return answer, false, err
}

// judge draws from a call's outcome what it says of the endpoint, and reports
// whether the call goes on elsewhere.
func (p *Pool) judge(ctx context.Context, c *call, t turn, err error) (moves bool) {
	e, now := t.at, p.at
	var failure *runtime.Error
	known := errors.As(err, &failure)
	switch {
	case err == nil, known && failure.Answered():
		e.calls++
		e.limit.finished(c.kind, now.Sub(t.start))
		p.alive(t)
		return false
	case ctx.Err() != nil || !known:
		return false // says nothing of the endpoint
	case failure.Kind == runtime.Invalid:
		e.calls++
		p.alive(t)
		return false
	}
	e.failures++
	e.last = failure
	if failure.Kind == runtime.Fatal {
		if !e.out {
			p.o.Log.Warn("a model server is out for the rest of the run", "endpoint", e.Name, "error", failure)
		}
		e.out = true
		return true
	}
	fresh := t.epoch == e.epoch // not sent before the last failure was known
	switch failure.Trouble {
	case runtime.Away, runtime.Broken:
		p.rest(t, failure.RetryAfter, true)
		if failure.Trouble == runtime.Broken {
			c.broken++
		}
		return c.broken < maxBroken
	case runtime.Busy:
		if fresh {
			e.limit.cut()
		}
		p.rest(t, failure.RetryAfter, false)
		return true
	case runtime.Slow:
		if fresh {
			e.limit.cut()
		}
	}
	if e.unsound++; e.away || e.unsound >= maxFailures || failure.RetryAfter > 0 {
		p.rest(t, failure.RetryAfter, e.unsound >= maxFailures)
	}
	return false
}

// alive notes a sign of life.
func (p *Pool) alive(t turn) {
	e := t.at
	p.dark = time.Time{}
	if t.epoch != e.epoch {
		return // of before the endpoint's failure
	}
	if e.away && e.calls > 1 {
		p.o.Log.Warn("a model server is back", "endpoint", e.Name)
	}
	e.away, e.pause, e.unsound = false, 0, 0
}

// rest keeps calls from an endpoint that failed. An outage counts as one
// failure, however many calls it hit.
func (p *Pool) rest(t turn, retryAfter time.Duration, away bool) {
	e, now := t.at, p.at
	if t.epoch != e.epoch {
		if until := now.Add(retryAfter); until.After(e.until) {
			e.until = until
		}
		return
	}
	e.epoch++
	pause := retryAfter
	if pause == 0 {
		e.pause = min(max(2*e.pause, p.o.Rest), p.o.MaxRest)
		pause = e.pause
	}
	e.until = now.Add(pause)
	if away && !e.away && !e.quiet() {
		p.o.Log.Warn("a model server is away", "endpoint", e.Name, "error", e.last)
	}
	e.away = e.away || away
}

// quiet reports whether nobody need hear that the endpoint is away.
func (e *endpoint) quiet() bool { return e.Starting && e.calls == 0 }

// quiet reports whether all endpoints are.
func (p *Pool) quiet() bool {
	return !slices.ContainsFunc(p.endpoints, func(e *endpoint) bool { return !e.quiet() })
}

// count brings the busy and idle times up to now; it is called before anything
// changes.
func (p *Pool) count() {
	now := time.Now()
	passed := now.Sub(p.at)
	p.at = now
	for _, e := range p.endpoints {
		switch {
		case e.running > 0:
			e.busy += passed
		case len(p.queue) > 0:
			e.idle += passed
		}
	}
}

// dispatch gives turns to the calls that wait, as far as there is room, and
// sees to it that it is called again when there may be some.
func (p *Pool) dispatch() {
	for len(p.queue) > 0 {
		e := p.choose(p.queue[0].kind)
		if e == nil {
			break
		}
		c := p.queue.take()
		p.turns++
		c.ready <- e.enter(p.at, p.turns)
	}
	if p.dark.IsZero() && !p.usable() {
		p.dark = p.at
		if !p.quiet() {
			p.o.Log.Warn("no server of a model answers: its calls wait", "model", p.identity, "until", p.at.Add(p.o.Patience).Format(time.TimeOnly))
		}
	}
	if err := p.hopeless(); err != nil {
		for len(p.queue) > 0 {
			p.queue.take().ready <- turn{err: err}
		}
	}
	p.setAlarm()
}

// choose returns the endpoint to which the next call goes, nil if none has
// room: one that is due for a try, so that it can come back, or the one that
// is likeliest to answer first.
func (p *Pool) choose(k kind) (best *endpoint) {
	for _, e := range p.endpoints {
		if e.hasRoom(p.at) && (best == nil || e.before(best, k)) {
			best = e
		}
	}
	return best
}

// usable reports whether some endpoint takes calls, would if it had room, or is
// being tried.
func (p *Pool) usable() bool {
	for _, e := range p.endpoints {
		if !e.out && (e.trial || !e.away && !p.at.Before(e.until)) {
			return true
		}
	}
	return false
}

// setAlarm has the queue looked at again when a rest or the patience ends.
func (p *Pool) setAlarm() {
	var next time.Time
	if len(p.queue) > 0 {
		for _, e := range p.endpoints {
			if !e.out && e.until.After(p.at) && (next.IsZero() || e.until.Before(next)) {
				next = e.until
			}
		}
		if end := p.dark.Add(p.o.Patience); !p.usable() && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	switch {
	case next.IsZero():
		if p.alarm != nil {
			p.alarm.Stop()
		}
	case p.alarm == nil:
		p.alarm = time.AfterFunc(next.Sub(p.at), p.wake)
	default:
		p.alarm.Reset(next.Sub(p.at))
	}
}

func (p *Pool) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count()
	p.dispatch()
}
