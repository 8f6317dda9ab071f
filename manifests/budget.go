package manifests

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
)

// Budget bounds what the new calls of one run may use. Calls that the ledger
// had before the run do not count: the budget is for what the run adds. 0 means
// no bound.
type Budget struct {
	MaxCalls    int     `json:"max_calls,omitempty"`
	MaxGPUHours float64 `json:"max_gpu_hours,omitempty"`
	MaxCost     float64 `json:"max_cost,omitempty"` // in the currency of the prices
}

// Validate reports a bound that is none, or one that these prices never reach.
func (b Budget) Validate(prices Prices) error {
	for _, bound := range []struct {
		name  string
		value float64
	}{{"max_calls", float64(b.MaxCalls)}, {"max_gpu_hours", b.MaxGPUHours}, {"max_cost", b.MaxCost}} {
		if !(bound.value >= 0) || math.IsInf(bound.value, 1) {
			return fmt.Errorf("%s is %v: want a number from 0, where 0 means no bound", bound.name, bound.value)
		}
	}
	costs, gpus := false, false
	for _, p := range prices {
		gpus = gpus || p.GPUs > 0
		p.GPUs = 0
		costs = costs || p != Price{}
	}
	switch {
	case b.MaxCost > 0 && !costs:
		return fmt.Errorf("max_cost is %v and no model has a price: give one a price", b.MaxCost)
	case b.MaxGPUHours > 0 && !gpus:
		return fmt.Errorf("max_gpu_hours is %v and no model has gpus: say how many GPUs a call of a model holds", b.MaxGPUHours)
	}
	return nil
}

// ErrBudget is in the error of a run that its budget stopped. What it paid for
// is recorded, and the next run goes on from there.
var ErrBudget = errors.New("the budget of this run is used up")

// Spending counts the new calls of a run against its budget. It is safe for
// concurrent use.
type Spending struct {
	budget Budget
	prices Prices

	mu       sync.Mutex
	used     Usage
	underWay int
	spent    error         // set once: no call begins afterwards
	settled  chan struct{} // closed when spent is set and no call is under way
	settle   sync.Once
}

// NewSpending returns the spending of a run that has made no call.
func NewSpending(b Budget, p Prices) *Spending {
	return &Spending{budget: b, prices: p, settled: make(chan struct{})}
}

// Begin is asked before each new call. If it returns nil the call is under way,
// and End must follow. If the budget is used up, it waits until the calls under
// way have ended, so that the caller may end the run without breaking them off,
// and returns an error that wraps [ErrBudget]; so does each later Begin.
//
// MaxCalls is kept exactly, calls under way included. What a call costs in time
// and tokens is known when it has ended, so the other bounds may be passed by
// the calls that are under way as they are reached.
func (s *Spending) Begin(ctx context.Context) error {
	if s.begin() {
		return nil
	}
	select {
	case <-s.settled:
		return s.spent // written before settled was closed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Spending) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent == nil {
		s.spent = s.exhausted()
	}
	if s.spent == nil {
		s.underWay++
		return true
	}
	s.check()
	return false
}

// exhausted returns the bound that is reached, if one is.
func (s *Spending) exhausted() error {
	b, hours := s.budget, s.used.GPUSeconds/3600
	switch {
	case b.MaxCalls > 0 && s.used.Calls+s.underWay >= b.MaxCalls:
		return fmt.Errorf("%w: max_calls is %d", ErrBudget, b.MaxCalls)
	case b.MaxGPUHours > 0 && hours >= b.MaxGPUHours:
		return fmt.Errorf("%w: max_gpu_hours is %v", ErrBudget, b.MaxGPUHours)
	case b.MaxCost > 0 && s.used.Cost >= b.MaxCost:
		return fmt.Errorf("%w: max_cost is %v", ErrBudget, b.MaxCost)
	}
	return nil
}

// check wakes those that wait for the last call. The caller holds mu.
func (s *Spending) check() {
	if s.spent != nil && s.underWay == 0 {
		s.settle.Do(func() { close(s.settled) })
	}
}

// End ends a call that Begin let pass: with what was recorded, or with nil if
// it got no answer, which costs nothing.
func (s *Spending) End(recorded *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay--
	defer s.check()
	if recorded == nil {
		return
	}
	c := StepCost{Calls: 1, Seconds: recorded.Seconds, TokensIn: recorded.TokensIn, TokensOut: recorded.TokensOut}
	if recorded.Failed() {
		c.Failed = 1
	}
	s.used.Add(s.prices[recorded.Model].usage(c))
}

// Used returns what the ended calls used.
func (s *Spending) Used() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
