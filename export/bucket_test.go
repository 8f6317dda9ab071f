package export_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// writer is one of those that export to the same place.
type writer struct {
	name  string
	write func(ctx context.Context, dest blob.Store) error
	want  map[string]string // the whole export
}

func (w writer) run(ctx context.Context, dest blob.Store) error {
	return export.ToBucket(ctx, dest, w.write)
}

// writers make exports of the snapshot, as irg and as jsonl: one of two modes, and
// another one that has other rows of one of them.
func writers(t *testing.T, store blob.Store, s manifests.Snapshot) (pairs [][2]writer) {
	t.Helper()
	irg := func(name string, sel export.Selection) writer {
		o := options(t, 1, 1)
		o.Selection = sel
		return writer{name: name, write: func(ctx context.Context, dest blob.Store) error {
			_, _, err := export.WriteIRG(ctx, store, s, dest, o)
			return err
		}}
	}
	jsonl := func(name string, sel export.Selection) writer {
		o := formatOptions(t, export.JSONL, sel)
		return writer{name: name, write: func(ctx context.Context, dest blob.Store) error {
			_, _, err := export.Write(ctx, store, s, dest, o)
			return err
		}}
	}
	only := func(wanted ...string) (mix []export.Share) {
		for _, name := range modes.Names() {
			if !slices.Contains(wanted, name) {
				mix = append(mix, export.Share{Mode: name, Weight: weight(0)})
			}
		}
		return mix
	}
	two := export.Selection{Mix: only("initial_full_learning", "improving_full_learning")}
	part := export.Selection{Mix: only("initial_full_learning"), Where: `prompt contains "1"`}
	pairs = [][2]writer{{irg("irg", two), irg("irg of a part", part)}, {jsonl("jsonl", two), jsonl("jsonl of a part", part)}}
	for i := range pairs {
		for j := range pairs[i] {
			fresh := newStore(t)
			if err := pairs[i][j].write(t.Context(), fresh); err != nil {
				t.Fatal(err)
			}
			pairs[i][j].want = tree(t, fresh.URL("."))
		}
	}
	return pairs
}

// at is a policy that calls what when operation number n begins.
func at(n int, what func(op string)) func(int, string) faultblob.Fault {
	return func(i int, op string) faultblob.Fault {
		if i == n {
			what(op)
		}
		return faultblob.None
	}
}

// refused reports whether an export gave way to another one, and said so.
func refused(err error) bool {
	return errors.Is(err, export.ErrBusy) || err != nil && strings.Contains(err.Error(), "is another export: remove it")
}

// TestTwoWriters lets another export to the same place begin at operations of a
// first one, go on to one of its own or to its end, and end after the first has.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	const claiming = 6 // operations until the place is taken
	store, s := snapshot(t, 3)
	for _, pair := range writers(t, store, s) {
		for _, second := range pair {
			for n := range claiming {
				for m := range claiming {
					twoWriters(t, pair[0], second, n, m, false)
				}
			}
			// The place is taken: the second runs to its end.
			for n := 0; ; n += 3 {
				if operations := twoWriters(t, pair[0], second, n, math.MaxInt, false); operations <= n {
					break
				}
			}
		}
	}
}

// TestWriterTakenForDead lets an operation of an export take so long that another
// one takes it for dead: it finds that out when that one has written a part, or all.
// Deletions are left out: the question comes right before them.
func TestWriterTakenForDead(t *testing.T) {
	t.Parallel()
	step := 1
	if testing.Short() {
		step = 3
	}
	store, s := snapshot(t, 3)
	for _, pair := range writers(t, store, s) {
		for _, second := range pair {
			for _, m := range []int{20, math.MaxInt} {
				for n := 0; ; n += step {
					if operations := twoWriters(t, pair[0], second, n, m, true); operations <= n {
						break
					}
				}
			}
		}
	}
}

