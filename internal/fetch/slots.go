package fetch

import (
	"context"
	"sync"
)

// slots bound the requests under way, to each host and to all together.
type slots struct {
	perHost int
	total   chan struct{}
	mu      sync.Mutex
	hosts   map[string]*host // those that somebody holds or waits for
}

type host struct {
	slots chan struct{}
	users int // that hold a slot or wait for one
}

func newSlots(perHost, total int) *slots {
	return &slots{perHost: perHost, total: make(chan struct{}, total), hosts: map[string]*host{}}
}

// take waits for a slot of the host and then for one of all, so that those who
// queue for a slow host hold up nobody else. The caller releases what it got.
func (s *slots) take(ctx context.Context, name string) (release func(), err error) {
	h := s.enter(name)
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		s.leave(name, h)
		return nil, ctx.Err()
	}
	select {
	case s.total <- struct{}{}:
	case <-ctx.Done():
		<-h.slots
		s.leave(name, h)
		return nil, ctx.Err()
	}
	return func() {
		<-s.total
		<-h.slots
		s.leave(name, h)
	}, nil
}

func (s *slots) enter(name string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[name]
	if h == nil {
		h = &host{slots: make(chan struct{}, s.perHost)}
		s.hosts[name] = h
	}
	h.users++
	return h
}

// leave forgets the host with its last user: there may be millions of hosts.
func (s *slots) leave(name string, h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(s.hosts, name)
	}
}
