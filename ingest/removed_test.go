package ingest_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
			if purged, err := ingest.Purge(t.Context(), manifests.NewCatalog(r.store), r.o.Removed, false); purged != 0 || err != nil {
				t.Errorf("%d items were in the catalog with their texts (%v)", purged, err)
			}
		})
	}
}

// TestPurgedCatalog: a removed pair is read before it is removed. When the catalog
// has lost what it said, the items are the same as before, word for word, and no unit
// is read again: what says nearly the same or looks like it stays out, by its hashes.
func TestPurgedCatalog(t *testing.T) {
	large, address := drawing(1, 256), "https://example.org/large.png"
	const caption = "a tall tower of blocks in the evening light, seen from below"
	rows := "file,text,url\n" +
		"large.png,\"" + caption + "\"," + address + "\n" +
		"small.png,a small one,\n" +
		"other.png,\"" + strings.ToUpper(caption) + "\",\n" +
		"gone.png,there is no such file," + address + "\n"
	fsys := fstest.MapFS{"pairs.csv": file(rows), "large.png": {Data: large}, "small.png": {Data: drawing(1, 128)}, "other.png": {Data: drawing(5, 128)}}
	feeds := []ingest.Feed{{Source: ingest.NewTable("a table", ingest.Location{FS: fsys, Pattern: "pairs.csv"}, ingest.TableOptions{})}}
	for name, removal := range map[string]manifests.Removal{
		"the pair":    {IDs: []irgdata.Digest{irgdata.PairID(caption, irgdata.DigestOf(large))}},
		"the image":   {Images: []irgdata.Digest{irgdata.DigestOf(large)}},
		"the address": {URLs: []string{address}, Reason: "ticket 12"},
		"the source":  {Sources: []string{"a table"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader(t, defaults())
			r.o.Duplicates = ingest.DuplicateOptions{ImageDistance: 31, PromptSimilarity: ingest.DefaultPromptSimilarity}
			r.o.Inventory = r.images.Inventory
			open := func() []irgdata.Item[irgdata.Pair] {
				t.Helper()
				items, err := r.open(t.Context(), feeds...)
				if err != nil {
					t.Fatal(err)
				}
				return items
			}
			if got := open(); len(got) != 4 || got[0].Reject != nil {
				t.Fatalf("got %v", keys(got))
			}
			if _, err := manifests.PutRemoval(t.Context(), r.store, removal); err != nil {
				t.Fatal(err)
			}
			var err error
			if r.o.Removed, err = manifests.LoadRemoved(t.Context(), r.store); err != nil {
				t.Fatal(err)
			}
			want := open()
			if got := strings.Join(keys(want), " "); name != "the source" && (!strings.Contains(got, "removed pairs.csv:2") || !strings.Contains(got, "similar_image pairs.csv:3") || !strings.Contains(got, "similar_prompt pairs.csv:4")) {
				t.Fatalf("got %s", got)
			}
			catalog := manifests.NewCatalog(r.store)
			purged, err := ingest.Purge(t.Context(), catalog, r.o.Removed, false)
			if err != nil || purged == 0 {
				t.Fatalf("%d items were purged: %v", purged, err)
			}
			if diff := cmp.Diff(want, open(), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("before (-) and after (+) the purge:\n%s", diff)
			}
			units := map[string]int{}
			for o, err := range r.store.List(t.Context(), "catalog/") {
				if err != nil {
					t.Fatal(err)
				}
				units[path.Dir(o.Key)]++
			}
			if len(units) != 1 || slices.Collect(maps.Values(units))[0] != 2 {
				t.Errorf("records of units %v, want one of each purge and no other", units)
			}
			err = catalog.Each(t.Context(), func(r manifests.Record) error {
				for _, item := range r.Items {
					removed := strings.Contains(string(item), `"purged"`)
					if removed && (strings.Contains(string(item), address) || strings.Contains(string(item), caption) || strings.Contains(string(item), "no such file")) {
						t.Errorf("it says something still: %s", item)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