// twoWriters begins the second at operation n of the first, which goes on when the
// second is at its operation m or has ended. If the first is asleep, the second takes
// it for dead. It returns the operations of the first. What is published is whole and
// of one that says so; none says so beside another one, unless it is the same; and
// who gave way may try again.
func twoWriters(t *testing.T, first, second writer, n, m int, asleep bool) int {
	t.Helper()
	below := newStore(t)
	if asleep { // the first finds something to remove
		if err := second.run(t.Context(), faultblob.New(below, faultblob.Nth(18, faultblob.Before))); !errors.Is(err, faultblob.ErrInjected) {
			t.Fatalf("got %v", err)
		}
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var other conc.WaitGroup
	var errs [2]error
	begins, before, ended := false, false, false // the second, before the first's end
	dest := faultblob.New(below, at(n, func(op string) {
		if asleep && op == "delete" {
			return
		}
		_, whole := export.ReadManifest(t.Context(), below)
		begins, before = true, whole != nil
		if asleep {
			age(t, below)
		}
		other.Go(func() {
			paused := false
			errs[1] = second.run(t.Context(), faultblob.New(below, at(m, func(string) {
				paused = true
				close(begun)
				<-goOn
			})))
			if !paused {
				ended = true
				close(begun)
			}
		})
		<-begun
	}))
	errs[0] = first.run(t.Context(), dest)
	close(goOn)
	other.Wait()
	defer func() {
		if t.Failed() {
			t.Fatalf("%s in operation %d, %s to its operation %d: %v", first.name, n, second.name, m, errs)
		}
	}()
	if !begins {
		errs[1] = second.run(t.Context(), below)
	}
	both, same := []writer{first, second}, first.name == second.name
	for i, err := range errs {
		if err != nil && !refused(err) {
			t.Errorf("%s failed", both[i].name)
		}
		if err == nil {
			sameTrees(t, both[i].want, published(t, below))
		}
	}
	switch {
	case errs[0] == nil && errs[1] == nil && !same:
		t.Error("both say that they have exported")
	case errs[0] != nil && ended && same && !asleep:
		t.Error("its own export is there")
	case errs[1] != nil && asleep && begins && before:
		t.Error("it waits for one that is dead")
	case errs[0] != nil && errs[1] != nil:
		if _, err := export.ReadManifest(t.Context(), below); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("both gave way, and there is an export (%v)", err)
		}
		if err := first.run(t.Context(), below); err != nil {
			t.Errorf("the next try: %v", err)
		}
		sameTrees(t, first.want, published(t, below))
	}
	return dest.Operations()
}

// published reads a place but for what says that a run was taken for dead.
func published(t *testing.T, dest *blob.File) map[string]string {
	files := tree(t, dest.URL("."))
	for name := range files {
		if strings.HasPrefix(name, manifests.RunPrefix) && strings.HasSuffix(name, ".dead") {
			delete(files, name)
		}
	}
	return files
}

// age makes the marks of runs as old as those of dead ones.
func age(t *testing.T, dest *blob.File) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	for o, err := range dest.List(t.Context(), manifests.RunPrefix) {
		if err == nil {
			err = os.Chtimes(dest.URL(o.Key), old, old)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// TestEveryFaultInABucket fails each operation in turn, those on the marks too: the
// next export goes on when the mark of the one before, if it could not be removed,
// counts as dead, and leaves what an undisturbed one does.
func TestEveryFaultInABucket(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 3)
	w := writers(t, store, s)[1][0]
	for _, fault := range []faultblob.Fault{faultblob.Before, faultblob.After} {
		for n := 0; ; n++ {
			below := newStore(t)
			dest := faultblob.New(below, faultblob.Nth(n, fault))
			if err := w.run(t.Context(), dest); err != nil && !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("%s: operation %d: %v", w.name, n, err)
			}
			age(t, below)
			if err := w.run(t.Context(), below); err != nil {
				t.Fatalf("%s: after operation %d: %v", w.name, n, err)
			}
			sameTrees(t, w.want, published(t, below))
			if dest.Operations() <= n {
				break
			}
		}
	}
}

