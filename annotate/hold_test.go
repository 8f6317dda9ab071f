package annotate_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/images"
)

// fullBench is one whose image store takes nothing while full is set.
func fullBench(t *testing.T, pairs int) (b *bench, full *atomic.Bool) {
	t.Helper()
	b, full = newBench(t, pairs), new(atomic.Bool)
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := images.NewStore(faultblob.New(objects, func(_ int, op string) faultblob.Fault {
		if full.Load() && op == "put" {
			return faultblob.Before
		}
		return faultblob.None
	}))
	for _, p := range b.pairs {
		encoded, err := b.images.Bytes(t.Context(), p.Value.Image)
		if err == nil {
			_, err = store.Put(t.Context(), encoded)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.images = store
	full.Store(true)
	return b, full
}

// TestAnswersAreHeld: while the disk is full for a moment no answer is lost, and
// the run goes on afterwards.
func TestAnswersAreHeld(t *testing.T) {
	const pairs = 8
	b, full := fullBench(t, pairs)
	m := &digestModel{}
	o := options(m)
	o.Hold = time.Hour
	var told atomic.Int32
	o.Held = func(err error) {
		if !errors.Is(err, faultblob.ErrInjected) {
			t.Errorf("it says %v", err)
		}
		told.Add(1)
		full.Store(false)
	}
	if _, count, err := b.run(t, o); err != nil || count.Made != 4*pairs || m.calls() != 4*pairs {
		t.Errorf("%d calls are kept of %d that were made: %v", count.Made, m.calls(), err)
	}
	if told.Load() == 0 {
		t.Error("nothing is said of it")
	}
}

// TestLostAnswerEndsTheRun: what cannot be kept for longer is lost, the run ends
// and says so, and begins no further call that would be lost as well.
func TestLostAnswerEndsTheRun(t *testing.T) {
	const pairs = 8
	b, full := fullBench(t, pairs)
	m := &digestModel{}
	o := options(m)
	o.Workers, o.Window, o.Hold = 1, 1, time.Millisecond
	_, count, err := b.run(t, o)
	if !errors.Is(err, faultblob.ErrInjected) || !strings.Contains(err.Error(), "a paid answer could not be kept for 1ms and is lost") {
		t.Errorf("got %v", err)
	}
	if count.Made != 2 || m.calls() != 3 { // the third is the first image
		t.Errorf("%d calls are kept of %d that were made, want 2 of 3", count.Made, m.calls())
	}
	full.Store(false)
	if _, _, err := b.run(t, o); err != nil || m.calls() != 4*pairs+1 {
		t.Errorf("%d calls, want the lost one again and each other once: %v", m.calls(), err)
	}
}
