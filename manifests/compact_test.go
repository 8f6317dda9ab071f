package manifests_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
)

// scattered pushes calls one by one, each into a segment of its own, the first
// of them twice with different ends.
func scattered(t *testing.T, store blob.Store, n int) {
	t.Helper()
	for i := -1; i < n; i++ {
		c := call(max(i, 0))
		if i < 0 {
			c.Text, c.Rule, c.Reason = "", "refused", "on another machine"
		}
		l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Push(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantAll has a fresh ledger pull n calls, each with the end that holds.
func wantAll(t *testing.T, store blob.Store, n int, when string) {
	t.Helper()
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer l.Close()
	if got, err := l.Pull(t.Context(), store); got != n || err != nil {
		t.Fatalf("%s: pulled %d calls, want %d (%v)", when, got, n, err)
	}
	for i := range n {
		if c, found, err := l.Lookup(t.Context(), call(i).Key); !found || c.Failed() || err != nil {
			t.Fatalf("%s: call %d: found %v, %+v, %v", when, i, found, c, err)
		}
	}
}

func segmentKeys(t *testing.T, store blob.Store) (keys []string) {
	t.Helper()
	for o, err := range store.List(t.Context(), "ledger/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// TestCompact: many segments become one, with the end of each call that holds.
// A dry run says so and changes nothing, and a second compaction finds nothing
// to do.
func TestCompact(t *testing.T) {
	store := newStore(t)
	const n = 5
	scattered(t, store, n)
	planned, err := manifests.Compact(t.Context(), store, true)
	if err != nil || planned.Segments != n+1 || planned.Merged != n+1 || planned.Written != 1 || planned.Doubles != 1 {
		t.Fatalf("got %+v, %v", planned, err)
	}
	if keys := segmentKeys(t, store); len(keys) != n+1 {
		t.Fatalf("a dry run left %d segments of %d", len(keys), n+1)
	}
	done, err := manifests.Compact(t.Context(), store, false)
	if err != nil || done != planned {
		t.Fatalf("got %+v, want what was planned, %+v (%v)", done, planned, err)
	}
	keys := segmentKeys(t, store)
	if len(keys) != 1 {
		t.Fatalf("%d segments are left, want 1", len(keys))
	}
	wantAll(t, store, n, "compacted")
	again, err := manifests.Compact(t.Context(), store, false)
	if err != nil || again.Segments != 1 || again.Merged != 0 {
		t.Errorf("got %+v, %v", again, err)
	}

	// Another machine that compacted the same segments wrote the same object.
	other := newStore(t)
	scattered(t, other, n)
	if _, err := manifests.Compact(t.Context(), other, false); err != nil || segmentKeys(t, other)[0] != keys[0] {
		t.Errorf("another machine wrote %v, want %v (%v)", segmentKeys(t, other), keys, err)
	}
}

// TestCompactKeepsLargeSegments: what is large enough stays as it is.
func TestCompactKeepsLargeSegments(t *testing.T) {
	store := newStore(t)
	const n = 2
	for i := range n { // each is more than half of what a compacted one holds
		l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
		c := call(i)
		c.Text = strings.Repeat("words ", 17<<20/6)
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Push(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before := segmentKeys(t, store)
	if done, err := manifests.Compact(t.Context(), store, false); err != nil || done.Merged != 0 || len(before) != n {
		t.Errorf("of %d segments: got %+v, %v", len(before), done, err)
	}
	wantAll(t, store, n, "compacted")
}

// TestCompactSurvivesEveryFault fails operation 0, 1, 2 … of a compaction in
// each way, as a kill there would, until one meets no fault. At no time is a
// call in no segment, and at the end one segment holds them all.
func TestCompactSurvivesEveryFault(t *testing.T) {
	const n = 4
	for _, fault := range []faultblob.Fault{faultblob.Before, faultblob.After, faultblob.Midway} {
		for operation := 0; ; operation++ {
			below := newStore(t)
			scattered(t, below, n)
			faulty := faultblob.New(below, faultblob.Nth(operation, fault))
			_, err := manifests.Compact(t.Context(), faulty, false)
			if faulty.Operations() <= operation {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			nothing := fault == faultblob.Midway && err == nil // breaks off in a list of nothing
			if !errors.Is(err, faultblob.ErrInjected) && !nothing {
				t.Fatalf("fault %d at operation %d: got %v", fault, operation, err)
			}
			wantAll(t, below, n, "after a fault")
			if _, err := manifests.Compact(t.Context(), below, false); err != nil {
				t.Fatal(err)
			}
			if keys := segmentKeys(t, below); len(keys) != 1 {
				t.Fatalf("fault %d at operation %d: %d segments are left", fault, operation, len(keys))
			}
			wantAll(t, below, n, "after the next compaction")
		}
	}
}

// TestCompactBesideOthers runs a whole compaction between any two operations of
// a pull, and of another compaction: neither fails, and no call is lost.
func TestCompactBesideOthers(t *testing.T) {
	const n = 4
	for name, other := range map[string]func(t *testing.T, store blob.Store) error{
		"pull": func(t *testing.T, store blob.Store) error {
			wantAll(t, store, n, "compacted meanwhile")
			return nil
		},
		"compaction": func(t *testing.T, store blob.Store) error {
			_, err := manifests.Compact(t.Context(), store, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for operation := 0; ; operation++ {
				below := newStore(t)
				scattered(t, below, n)
				between := faultblob.New(below, func(i int, _ string) faultblob.Fault {
					if i == operation {
						if _, err := manifests.Compact(t.Context(), below, false); err != nil {
							t.Error(err)
						}
					}
					return faultblob.None
				})
				if err := other(t, between); err != nil {
					t.Fatalf("at operation %d: %v", operation, err)
				}
				wantAll(t, below, n, "afterwards")
				if between.Operations() <= operation {
					break
				}
			}
		})
	}
}
