package manifests_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/manifests"
)

func newStore(t testing.TB) *blob.File {
	t.Helper()
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestAnotherMachineReadsTheLedger: what one ledger pushed another pulls,
// failures and images included, once; and what it pulled it does not push.
func TestAnotherMachineReadsTheLedger(t *testing.T) {
	store := newStore(t)
	image := call(1)
	image.Text, image.Image = "", irgdata.ImageRef{Digest: irgdata.DigestOf([]byte("x")), Size: 1, Format: irgdata.FormatPNG, Width: 2, Height: 3}
	failed := call(2)
	failed.Text, failed.Rule, failed.Reason = "", "refused", "no dogs <here>"
	calls := []manifests.Call{call(0), image, failed}

	first := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer first.Close()
	for _, c := range calls {
		if _, err := first.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := first.Push(t.Context(), store); n != 3 || err != nil {
		t.Fatalf("pushed %d, %v", n, err)
	}
	if n, err := first.Push(t.Context(), store); n != 0 || err != nil {
		t.Errorf("pushed %d again, %v", n, err)
	}

	second := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer second.Close()
	if n, err := second.Pull(t.Context(), store); n != 3 || err != nil {
		t.Fatalf("pulled %d, %v", n, err)
	}
	if n, err := second.Pull(t.Context(), store); n != 0 || err != nil {
		t.Errorf("pulled %d again, %v", n, err)
	}
	if n, err := second.Push(t.Context(), store); n != 0 || err != nil {
		t.Errorf("pushed %d that were pulled, %v", n, err)
	}
	for _, want := range calls {
		got, found, err := second.Lookup(t.Context(), want.Key)
		if diff := cmp.Diff(want, got); !found || err != nil || diff != "" {
			t.Error(found, err, diff)
		}
	}
}

// TestLedgersAgree: two machines made the same calls at once and had other
// answers. Wherever their segments meet, and in whatever order, the same ones
// hold, and an answer holds against a failure.
func TestLedgersAgree(t *testing.T) {
	store := newStore(t)
	const n = 20
	for machine := range 2 {
		l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
		for i := range n {
			c := call(i)
			c.Text = irgdata.DigestOf([]byte{byte(machine), byte(i)}).String()
			if i%5 == machine {
				c.Text, c.Rule, c.Reason = "", "empty", "nothing was said"
			}
			if _, err := l.Record(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Push(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var held [2][n]manifests.Call
	for order := range held {
		l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
		if order == 1 { // this machine has an answer of its own first
			for i := range n {
				c := call(i)
				c.Text, c.Rule, c.Reason = "", "refused", "zzz"
				if _, err := l.Record(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := l.Pull(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			c, found, err := l.Lookup(t.Context(), call(i).Key)
			if err != nil || !found || c.Failed() {
				t.Errorf("call %d: %+v, %v, %v", i, c, found, err)
			}
			held[order][i] = c
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(held[0], held[1]); diff != "" {
		t.Error(diff)
	}
}

// TestSegmentsAreBounded: many long answers go into several segments, each of
// which can be read.
func TestSegmentsAreBounded(t *testing.T) {
	store := newStore(t)
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer l.Close()
	const n = 80
	text := strings.Repeat("a long answer ", 1<<20/14)
	for i := range n {
		c := call(i)
		c.Text = text
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if pushed, err := l.Push(t.Context(), store); pushed != n || err != nil {
		t.Fatalf("pushed %d, %v", pushed, err)
	}
	segments := 0
	for _, err := range store.List(t.Context(), "ledger/") {
		if segments++; err != nil {
			t.Fatal(err)
		}
	}
	other := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer other.Close()
	if pulled, err := other.Pull(t.Context(), store); pulled != n || err != nil || segments < 2 {
		t.Errorf("pulled %d of %d segments, %v", pulled, segments, err)
	}
}

// TestNonsenseCosts: counts of another machine that make no sense end no sum.
func TestNonsenseCosts(t *testing.T) {
	store := newStore(t)
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer l.Close()
	for i, c := range []manifests.Call{
		{TokensIn: 1 << 62, TokensOut: 1 << 62, Attempts: 1 << 62, Seconds: math.MaxFloat64, Server: "a"},
		{TokensIn: 1 << 62, TokensOut: 1 << 62, Attempts: 1 << 62, Seconds: math.MaxFloat64, Server: "a"},
		{TokensIn: -1 << 62, TokensOut: -1 << 62, Attempts: -1 << 62, Seconds: -math.MaxFloat64, Server: "a"},
		{TokensIn: 5, TokensOut: 6, Attempts: 7, Seconds: 8, Server: "a"},
	} {
		c.Key, c.Step, c.Model, c.Text = call(i).Key, "draft/1", "m@1", "a text"
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Push(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	other := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer other.Close()
	if _, err := other.Pull(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	want := manifests.StepCost{Step: "draft/1", Model: "m@1", Calls: 4, Attempts: 2<<20 + 7, Seconds: 2e9 + 8, TokensIn: 2<<32 + 5, TokensOut: 2<<32 + 6}
	costs, err := other.Costs(t.Context())
	if err != nil || len(costs) != 1 || costs[0] != want {
		t.Errorf("got %+v, %v", costs, err)
	}
	byServer, err := other.ServerCosts(t.Context())
	if err != nil || len(byServer) != 1 || byServer[0].TokensIn != want.TokensIn {
		t.Errorf("by server: %+v, %v", byServer, err)
	}
}

// TestPushSurvivesFaults: a push that fails at any of its operations is made
// good by the next one.
func TestPushSurvivesFaults(t *testing.T) {
	for _, fault := range []faultblob.Fault{faultblob.Before, faultblob.After, faultblob.Midway} {
		for operation := 0; ; operation++ {
			below := newStore(t)
			l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
			defer l.Close()
			record(t, l, call(0))
			faulty := faultblob.New(below, faultblob.Nth(operation, fault))
			first, err := l.Push(t.Context(), faulty)
			nothing := fault == faultblob.Midway && err == nil // breaks off in a list of nothing
			if faulty.Operations() <= operation {
				break
			}
			if !errors.Is(err, faultblob.ErrInjected) && !nothing {
				t.Fatalf("fault %d at operation %d: got %v", fault, operation, err)
			}
			if n, err := l.Push(t.Context(), below); first+n != 1 || err != nil {
				t.Errorf("fault %d at operation %d: pushed %d and %d, %v", fault, operation, first, n, err)
			}
			other := newLedger(t)
			if n, err := other.Pull(t.Context(), below); n != 1 || err != nil {
				t.Errorf("fault %d at operation %d: pulled %d, %v", fault, operation, n, err)
			}
		}
	}
}

// TestDamagedSegment: a damaged segment is an error that names it.
func TestDamagedSegment(t *testing.T) {
	store := newStore(t)
	content := []byte("no zstd")
	key := "ledger/" + irgdata.DigestOf(content).String() + ".jsonl.zst"
	if err := blob.PutBytes(t.Context(), store, key, content, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer l.Close()
	if _, err := l.Pull(t.Context(), store); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want an error that names %s", err, key)
	}
	if err := manifests.FillLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"), store); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want an error that names %s", err, key)
	}
}

// TestSharing: the calls go up at every interval and those of other machines
// come down, and the last ones go up at the end.
func TestSharing(t *testing.T) {
	// A real database takes real time, so only the ticker lives in the bubble.
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
		sharing := l.Share(context.Background(), store, time.Minute, slog.New(slog.DiscardHandler))
		segments := func() (n int) {
			for _, err := range store.List(t.Context(), "ledger/") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		if _, err := l.Record(t.Context(), call(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if n := segments(); n != 1 {
			t.Errorf("%d segments after an interval, want 1", n)
		}
		// Another machine finishes a call: it is known here an interval later.
		other := openLedger(t, filepath.Join(t.TempDir(), "other.sqlite"))
		if _, err := other.Record(t.Context(), call(2)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Push(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, found, err := l.Lookup(t.Context(), call(2).Key); err != nil || !found {
			t.Errorf("the other's call is not known: %v", err)
		}
		if _, err := l.Record(t.Context(), call(1)); err != nil {
			t.Fatal(err)
		}
		if err := sharing.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := segments(); n != 3 {
			t.Errorf("%d segments at the end, want 3", n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestIdentify(t *testing.T) {
	store := newStore(t)
	if _, err := manifests.Identity(t.Context(), store); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("an empty store has an identity (%v)", err)
	}
	id, err := manifests.Identify(t.Context(), store)
	if err != nil || id.IsZero() {
		t.Fatal(id, err)
	}
	if again, err := manifests.Identify(t.Context(), store); err != nil || again != id {
		t.Errorf("the identity changed to %s (%v)", again, err)
	}
	if other, err := manifests.Identify(t.Context(), newStore(t)); err != nil || other == id {
		t.Errorf("two stores share an identity (%v)", err)
	}
	for _, text := range []string{"", "{", `{"format":9}`, `{"format":1}`, `{"format":1,"id":"xy"}`} {
		if err := store.Put(t.Context(), "dataset.json", bytes.NewReader([]byte(text)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := manifests.Identify(t.Context(), store); err == nil || !strings.Contains(err.Error(), "dataset.json") {
			t.Errorf("%q: got %v, want an error that names the object", text, err)
		}
	}
}
