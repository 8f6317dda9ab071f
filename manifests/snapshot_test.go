package manifests_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
)

// content is that of a snapshot with one shard of n rows.
func content(t testing.TB, n int64) manifests.Content {
	t.Helper()
	c := manifests.Content{
		Settings: manifests.Settings{Strategy: irgdata.Distill, Modes: []string{"m"}, Rules: []manifests.RuleSetting{{Rule: "size/1", Action: "reject", Parameters: map[string]float64{"min": 64}}}},
		Counts:   manifests.Counts{Items: n + 1, Trajectories: n, Rejected: 1, Modes: []manifests.ModeCount{{Mode: "m", Rows: n}}, Reasons: []manifests.ReasonCount{{Stage: "ingest", Rule: "image", Count: 1}}},
	}
	lost := manifests.Losses{"ingest": {"image": 1}}
	c.Counts.Funnels = []manifests.Funnel{lost.Funnel("", n+1), lost.Funnel("m", n+1)}
	var err error
	if c.Configuration, err = c.Settings.Digest(); err != nil {
		t.Fatal(err)
	}
	shard := func(prefix string, rows int64) manifests.Shard {
		d := irgdata.NewDigester(prefix).Uint(uint64(rows)).Sum()
		return manifests.Shard{Key: prefix + d.String() + ".parquet", Digest: d, Size: 10, Rows: rows, RowGroups: 1}
	}
	c.Shards = []manifests.Shard{shard(manifests.ShardPrefix, n)}
	c.Rejects = []manifests.Shard{shard(manifests.RejectPrefix, 1)}
	d := irgdata.NewDigester("members").Uint(uint64(n)).Sum()
	c.Members = manifests.Members{Key: "members/" + d.String(), Digest: d, Count: n}
	return c
}

func TestCommit(t *testing.T) {
	store := newStore(t)
	if _, err := manifests.Latest(t.Context(), store); !errors.Is(err, manifests.ErrNoSnapshot) {
		t.Errorf("an empty store: got %v", err)
	}
	for _, step := range []struct {
		rows      int64
		number    int
		published bool
	}{{5, 1, true}, {5, 1, false}, {6, 2, true}, {6, 2, false}, {5, 3, true}} {
		s, published, err := manifests.Commit(t.Context(), store, content(t, step.rows))
		if err != nil || s.Number != step.number || published != step.published {
			t.Fatalf("%d rows: snapshot %d, published %v, %v; want snapshot %d, published %v", step.rows, s.Number, published, err, step.number, step.published)
		}
		got, err := manifests.Latest(t.Context(), store)
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	if _, err := manifests.Load(t.Context(), store, 9); !errors.Is(err, manifests.ErrNoSnapshot) {
		t.Errorf("got %v", err)
	}
}

// TestCommitWithLostAnswer: the manifest landed and the answer did not. The
// next try finds its own snapshot and publishes no second one.
func TestCommitWithLostAnswer(t *testing.T) {
	store := newStore(t)
	faulty := faultblob.New(store, func(_ int, op string) faultblob.Fault {
		if op == "put" {
			return faultblob.After
		}
		return faultblob.None
	})
	if _, _, err := manifests.Commit(t.Context(), faulty, content(t, 5)); !errors.Is(err, faultblob.ErrInjected) {
		t.Fatalf("got %v", err)
	}
	s, published, err := manifests.Commit(t.Context(), store, content(t, 5))
	if err != nil || s.Number != 1 || published {
		t.Errorf("snapshot %d, published %v, %v", s.Number, published, err)
	}
}

// TestCommitsAtOnce: each of many commits at one time gets a number of its
// own, and none is lost.
func TestCommitsAtOnce(t *testing.T) {
	store := newStore(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, _, err := manifests.Commit(t.Context(), store, content(t, int64(i+1))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	numbers, err := manifests.Numbers(t.Context(), store)
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8}, numbers); err != nil || diff != "" {
		t.Error(err, diff)
	}
	seen := map[int64]bool{}
	for _, n := range numbers {
		s, err := manifests.Load(t.Context(), store, n)
		if err != nil {
			t.Fatal(err)
		}
		seen[s.Counts.Trajectories] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d different snapshots, want 8", len(seen))
	}
}

// TestCommitRefusesWrongCounts: a snapshot whose counts do not add up is not
// published.
func TestCommitRefusesWrongCounts(t *testing.T) {
	for name, spoil := range map[string]func(*manifests.Content){
		"a lost item":        func(c *manifests.Content) { c.Counts.Items++ },
		"a lost row":         func(c *manifests.Content) { c.Shards[0].Rows-- },
		"a lost reject":      func(c *manifests.Content) { c.Rejects = nil },
		"a lost mode row":    func(c *manifests.Content) { c.Counts.Modes[0].Rows-- },
		"a lost loss":        func(c *manifests.Content) { c.Counts.Funnels[1].Stages[0].Reasons = nil },
		"a lost funnel":      func(c *manifests.Content) { c.Counts.Funnels = c.Counts.Funnels[:1] },
		"a lost reason":      func(c *manifests.Content) { c.Counts.Reasons = nil },
		"another shard name": func(c *manifests.Content) { c.Shards[0].Key = "../../etc/passwd" },
		"other settings":     func(c *manifests.Content) { c.Settings.Seed++ },
	} {
		store := newStore(t)
		c := content(t, 5)
		spoil(&c)
		if _, _, err := manifests.Commit(t.Context(), store, c); err == nil {
			t.Errorf("%s was published", name)
		}
		if numbers, err := manifests.Numbers(t.Context(), store); err != nil || len(numbers) > 0 {
			t.Errorf("%s: snapshots %v (%v)", name, numbers, err)
		}
	}
}

// TestEveryFlippedBitOfAManifest is found.
func TestEveryFlippedBitOfAManifest(t *testing.T) {
	store := newStore(t)
	if _, _, err := manifests.Commit(t.Context(), store, content(t, 5)); err != nil {
		t.Fatal(err)
	}
	path := store.URL(manifests.Key(1))
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
		if _, err := manifests.Load(t.Context(), store, 1); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("bit %d of byte %d: got %v, want an error that names the manifest", i%8, i, err)
		}
	}
}