// TestTwoWritersInABucket: while one export is under way in a bucket, others of
// the place are refused; when it is whole it is there for the same one, and another
// one is not written over it.
func TestTwoWritersInABucket(t *testing.T) {
	store, s := snapshot(t, 3)
	s3 := s3test.Start(t)
	s3.Bucket(t, "exports")
	for i, pair := range writers(t, store, s) {
		dest, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "exports", Prefix: fmt.Sprint(i), Endpoint: s3.Endpoint, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		puts := 0
		policy := func(_ int, op string) faultblob.Fault {
			if op == "put" {
				puts++
			}
			if op == "put" && puts > 1 && puts%5 == 0 { // the first is the mark
				for _, w := range pair {
					if err := w.run(t.Context(), dest); !errors.Is(err, export.ErrBusy) || !strings.Contains(err.Error(), "export on ") {
						t.Errorf("%s, at put %d of %s: %v", w.name, puts, pair[0].name, err)
					}
				}
			}
			return faultblob.None
		}
		if err := pair[0].run(t.Context(), faultblob.New(dest, policy)); err != nil || puts < 10 {
			t.Errorf("%s: %d puts (%v)", pair[0].name, puts, err)
		}
		if err := pair[0].run(t.Context(), dest); err != nil {
			t.Error(err)
		}
		if err := pair[1].run(t.Context(), dest); err == nil || !refused(err) || errors.Is(err, export.ErrBusy) {
			t.Errorf("%s: %v", pair[1].name, err)
		}
		sameTrees(t, pair[0].want, stored(t, dest))
	}
}

// TestManifestIsNotWrittenOver: of two that reach their end without a mark between
// them, the second finds the export of the first.
func TestManifestIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 3)
	for _, pair := range writers(t, store, s) {
		for _, second := range pair {
			below := newStore(t)
			first := &beforeManifest{Store: below, do: func() {
				if err := second.write(t.Context(), below); err != nil {
					t.Error(err)
				}
			}}
			err := pair[0].write(t.Context(), first)
			if same := second.name == pair[0].name; same && err != nil || !same && !refused(err) {
				t.Errorf("%s after %s: %v", pair[0].name, second.name, err)
			}
			text, err := blob.ReadAll(t.Context(), below, "export.json", 1<<20)
			if err != nil || string(text) != second.want["export.json"] {
				t.Errorf("%s was written over (%v)", second.name, err)
			}
		}
	}
}

// TestManifestOfOneTakenForDead: when another run took the place while the manifest
// was under way, the manifest goes again.
func TestManifestOfOneTakenForDead(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 3)
	for _, pair := range writers(t, store, s) {
		below := newStore(t)
		err := pair[0].run(t.Context(), &beforeManifest{Store: below, do: func() {
			age(t, below)
			if err := pair[1].run(t.Context(), faultblob.New(below, faultblob.Nth(25, faultblob.Before))); !errors.Is(err, faultblob.ErrInjected) {
				t.Errorf("got %v", err)
			}
		}})
		if !errors.Is(err, export.ErrBusy) {
			t.Errorf("%s: %v", pair[0].name, err)
		}
		if err := pair[1].run(t.Context(), below); err != nil {
			t.Error(err)
		}
		sameTrees(t, pair[1].want, published(t, below))
	}
}

// beforeManifest does something when all of the manifest has been read and nothing
// of it is visible.
type beforeManifest struct {
	blob.Store
	do func()
}

func (b *beforeManifest) Put(ctx context.Context, key string, body io.Reader, o blob.PutOptions) error {
	if key != "export.json" {
		return b.Store.Put(ctx, key, body, o)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	b.do()
	return blob.PutBytes(ctx, b.Store, key, text, o)
}
