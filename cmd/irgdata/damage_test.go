package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime/scenes"
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
	flips := int64(12)
	if text := os.Getenv("IRGDATA_TEST_FLIPS"); text != "" {
		if _, err := fmt.Sscan(text, &flips); err != nil {
			t.Fatal(err)
		}
	}
	d, err := instantDataset(t.Context(), t.TempDir(), 2, 32)
	if err != nil {
		t.Fatal(err)
	}
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

// TestRepair damages and deletes objects of a store, alone and together, and
// repairs it: what is left for the next build to make again are the calls of
// which nothing is left, and its snapshot is the one that there was.
func TestRepair(t *testing.T) {
	t.Parallel()
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, 10, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	whole := t.TempDir()
	text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
	if err := os.WriteFile(filepath.Join(whole, "irgdata.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t.Context(), whole, "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shards := published(t, whole, "store/shards")
	painted := func(dir string) (keys []string) { // images that models painted
		models := models.asked()
		for name := range published(t, dir, "store/images") {
			if models[filepath.Base(name)] > 0 {
				keys = append(keys, "images/"+name)
			}
		}
		slices.Sort(keys)
		return keys
	}
	all := func(folder string) func(string) []string {
		return func(dir string) (keys []string) {
			for name := range published(t, dir, "store/"+folder) {
				keys = append(keys, folder+"/"+name)
			}
			slices.Sort(keys)
			return keys
		}
	}
	join := func(pick ...func(string) []string) func(string) []string {
		return func(dir string) (keys []string) {
			for _, p := range pick {
				keys = append(keys, p(dir)...)
			}
			return keys
		}
	}
	work := func(dir string) []string { return []string{"../work"} }
	first := func(n int, pick func(string) []string) func(string) []string {
		return func(dir string) []string { return pick(dir)[:n] }
	}
	for i, tc := range []struct {
		name   string
		flip   func(dir string) []string // objects in which a bit is flipped
		delete func(dir string) []string
		says   string
		calls  int // that the next build makes again
	}{
		{name: "nothing", says: "The store is sound"},
		{name: "an image", flip: first(1, all("images")), says: `mended images/`},
		{name: "all images", delete: all("images"), says: `from a row of`},
		{name: "a shard", flip: first(1, all("shards")), says: "The store is sound"},
		{name: "all shards and a bit of the manifest", delete: all("shards"), flip: all("manifests"), says: "mended manifests/000001.json"},
		{name: "the identity", flip: func(string) []string { return []string{"dataset.json"} }, says: "mended dataset.json"},
		{name: "the members", delete: all("members"), says: `mended members/`},
		{name: "the catalog", flip: all("catalog"), says: `mended catalog/`},
		{name: "the segments", flip: all("ledger"), says: "from the local ledger"},
		{name: "the segments, deleted", delete: all("ledger"), says: "from the local ledger"},
		{name: "the segments and the work folder", delete: join(all("ledger"), work), says: "from the rows of"},
		{name: "a painted image and the shards", delete: join(first(1, painted), all("shards")), says: "The next build makes", calls: 1},
		{name: "a painted image with a flipped bit, and the shards", flip: first(1, painted), delete: all("shards"), says: "The next build makes", calls: 1},
		{name: "the pairs' images and the shards", delete: join(func(dir string) []string {
			return slices.DeleteFunc(all("images")(dir), func(key string) bool { return slices.Contains(painted(dir), key) })
		}, all("shards")), says: "The store is sound"},
		{name: "all but the sources and the manifest", delete: join(all("shards"), all("images"), all("ledger"), all("members"), all("catalog"), work), says: "The next build makes", calls: 40},
	} {
		if testing.Short() && i%4 != 3 {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			// An export names its folder.
			if err := os.RemoveAll(filepath.Join(dir, "export")); err != nil {
				t.Fatal(err)
			}
			asked := models.asked()
			defer func() { // painted knows what was painted first
				models.mu.Lock()
				models.requests = asked
				models.mu.Unlock()
			}()
			if tc.flip != nil {
				for _, key := range tc.flip(dir) {
					flipBit(t, filepath.Join(dir, "store", key))
				}
			}
			if tc.delete != nil {
				for _, key := range tc.delete(dir) {
					if err := os.RemoveAll(filepath.Join(dir, "store", key)); err != nil {
						t.Fatal(err)
					}
				}
			}
			out, err := command(t.Context(), dir, "verify", "--repair").CombinedOutput()
			if !regexp.MustCompile(tc.says).Match(out) {
				t.Errorf("%v, want %q in\n%s", err, tc.says, out)
			}
			if (err == nil) != (tc.calls == 0) {
				t.Errorf("%v\n%s", err, out)
			}
			models.forget()
			if out, err := command(t.Context(), dir, "build").CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			if n := models.made(); n != tc.calls {
				t.Errorf("the next build made %d calls, want %d:\n%s", n, tc.calls, out)
			}
			comparePublished(t, whole, dir)
			if out, err := command(t.Context(), dir, "verify", "--full").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if len(shards) < 2 {
		t.Errorf("%d shards, want several", len(shards))
	}
}

// flipBit flips a bit in the middle of a file.
func flipBit(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 4
	if err := os.WriteFile(path, content, 0o644); err != nil {
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
	want := published(t, root, "store/shards")
	provenance := filepath.Join(root, "store", filepath.FromSlash(manifests.ProvenanceKey(1)))
	for what, damage := range map[string]func(string) error{
		"gone":      os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 100) },
		"flipped, and made again": func(path string) error {
			flipBit(t, path)
			return os.Remove(provenance)
		},
	} {
		for name := range want {
			if err := damage(filepath.Join(root, "store", "shards", name)); err != nil {
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
