package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// picture is a PNG that differs for each n.
func picture(n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			img.Set(x, y, color.RGBA{uint8(n), uint8(n >> 8), uint8(x * y), 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // into memory
	}
	return out.Bytes()
}

// lostMode is the mode that every seventh trajectory loses.
const lostMode = "improving_full_learning"

// items yields n items: every fifth is a reject, the others trajectories whose
// images are put into the store.
func items(ctx context.Context, n int, store *images.Store) iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	return func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for i := range n {
			item, err := item(ctx, i, store)
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func item(ctx context.Context, i int, store *images.Store) (irgdata.Item[irgdata.Judged], error) {
	reference, err := store.Put(ctx, picture(2*i))
	if err != nil {
		return irgdata.Item[irgdata.Judged]{}, err
	}
	draft, err := store.Put(ctx, picture(2*i+1))
	if err != nil {
		return irgdata.Item[irgdata.Judged]{}, err
	}
	pair := irgdata.Pair{Prompt: fmt.Sprintf("subject %d & <b>", i), Image: reference, Source: "s", Key: fmt.Sprintf("%d.png", i), License: "CC0-1.0"}
	pair.ID = irgdata.PairID(pair.Prompt, reference.Digest)
	if i%5 == 4 {
		return irgdata.Item[irgdata.Judged]{Reject: &irgdata.Reject{Pair: pair, Stage: "annotate", Rule: "refused", Reason: "no", Score: math.NaN()}}, nil
	}
	t := irgdata.NewTrajectory(pair, irgdata.Distill)
	t.Slots[irgdata.SlotThinking] = irgdata.Filling{Text: "<think>hindsight</think>", Call: irgdata.DigestOf([]byte("a"))}
	t.Slots[irgdata.SlotDraftThinking] = irgdata.Filling{Text: "<think>plan</think>", Call: irgdata.DigestOf([]byte("b"))}
	t.Slots[irgdata.SlotDraft] = irgdata.Filling{Image: draft, Call: irgdata.DigestOf([]byte("c"))}
	t.Slots[irgdata.SlotReflection] = irgdata.Filling{Text: "<think>reflection</think>", Call: irgdata.DigestOf([]byte("d"))}
	j := irgdata.Judged{Trajectory: t, Scores: []irgdata.Score{{Rule: "size/1", Name: "draft.min_side", Value: 64}}}
	for _, m := range modes.All() {
		v := irgdata.Verdict{Mode: m.Name, Keep: true}
		if m.Name == lostMode && i%7 == 0 {
			v = irgdata.Verdict{Mode: m.Name, Stage: "filter", Rule: "unchanged", Reason: "the same", Score: 0.5}
		}
		j.Verdicts = append(j.Verdicts, v)
	}
	return irgdata.Item[irgdata.Judged]{Value: j}, nil
}

func shardOptions(t testing.TB, workers int) export.ShardOptions {
	return export.ShardOptions{Modes: modes.All(), Bytes: 40_000, RowGroupBytes: 10_000, RowGroupRows: 7, Workers: workers, Work: t.TempDir()}
}

// publish makes a snapshot of n items.
func publish(ctx context.Context, t testing.TB, store blob.Store, n, workers int) (manifests.Snapshot, error) {
	pictures := images.NewStore(store)
	return publishItems(ctx, store, items(ctx, n, pictures), pictures, shardOptions(t, workers))
}

func publishItems(ctx context.Context, store blob.Store, items iter.Seq2[irgdata.Item[irgdata.Judged], error], pictures *images.Store, o export.ShardOptions) (manifests.Snapshot, error) {
	content, _, err := export.WriteShards(ctx, items, pictures, store, new(export.Previous), o)
	if err != nil {
		return manifests.Snapshot{}, err
	}
	content.Settings = manifests.Settings{Strategy: irgdata.Distill, Modes: modes.Names(), Rules: []manifests.RuleSetting{{Rule: "size/1", Action: "reject", Parameters: map[string]float64{"min": 64}}}}
	for _, name := range modes.DefaultPrompts().Names() {
		p := modes.DefaultPrompts().Get(name)
		content.Settings.Templates = append(content.Settings.Templates, manifests.TemplateName{Name: name, Version: p.Version, Digest: p.Digest()})
	}
	if content.Configuration, err = content.Settings.Digest(); err != nil {
		return manifests.Snapshot{}, err
	}
	s, _, err := manifests.Commit(ctx, store, content)
	return s, err
}

// share puts the calls of the trajectories into the store.
func share(t testing.TB, store blob.Store) {
	t.Helper()
	ledger, err := manifests.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := ledger.Record(t.Context(), manifests.Call{Key: irgdata.DigestOf([]byte(name)), Text: name}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ledger.Push(t.Context(), store); err != nil {
		t.Fatal(err)
	}
}

func newStore(t testing.TB) *blob.File {
	t.Helper()
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func options(t testing.TB, ranks, workers int) export.IRGOptions {
	return export.IRGOptions{Ranks: ranks, Workers: workers, Prompts: modes.DefaultPrompts(), Root: "/data/irgl", Work: t.TempDir(), Renderers: 3}
}

// tree reads the files of a folder.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// stored reads the objects of a store.
func stored(t testing.TB, store blob.Store) map[string]string {
	t.Helper()
	objects := map[string]string{}
	for o, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		content, err := blob.ReadAll(t.Context(), store, o.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		objects[o.Key] = string(content)
	}
	return objects
}

func sameTrees(t *testing.T, a, b map[string]string) {
	t.Helper()
	for name := range a {
		if _, ok := b[name]; !ok {
			t.Errorf("%s is in one tree alone", name)
		} else if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d and %d files", len(a), len(b))
	}
}

// TestSnapshotIsAFunctionOfItsInput: workers change no byte of shards,
// manifest and export, and a repeated run publishes nothing.
func TestSnapshotIsAFunctionOfItsInput(t *testing.T) {
	var first map[string]string
	for _, workers := range []int{1, 4} {
		store := newStore(t)
		s, err := publish(t.Context(), t, store, 60, workers)
		if err != nil {
			t.Fatal(err)
		}
		again, err := publish(t.Context(), t, store, 60, 3)
		if err != nil || again.Number != 1 {
			t.Fatalf("a repeated run published snapshot %d (%v)", again.Number, err)
		}
		dest, err := blob.NewFile(store.URL("export"))
		if err != nil {
			t.Fatal(err)
		}
		if _, written, err := export.WriteIRG(t.Context(), store, s, dest, options(t, 2, 2)); err != nil || !written {
			t.Fatal(written, err)
		}
		if _, written, err := export.WriteIRG(t.Context(), store, s, dest, options(t, 2, 2)); err != nil || written {
			t.Fatalf("a repeated export wrote (%v)", err)
		}
		if _, _, err := export.WriteIRG(t.Context(), store, s, dest, options(t, 4, 2)); err == nil {
			t.Error("another export was written over the first")
		}
		got := tree(t, store.URL("."))
		if first == nil {
			first = got
			if len(s.Shards) < 3 {
				t.Errorf("%d shards, want some for the test to show their cuts", len(s.Shards))
			}
		}
		sameTrees(t, first, got)
	}
}

// TestExportHoldsEveryRow reads an export back as the loader would: each kept
// trajectory once in each of its modes, in order, with its own texts and images
// in the order of the mode.
func TestExportHoldsEveryRow(t *testing.T) {
	const n, ranks, workers = 60, 3, 2
	store := newStore(t)
	s, err := publish(t.Context(), t, store, n, 2)
	if err != nil {
		t.Fatal(err)
	}
	dest := newStore(t)
	m, _, err := export.WriteIRG(t.Context(), store, s, dest, options(t, ranks, workers))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Modes) != len(modes.All()) {
		t.Fatalf("%d modes", len(m.Modes))
	}
	for i, mode := range modes.All() {
		var got, want [][]part
		groups := 0
		for _, f := range m.Modes[i].Files {
			if err := blob.Verify(t.Context(), dest, f.Path, f.Digest); err != nil {
				t.Error(err)
			}
			file, err := os.Open(dest.URL(f.Path))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			r, err := parquet.NewReader(file)
			if err != nil {
				t.Fatal(err)
			}
			groups += len(r.RowGroups())
			for row, err := range r.Rows(t.Context(), "conversation") {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, readConversation(t, row[0].(string)))
			}
		}
		if groups%(ranks*workers) != 0 {
			t.Errorf("%s has %d row groups, which %d × %d readers do not read whole", mode.Name, groups, ranks, workers)
		}
		for _, tr := range wantedTrajectories(t, n, mode.Name) {
			want = append(want, conversationParts(mode, tr))
		}
		if diff := cmp.Diff(want, got); diff != "" || int(m.Modes[i].Rows) != len(want) {
			t.Errorf("%s has %d rows: %s", mode.Name, m.Modes[i].Rows, diff)
		}
	}
	for _, name := range []string{"dataset_info.json", "parquet_info.json", "train_stage1.yaml", "train_stage2.yaml", "README.md"} {
		if _, err := dest.Stat(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// TestCountsAddUp: every item is a trajectory or a reject, and each mode says
// where its trajectories went; Verify reads all of it back.
func TestCountsAddUp(t *testing.T) {
	store := newStore(t)
	if _, err := manifests.Identify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	share(t, store)
	s, err := publish(t.Context(), t, store, 60, 2)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Counts
	if c.Items != 60 || c.Trajectories != 48 || c.Rejected != 12 {
		t.Errorf("counts %+v", c)
	}
	report, err := manifests.Verify(t.Context(), store, s, manifests.VerifyOptions{Full: true, Work: t.TempDir()})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%v, problems %v", err, report.Problems)
	}
	lost := int64(0)
	for _, m := range c.Modes {
		lost += m.Rejected
	}
	if lost == 0 || report.Rows != c.Trajectories+c.Rejected+lost {
		t.Errorf("%d rows, want %d trajectories and %d rejects", report.Rows, c.Trajectories, c.Rejected+lost)
	}
}

// TestDamageIsFound: a flipped bit or a missing byte in any object of the
// store is found by a full verification, and named.
func TestDamageIsFound(t *testing.T) {
	store := newStore(t)
	if _, err := manifests.Identify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	share(t, store)
	s, err := publish(t.Context(), t, store, 10, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name := range tree(t, store.URL(".")) {
		path := store.URL(name)
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, damage := range []func([]byte) []byte{
			func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			func(b []byte) []byte { return b[:len(b)-1] },
		} {
			if err := os.WriteFile(path, damage(bytes.Clone(sound)), 0o644); err != nil {
				t.Fatal(err)
			}
			loaded, err := manifests.Load(t.Context(), store, s.Number)
			if err == nil {
				var report manifests.Report
				report, err = manifests.Verify(t.Context(), store, loaded, manifests.VerifyOptions{Full: true, Work: t.TempDir()})
				for _, p := range report.Problems {
					err = errors.Join(err, errors.New(p.String()))
				}
			}
			if err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
				t.Errorf("damage of %s: got %v, want an error that names it", name, err)
			}
		}
		if err := os.WriteFile(path, sound, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTooFewRowsAreRefused(t *testing.T) {
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 20, 2)
	if err != nil {
		t.Fatal(err)
	}
	const fewer = "export for fewer readers (`irgdata export --ranks"
	for _, c := range []struct {
		name      string
		mix       []export.Share
		maxTokens int
		want      string
		fewer     bool
	}{
		{"too few", nil, 0, lostMode + " has 14 (5 other modes have too few as well): build from more pairs, " + fewer + " 8 --workers 1`), or leave the mode out (`mix`, with weight 0)", true},
		{"none of a mix", []export.Share{{Mode: lostMode, Weight: weight(0.001)}}, 0, lostMode + " has 0 (5 other modes have too few as well): take more in (`where`, `split`, `mix`), build from more pairs, or leave", false},
		{"all too long", nil, 1, "that the trainer would pass over, of which `irgdata export check` tells the rules: set `max_tokens` or `image.format` otherwise", false},
	} {
		o := options(t, 8, 8)
		if o.Selection.Mix, o.MaxTokens = c.mix, c.maxTokens; c.maxTokens > 0 {
			o.Ranks, o.Workers = 1, 1
		}
		dest := newStore(t)
		_, _, err = export.WriteIRG(t.Context(), store, s, dest, o)
		var few *export.TooFewRowsError
		if !errors.As(err, &few) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), fewer) != c.fewer {
			t.Errorf("%s: got %v, want a refusal that says %q", c.name, err, c.want)
		}
		if files := tree(t, dest.URL(".")); len(files) > 0 {
			t.Errorf("%s: a refused export wrote %d files", c.name, len(files))
		}
	}
}

// TestOtherTemplatesAreRefused: rows are rendered with the templates with
// which their texts were made.
func TestOtherTemplatesAreRefused(t *testing.T) {
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 20, 2)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 1, 1)
	if o.Prompts, err = o.Prompts.With(modes.PromptSystem, "You are another."); err != nil {
		t.Fatal(err)
	}
	if _, _, err := export.WriteIRG(t.Context(), store, s, newStore(t), o); err == nil || !strings.Contains(err.Error(), "template system") {
		t.Errorf("got %v, want an error that names the template", err)
	}
}

// TestEveryFaultLeavesNothingHalf fails each operation of publishing and
// exporting in turn, in each way, and goes on with the same stores: no failure
// shows a snapshot or an export, and the end is that of an undisturbed run.
func TestEveryFaultLeavesNothingHalf(t *testing.T) {
	const n = 7 // a reject and a lost mode among them
	undisturbed := newStore(t)
	want, err := publish(t.Context(), t, undisturbed, n, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantTree := tree(t, undisturbed.URL("."))

	faults := []faultblob.Fault{faultblob.After, faultblob.Before, faultblob.Midway}
	if testing.Short() {
		faults = faults[:1]
	}
	for _, fault := range faults {
		below := newStore(t)
		for operation := 0; ; operation++ {
			faulty := faultblob.New(below, faultblob.Nth(operation, fault))
			s, err := publish(t.Context(), t, faulty, n, 1)
			if err != nil && !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("fault %d at operation %d: %v", fault, operation, err)
			}
			if numbers, err := manifests.Numbers(t.Context(), below); err != nil || len(numbers) > 1 {
				t.Fatalf("fault %d at operation %d: snapshots %v (%v)", fault, operation, numbers, err)
			}
			if faulty.Operations() <= operation {
				if a, b := digest(t, s), digest(t, want); a != b {
					t.Errorf("fault %d: another snapshot", fault)
				}
				break
			}
		}
		sameTrees(t, wantTree, tree(t, below.URL(".")))

		// Several files of each mode, of which some are whole when it breaks off.
		o := options(t, 1, 2)
		o.FileBytes = 1500
		whole := newStore(t)
		if _, _, err := export.WriteIRG(t.Context(), below, want, whole, o); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "export")
		for operation := 0; ; operation++ {
			var dest *faultblob.Store
			err := export.ToFolder(t.Context(), dir, func(ctx context.Context, folder blob.Store) error {
				dest = faultblob.New(folder, faultblob.Nth(operation, fault))
				_, _, err := export.WriteIRG(ctx, below, want, dest, o)
				return err
			})
			if err == nil {
				break
			}
			if !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("fault %d at operation %d: %v", fault, operation, err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Fatalf("fault %d at operation %d: a failed export is visible", fault, operation)
			}
		}
		sameTrees(t, tree(t, whole.URL(".")), tree(t, dir))
		if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
			t.Errorf("fault %d: beside the export lie %v (%v)", fault, entries, err)
		}
	}
}

