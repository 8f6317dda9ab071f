package filter_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// unread is a store of which no object can be read.
type unread struct{ blob.Store }

func (unread) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, errors.New("an image was opened")
}

// TestThresholdOpensNoImage: under other thresholds trajectories, kept or not,
// are judged by their stored scores, also on another machine, and as a fresh
// measurement would judge them.
func TestThresholdOpensNoImage(t *testing.T) {
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := images.NewStore(objects)
	rejected := good(t, store)
	for _, slot := range []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotReflection} {
		rejected.Slots[slot].Text = "none"
	}
	trajectories := []irgdata.Trajectory{good(t, store), rejected}
	run := func(store *images.Store, scores *manifests.Scores, set ...string) (out []irgdata.Item[irgdata.Judged]) {
		t.Helper()
		c, _, err := filter.DefaultConfig().Complete()
		for _, assignment := range set {
			if err == nil {
				c, err = c.Set(assignment)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		rules, _, err := c.New(filter.Environment{Prompts: modes.DefaultPrompts()})
		if err != nil {
			t.Fatal(err)
		}
		in := func(yield func(irgdata.Item[irgdata.Trajectory], error) bool) {
			for _, tr := range trajectories {
				if !yield(irgdata.Item[irgdata.Trajectory]{Value: tr}, nil) {
					return
				}
			}
		}
		for item, err := range filter.Run(t.Context(), in, filter.Options{Modes: modes.All(), Rules: rules, Workers: 2, Scores: scores}, store) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, item)
		}
		return out
	}
	open := func() *manifests.Scores {
		t.Helper()
		l, err := manifests.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		s, err := l.Scores(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
		return s
	}
	first, second := open(), open()
	before := run(store, first)
	if before[1].Reject == nil {
		t.Fatal("the second trajectory was kept")
	}
	if n, err := first.Push(t.Context(), objects); err != nil || n != 2 {
		t.Fatalf("pushed %d, %v", n, err)
	}
	if n, err := second.Pull(t.Context(), objects); err != nil || n != 2 {
		t.Fatalf("pulled %d, %v", n, err)
	}
	set := []string{"size.min=300", "thinking.min=1", "blur.action=warn", "blur.max=1", "layout.action=score"}
	want := run(store, nil, set...)
	for _, scores := range []*manifests.Scores{first, second} {
		got := run(images.NewStore(unread{objects}), scores, set...)
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Error(diff)
		}
	}
	// Where the scores are not known, the images have to be opened.
	if _, err := images.NewStore(unread{objects}).Bytes(t.Context(), trajectories[0].Pair.Image); err == nil {
		t.Error("the store gave an image")
	}
	if cmp.Equal(want, before, cmpopts.EquateNaNs()) {
		t.Error("the thresholds changed nothing")
	}
}
