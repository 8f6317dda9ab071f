package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
)

// flipped shows a store in which one bit of an object is another one.
type flipped struct {
	blob.Store
	key string
	bit int64
}

func (f flipped) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := f.Store.Open(ctx, key, offset, length)
	if err != nil || key != f.key {
		return r, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if at := f.bit/8 - offset; err == nil && at >= 0 && at < int64(len(content)) {
		content[at] ^= 1 << (f.bit % 8)
	}
	return io.NopCloser(bytes.NewReader(content)), err
}

// TestFlippedBits flips a bit every few bytes in each object of the store of a
// build: each is found, and the object named. IRGDATA_TEST_FLIPS sets how many
// in each object; 0 is a bit in every byte.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	flipBits(t, newSite(t, "", nil), 12)
}

// TestFlippedBitsInBucket flips one in each object of a bucket.
func TestFlippedBitsInBucket(t *testing.T) {
	flipBits(t, newSite(t, "", s3test.Start(t)), 1)
}

func flipBits(t *testing.T, s *site, flips int64) {
	if text := os.Getenv("IRGDATA_TEST_FLIPS"); text != "" {
		if _, err := fmt.Sscan(text, &flips); err != nil {
			t.Fatal(err)
		}
	}
	d, err := newInstantDataset(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	d.openStore = func(context.Context, access) (blob.Store, error) { return s.store(t), nil }
	if err := d.open(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	d.feeds = madeFeeds(2, 32)
	d.config.Export.Ranks, d.config.Export.Workers = 1, 1
	if _, err := d.run(t.Context(), newProgress(io.Discard)); err != nil {
		t.Fatal(err)
	}
	if err := d.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for object, err := range d.store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n := object.Size
		if flips > 0 {
			n = min(n, flips)
		}
		for i := range n {
			at := i * object.Size / n
			store := flipped{d.store, object.Key, 8*at + i%8}
			report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, d.config.verifyOptions(true))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(report.Problems, func(p manifests.Problem) bool { return p.Key == object.Key }) {
				t.Errorf("%s: bit %d of byte %d is flipped: found %v", object.Key, i%8, at, report.Problems)
			}
			kinds[strings.Split(object.Key, "/")[0]]++
		}
	}
	t.Logf("flipped bits by kind of object: %v", kinds)
	if len(kinds) < 7 {
		t.Errorf("flipped %v, want all kinds of objects", kinds)
	}
}

// TestVerifyUnreadable fails operation 0, 1, 2 … of a verification of a sound store:
// what cannot be read is named, and nothing counts as damaged.
func TestVerifyUnreadable(t *testing.T) {
	t.Parallel()
	d, err := instantDataset(t.Context(), t.TempDir(), 2, 32)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.run(t.Context(), newProgress(io.Discard)); err != nil {
		t.Fatal(err)
	}
	if err := d.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []faultblob.Fault{faultblob.Before, faultblob.Midway} {
		for operation := 0; ; operation++ {
			store := faultblob.New(d.store, faultblob.Nth(operation, fault))
			report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, d.config.verifyOptions(true))
			if store.Operations() <= operation {
				if err != nil || len(report.Problems) > 0 {
					t.Errorf("without a fault: %v, %v", report.Problems, err)
				}
				break
			}
			switch {
			case errors.Is(err, faultblob.ErrInjected):
			case err == nil && fault == faultblob.Midway && len(report.Problems) == 0: // the list of an empty folder
			case err != nil || len(report.Problems) != 1 || report.Unreadable() != 1:
				t.Errorf("fault %d at operation %d: %v, %v", fault, operation, report.Problems, err)
			}
		}
	}
}

// TestVerifyBesideBuild has a build publish a snapshot before list 0, 1, 2 … of a
// verification: whatever it sees of that, the store is sound.
func TestVerifyBesideBuild(t *testing.T) {
	t.Parallel()
	root, pairs := t.TempDir(), 1
	publish := func() *dataset {
		t.Helper()
		d, err := instantDataset(t.Context(), root, pairs, 32)
		if err != nil {
			t.Fatal(err)
		}
		d.config.Export.Formats = nil
		r, err := d.run(t.Context(), newProgress(io.Discard))
		if err = errors.Join(err, d.close(t.Context())); err != nil || !r.published {
			t.Fatalf("published %v, %v", r.published, err)
		}
		pairs++
		return d
	}
	d := publish()
	for list, lists := 0, 1; list < lists; list++ {
		lists = 0
		store := faultblob.New(d.store, func(_ int, op string) faultblob.Fault {
			if op == "list" {
				if lists++; lists == list+1 {
					publish()
				}
			}
			return faultblob.None
		})
		report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, d.config.verifyOptions(true))
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("a snapshot was published before list %d: %v, %v", list, report.Problems, err)
		}
	}
	if pairs < 10 {
		t.Errorf("%d snapshots were published, want one before each list", pairs)
	}
}