// TestExportGoesOn: an export that was broken off keeps the files that are
// whole, and its end is that of an undisturbed one.
func TestExportGoesOn(t *testing.T) {
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 60, 2)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 8, 4)
	o.FileBytes = 1500
	undisturbed := newStore(t)
	if _, _, err := export.WriteIRG(t.Context(), store, s, undisturbed, o); err != nil {
		t.Fatal(err)
	}
	want := tree(t, undisturbed.URL("."))
	if len(want) < 30 {
		t.Fatalf("%d files, want some for the test to break off between", len(want))
	}
	t.Run("folder", func(t *testing.T) { goesOn(t, store, s, newStore(t), o, want) })
	t.Run("bucket", func(t *testing.T) {
		s3 := s3test.Start(t)
		s3.Bucket(t, "exports")
		dest, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "exports", Prefix: "x", Endpoint: s3.Endpoint, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		goesOn(t, store, s, dest, o, want)
	})
}

func goesOn(t *testing.T, store blob.Store, s manifests.Snapshot, dest blob.Store, o export.IRGOptions, want map[string]string) {
	if _, _, err := export.WriteIRG(t.Context(), store, s, faultblob.New(dest, faultblob.Nth(len(want), faultblob.Before)), o); !errors.Is(err, faultblob.ErrInjected) {
		t.Fatalf("got %v", err)
	}
	text, err := blob.ReadAll(t.Context(), dest, "progress.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var noted export.Manifest
	if err := json.Unmarshal(text, &noted); err != nil {
		t.Fatal(err)
	}
	before := map[string]bool{}
	for _, mode := range noted.Modes {
		for _, f := range mode.Files {
			before[f.Path] = true
		}
	}
	if len(before) < 6 {
		t.Fatalf("%d files were noted as whole", len(before))
	}
	puts := &putCounter{Store: dest, keys: map[string]int{}}
	if _, written, err := export.WriteIRG(t.Context(), store, s, puts, o); err != nil || !written {
		t.Fatal(written, err)
	}
	sameTrees(t, want, stored(t, dest))
	for name := range before {
		if puts.keys[name] > 0 {
			t.Errorf("%s was written again", name)
		}
	}
}

// TestAnotherExportBeginsAnew: wherever an export broke off, nothing of it is in
// one with other options, also of modes that are not wanted now, and what is no
// export's stays.
func TestAnotherExportBeginsAnew(t *testing.T) {
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 7, 2)
	if err != nil {
		t.Fatal(err)
	}
	var stage1 []export.Share
	for _, mode := range modes.All() {
		if mode.Stage2 {
			stage1 = append(stage1, export.Share{Mode: mode.Name, Weight: weight(0)})
		}
	}
	first := options(t, 1, 2)
	first.FileBytes = 1500
	for _, c := range []struct {
		name  string
		other export.Selection
	}{
		{"the second stage", export.Selection{Stage: 2}},
		{"no mode of the second stage", export.Selection{Mix: stage1}},
	} {
		if testing.Short() && c.other.Stage != 0 {
			continue
		}
		second := first
		second.Selection, second.MaxTokens = c.other, 30_000
		fresh := newStore(t)
		if _, _, err := export.WriteIRG(t.Context(), store, s, fresh, second); err != nil {
			t.Fatal(err)
		}
		want := tree(t, fresh.URL("."))
		want["strange"], want["notes/strange"] = "strange", "strange"
		for operation := 0; ; operation++ {
			below := newStore(t)
			dest := faultblob.New(below, faultblob.Nth(operation, faultblob.Before))
			_, _, err := export.WriteIRG(t.Context(), store, s, dest, first)
			if _, whole := export.ReadManifest(t.Context(), below); whole == nil {
				break
			}
			if !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("%s: operation %d: %v", c.name, operation, err)
			}
			for _, name := range []string{"strange", "notes/strange"} {
				if err := blob.PutBytes(t.Context(), below, name, []byte("strange"), blob.PutOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := export.WriteIRG(t.Context(), store, s, below, second); err != nil {
				t.Fatalf("%s: after operation %d: %v", c.name, operation, err)
			}
			sameTrees(t, want, tree(t, below.URL(".")))
			if t.Failed() {
				t.Fatalf("%s: after operation %d", c.name, operation)
			}
		}
	}
}

// TestOlderExports: what an older irgdata exported whole stays as it is, and what
// it left half is begun anew, since it has other bytes.
func TestOlderExports(t *testing.T) {
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 60, 2)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 8, 4)
	o.FileBytes = 1500
	older := func(dest *blob.File, name string) map[string]string {
		text, err := os.ReadFile(dest.URL(name))
		if err == nil {
			err = os.WriteFile(dest.URL(name), bytes.Replace(text, []byte(`"format":`), []byte(`"format":1,"was":`), 1), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return tree(t, dest.URL("."))
	}
	whole := newStore(t)
	if _, _, err := export.WriteIRG(t.Context(), store, s, whole, o); err != nil {
		t.Fatal(err)
	}
	want := tree(t, whole.URL("."))
	before := older(whole, "export.json")
	if _, written, err := export.WriteIRG(t.Context(), store, s, whole, o); err != nil || written {
		t.Errorf("an older export was written again: %v, %v", written, err)
	}
	sameTrees(t, before, tree(t, whole.URL(".")))

	half := newStore(t)
	if _, _, err := export.WriteIRG(t.Context(), store, s, faultblob.New(half, faultblob.Nth(30, faultblob.Before)), o); !errors.Is(err, faultblob.ErrInjected) {
		t.Fatalf("got %v", err)
	}
	older(half, "progress.json")
	puts := &putCounter{Store: half, keys: map[string]int{}}
	if _, _, err := export.WriteIRG(t.Context(), store, s, puts, o); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if puts.keys[name] == 0 {
			t.Errorf("%s of an older export was kept", name)
		}
	}
	sameTrees(t, want, tree(t, half.URL(".")))
}

