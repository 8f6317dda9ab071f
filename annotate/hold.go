package annotate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// holding keeps answers that cannot be kept for the moment, the disk being full or
// the store away. While there is one no call begins: its answer could not be kept
// either.
type holding struct {
	most time.Duration // that an answer is held
	told func(error)   // of the first of several; may be nil

	mu   sync.Mutex
	held int
	free chan struct{} // closed when none is held any more
	lost error         // that an answer was given up with: no call begins any more
}

// wait waits until no answer is held.
func (h *holding) wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		lost, held, free := h.lost, h.held, h.free
		h.mu.Unlock()
		if lost != nil {
			return fmt.Errorf("no call begins after an answer was lost: %w", lost)
		}
		if held == 0 {
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The pauses between two tries to keep an answer.
const firstHold, longestHold = 100 * time.Millisecond, 5 * time.Second

// tryWithin bounds each try.
const tryWithin = 5 * time.Minute

// keep tries to keep an answer, again and again for as long as answers are held.
// It does so also when ctx is done: the answer has been paid for.
func (h *holding) keep(ctx context.Context, keep func(context.Context) error) error {
	try := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryWithin)
		defer cancel()
		return keep(ctx)
	}
	err := try()
	if err == nil || h.most <= 0 {
		return err
	}
	h.begin(err)
	over := time.NewTimer(h.most)
	defer over.Stop()
	for pause := firstHold; ; pause = min(2*pause, longestHold) {
		select {
		case <-time.After(pause):
			if err = try(); err == nil {
				h.end(nil)
				return nil
			}
		case <-over.C:
			// The disk may have become free within the last pause.
			if last := try(); last != nil {
				err = fmt.Errorf("a paid answer could not be kept for %s and is lost: %w", h.most, last)
				h.end(err)
				return err
			}
			h.end(nil)
			return nil
		}
	}
}

func (h *holding) begin(err error) {
	h.mu.Lock()
	h.held++
	first := h.held == 1
	if first {
		h.free = make(chan struct{})
	}
	h.mu.Unlock()
	if first && h.told != nil {
		h.told(err)
	}
}

func (h *holding) end(lost error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held--
	h.lost = errors.Join(h.lost, lost)
	if h.held == 0 {
		close(h.free)
	}
}
