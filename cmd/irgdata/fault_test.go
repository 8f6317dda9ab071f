package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// failing fails operation 0, 1, 2 … of the store, in each way, and builds again
// over what is left until a build meets no fault. No failure shows a snapshot that
// is not whole, no recorded call is made again, and the end is that of an
// undisturbed build.
func failing(t *testing.T, h *harness, _ *site, random *rand.Rand) {
	const pairs = 3
	build := func(s *site, policy func(int, string) faultblob.Fault) (r result, operations int) {
		t.Helper()
		d, err := newInstantDataset(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		d.config.Export.Ranks, d.config.Export.Workers = 1, 1
		faulty := faultblob.New(s.store(t), policy)
		d.openStore = func(context.Context, access) (blob.Store, error) { return faulty, nil }
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

	alone := newSite(t, h.pairs, nil)
	build(alone, func(int, string) faultblob.Fault { return faultblob.None })

	faults, step := []faultblob.Fault{faultblob.After, faultblob.Before, faultblob.Midway}, 1
	if h.rounds == 0 && h.server != nil { // each operation takes longer
		faults, step = faults[:1], 5
	}
	if testing.Short() {
		faults = faults[:1]
	}
	for _, fault := range faults {
		s := newSite(t, h.pairs, h.server)
		made := 0
		for operation := random.IntN(step); ; operation += step {
			r, operations := build(s, faultblob.Nth(operation, fault))
			made += r.calls.Made
			if snapshots, err := manifests.Numbers(t.Context(), s.store(t)); err != nil || len(snapshots) > 1 {
				t.Fatalf("fault %d at operation %d: snapshots %v (%v)", fault, operation, snapshots, err)
			}
			if operations <= operation {
				break
			}
		}
		if want := pairs * len(modes.StepsFor(irgdata.Distill, modes.All(), false)); made != want {
			t.Errorf("fault %d: %d calls were recorded, want each of %d once", fault, made, want)
		}
		s.compare(t, alone)
		if left := temporaryFiles(t, filepath.Join(s.dir)); len(left) > 0 {
			t.Errorf("fault %d: temporary files are left: %v", fault, left)
		}
	}
}
