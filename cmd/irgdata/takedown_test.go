package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
)

// takedown is a dataset of which two pairs must go: an image with a caption and
// an address, and a prompt whose reference was painted.
type takedown struct {
	dir   string // current folder, with the work folder of each machine
	store string // as configured
	s3    string // endpoint, "" for a folder
	// exports is where they go: into a bucket where the store is in one.
	exports string

	pairs  []irgdata.Digest  // that must go
	traces map[string][]byte // what must not be found, by what it is
}

// newTakedown makes the sources, with those pairs or without them, in a new
// current folder.
func newTakedown(t *testing.T, pairs, store, s3 string, with bool) *takedown {
	t.Helper()
	d := &takedown{dir: t.TempDir(), store: store, s3: s3, exports: "export", traces: map[string][]byte{}}
	if s3 != "" {
		d.exports = "s3://irgl/out"
	}
	t.Chdir(d.dir)
	var rows, prompts strings.Builder
	rows.WriteString("file,text,url\n")
	for i := range 8 { // of the photos and of the prompts the last one must go
		name := fmt.Sprintf("%06d.jpg", i+1)
		caption, err := os.ReadFile(filepath.Join(pairs, strings.TrimSuffix(name, ".jpg")+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		image, err := os.ReadFile(filepath.Join(pairs, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(string(caption))
		switch {
		case i == 6:
			prompts.WriteString(text + "\n")
			continue
		case i == 7 && with:
			d.pairs = append(d.pairs, irgdata.PairID(text, irgdata.Digest{}))
			d.traces["prompt"] = []byte(text)
			prompts.WriteString(text + "\n")
			continue
		case i == 5 && with:
			address := "https://example.org/taken-down.jpg"
			d.pairs = append(d.pairs, irgdata.PairID(text, irgdata.DigestOf(image)))
			d.traces["caption"], d.traces["address"], d.traces["image"] = []byte(text), []byte(address), image
			fmt.Fprintf(&rows, "%s,%q,%s\n", name, text, address)
		case i < 5:
			fmt.Fprintf(&rows, "%s,%q,https://example.org/%s\n", name, text, name)
		}
		if err := os.WriteFile(name, image, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.write(t, "photos.csv", rows.String())
	d.write(t, "prompts.txt", prompts.String())
	d.write(t, "irgdata.yaml", fmt.Sprintf(`
sources: [{name: photos, path: photos.csv, images: .}, {name: prompts, path: prompts.txt, kind: prompts}]
store: %q
s3: {endpoint: %q, path_style: true}
models: {scenes: {kind: scenes}}
roles: {base: scenes, annotator: scenes, painter: scenes, judge: scenes}
judge: {questions: [alignment, faithfulness]}
image: {width: 96, height: 96}
ingest: {duplicates: {images: 0, prompts: 0}}
filter: {defaults: false}
max_rejects: 1
export: {to: %q, ranks: 1, workers: 1, formats: [jsonl]}
`, store, s3, d.exports))
	return d
}

func (d *takedown) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace edits the configuration.
func (d *takedown) replace(t *testing.T, before, after string) {
	t.Helper()
	text, err := os.ReadFile("irgdata.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "irgdata.yaml", strings.ReplaceAll(string(text), before, after))
}

// command runs one on the machine with that work folder.
func (d *takedown) command(t *testing.T, work string, args ...string) string {
	t.Helper()
	var out strings.Builder
	if code := run(append(args, "--work", work, "-c", "irgdata.yaml"), &out, &out); code != exitDone {
		t.Fatalf("%v ended with %d:\n%s", args, code, out.String())
	}
	return out.String()
}

// dataset opens it for the machine's ledger.
func (d *takedown) dataset(t *testing.T, work string, a access) *dataset {
	t.Helper()
	c, err := loadConfig("irgdata.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Work = filepath.Join(d.dir, work)
	opened, err := openDataset(t.Context(), c, a, newLog(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// calls are those of a ledger, without what differs from one making to the next.
func (d *takedown) calls(t *testing.T, work string) map[irgdata.Digest]manifests.Call {
	t.Helper()
	opened := d.dataset(t, work, ledger)
	defer opened.close(t.Context())
	all := map[irgdata.Digest]manifests.Call{}
	for c, err := range opened.ledger.Calls(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		c.Seconds = 0
		all[c.Key] = c
	}
	return all
}

// trace notes the texts and images that the calls about removed pairs gave, and
// returns their number.
func (d *takedown) trace(t *testing.T, work string) (calls int) {
	t.Helper()
	opened := d.dataset(t, work, ledger)
	defer opened.close(t.Context())
	others := ""
	all := d.calls(t, work)
	for _, c := range all {
		if !slices.Contains(d.pairs, c.Asked.Pair) {
			others += c.Text
		}
	}
	texts, painted := 0, 0
	for _, c := range all {
		if !slices.Contains(d.pairs, c.Asked.Pair) {
			continue
		}
		calls++
		if !c.Image.IsZero() {
			image, err := opened.images.Bytes(t.Context(), c.Image)
			if err != nil {
				t.Fatal(err)
			}
			d.traces[fmt.Sprintf("painted by %s, %s", c.Step, c.Key.Short())] = image
			painted++
			continue
		}
		for _, part := range strings.FieldsFunc(c.Text, func(r rune) bool { return strings.ContainsRune("<>&\"\\\n", r) }) { // which JSON escapes
			if len(part) > 30 && !strings.Contains(others, part) {
				d.traces[fmt.Sprintf("said by %s: %.20q", c.Step, part)] = []byte(part)
				texts++
			}
		}
	}
	if texts < 5 || painted != 3 {
		t.Fatalf("the models said %d things about the pairs and painted %d images, want 5 or more and 3", texts, painted)
	}
	return calls
}

// found names the traces that the objects of the store, uncompressed, and the files
// of a work folder hold.
func (d *takedown) found(t *testing.T, store blob.Store, work string) map[string]string {
	t.Helper()
	found := map[string]string{}
	look := func(place string, content []byte) {
		plain, err := uncompressed(t, place, content)
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		for name, trace := range d.traces {
			if bytes.Contains(content, trace) || strings.Contains(plain, string(trace)) {
				found[name] = place
			}
		}
	}
	for o, err := range store.List(t.Context(), "") {
		var content []byte
		if err == nil {
			content, err = blob.ReadAll(t.Context(), store, o.Key, 1<<30)
		}
		if err != nil {
			t.Fatal(err)
		}
		look(o.Key, content)
	}
	err := filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		look(path, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (d *takedown) openStore(t *testing.T) blob.Store {
	t.Helper()
	opened := d.dataset(t, "none", store)
	if err := opened.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return opened.store
}

// objects are the keys of the store under the prefixes.
func objects(t *testing.T, store blob.Store, prefixes ...string) (keys []string) {
	t.Helper()
	for _, prefix := range prefixes {
		for o, err := range store.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// TestTakedown removes two pairs. After gc nothing that they said or showed, or
// that models said or painted for them, is in the store or the work folder; all
// else is what it would be without them; and neither a refresh nor another machine,
// whose ledger has it all, brings anything back.
func TestTakedown(t *testing.T) {
	pairs := samplePairs(t, 8)
	without := newTakedown(t, pairs, "store", "", false)
	without.command(t, "work", "build")
	wantStore := without.openStore(t)
	wantImages := objects(t, wantStore, images.Prefix, manifests.ShardPrefix, "members/")
	wantCalls := without.calls(t, "work")

	folder := func(t *testing.T) *takedown { return newTakedown(t, pairs, "store", "", true) }
	for name, in := range map[string]func(t *testing.T) *takedown{
		"folder":              folder,
		"of an older irgdata": folder,
		"bucket": func(t *testing.T) *takedown {
			s3 := s3test.Start(t)
			s3.Bucket(t, "irgl")
			return newTakedown(t, pairs, "s3://irgl/dataset", s3.Endpoint, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := in(t)
			d.command(t, "work", "build")
			store := d.openStore(t)
			n := d.trace(t, "work")
			if found := d.found(t, store, "work"); len(found) != len(d.traces) {
				t.Fatalf("before it is removed %d of %d traces are found: %v", len(found), len(d.traces), slices.Collect(maps.Keys(found)))
			}
			untold := cmp.Options{}
			if name == "of an older irgdata" { // whose calls do not say what was asked
				alterLedger(t, "work", `UPDATE calls SET shared = 0, pair = x'', shown = '', recipe = 0, inputs = ''; DELETE FROM segments`)
				for _, key := range objects(t, store, "ledger/") {
					if err := store.Delete(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
				d.command(t, "work", "build")
				untold = cmp.Options{cmpopts.IgnoreFields(manifests.Call{}, "Asked")}
			}
			// Another machine has its ledger for itself: no segment held it.
			d.command(t, "other", "build")
			alterLedger(t, "other", `UPDATE calls SET shared = 0; DELETE FROM segments`)

			var ids []string
			for _, id := range d.pairs {
				ids = append(ids, id.String())
			}
			d.command(t, "work", "remove", "--ids", strings.Join(ids, ","))
			before := objects(t, store, "")
			told := d.command(t, "work", "gc", "--removed", "--dry-run")
			if diff := cmp.Diff(before, objects(t, store, "")); diff != "" {
				t.Errorf("a dry run changed the store: %s", diff)
			}
			done := d.command(t, "work", "gc", "--removed")
			for _, out := range []string{told, done} {
				if want := fmt.Sprintf("of removed pairs: %d answers in the ledger, and texts and addresses of 2 items in the catalog", n); !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if want := fmt.Sprintf("delete %s/snapshot-000001-jsonl yourself", here(d.exports)); !strings.Contains(done, want) || strings.Contains(done, "snapshot-000002") {
				t.Errorf("it does not name the one export that holds the pairs, %q:\n%s", want, done)
			}
			if d.s3 != "" {
				d.replace(t, d.exports, "s3://nowhere/out")
				if out := d.command(t, "work", "gc", "--removed"); !strings.Contains(out, "exports were not looked at") || !strings.Contains(out, "at=s3://nowhere/out") {
					t.Errorf("it does not name the place of exports that it cannot list:\n%s", out)
				}
				d.replace(t, "s3://nowhere/out", d.exports)
			}

			check := func(when, work string) {
				t.Helper()
				for name, place := range d.found(t, store, work) {
					t.Errorf("%s: %s is in %s", when, name, place)
				}
				if diff := cmp.Diff(wantImages, objects(t, store, images.Prefix, manifests.ShardPrefix, "members/")); diff != "" {
					t.Errorf("%s: a dataset without the pairs (-) and this one (+) hold other images, shards or members:\n%s", when, diff)
				}
				if diff := cmp.Diff(wantCalls, d.calls(t, work), untold); diff != "" {
					t.Errorf("%s: a dataset without the pairs (-) and this one (+) have other calls:\n%s", when, diff)
				}
				if out := d.command(t, work, "verify", "--full"); !strings.Contains(out, "is sound") {
					t.Errorf("%s: %s", when, out)
				}
				if out := d.command(t, work, "ledger", "stats"); !strings.Contains(out, "of removed pairs: draft/") || strings.Contains(out, "made twice") {
					t.Errorf("%s: what the calls cost is lost, or they count twice:\n%s", when, out)
				}
			}
			check("after gc", "work")
			settled := objects(t, store, "")
			for i, work := range []string{"work", "other", "third", "work"} {
				out := d.command(t, work, "refresh")
				if i == 0 && !strings.Contains(out, "8 items as they are in snapshot 2") {
					t.Errorf("the first refresh takes over nothing:\n%s", out)
				}
				if !strings.Contains(out, "no model call was made") || !strings.Contains(out, "Snapshot 2 already holds exactly this") {
					t.Errorf("a refresh on machine %q:\n%s", work, out)
				}
				check("after a refresh on machine "+work, work)
			}
			d.command(t, "work", "gc", "--removed")
			check("after another gc", "other")
			isLedger := func(key string) bool { return strings.HasPrefix(key, "ledger/") } // the other machine's
			if diff := cmp.Diff(slices.DeleteFunc(settled, isLedger), slices.DeleteFunc(objects(t, store, ""), isLedger)); diff != "" {
				t.Errorf("the store has changed since: %s", diff)
			}
			if out := d.command(t, "work", "refresh", "--reread"); !strings.Contains(out, "Snapshot 2 already holds exactly this") {
				t.Errorf("the sources, read again, give something else:\n%s", out)
			}
			check("after all was read again", "work")
		})
	}
}

// alterLedger changes a machine's ledger.
func alterLedger(t *testing.T, work, statements string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(work, "ledger-*.sqlite"))
	if err != nil || len(files) != 1 {
		t.Fatalf("ledgers %v: %v", files, err)
	}
	db, err := sql.Open("sqlite", files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// TestTakedownSurvivesEveryFault fails operations of the store while gc deletes what
// was removed, or ends gc there; the next gc deletes the rest.
// IRGDATA_TEST_TAKEDOWN=all tries each operation in each way.
func TestTakedownSurvivesEveryFault(t *testing.T) {
	d := newTakedown(t, samplePairs(t, 8), "store", "", true)
	d.command(t, "work", "build")
	d.trace(t, "work")
	d.command(t, "work", "remove", "--ids", fmt.Sprintf("%s,%s", d.pairs[0], d.pairs[1]))
	for _, folder := range []string{"store", "work"} {
		if err := os.Rename(folder, "removed-"+folder); err != nil {
			t.Fatal(err)
		}
	}
	collect := func(policy func(int, string) faultblob.Fault) (operations int, err error) {
		c, err := loadConfig("irgdata.yaml")
		if err != nil {
			t.Fatal(err)
		}
		c.Work = filepath.Join(d.dir, "work")
		below, err := blob.NewFile(filepath.Join(d.dir, "store"))
		if err != nil {
			t.Fatal(err)
		}
		opened, faulty := newDataset(c, newLog(io.Discard)), faultblob.New(below, policy)
		opened.openStore = func(context.Context, access) (blob.Store, error) { return faulty, nil }
		if err = opened.open(t.Context(), ledger); err == nil {
			_, err = opened.collect(t.Context(), manifests.CollectOptions{Removed: true, Grace: 1 << 50})
			err = errors.Join(err, opened.close(t.Context()))
		}
		return faulty.Operations(), err
	}
	var settled []string
	ways := map[string]func(n int) func(int, string) faultblob.Fault{
		"before": func(n int) func(int, string) faultblob.Fault { return faultblob.Nth(n, faultblob.Before) },
		"after":  func(n int) func(int, string) faultblob.Fault { return faultblob.Nth(n, faultblob.After) },
		"midway": func(n int) func(int, string) faultblob.Fault { return faultblob.Nth(n, faultblob.Midway) },
		"killed": func(n int) func(int, string) faultblob.Fault {
			return func(i int, _ string) faultblob.Fault {
				if i >= n {
					return faultblob.Before
				}
				return faultblob.None
			}
		},
	}
	step := 36
	if os.Getenv("IRGDATA_TEST_TAKEDOWN") == "all" {
		step = 1
	} else if testing.Short() {
		step = 72
	}
	for i, way := range []string{"killed", "after", "before", "midway"} {
		failed := 0
		for n := step * i / 4; ; n += step {
			for _, folder := range []string{"store", "work"} {
				if err := os.RemoveAll(folder); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(folder, os.DirFS("removed-"+folder)); err != nil {
					t.Fatal(err)
				}
			}
			operations, err := collect(ways[way](n))
			if err != nil && operations <= n {
				t.Fatalf("%s operation %d: %v", way, n, err)
			}
			if err != nil {
				failed++
			}
			if err := os.RemoveAll("store/runs"); err != nil { // as ten minutes do
				t.Fatal(err)
			}
			if _, err := collect(faultblob.Nth(-1, faultblob.None)); err != nil {
				t.Fatalf("%s operation %d, again: %v", way, n, err)
			}
			store := d.openStore(t)
			if found := d.found(t, store, "work"); len(found) > 0 {
				t.Fatalf("%s operation %d: left are %v", way, n, found)
			}
			report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, manifests.VerifyOptions{Full: true, Work: "work"})
			if err != nil || len(report.Problems) > 0 {
				t.Fatalf("%s operation %d: %v, %v", way, n, report.Problems, err)
			}
			left := objects(t, store, "")
			if settled == nil {
				settled = left
			}
			if diff := cmp.Diff(settled, left); diff != "" {
				t.Fatalf("%s operation %d: the store holds something else: %s", way, n, diff)
			}
			if operations <= n {
				break
			}
		}
		if failed == 0 && !testing.Short() { // which tries few of them
			t.Errorf("%s: none of its operations failed", way)
		}
	}
	if out := d.command(t, "work", "refresh"); !strings.Contains(out, "no model call was made") || !strings.Contains(out, "Snapshot 2 already holds exactly this") {
		t.Errorf("a refresh:\n%s", out)
	}
}
