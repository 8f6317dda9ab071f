package manifests_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// TestCatalog: the newest record of a unit is the one that counts, a damaged
// one counts for none, and what another run kept stays.
func TestCatalog(t *testing.T) {
	store := newStore(t)
	c := manifests.NewCatalog(store)
	unit := irgdata.DigestOf([]byte("unit"))
	items := func(texts ...string) (out []json.RawMessage) {
		for _, text := range texts {
			out = append(out, json.RawMessage(text))
		}
		return out
	}
	check := func(number int, want []json.RawMessage) {
		t.Helper()
		r, err := c.Load(t.Context(), unit)
		if diff := cmp.Diff(manifests.Record{Unit: unit, Number: number, Items: want}, r); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	check(0, nil)
	if _, err := c.Save(t.Context(), unit, manifests.Record{Items: items(`{"a":1}`, `{"b":"<&>"}`)}); err != nil {
		t.Fatal(err)
	}
	check(1, items(`{"a":1}`, `{"b":"<&>"}`))
	if _, err := c.Save(t.Context(), unit, manifests.Record{Items: items(`{"late":1}`)}); err != nil {
		t.Fatal(err)
	}
	check(1, items(`{"a":1}`, `{"b":"<&>"}`))
	if _, err := c.Save(t.Context(), unit, manifests.Record{Number: 1, Items: items()}); err != nil {
		t.Fatal(err)
	}
	check(2, []json.RawMessage{})
	for o, err := range store.List(t.Context(), "catalog/") {
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(store.URL(o.Key))
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(store.URL(o.Key), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check(2, nil)
	if _, err := c.Save(t.Context(), unit, manifests.Record{Number: 2, Items: items(`1`)}); err != nil {
		t.Fatal(err)
	}
	check(3, items(`1`))
}

// TestCatalogTellsWhatWasUsed: a record that another run keeps after this one has
// loaded or saved its own is not the one that was used.
func TestCatalogTellsWhatWasUsed(t *testing.T) {
	store := newStore(t)
	loaded, saved, other := manifests.NewCatalog(store), manifests.NewCatalog(store), manifests.NewCatalog(store)
	unit := irgdata.DigestOf([]byte("unit"))
	save := func(c *manifests.Catalog, number int) {
		t.Helper()
		if kept, err := c.Save(t.Context(), unit, manifests.Record{Number: number, Items: []json.RawMessage{}}); err != nil || !kept {
			t.Fatal(kept, err)
		}
	}
	save(other, 0)
	if _, err := loaded.Load(t.Context(), unit); err != nil {
		t.Fatal(err)
	}
	save(saved, 1)
	save(other, 2)
	for want, c := range map[int]*manifests.Catalog{1: loaded, 2: saved, 3: manifests.NewCatalog(store)} {
		if n, err := c.Numbers(t.Context()); err != nil || n[unit] != want {
			t.Errorf("record %d, %v, want %d", n[unit], err, want)
		}
	}
}
