// Package faultblob makes the operations of a store fail on demand, so that
// tests can show what a failure at each point leaves behind.
package faultblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/irgdata/irgdata/internal/blob"
)

// ErrInjected is the cause of every failure made here.
var ErrInjected = errors.New("injected fault")

// Fault is the way in which an operation fails.
type Fault int

// The ways to fail.
const (
	None Fault = iota
	// Before: the operation does nothing.
	Before
	// After: the operation does its work and its answer is lost.
	After
	// Midway: a put's body breaks off, a read gives half of its bytes.
	Midway
)

// Store passes operations on to the store below and lets them fail as its
// policy says.
type Store struct {
	below  blob.Store
	policy func(n int, op string) Fault

	mu sync.Mutex
	n  int
}

// New wraps below. The policy is asked once for each operation, with its
// number from 0 and its name ("put", "open", "stat", "list", "delete",
// "sweep"), one operation at a time.
func New(below blob.Store, policy func(n int, op string) Fault) *Store {
	return &Store{below: below, policy: policy}
}

// Nth is the policy that fails operation number n once.
func Nth(n int, f Fault) func(int, string) Fault {
	return func(i int, _ string) Fault {
		if i == n {
			return f
		}
		return None
	}
}

// Operations is the number of operations so far.
func (s *Store) Operations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *Store) next(op string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.policy(s.n-1, op)
}

func injected(op, key string) error { return fmt.Errorf("%s %s: %w", op, key, ErrInjected) }

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o blob.PutOptions) error {
	switch s.next("put") {
	case Before:
		return injected("put", key)
	case After:
		return errors.Join(s.below.Put(ctx, key, body, o), injected("put", key))
	case Midway:
		return s.below.Put(ctx, key, io.MultiReader(io.LimitReader(body, 1), broken{key}), o)
	}
	return s.below.Put(ctx, key, body, o)
}

// broken is a reader that fails.
type broken struct{ key string }

func (b broken) Read([]byte) (int, error) { return 0, injected("read", b.key) }

// Open implements [blob.Store].
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	fault := s.next("open")
	if fault == Before || fault == After { // a read changes nothing
		return nil, injected("open", key)
	}
	r, err := s.below.Open(ctx, key, offset, length)
	if err != nil || fault != Midway {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, 1), broken{key}), r}, nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (blob.Object, error) {
	if s.next("stat") != None {
		return blob.Object{}, injected("stat", key)
	}
	return s.below.Stat(ctx, key)
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		fault := s.next("list")
		if fault == Before || fault == After {
			yield(blob.Object{}, injected("list", prefix))
			return
		}
		for o, err := range s.below.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
			if fault == Midway {
				yield(blob.Object{}, injected("list", prefix))
				return
			}
		}
	}
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	switch s.next("delete") {
	case Before, Midway:
		return injected("delete", key)
	case After:
		return errors.Join(s.below.Delete(ctx, key), injected("delete", key))
	}
	return s.below.Delete(ctx, key)
}

// URL implements [blob.Store].
func (s *Store) URL(key string) string { return s.below.URL(key) }

// Sweep implements [blob.Store].
func (s *Store) Sweep(ctx context.Context, age time.Duration) (int, error) {
	if s.next("sweep") != None {
		return 0, injected("sweep", "")
	}
	return s.below.Sweep(ctx, age)
}
