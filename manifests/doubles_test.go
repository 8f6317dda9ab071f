package manifests_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
)

// made is call i as one of several machines made it.
func made(i, machine int) manifests.Call {
	c := call(i)
	c.Text = fmt.Sprintf("answer %d", machine)
	c.Seconds = float64(machine + 1)
	c.Asked = manifests.Asked{Pair: irgdata.DigestOf(fmt.Append(nil, i)), Shown: fmt.Sprintf("%016x", i), Recipe: `{"step":"hindsight/1"}`, Inputs: "reference:0"}
	return c
}

func record(t *testing.T, l *manifests.Ledger, calls ...manifests.Call) {
	t.Helper()
	for _, c := range calls {
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// ledgerContent is all that a ledger knows: its calls, and its doubles by step.
func ledgerContent(t *testing.T, l *manifests.Ledger) (calls []manifests.Call, doubles []manifests.StepCost) {
	t.Helper()
	for c, err := range l.Calls(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	doubles, err := l.Doubles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return calls, doubles
}

func push(t *testing.T, l *manifests.Ledger, store blob.Store) {
	t.Helper()
	if _, err := l.Push(t.Context(), store); err != nil {
		t.Fatal(err)
	}
}

func pull(t *testing.T, l *manifests.Ledger, store blob.Store) {
	t.Helper()
	if _, err := l.Pull(t.Context(), store); err != nil {
		t.Fatal(err)
	}
}

func newLedger(t *testing.T) *manifests.Ledger {
	t.Helper()
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestDoubles: two machines have calls under way at once. What the second
// making cost is counted once on every machine, whichever way it comes there,
// and outlives compaction.
func TestDoubles(t *testing.T) {
	store := newStore(t)
	first, second := newLedger(t), newLedger(t)
	record(t, first, made(0, 0), made(1, 0), made(2, 0))
	push(t, first, store)
	record(t, second, made(1, 1), made(3, 1)) // made(1, 1) does not hold
	pull(t, second, store)
	record(t, second, made(2, 1)) // was under way when the other's came
	push(t, second, store)
	pull(t, first, store)
	pull(t, first, store) // read twice, counted once

	want := []manifests.StepCost{{Step: "hindsight/1", Model: "m@1", Calls: 2, Attempts: 2, Seconds: 4, TokensIn: 20, TokensOut: 3}}
	check := func(when string, l *manifests.Ledger) {
		t.Helper()
		calls, doubles := ledgerContent(t, l)
		if diff := cmp.Diff(want, doubles); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if len(calls) != 4 {
			t.Errorf("%s: %d calls, want 4", when, len(calls))
		}
		for _, c := range calls {
			if c.Asked.IsZero() {
				t.Errorf("%s: it is not known what call %s asked", when, c.Key)
			}
		}
	}
	check("first", first)
	check("second", second)
	check("third", filledLedger(t, store))
	done, err := manifests.Compact(t.Context(), store, false)
	if err != nil || done.Written != 1 {
		t.Fatalf("got %+v, %v", done, err)
	}
	check("after compaction", filledLedger(t, store))
	pull(t, first, store)
	check("first, after compaction", first)
}

func filledLedger(t *testing.T, store blob.Store) *manifests.Ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	if err := manifests.FillLedger(t.Context(), path, store); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, path)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if n, err := l.Pull(t.Context(), store); n != 0 || err != nil {
		t.Errorf("a filled ledger pulled %d calls more (%v)", n, err)
	}
	return l
}

// TestPullNewKeepsWhatARunUsed: a pull beside a run adds the calls of other
// machines, and leaves those that the run may have used. Before the next run
// all machines agree.
func TestPullNewKeepsWhatARunUsed(t *testing.T) {
	store := newStore(t)
	first, second := newLedger(t), newLedger(t)
	record(t, first, made(0, 1), made(1, 0))
	record(t, second, made(0, 0), made(1, 1), made(2, 1)) // made(0, 0) and made(1, 0) hold
	push(t, second, store)
	text := func(l *manifests.Ledger, i int) string {
		t.Helper()
		c, found, err := l.Lookup(t.Context(), call(i).Key)
		if err != nil || !found {
			t.Fatalf("call %d: %v, %v", i, found, err)
		}
		return c.Text
	}
	for range 2 {
		if _, err := first.PullNew(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if a, b, c := text(first, 0), text(first, 1), text(first, 2); a != "answer 1" || b != "answer 0" || c != "answer 1" {
			t.Errorf("during the run: %q, %q, %q", a, b, c)
		}
	}
	push(t, first, store)
	pull(t, first, store)
	pull(t, second, store)
	for i := range 2 {
		if a, b := text(first, i), text(second, i); a != "answer 0" || b != a {
			t.Errorf("before the next run: call %d: %q and %q, want the same", i, a, b)
		}
	}
}

// TestDoublesDigest: as long as it is the same, no other machine had another
// answer to a call.
func TestDoublesDigest(t *testing.T) {
	store := newStore(t)
	l, other := newLedger(t), newLedger(t)
	digest := func(l *manifests.Ledger) irgdata.Digest {
		t.Helper()
		d, err := l.DoublesDigest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	last := digest(l)
	changes := func(what string, want bool, do func()) {
		t.Helper()
		do()
		now := digest(l)
		if (now != last) != want {
			t.Errorf("%s: the digest changed: %v, want %v", what, now != last, want)
		}
		last = now
	}
	changes("calls", false, func() { record(t, l, made(0, 1), made(1, 0)) })
	changes("a push", false, func() { push(t, l, store) })
	record(t, other, made(0, 0), made(1, 1), made(2, 0))
	push(t, other, store)
	changes("other ends, one of which does not hold, beside a run", true, func() {
		if _, err := l.PullNew(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	})
	changes("the other one, which holds", true, func() { pull(t, l, store) })
	changes("nothing new", false, func() { pull(t, l, store) })
	pull(t, other, store)
	if digest(other) != last {
		t.Error("two machines that have pulled all differ")
	}
}

// TestFillLedger: a ledger that is filled holds what one that pulls does, of
// many segments with many doubles, and may fail at any operation.
func TestFillLedger(t *testing.T) {
	store := newStore(t)
	for machine := range 3 {
		l := newLedger(t)
		for i := range 150 {
			if (i+machine)%3 > 0 {
				record(t, l, made(i, (machine*7+i)%5))
			}
		}
		failed := call(1000 + machine)
		failed.Text, failed.Rule, failed.Reason = "", "refused", "no"
		painted := call(2000 + machine)
		painted.Text, painted.Image = "", irgdata.ImageRef{Digest: irgdata.DigestOf([]byte{byte(machine)}), Size: 1, Format: irgdata.FormatPNG, Width: 2, Height: 3}
		record(t, l, failed, painted)
		push(t, l, store)
	}
	lost := irgdata.DigestOf([]byte{1})
	if err := blob.PutBytes(t.Context(), store, "lost/"+lost.String(), nil, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	pulled := newLedger(t)
	pull(t, pulled, store)
	wantCalls, wantDoubles := ledgerContent(t, pulled)
	if len(wantCalls) != 155 || len(wantDoubles) != 1 || wantDoubles[0].Calls < 50 {
		t.Fatalf("pulled %d calls and doubles %+v", len(wantCalls), wantDoubles)
	}
	same := func(l *manifests.Ledger) {
		t.Helper()
		calls, doubles := ledgerContent(t, l)
		if diff := cmp.Diff(wantCalls, calls) + cmp.Diff(wantDoubles, doubles); diff != "" {
			t.Error(diff)
		}
		if why, err := l.WhyAbsent(t.Context(), call(2001).Key); err != nil || why != manifests.AbsentLost {
			t.Errorf("of the lost image it is known %q (%v)", why, err)
		}
		if h, err := l.History(t.Context(), made(5, 0).Asked.Pair, made(5, 0).Asked.Shown); err != nil || len(h.Asked) != 1 || h.Asked[0] != made(5, 0).Asked {
			t.Errorf("got %+v, %v", h, err)
		}
	}
	same(pulled)
	same(filledLedger(t, store))

	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	for operation := 0; ; operation++ {
		faulty := faultblob.New(store, faultblob.Nth(operation, faultblob.Before))
		err := manifests.FillLedger(t.Context(), path, faulty)
		if faulty.Operations() <= operation {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		files, _ := filepath.Glob(filepath.Dir(path) + "/*")
		if !errors.Is(err, faultblob.ErrInjected) || len(files) > 0 {
			t.Fatalf("operation %d: %v, and %v is left", operation, err, files)
		}
	}
	l := openLedger(t, path)
	defer l.Close()
	same(l)

	// A ledger that is there is left alone.
	if err := manifests.FillLedger(t.Context(), path, faultblob.New(store, faultblob.Nth(0, faultblob.Before))); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := manifests.FillLedger(ctx, filepath.Join(t.TempDir(), "ledger.sqlite"), store); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// TestFillReplacesWhatAKillLeft: a half-filled file is no ledger.
func TestFillReplacesWhatAKillLeft(t *testing.T) {
	store := newStore(t)
	l := newLedger(t)
	record(t, l, made(0, 0))
	push(t, l, store)
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	if err := os.WriteFile(path+".filling", []byte("half of it"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := manifests.FillLedger(t.Context(), path, store); err != nil {
		t.Fatal(err)
	}
	filled := openLedger(t, path)
	defer filled.Close()
	if _, found, err := filled.Lookup(t.Context(), call(0).Key); !found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if files, _ := filepath.Glob(path + ".filling*"); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}