// TestRepair damages and deletes objects of a store, alone and together, and
// repairs it: what is left for the next build to make again are the calls of
// which nothing is left, and its snapshot is the one that there was.
func TestRepair(t *testing.T) {
	t.Parallel()
	repairs(t, nil, func(i int) bool { return !testing.Short() || i%4 == 3 })
}

// TestRepairInBucket does some of that in a bucket of a real S3 server.
func TestRepairInBucket(t *testing.T) {
	repairs(t, s3test.Start(t), func(i int) bool { return i%5 == 1 })
}

func repairs(t *testing.T, server *s3test.Server, wanted func(int) bool) {
	whole := newSite(t, samplePairs(t, 10), server)
	whole.must(t, "build")
	models := whole.models
	keys := func(s *site, prefix string) []string {
		return slices.Sorted(maps.Keys(s.objects(t, prefix)))
	}
	shards := keys(whole, "shards/")
	var painted []string // images that models painted
	for _, key := range keys(whole, "images/") {
		if models.asked()[path.Base(key)] > 0 {
			painted = append(painted, key)
		}
	}
	all := func(folder string) func(*site) []string {
		return func(s *site) []string { return keys(s, folder+"/") }
	}
	join := func(pick ...func(*site) []string) func(*site) []string {
		return func(s *site) (keys []string) {
			for _, p := range pick {
				keys = append(keys, p(s)...)
			}
			return keys
		}
	}
	const workFolder = "../work"
	work := func(*site) []string { return []string{workFolder} }
	aPainted := func(*site) []string { return painted[:1] }
	first := func(n int, pick func(*site) []string) func(*site) []string {
		return func(s *site) []string { return pick(s)[:n] }
	}
	for i, tc := range []struct {
		name   string
		flip   func(*site) []string // objects in which a bit is flipped
		delete func(*site) []string
		says   string
		calls  int // that the next build makes again
	}{
		{name: "nothing", says: "The store is sound"},
		{name: "an image", flip: first(1, all("images")), says: `mended images/`},
		{name: "all images", delete: all("images"), says: `from a row of`},
		{name: "a shard", flip: first(1, all("shards")), says: "The store is sound"},
		{name: "all shards and a bit of the manifest", delete: all("shards"), flip: all("manifests"), says: "mended manifests/000001.json"},
		{name: "the identity", flip: func(*site) []string { return []string{"dataset.json"} }, says: "mended dataset.json"},
		{name: "the members", delete: all("members"), says: `mended members/`},
		{name: "the catalog", flip: all("catalog"), says: `mended catalog/`},
		{name: "the segments", flip: all("ledger"), says: "from the local ledger"},
		{name: "the segments, deleted", delete: all("ledger"), says: "from the local ledger"},
		{name: "the segments and the work folder", delete: join(all("ledger"), work), says: "from the rows of"},
		{name: "a painted image and the shards", delete: join(aPainted, all("shards")), says: "The next build makes", calls: 1},
		{name: "a painted image with a flipped bit, and the shards", flip: aPainted, delete: all("shards"), says: "The next build makes", calls: 1},
		{name: "the pairs' images and the shards", delete: join(func(s *site) []string {
			return slices.DeleteFunc(keys(s, "images/"), func(key string) bool { return slices.Contains(painted, key) })
		}, all("shards")), says: "The store is sound"},
		{name: "all but the sources and the manifest", delete: join(all("shards"), all("images"), all("ledger"), all("members"), all("catalog"), work), says: "The next build makes", calls: 40},
	} {
		if !wanted(i) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			s := whole.copied(t)
			store := s.store(t)
			if tc.flip != nil {
				for _, key := range tc.flip(s) {
					flipBit(t, store, key)
				}
			}
			if tc.delete != nil {
				for _, key := range tc.delete(s) {
					err := store.Delete(t.Context(), key)
					if key == workFolder {
						err = os.RemoveAll(filepath.Join(s.dir, "work"))
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			out, err := s.command(t.Context(), "verify", "--repair").CombinedOutput()
			if !regexp.MustCompile(tc.says).Match(out) {
				t.Errorf("%v, want %q in\n%s", err, tc.says, out)
			}
			if (err == nil) != (tc.calls == 0) {
				t.Errorf("%v\n%s", err, out)
			}
			models.forget()
			said := s.must(t, "build")
			if n := models.made(); n != tc.calls {
				t.Errorf("the next build made %d calls, want %d:\n%s", n, tc.calls, said)
			}
			s.compare(t, whole)
			s.must(t, "verify", "--full")
		})
	}
	if len(shards) < 2 {
		t.Errorf("%d shards, want several", len(shards))
	}
}

// TestRepairLocalLedger damages the local ledger: no damaged answer goes into a
// snapshot, and a repair loses none, though the segments of the store are damaged
// too.
func TestRepairLocalLedger(t *testing.T) {
	t.Parallel()
	whole := newSite(t, samplePairs(t, 6), nil)
	whole.must(t, "build")
	for name, damage := range map[string]func(ledger []byte) []byte{
		"an answer": func(ledger []byte) []byte {
			ledger[bytes.LastIndex(ledger, []byte("Detailed Explanation"))] ^= 4
			return ledger
		},
		"cut off": func(ledger []byte) []byte { return ledger[:100] },
	} {
		for _, segments := range []bool{false, true} {
			s := whole.copied(t)
			path, err := filepath.Glob(filepath.Join(s.dir, "work", "ledger-*.sqlite"))
			if err != nil || len(path) != 1 {
				t.Fatalf("%v, %v", path, err)
			}
			content, err := os.ReadFile(path[0])
			if err == nil {
				err = os.WriteFile(path[0], damage(content), 0o644)
			}
			if err == nil { // a build goes through all pairs
				err = os.RemoveAll(filepath.Join(s.dir, "store", "provenance"))
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{{"build"}, {"verify", "--full"}} {
				out, err := s.command(t.Context(), command...).CombinedOutput()
				if err == nil || !strings.Contains(string(out), "verify --repair") || !strings.Contains(string(out), path[0]) && !strings.Contains(string(out), "work/ledger-") {
					t.Errorf("%s: %v: %v\n%s", name, command, err, out)
				}
			}
			if segments {
				for key := range s.objects(t, "ledger/") {
					flipBit(t, s.store(t), key)
				}
			}
			whole.models.forget()
			out := s.must(t, "verify", "--repair")
			if !strings.Contains(out, "made anew of the ") {
				t.Errorf("%s: %s", name, out)
			}
			s.must(t, "build")
			if n := whole.models.made(); n > 0 {
				t.Errorf("%s, segments too: %v: %d calls were made again", name, segments, n)
			}
			s.compare(t, whole)
			s.must(t, "verify", "--full")
		}
	}
}

// TestRepairMeetsFaults fails operation 0, 1, 2 … of a repair, once or from then on,
// in stores with one damage each: nothing that was sound is gone then, in the store or
// in the ledger, and a repair without a fault leaves to the next build what nothing
// else held. IRGDATA_TEST_FAULTS=1 fails each operation, by default it is each tenth.
func TestRepairMeetsFaults(t *testing.T) {
	t.Parallel()
	const pairs, side = 3, 64
	open := func(s *site, policy func(int, string) faultblob.Fault) (*faultblob.Store, func(context.Context, access) (*dataset, error)) {
		faulty := faultblob.New(s.store(t), policy)
		return faulty, func(ctx context.Context, a access) (*dataset, error) {
			d, err := newInstantDataset(s.dir)
			if err != nil {
				return nil, err
			}
			d.openStore = func(context.Context, access) (blob.Store, error) { return faulty, nil }
			d.config.Export.Ranks, d.config.Export.Workers = 1, 1
			if err := d.open(ctx, a); err != nil {
				return nil, err
			}
			d.feeds = madeFeeds(pairs, side)
			return d, nil
		}
	}
	sound := func(int, string) faultblob.Fault { return faultblob.None }
	build := func(s *site) result {
		_, open := open(s, sound)
		d, err := open(t.Context(), write)
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.run(t.Context(), newProgress(io.Discard))
		if err = errors.Join(err, d.close(t.Context())); err != nil {
			t.Fatal(err)
		}
		return r
	}
	mend := func(s *site, policy func(int, string) faultblob.Fault) (operations int, said string, err error) {
		var out strings.Builder
		faulty, open := open(s, policy)
		d, err := newInstantDataset(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		r := repair{config: d.config, open: open, out: &out}
		err = r.run(t.Context())
		return faulty.Operations(), out.String(), err
	}

	whole := newSite(t, "", nil)
	build(whole)
	ofPairs := map[string]bool{}
	for i := range pairs {
		ofPairs[images.Key(irgdata.DigestOf(newMadeFolder(pairs, side).variant(i)))] = true
	}
	first := func(prefix string, is func(key string) bool) string {
		for _, key := range slices.Sorted(maps.Keys(whole.objects(t, prefix))) {
			if is == nil || is(key) {
				return key
			}
		}
		t.Fatalf("there is nothing in %s", prefix)
		return ""
	}
	painted := first("images/", func(key string) bool { return !ofPairs[key] })
	shard := first("shards/", nil)
	for i, tc := range []struct {
		name         string
		flip, delete []string
		passes       []string // folders of which objects may go that are sound
		calls        int      // that the next build makes
	}{
		{name: "a segment", flip: []string{first("ledger/", nil)}},
		{name: "a pair's image", flip: []string{first("images/", func(key string) bool { return ofPairs[key] })}},
		{name: "a painted image", delete: []string{painted}},
		{name: "a painted image and the shard", flip: []string{painted}, delete: []string{shard}, passes: []string{"provenance/"}, calls: 1},
		{name: "a shard", flip: []string{shard}, passes: []string{"provenance/"}},
		{name: "the members", flip: []string{first("members/", nil)}},
		{name: "the catalog", flip: []string{first("catalog/", nil)}},
		{name: "the scores", flip: []string{first("scores/", nil)}},
		{name: "the account", flip: []string{first("accounts/", nil)}},
		{name: "the manifest", flip: []string{first("manifests/", nil)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			damaged := whole.copied(t)
			store := damaged.store(t)
			for _, key := range tc.flip {
				flipBit(t, store, key)
			}
			for _, key := range tc.delete {
				if err := store.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			before, calls := damaged.objects(t, ""), damaged.answers(t)
			step := 10
			if os.Getenv("IRGDATA_TEST_FAULTS") != "" {
				step = 1
			}
			for operation := i % step; ; operation += step {
				operations := 0
				for name, policy := range map[string]func(int, string) faultblob.Fault{
					"once": faultblob.Nth(operation, faultblob.Before),
					"from then on": func(n int, _ string) faultblob.Fault {
						if n >= operation {
							return faultblob.Before
						}
						return faultblob.None
					},
				} {
					s := damaged.copied(t)
					n, said, err := mend(s, policy)
					operations = max(operations, n)
					after := s.objects(t, "")
					for key, content := range before {
						passes := slices.ContainsFunc(append(tc.passes, "runs/"), func(folder string) bool { return strings.HasPrefix(key, folder) })
						if after[key] != content && !passes && !slices.Contains(tc.flip, key) {
							t.Errorf("%s is gone after a fault %s at operation %d: %v\n%s", key, name, operation, err, said)
						}
					}
					left := s.answers(t)
					lost := 0
					for answer := range calls {
						if !left[answer] {
							lost++
						}
					}
					if lost > tc.calls {
						t.Errorf("%d calls are gone from the ledger after a fault %s at operation %d: %v\n%s", lost, name, operation, err, said)
					}
				}
				if operations <= operation {
					break
				}
			}
			_, said, err := mend(damaged, sound)
			if (err == nil) != (tc.calls == 0) {
				t.Errorf("%v\n%s", err, said)
			}
			if r := build(damaged); r.calls.Made != tc.calls {
				t.Errorf("the next build made %d calls, want %d", r.calls.Made, tc.calls)
			}
			damaged.compare(t, whole)
		})
	}
}

// flipBit flips a bit in the middle of an object.
func flipBit(t *testing.T, store blob.Store, key string) {
	t.Helper()
	content, err := blob.ReadAll(t.Context(), store, key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 4
	if err := blob.PutBytes(t.Context(), store, key, content, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestBuildMendsDamagedShards: a build that takes shards over from the snapshot
// before sees whether they are there, whole, and writes those anew that are not.
// A build that makes them again does not rely on those in the store either.
func TestBuildMendsDamagedShards(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	build := func() result {
		d, err := instantDataset(t.Context(), root, 3, 32)
		if err != nil {
			t.Fatal(err)
		}
		d.config.Export.Ranks, d.config.Export.Workers = 1, 1
		r, err := d.run(t.Context(), newProgress(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := build()
	store, err := blob.NewFile(filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	want := published(t, root, "store/shards")
	for what, damage := range map[string]func(key string) error{
		"gone":      func(key string) error { return store.Delete(t.Context(), key) },
		"truncated": func(key string) error { return os.Truncate(filepath.Join(root, "store", key), 100) },
		"flipped, and made again": func(key string) error {
			flipBit(t, store, key)
			return store.Delete(t.Context(), manifests.ProvenanceKey(first.snapshot.Number))
		},
	} {
		for name := range want {
			if err := damage("shards/" + name); err != nil {
				t.Fatal(err)
			}
		}
		if r := build(); r.published || r.unchanged || r.snapshot.Number != first.snapshot.Number {
			t.Errorf("%s: snapshot %d, published %v, unchanged %v", what, r.snapshot.Number, r.published, r.unchanged)
		}
		for name, content := range published(t, root, "store/shards") {
			if want[name] != content {
				t.Errorf("%s: %s is still damaged", what, name)
			}
		}
	}
	if r := build(); !r.unchanged {
		t.Error("nothing was damaged, and the shards were made again")
	}
}
