package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// TestRefreshWalk: whatever happens to sources, settings, store and model between
// builds, each is what a build from nothing is that honours the same removals.
// IRGDATA_TEST_WALK sets the number of builds, which are others each time then.
func TestRefreshWalk(t *testing.T) {
	t.Parallel()
	builds, seed := 5, uint64(1)
	if text := os.Getenv("IRGDATA_TEST_WALK"); text != "" {
		if _, err := fmt.Sscan(text, &builds); err != nil {
			t.Fatal(err)
		}
		seed = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	model := &awayModel{}
	r := newRefresher(t)
	r.model, r.folder = model, newMadeFolder(60, 32)
	r.folder.without, r.folder.captions = map[int]bool{}, map[int]string{}
	root := t.TempDir()
	store, err := blob.NewFile(filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	limit, small, newest := 0, false, 0
	r.change = func(d *dataset) {
		if d.config.limit = limit; small {
			d.config.Shards.Size = 20_000
		}
	}
	happens := []struct {
		what string
		do   func(n int) error
	}{
		{"pairs in all", func(n int) error { r.folder.n = 20 + n; return nil }},
		{"pair goes or is back", func(n int) error { r.folder.without[n] = !r.folder.without[n]; return nil }},
		{"other caption", func(n int) error { r.folder.captions[n] = []string{"", "something else", " "}[n%3]; return nil }},
		{"preview", func(n int) error { limit = 1 + n; return nil }},
		{"rollback", func(n int) error {
			_, _, err := manifests.Rollback(t.Context(), store, 1+n%newest)
			if errors.Is(err, manifests.ErrRemovedMeanwhile) {
				return nil
			}
			return err
		}},
		{"removal", func(n int) error {
			id := irgdata.PairID(fmt.Sprintf("picture number %d", n), irgdata.DigestOf(r.folder.variant(n)))
			_, err := manifests.PutRemoval(t.Context(), store, manifests.Removal{IDs: []irgdata.Digest{id}})
			return err
		}},
		{"killed before it noted its provenance", func(int) error { return store.Delete(t.Context(), manifests.ProvenanceKey(newest)) }},
		{"model is away or back", func(int) error { model.away.Store(!model.away.Load()); return nil }},
		{"size of shards", func(int) error { small = !small; return nil }},
	}
	newest = r.build(root).snapshot.Number
	story := fmt.Sprintf("seed %d", seed)
	for range builds {
		limit = 0
		for range 2 {
			it, n := happens[random.IntN(len(happens))], random.IntN(60)
			story += fmt.Sprintf("\n%s: %d", it.what, n)
			if err := it.do(n); err != nil {
				t.Fatalf("%v\n%s", err, story)
			}
		}
		refreshed := r.build(root)
		newest = refreshed.snapshot.Number
		story += fmt.Sprintf("\nbuild: %d of %d taken over, %d failed, unchanged %v", refreshed.takenOver, refreshed.snapshot.Counts.Items, refreshed.calls.Failed, refreshed.unchanged)
		if refreshed.calls.Failed > 0 {
			again := r.build(root)
			if newest = again.snapshot.Number; again.unchanged {
				t.Fatalf("unchanged after failures\n%s", story)
			}
			continue // a build from nothing fails elsewhere
		}
		away := model.away.Swap(false)
		nothing := t.TempDir()
		err := os.CopyFS(filepath.Join(nothing, "store", "removals"), os.DirFS(filepath.Join(root, "store", "removals")))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		fresh := r.build(nothing)
		model.away.Store(away)
		if diff := cmp.Diff(fresh.snapshot.Content, refreshed.snapshot.Content); diff != "" {
			t.Fatalf("from nothing (-) and refreshed (+):\n%s\n%s", diff, story)
		}
	}
	t.Log(story)
}
