package manifests_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/manifests"
)

// TestRuns: runs that add go on side by side, one that deletes is alone, and a
// dead one blocks nobody and publishes nothing.
func TestRuns(t *testing.T) {
	defer goleak.VerifyNone(t)
	store := newStore(t)
	ctx := t.Context()
	begin := func() *manifests.Run {
		t.Helper()
		r, err := manifests.BeginRun(ctx, store, "build", func(string) { t.Error("it waited") })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	end := func(r *manifests.Run) {
		t.Helper()
		if err := r.End(ctx); err != nil {
			t.Error(err)
		}
	}
	first, second := begin(), begin()
	if _, err := manifests.BeginAlone(ctx, store, "gc"); !errors.Is(err, manifests.ErrRunning) || !strings.Contains(err.Error(), "build on ") {
		t.Fatalf("got %v", err)
	}
	end(first)
	if err := second.Held(ctx); err != nil {
		t.Error(err)
	}
	// The second one falls asleep: its mark grows old.
	old := time.Now().Add(-time.Hour)
	for o, err := range store.List(ctx, "runs/") {
		if err == nil {
			err = os.Chtimes(store.URL(o.Key), old, old)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	alone, err := manifests.BeginAlone(ctx, store, "gc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.BeginAlone(ctx, store, "gc"); !errors.Is(err, manifests.ErrRunning) {
		t.Errorf("two are alone: %v", err)
	}
	if err := second.Held(ctx); !errors.Is(err, manifests.ErrTakenForDead) {
		t.Errorf("got %v", err)
	}
	end(second)

	// One that adds waits for it.
	waiting := make(chan string, 1)
	began := make(chan error, 1)
	go func() {
		r, err := manifests.BeginRun(ctx, store, "build", func(who string) { waiting <- who })
		if err == nil {
			err = r.End(ctx)
		}
		began <- err
	}()
	if who := <-waiting; !strings.Contains(who, "gc on ") {
		t.Errorf("it waits for %s", who)
	}
	end(alone)
	if err := <-began; err != nil {
		t.Error(err)
	}
}
