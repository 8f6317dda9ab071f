package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/modes"
)

// TestBuildsSurviveEveryFault fails operation 0, 1, 2 … of the store, in each
// way, and builds again over what is left until a build meets no fault. No
// failure shows a snapshot that is not whole, no recorded call is made again,
// and the end is that of an undisturbed build.
func TestBuildsSurviveEveryFault(t *testing.T) {
	t.Parallel()
	const pairs = 3
	build := func(root string, policy func(int, string) faultblob.Fault) (r result, operations int) {
		t.Helper()
		d, err := newInstantDataset(root)
		if err != nil {
			t.Fatal(err)
		}
		d.config.Export.Ranks, d.config.Export.Workers = 1, 1
		var faulty *faultblob.Store
		d.openStore = func(ctx context.Context, a access) (blob.Store, error) {
			below, err := d.configuredStore(ctx, a)
			faulty = faultblob.New(below, policy)
			return faulty, err
		}
		if err = d.open(t.Context(), write); err == nil {
			d.feeds = madeFeeds(pairs, 64)
			r, err = d.run(t.Context(), newProgress(io.Discard))
			r.calls = d.annotator.Tally().Total()
			err = errors.Join(err, d.close(t.Context()))
		}
		if err != nil && !errors.Is(err, faultblob.ErrInjected) {
			t.Fatal(err)
		}
		return r, faulty.Operations()
	}

	alone := t.TempDir()
	build(alone, func(int, string) faultblob.Fault { return faultblob.None })

	faults := []faultblob.Fault{faultblob.After, faultblob.Before, faultblob.Midway}
	if testing.Short() {
		faults = faults[:1]
	}
	for _, fault := range faults {
		root := t.TempDir()
		made := 0
		for operation := 0; ; operation++ {
			r, operations := build(root, faultblob.Nth(operation, fault))
			made += r.calls.Made
			snapshots := published(t, root, "store/manifests")
			if len(snapshots) > 1 {
				t.Fatalf("fault %d at operation %d: %d snapshots", fault, operation, len(snapshots))
			}
			if operations <= operation {
				break
			}
		}
		if want := pairs * len(modes.StepsFor(irgdata.Distill, modes.All(), false)); made != want {
			t.Errorf("fault %d: %d calls were recorded, want each of %d once", fault, made, want)
		}
		comparePublished(t, alone, root)
		if left := temporaryFiles(t, filepath.Join(root, "store")); len(left) > 0 {
			t.Errorf("fault %d: temporary files are left: %v", fault, left)
		}
	}
}
