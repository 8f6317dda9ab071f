package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// seededDataset is a dataset over a pair whose shards depend on the seed, with
// a work folder of its own, as another machine has.
func seededDataset(t *testing.T, root, work string, seed uint64) *dataset {
	t.Helper()
	d, err := newInstantDataset(root)
	if err != nil {
		t.Fatal(err)
	}
	d.config.Modes = []string{modes.All()[0].Name}
	d.config.Seed, d.config.Work = seed, filepath.Join(root, work)
	d.config.Export.Ranks, d.config.Export.Workers = 1, 1
	return d
}

func buildSeeded(t *testing.T, d *dataset) (result, error) {
	t.Helper()
	err := d.open(t.Context(), write)
	if err != nil {
		return result{}, err
	}
	d.feeds = madeFeeds(1, 64)
	r, err := d.run(t.Context(), newProgress(io.Discard))
	return r, errors.Join(err, d.close(t.Context()))
}

func gcSeeded(t *testing.T, d *dataset, o manifests.CollectOptions) (manifests.Collected, error) {
	t.Helper()
	if err := d.open(t.Context(), ledger); err != nil {
		return manifests.Collected{}, err
	}
	done, err := d.collect(t.Context(), o)
	return done, errors.Join(err, d.close(t.Context()))
}

// TestGCAtEveryOperationOfABuild runs gc, from another machine and without
// grace, before operation 0, 1, 2 … of a build that publishes anew what an
// expired snapshot held: its shards lie in the store as garbage, and the build
// finds them there. Whatever gc does, what the build publishes is whole.
func TestGCAtEveryOperationOfABuild(t *testing.T) {
	t.Parallel()
	prepared := t.TempDir()
	for seed := range uint64(2) {
		if _, err := buildSeeded(t, seededDataset(t, prepared, "work", seed)); err != nil {
			t.Fatal(err)
		}
	}
	// Snapshot 1 expires, and all of it is spared for now.
	done, err := gcSeeded(t, seededDataset(t, prepared, "other", 0), manifests.CollectOptions{Keep: 1, Grace: 1 << 50})
	if err != nil || len(done.Expired) != 1 || done.Spared == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	collected, refused := 0, 0
	step := 1
	if testing.Short() {
		step = 9
	}
	for at := 0; ; at += step {
		root := t.TempDir()
		if err := os.CopyFS(root, os.DirFS(prepared)); err != nil {
			t.Fatal(err)
		}
		d := seededDataset(t, root, "work", 0)
		var faulty *faultblob.Store
		d.openStore = func(ctx context.Context, a access) (blob.Store, error) {
			below, err := d.configuredStore(ctx, a)
			faulty = faultblob.New(below, func(n int, _ string) faultblob.Fault {
				if n != at {
					return faultblob.None
				}
				switch done, err := gcSeeded(t, seededDataset(t, root, "other", 0), manifests.CollectOptions{}); {
				case errors.Is(err, manifests.ErrRunning):
					refused++
				case err != nil:
					t.Error(err)
				case len(done.Kinds) > 0:
					collected++
				}
				return faultblob.None
			})
			return faulty, err
		}
		r, err := buildSeeded(t, d)
		if err != nil {
			t.Fatalf("gc at operation %d: %v", at, err)
		}
		if faulty.Operations() <= at {
			break
		}
		below, err := blob.NewFile(d.config.Store)
		if err != nil {
			t.Fatal(err)
		}
		report, err := manifests.Verify(t.Context(), below, r.snapshot, manifests.VerifyOptions{Full: true, Work: d.config.Work})
		if err != nil || len(report.Problems) > 0 || r.snapshot.Number != 3 {
			t.Fatalf("gc at operation %d: snapshot %d, %v, %v", at, r.snapshot.Number, report.Problems, err)
		}
	}
	if collected == 0 || refused == 0 {
		t.Errorf("gc deleted %d times and was refused %d times: want both", collected, refused)
	}
}

// TestABuildThatWasTakenForDeadPublishesNothing: what it found in the store may
// be gone. Its calls are kept, and the next build publishes.
func TestABuildThatWasTakenForDeadPublishesNothing(t *testing.T) {
	root := t.TempDir()
	d := seededDataset(t, root, "work", 0)
	goesForDead(t, d, func(n int, _ string) bool { return n == 10 })
	var exit *exitError
	_, err := buildSeeded(t, d)
	if !errors.Is(err, manifests.ErrTakenForDead) || !errors.As(err, &exit) || exit.code != exitTryAgain {
		t.Fatalf("got %v", err)
	}
	if left := published(t, root, "store/manifests"); len(left) > 0 {
		t.Fatalf("it published %d snapshots", len(left))
	}
	again := seededDataset(t, root, "work", 0)
	if _, err := buildSeeded(t, again); err != nil || again.annotator.Tally().Total().Made > 0 {
		t.Errorf("%v, %+v", err, again.annotator.Tally().Total())
	}
}

// goesForDead has another run take that of d for dead at some operation of its
// store, after its mark was put.
func goesForDead(t *testing.T, d *dataset, at func(n int, op string) bool) {
	t.Helper()
	d.openStore = func(ctx context.Context, a access) (blob.Store, error) {
		below, err := d.configuredStore(ctx, a)
		return faultblob.New(below, func(n int, op string) faultblob.Fault {
			if !at(n, op) {
				return faultblob.None
			}
			for mark, err := range below.List(ctx, "runs/") {
				if err == nil {
					err = blob.PutBytes(ctx, below, mark.Key+".dead", []byte("x"), blob.PutOptions{})
				}
				if err != nil {
					t.Error(err)
				}
			}
			return faultblob.None
		}), err
	}
}

// TestARollbackThatWasTakenForDeadPublishesNothing: gc may have deleted since what
// the snapshot holds.
func TestARollbackThatWasTakenForDeadPublishesNothing(t *testing.T) {
	root := t.TempDir()
	for seed := range uint64(2) {
		if _, err := buildSeeded(t, seededDataset(t, root, "work", seed)); err != nil {
			t.Fatal(err)
		}
	}
	d := seededDataset(t, root, "work", 0)
	goesForDead(t, d, func(_ int, op string) bool { return op == "open" }) // of the newest manifest
	if err := d.open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(d.rollback(t.Context(), io.Discard, "1"), d.close(t.Context()))
	var exit *exitError
	if !errors.Is(err, manifests.ErrTakenForDead) || !errors.As(err, &exit) || exit.code != exitTryAgain {
		t.Errorf("got %v", err)
	}
	if left := published(t, root, "store/manifests"); len(left) != 2 {
		t.Errorf("there are %d snapshots, want the two from before", len(left))
	}
}
