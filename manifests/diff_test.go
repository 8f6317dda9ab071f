package manifests_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// listed is a content whose members are in the store: pairs by their letter,
// with the letter of their row.
func listed(t *testing.T, store blob.Store, rows string) manifests.Content {
	t.Helper()
	c := content(t, int64(len(rows)/2))
	var list []byte
	for i := 0; i < len(rows); i += 2 {
		id, row := letter(rows[i]), letter(rows[i+1])
		list = append(append(list, id[:]...), row[:]...)
	}
	var err error
	c.Members, err = manifests.PutMembers(t.Context(), store, bytes.NewReader(list), irgdata.DigestOf(list), int64(len(rows)/2))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func letter(b byte) (d irgdata.Digest) {
	d[0] = b
	return d
}

func TestCompare(t *testing.T) {
	store := newStore(t)
	before := listed(t, store, "c1a1b1")
	after := listed(t, store, "b2d1a1")
	after.Settings.Rules[0].Action = "warn"
	after.Settings.Seed = 7
	after.Counts.Items++
	a, b := manifests.Snapshot{Number: 1, Content: before}, manifests.Snapshot{Number: 2, Content: after}
	d, err := manifests.Compare(t.Context(), store, a, b)
	want := manifests.Diff{
		From: 1, To: 2, Added: []irgdata.Digest{letter('d')}, Removed: []irgdata.Digest{letter('c')}, Changed: []irgdata.Digest{letter('b')},
		Counts:   []manifests.CountChange{{Name: "items", Before: 4, After: 5}},
		Settings: []manifests.SettingChange{{Name: "rules.size.action", Before: before.Settings.Rules[0].Action, After: "warn"}, {Name: "seed", Before: "0", After: "7"}},
	}
	if diff := cmp.Diff(want, d); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if d, err = manifests.Compare(t.Context(), store, a, a); err != nil || len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Counts)+len(d.Settings) > 0 {
		t.Errorf("a snapshot and itself: %+v, %v", d, err)
	}
}

func TestTags(t *testing.T) {
	store := newStore(t)
	for n := range int64(2) {
		if _, _, err := manifests.Commit(t.Context(), store, content(t, n+1)); err != nil {
			t.Fatal(err)
		}
	}
	tag := manifests.Tag{Name: "v1.0", Snapshot: 1}
	for range 2 { // a tag that is there is put again without harm
		if err := manifests.PutTag(t.Context(), store, tag); err != nil {
			t.Fatal(err)
		}
	}
	if err := manifests.PutTag(t.Context(), store, manifests.Tag{Name: "v1.0", Snapshot: 2}); !errors.Is(err, manifests.ErrTagTaken) {
		t.Errorf("got %v", err)
	}
	if err := manifests.PutTag(t.Context(), store, manifests.Tag{Name: "v2", Snapshot: 3}); !errors.Is(err, manifests.ErrNoSnapshot) {
		t.Errorf("got %v", err)
	}
	for ref, want := range map[string]int{"v1.0": 1, "2": 2, "v2": 0, "-1": 0, "0": 0, "../x": 0, "": 0} {
		if got, err := manifests.Resolve(t.Context(), store, ref); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v", ref, got, err)
		}
	}
	for _, name := range []string{"", "12", ".a", "a/b", "a.", "é"} {
		if err := manifests.PutTag(t.Context(), store, manifests.Tag{Name: name, Snapshot: 1}); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
	// Every flipped bit is found.
	path := store.URL("tags/v1.0.json")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sound {
		damaged := bytes.Clone(sound)
		damaged[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if tags, err := manifests.Tags(t.Context(), store); err == nil {
			t.Fatalf("byte %d: got %+v", i, tags)
		}
	}
}

// TestRemovals: what was removed by identity, image, address or source is
// found, a lost removal is noticed, and content from before a removal can no
// longer be published.
func TestRemovals(t *testing.T) {
	store := newStore(t)
	if _, _, err := manifests.Commit(t.Context(), store, content(t, 3)); err != nil {
		t.Fatal(err)
	}
	for i, r := range []manifests.Removal{
		{IDs: []irgdata.Digest{letter('a')}, Reason: "asked for"}, {Images: []irgdata.Digest{letter('i')}, URLs: []string{"https://a/1"}}, {Sources: []string{"web"}},
	} {
		r, err := manifests.PutRemoval(t.Context(), store, r)
		if err != nil || r.Number != i+1 {
			t.Fatal(r, err)
		}
	}
	if _, err := manifests.PutRemoval(t.Context(), store, manifests.Removal{Reason: "nothing"}); err == nil {
		t.Error("a removal of nothing was recorded")
	}
	removed, err := manifests.LoadRemoved(t.Context(), store)
	if err != nil || removed.Newest != 3 {
		t.Fatal(removed, err)
	}
	for _, c := range []struct {
		pair   irgdata.Pair
		number int
		source bool
	}{
		{irgdata.Pair{ID: letter('a')}, 1, false},
		{irgdata.Pair{ID: letter('b'), Image: irgdata.ImageRef{Digest: letter('i'), Size: 1}}, 2, false},
		{irgdata.Pair{ID: letter('b'), URL: "https://a/1"}, 2, false},
		{irgdata.Pair{ID: letter('b'), Source: "web"}, 3, true},
		{irgdata.Pair{ID: letter('b'), Source: "other", URL: "https://a/2"}, 0, false},
		{irgdata.Pair{}, 0, false},
	} {
		r, source := removed.Pair(c.pair)
		if got := number(r); got != c.number || source != c.source {
			t.Errorf("%+v: removal %d, source %v", c.pair, got, source)
		}
	}

	// No snapshot honours the removals yet, and those from before do not count.
	for name, publish := range map[string]func() (manifests.Snapshot, bool, error){
		"commit":   func() (manifests.Snapshot, bool, error) { return manifests.Commit(t.Context(), store, content(t, 2)) },
		"rollback": func() (manifests.Snapshot, bool, error) { return manifests.Rollback(t.Context(), store, 1) },
	} {
		if _, published, err := publish(); published || !errors.Is(err, manifests.ErrRemovedMeanwhile) {
			t.Errorf("%s: published %v, %v", name, published, err)
		}
	}
	honours := content(t, 2)
	honours.Settings.Removals = 3
	if honours.Configuration, err = honours.Settings.Digest(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := manifests.Commit(t.Context(), store, honours); err != nil {
		t.Fatal(err)
	}
	if _, _, err := manifests.Commit(t.Context(), store, content(t, 3)); !errors.Is(err, manifests.ErrRemovedMeanwhile) {
		t.Errorf("got %v", err)
	}
	if _, _, err := manifests.Rollback(t.Context(), store, 1); !errors.Is(err, manifests.ErrRemovedMeanwhile) {
		t.Errorf("got %v", err)
	}
	if err := store.Delete(t.Context(), "removals/000002.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.LoadRemoved(t.Context(), store); err == nil {
		t.Error("a lost removal was not noticed")
	}
}

func number(r *manifests.Removal) int {
	if r == nil {
		return 0
	}
	return r.Number
}
