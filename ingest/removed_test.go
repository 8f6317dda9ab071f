package ingest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

// TestRemovedPairs: what was removed is a reject that says nothing of it, its
// bytes are not kept, and what looks like it stays out with it, unless its whole
// source was removed. That its image is gone is no reason to read it again.
func TestRemovedPairs(t *testing.T) {
	large := drawing(1, 256)
	feeds := []ingest.Feed{
		folder(fstest.MapFS{"small.png": {Data: drawing(1, 128)}, "small.txt": file("a tower of blocks")}),
		{Source: ingest.NewFolder("more", fstest.MapFS{"large.png": {Data: large}, "large.txt": file("the same tower, larger")}, ".", ingest.Columns{})},
	}
	for name, c := range map[string]struct {
		removal manifests.Removal
		want    string
		kept    bool // the image
	}{
		"nothing":   {want: "large.png, similar_image small.png", kept: true},
		"the image": {manifests.Removal{Images: []irgdata.Digest{irgdata.DigestOf(large)}}, "removed large.png, similar_image small.png", false},
		"the pair":  {manifests.Removal{IDs: []irgdata.Digest{irgdata.PairID("the same tower, larger", irgdata.DigestOf(large))}}, "removed large.png, similar_image small.png", false},
		"a source":  {manifests.Removal{Sources: []string{"more"}}, "removed large.png, small.png", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader(t, defaults())
			r.o.Duplicates = ingest.DuplicateOptions{ImageDistance: 31, PromptSimilarity: ingest.DefaultPromptSimilarity}
			r.o.Inventory = r.images.Inventory
			if len(c.removal.IDs)+len(c.removal.Images)+len(c.removal.Sources) > 0 {
				if _, err := manifests.PutRemoval(t.Context(), r.store, c.removal); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if r.o.Removed, err = manifests.LoadRemoved(t.Context(), r.store); err != nil {
				t.Fatal(err)
			}
			for range 2 { // from the sources, then from the catalog
				items, err := r.open(t.Context(), feeds...)
				if err != nil {
					t.Fatal(err)
				}
				got := keys(items)
				slices.Sort(got)
				if got := strings.Join(got, ", "); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				for _, item := range items {
					if item.Reject != nil && item.Reject.Rule == "removed" && (item.Reject.Pair.Prompt != "" || !item.Reject.Pair.Image.IsZero()) {
						t.Errorf("the reject tells of it: %+v", item.Reject.Pair)
					}
				}
				holds, err := r.images.Inventory(t.Context())
				if err != nil || holds(irgdata.DigestOf(large)) != c.kept {
					t.Errorf("the image is kept: %v, want %v (%v)", !c.kept, c.kept, err)
				}
			}
			for o, err := range r.store.List(t.Context(), "catalog/") {
				if err != nil || !strings.HasSuffix(o.Key, "/0001.jsonl.zst") {
					t.Errorf("a unit was read again: %s, %v", o.Key, err)
				}
			}
		})
	}
}