// putCounter counts the puts of each key.
type putCounter struct {
	blob.Store
	mu   sync.Mutex
	keys map[string]int
}

func (p *putCounter) Put(ctx context.Context, key string, body io.Reader, o blob.PutOptions) error {
	p.mu.Lock()
	p.keys[key]++
	p.mu.Unlock()
	return p.Store.Put(ctx, key, body, o)
}

// TestRowsThatTheTrainerPassesOver are refused and named, and the others are
// laid out without them.
func TestRowsThatTheTrainerPassesOver(t *testing.T) {
	store := newStore(t)
	pictures := images.NewStore(store)
	const n = 40
	var all []irgdata.Item[irgdata.Judged]
	for item, err := range items(t.Context(), n, pictures) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Reject == nil && len(all) == 2 {
			item.Value.Trajectory.Slots[irgdata.SlotReflection].Text = "<think>a <|vision_start|></think>"
		}
		all = append(all, item)
	}
	s, err := publishItems(t.Context(), store, func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}, pictures, shardOptions(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 2, 2)
	o.MaxTokens = 2500 // 64² become 512² for VAE and 378² for ViT; the improving full mode takes three images
	dest := newStore(t)
	m, _, err := export.WriteIRG(t.Context(), store, s, dest, o)
	var few *export.TooFewRowsError
	if !errors.As(err, &few) || len(few.Modes) != 1 || few.Modes[0].Mode != lostMode || few.Modes[0].Rejected == 0 {
		t.Fatalf("got %v, want the improving full mode refused, all of whose rows are too long", err)
	}
	o.MaxTokens = 32768
	if m, _, err = export.WriteIRG(t.Context(), store, s, dest, o); err != nil {
		t.Fatal(err)
	}
	refused := int64(0)
	for _, mode := range m.Modes {
		refused += mode.Refused
	}
	lines := strings.Split(strings.TrimSpace(tree(t, dest.URL("."))["rejects.jsonl"]), "\n")
	if refused != 3 || len(lines) != 3 { // the three modes with a reflection
		t.Fatalf("%d rows were refused, and named %v", refused, lines)
	}
	for _, line := range lines {
		var r export.Refusal
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.ID != all[2].Value.Trajectory.Pair.ID || r.Rule != loader.RuleControl || !strings.Contains(r.Reason, "<|vision_start|>") {
			t.Errorf("got %s (%v)", line, err)
		}
	}
	r, err := loader.Check(t.Context(), loader.InFolder(dest.URL(".")), loader.Options{Ranks: 2, Workers: 2, Seed: 42, Limit: o.MaxTokens})
	if err != nil || !r.Whole() {
		t.Errorf("the loader would not read all of it: %+v (%v)", r, err)
	}
}

func digest(t *testing.T, s manifests.Snapshot) irgdata.Digest {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBrokenSequenceStops: an error of an earlier stage ends the writing, and
// nothing is published.
func TestBrokenSequenceStops(t *testing.T) {
	store := newStore(t)
	pictures := images.NewStore(store)
	broken := errors.New("broken")
	_, _, err := export.WriteShards(t.Context(), func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for item, err := range items(t.Context(), 5, pictures) {
			if !yield(item, err) {
				return
			}
		}
		yield(irgdata.Item[irgdata.Judged]{}, broken)
	}, pictures, store, new(export.Previous), shardOptions(t, 2))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
