package manifests_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
)

// secret is what a model says about call i.
func secret(i, machine int) manifests.Call {
	c := made(i, machine)
	c.Text = "said about a pair that was removed"
	return c
}

// wantPurged looks for the secret in all segments.
func wantPurged(t *testing.T, store blob.Store, when string) {
	t.Helper()
	if strings.Contains(segmentTexts(t, store), secret(0, 0).Text) {
		t.Fatalf("%s: a segment holds a call that was purged", when)
	}
}

// segmentTexts is what all segments hold.
func segmentTexts(t *testing.T, store blob.Store) (all string) {
	t.Helper()
	for _, key := range segmentKeys(t, store) {
		compressed, err := blob.ReadAll(t.Context(), store, key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewReader(bytes.NewReader(compressed))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		z.Close()
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// wantLedger compares what a ledger holds: calls of pairs, and what purged calls and
// doubles cost.
func wantLedger(t *testing.T, l *manifests.Ledger, pairs []int, removed, doubles int, when string) {
	t.Helper()
	calls, twice := ledgerContent(t, l)
	var got []irgdata.Digest
	for _, c := range calls {
		got = append(got, c.Asked.Pair)
	}
	var want []irgdata.Digest
	for _, i := range pairs {
		want = append(want, made(i, 0).Asked.Pair)
	}
	order := func(a, b irgdata.Digest) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: pairs with calls: %s", when, diff)
	}
	costs, err := l.PurgedCosts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := func(costs []manifests.StepCost) (n int) {
		for _, c := range costs {
			n += c.Calls
		}
		return n
	}
	if count(costs) != removed || count(twice) != doubles {
		t.Fatalf("%s: %d calls of removed pairs and %d doubles, want %d and %d", when, count(costs), count(twice), removed, doubles)
	}
}

// TestPurge: calls about a removed pair are gone from the store and from each ledger
// when it is next opened, in whichever way they are known to be about it. What they
// cost stays, each making counted once, and what they painted is known.
func TestPurge(t *testing.T) {
	store := newStore(t)
	path := filepath.Join(t.TempDir(), "other.sqlite")
	first, other := newLedger(t), openLedger(t, path)
	painted := secret(2, 0)
	painted.Text, painted.Image = "", irgdata.ImageRef{Digest: irgdata.DigestOf([]byte("an image")), Size: 1, Format: irgdata.FormatPNG, Width: 2, Height: 3}
	painted.Asked.Pair = secret(0, 0).Asked.Pair
	untold := secret(3, 0)
	untold.Asked = manifests.Asked{}
	record(t, first, secret(0, 0), made(1, 0), painted, untold)
	record(t, other, secret(0, 1), made(1, 1)) // made at the same time
	push(t, first, store)
	pull(t, other, store)
	push(t, other, store)
	own := secret(4, 1) // of the other machine alone
	own.Text, own.Image = "", irgdata.ImageRef{Digest: irgdata.DigestOf([]byte("another image")), Size: 1, Format: irgdata.FormatPNG, Width: 2, Height: 3}
	own.Asked.Pair = secret(0, 0).Asked.Pair
	record(t, other, own)
	o := manifests.PurgeOptions{Pairs: []irgdata.Digest{own.Asked.Pair}, Calls: []irgdata.Digest{untold.Key}, DryRun: true}
	before := segmentKeys(t, store)
	planned, err := manifests.Purge(t.Context(), store, first, o)
	if err != nil || planned.Calls != 3 || !planned.Image(painted.Image.Digest) || !slices.Equal(before, segmentKeys(t, store)) {
		t.Fatalf("a dry run: %+v, %v", planned, err)
	}
	if calls, _ := ledgerContent(t, first); len(calls) != 4 {
		t.Fatalf("a dry run left %d calls", len(calls))
	}
	o.DryRun = false
	done, err := manifests.Purge(t.Context(), store, first, o)
	if err != nil || done.Calls != 3 || !done.Image(painted.Image.Digest) || done.Image(own.Image.Digest) {
		t.Fatalf("got %+v, %v", done, err)
	}
	wantPurged(t, store, "after the purge")
	// Removed: both makings of call 0, and calls 2 and 3. Call 1 was made twice.
	wantLedger(t, first, []int{1}, 4, 1, "this ledger")
	wantLedger(t, filledLedger(t, store), []int{1}, 4, 1, "a new one")

	pull(t, other, store)
	push(t, other, store)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(path); err != nil || bytes.Contains(file, []byte(own.Text+secret(0, 0).Text)) {
		t.Errorf("the other ledger's file has the text still (%v)", err)
	}
	again, err := manifests.Purge(t.Context(), store, first, o)
	if err != nil || again.Calls != 0 || !again.Image(own.Image.Digest) {
		t.Errorf("again: %+v, %v", again, err)
	}
	wantLedger(t, first, []int{1}, 5, 1, "this ledger, with what the other one had")
	wantPurged(t, store, "after another purge")
}

// TestPurgeSurvivesEveryFault fails each operation of a purge in each way. No other
// call is lost, and the next purge does the rest.
func TestPurgeSurvivesEveryFault(t *testing.T) {
	for i, fault := range []faultblob.Fault{faultblob.Before, faultblob.After, faultblob.Midway} {
		step := 1
		if testing.Short() {
			step = 3
		}
		for operation := i % step; ; operation += step {
			below, l := newStore(t), newLedger(t)
			for _, c := range []manifests.Call{secret(0, 0), made(1, 0), made(2, 0)} { // a segment each
				record(t, l, c)
				push(t, l, below)
			}
			o := manifests.PurgeOptions{Pairs: []irgdata.Digest{secret(0, 0).Asked.Pair}}
			faulty := faultblob.New(below, faultblob.Nth(operation, fault))
			_, err := manifests.Purge(t.Context(), faulty, l, o)
			if faulty.Operations() <= operation {
				break
			}
			if err != nil && !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("fault %d at operation %d: %v", fault, operation, err)
			}
			wantOthers(t, below, fmt.Sprintf("fault %d at operation %d", fault, operation))
			if _, err := manifests.Purge(t.Context(), below, l, o); err != nil {
				t.Fatal(err)
			}
			wantPurged(t, below, "after the next purge")
			wantLedger(t, l, []int{1, 2}, 1, 0, "this ledger")
			wantOthers(t, below, "after the next purge")
		}
	}
}

// wantOthers looks for calls 1 and 2 in the segments.
func wantOthers(t *testing.T, store blob.Store, when string) {
	t.Helper()
	text := segmentTexts(t, store)
	for i := range 2 {
		if key := made(i+1, 0).Key.String(); !strings.Contains(text, key) {
			t.Fatalf("%s: no segment has call %s", when, key)
		}
	}
}

// TestPurgeBesideOthers runs a whole purge between any two operations of a push and
// of a compaction, as of a machine that was asleep: neither brings a call back that
// was purged.
func TestPurgeBesideOthers(t *testing.T) {
	for name, other := range map[string]func(t *testing.T, l *manifests.Ledger, store blob.Store) error{
		"push": func(t *testing.T, l *manifests.Ledger, store blob.Store) error {
			_, err := l.Push(t.Context(), store)
			return err
		},
		"compaction": func(t *testing.T, _ *manifests.Ledger, store blob.Store) error {
			_, err := manifests.Compact(t.Context(), store, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for operation := 0; ; operation++ {
				below := newStore(t)
				first := newLedger(t)
				record(t, first, secret(0, 0))
				push(t, first, below)
				record(t, first, made(1, 0))
				push(t, first, below)
				path := filepath.Join(t.TempDir(), "asleep.sqlite")
				asleep := openLedger(t, path)
				pull(t, asleep, below)
				late := secret(3, 1)
				late.Asked.Pair = secret(0, 0).Asked.Pair
				record(t, asleep, late, made(2, 1))
				between := faultblob.New(below, func(i int, _ string) faultblob.Fault {
					if i == operation {
						if _, err := manifests.Purge(t.Context(), below, first, manifests.PurgeOptions{Pairs: []irgdata.Digest{secret(0, 0).Asked.Pair}}); err != nil {
							t.Error(err)
						}
					}
					return faultblob.None
				})
				err := other(t, asleep, between)
				if err != nil {
					t.Fatalf("at operation %d: %v", operation, err)
				}
				if between.Operations() <= operation {
					if err := asleep.Close(); err != nil {
						t.Fatal(err)
					}
					break
				}
				wantPurged(t, below, "afterwards")
				push(t, asleep, below)
				pull(t, asleep, below)
				if err := asleep.Close(); err != nil {
					t.Fatal(err)
				}
				wantPurged(t, below, "after another push")
				if file, err := os.ReadFile(path); err != nil || bytes.Contains(file, []byte(late.Text)) {
					t.Fatalf("at operation %d: the ledger's file has the text still (%v)", operation, err)
				}
				pull(t, first, below)
				wantLedger(t, first, []int{1, 2}, 2, 0, "this ledger")
				wantLedger(t, filledLedger(t, below), []int{1, 2}, 2, 0, "another ledger")
			}
		})
	}
}

// TestDamagedPurge: what says which calls were purged is damaged. It is found and
// named, and no ledger is opened as if nothing had been purged; a repair deletes it,
// and the next purge writes it anew.
func TestDamagedPurge(t *testing.T) {
	store := newStore(t)
	l := newLedger(t)
	record(t, l, secret(0, 0), made(1, 0))
	push(t, l, store)
	o := manifests.PurgeOptions{Pairs: []irgdata.Digest{secret(0, 0).Asked.Pair}}
	if _, err := manifests.Purge(t.Context(), store, l, o); err != nil {
		t.Fatal(err)
	}
	key := ""
	for object, err := range store.List(t.Context(), "purged/") {
		if key = object.Key; err != nil {
			t.Fatal(err)
		}
	}
	if err := blob.PutBytes(t.Context(), store, key, bytes.Repeat([]byte{1}, len(irgdata.Digest{})), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	other := newLedger(t)
	if _, err := other.Pull(t.Context(), store); !errors.Is(err, blob.ErrDamaged) || !strings.Contains(err.Error(), "verify --repair") {
		t.Fatalf("got %v", err)
	}
	report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, manifests.VerifyOptions{Full: true, Work: t.TempDir()})
	if err != nil || !slices.ContainsFunc(report.Problems, func(p manifests.Problem) bool { return p.Key == key }) {
		t.Fatalf("found %v, %v", report.Problems, err)
	}
	if err := report.Repair(t.Context(), other, manifests.RepairOptions{Work: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	record(t, other, secret(0, 1))
	push(t, other, store) // nothing keeps it out
	if _, err := manifests.Purge(t.Context(), store, other, o); err != nil {
		t.Fatal(err)
	}
	wantPurged(t, store, "after the next purge")
	wantLedger(t, other, []int{1}, 2, 0, "this ledger")
}
