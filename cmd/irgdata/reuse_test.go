package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime"
)

// refresher builds again and again over sources and settings that change.
type refresher struct {
	t      *testing.T
	folder madeFolder
	change func(*dataset) // before it is opened
	model  runtime.Model
	source func(ingest.Source) ingest.Source // puts another one in its place
}

func newRefresher(t *testing.T) *refresher {
	return &refresher{
		t: t, folder: newMadeFolder(120, 32), change: func(*dataset) {}, model: instantModel{},
		source: func(s ingest.Source) ingest.Source { return s },
	}
}

// build builds in the folder root, in parts of few items.
func (r *refresher) build(root string) result {
	r.t.Helper()
	d, err := newInstantDataset(root)
	if err != nil {
		r.t.Fatal(err)
	}
	d.config.Export.Formats, d.config.Calls.Attempts = nil, 1
	d.parts = export.PartSizes{Least: 5, Mean: 10, Most: 40}
	d.openModel = func(context.Context, string) (runtime.Model, error) { return r.model, nil }
	r.change(d)
	if err := d.open(r.t.Context(), write); err != nil {
		r.t.Fatal(err)
	}
	d.feeds = []ingest.Feed{{Source: r.source(ingest.NewFolder("made", r.folder, ".", ingest.Columns{}))}}
	result, err := d.run(r.t.Context(), newProgress(io.Discard))
	if err := errors.Join(err, d.close(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
	return result
}

// TestRefreshIsAFreshBuild: whatever has changed, a build over a snapshot holds
// what a build from nothing does, byte for byte, and takes over what has not.
func TestRefreshIsAFreshBuild(t *testing.T) {
	t.Parallel()
	r := newRefresher(t)
	root := t.TempDir()
	r.build(root)
	for _, step := range []struct {
		name      string
		change    func()
		takenOver bool
	}{
		{"more at the end", func() { r.folder.n = 130 }, true},
		{"some are gone", func() { r.folder.without = map[int]bool{0: true, 60: true, 61: true} }, true},
		{"other captions", func() { r.folder.captions = map[int]string{30: "something else", 31: " "} }, true},
		{"they are back", func() { r.folder.without, r.folder.captions = nil, nil }, true},
		{"a rule is stricter", func() {
			r.change = func(d *dataset) {
				d.config.Filter.Rules = append(d.config.Filter.Rules, filter.Entry{Rule: "length", Parameters: map[string]any{"max_words": 60}})
			}
		}, false},
		{"smaller shards", func() { r.change = func(d *dataset) { d.config.Shards.Size = 20_000 } }, false},
		{"a quota", func() { r.change = func(d *dataset) { d.config.Filter.Select.Sources = map[string]int{"made": 50} } }, false},
		{"no quota", func() { r.change = func(*dataset) {} }, false},
	} {
		step.change()
		refreshed, fresh := r.build(root), r.build(t.TempDir())
		if diff := cmp.Diff(fresh.snapshot.Content, refreshed.snapshot.Content); diff != "" {
			t.Errorf("%s: from nothing (-) and refreshed (+):\n%s", step.name, diff)
		}
		if step.takenOver != (refreshed.takenOver > 60) {
			t.Errorf("%s: %d of %d items were taken over", step.name, refreshed.takenOver, refreshed.snapshot.Counts.Items)
		}
		again := r.build(root)
		if !again.unchanged || again.published || again.calls.Made != 0 || again.calls.Reused != fresh.calls.Made+fresh.calls.Reused {
			t.Errorf("%s, again: unchanged %v, published %v, calls %+v", step.name, again.unchanged, again.published, again.calls)
		}
		if step.name == "a rule is stricter" && refreshed.snapshot.Counts.Trajectories == 130 && refreshed.snapshot.Counts.Modes[0].Rows == 130 {
			t.Errorf("%s: it took nothing", step.name)
		}
	}
}

// TestReread: a caption that has changed and left the size and time of its file is
// seen by a build that reads everything again, which is a fresh build but for the
// calls that it need not make.
func TestReread(t *testing.T) {
	t.Parallel()
	r := newRefresher(t)
	r.folder.captions = map[int]string{30: "picture one", 70: "picture two"}
	root := t.TempDir()
	if first := r.build(root); first.calls.Made == 0 {
		t.Fatal("no call was made")
	}
	for _, step := range []struct {
		name     string
		captions map[int]string
		limit    int // of a preview before it
		seen     bool
	}{
		{"nothing", r.folder.captions, 0, false},
		{"a caption", map[int]string{30: "picture six", 70: "picture two"}, 0, true},
		{"a caption to none", map[int]string{30: "picture six", 70: "           "}, 50, true},
	} {
		r.folder.captions = step.captions
		r.change = func(*dataset) {}
		if blind := r.build(root); !blind.unchanged || blind.published {
			t.Errorf("%s: it is seen without reading again", step.name)
		}
		r.change = func(d *dataset) { d.config.reread, d.config.limit = true, step.limit }
		if step.limit > 0 {
			r.build(root)
		}
		r.change = func(d *dataset) { d.config.reread = true }
		read := r.build(root)
		r.change = func(*dataset) {}
		if diff := cmp.Diff(r.build(t.TempDir()).snapshot.Content, read.snapshot.Content); diff != "" {
			t.Errorf("%s: from nothing (-) and read again (+):\n%s", step.name, diff)
		}
		if read.unchanged || read.published != step.seen || read.takenOver < 60 {
			t.Errorf("%s: unchanged %v, published %v, %d taken over", step.name, read.unchanged, read.published, read.takenOver)
		}
		if !r.build(root).unchanged {
			t.Errorf("%s: the build after it had something to do", step.name)
		}
	}
}

// TestRereadMakesTheCallsOfWhatChanged, by the command, over files.
func TestRereadMakesTheCallsOfWhatChanged(t *testing.T) {
	t.Chdir(t.TempDir())
	command := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if code := run(append(args, "--store", "store"), &out, &out); code != exitDone {
			t.Fatalf("%v ended with %d:\n%s", args, code, out.String())
		}
		return out.String()
	}
	if err := os.CopyFS("pairs", os.DirFS(samplePairs(t, 6))); err != nil {
		t.Fatal(err)
	}
	config := "sources: [{path: pairs}]\nmodels: {m: {kind: scenes}}\nexport: {formats: [jsonl]}\nimage: {width: 64, height: 64}\n"
	if err := os.WriteFile("irgdata.yaml", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	command("build")
	const file = "pairs/000003.txt"
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	caption, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(caption), "five", "four", 1)
	if changed == string(caption) {
		t.Fatalf("the caption is %q", caption)
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		says []string
	}{
		{[]string{"build"}, []string{"Snapshot 1 already holds exactly this", "taken     all as it is"}},
		{[]string{"build", "--reread"}, []string{"Snapshot 2 published", " 4 made, 20 reused", " 0 new, 0 changed, 1 removed"}}, // the image shows five
		{[]string{"refresh", "--reread"}, []string{"Snapshot 2 already holds exactly this", "no model call was made"}},
		{[]string{"refresh"}, []string{"Snapshot 2 already holds exactly this", "taken     all as it is"}},
	} {
		out := command(step.args...)
		for _, want := range step.says {
			if !strings.Contains(out, want) {
				t.Errorf("%v does not say %q:\n%s", step.args, want, out)
			}
		}
	}
}

// awayModel gives no answer to some calls while away.
type awayModel struct {
	instantModel
	away  atomic.Bool
	calls atomic.Int64
}

func (m *awayModel) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	if m.calls.Add(1)%50 == 0 && m.away.Load() {
		return runtime.Answer{}, &runtime.Error{Kind: runtime.Transient, Reason: "away"}
	}
	return m.instantModel.Generate(ctx, r)
}

// TestRefreshAsksAgain: parts with calls that got no answer are not taken over,
// and their calls are made by the next build.
func TestRefreshAsksAgain(t *testing.T) {
	t.Parallel()
	r, model := newRefresher(t), &awayModel{}
	r.model = model
	model.away.Store(true)
	root := t.TempDir()
	first := r.build(root)
	if first.calls.Failed == 0 {
		t.Fatal("no call failed")
	}
	model.away.Store(false)
	second := r.build(root)
	if second.unchanged || second.calls.Failed != 0 || second.calls.Made < first.calls.Failed || second.takenOver == 0 {
		t.Errorf("unchanged %v, %d taken over, calls %+v after %+v", second.unchanged, second.takenOver, second.calls, first.calls)
	}
	if diff := cmp.Diff(r.build(t.TempDir()).snapshot.Content, second.snapshot.Content); diff != "" {
		t.Error(diff)
	}
	if !r.build(root).unchanged {
		t.Error("the third build had something to do")
	}
}

// TestRefreshWithoutProvenance: without what the last build has noted, or with
// something damaged, a build goes through everything and comes to the same.
func TestRefreshWithoutProvenance(t *testing.T) {
	t.Parallel()
	r := newRefresher(t)
	root := t.TempDir()
	first := r.build(root)
	store, err := blob.NewFile(filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	key := manifests.ProvenanceKey(1)
	whole, err := blob.ReadAll(t.Context(), store, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, content []byte) {
		if err := blob.PutBytes(t.Context(), store, key, content, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(){
		"gone":       func() { _ = store.Delete(t.Context(), key) },
		"truncated":  func() { put(key, whole[:len(whole)/2]) },
		"empty":      func() { put(key, nil) },
		"no JSON":    func() { put(key, []byte("<>")) },
		"members":    func() { _ = store.Delete(t.Context(), first.snapshot.Members.Key) },
		"lost image": func() { put("lost/"+irgdata.DigestOf([]byte("an image")).String(), nil) },
	} {
		damage()
		r := r.build(root)
		if r.unchanged || r.published || r.takenOver > 0 || r.calls.Made > 0 {
			t.Errorf("%s: unchanged %v, published %v, %d taken over, calls %+v", name, r.unchanged, r.published, r.takenOver, r.calls)
		}
	}
	if now, err := blob.ReadAll(t.Context(), store, key, 1<<20); err != nil || len(now) != len(whole) {
		t.Errorf("it was not noted anew: %v", err)
	}
}

// TestPartKeyKnowsScorers: of which images which number decides is in the key of
// parts, also where the same calls are made for it.
func TestPartKeyKnowsScorers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	seen := map[irgdata.Digest][]Scorer{}
	for _, scorers := range [][]Scorer{
		{{Name: "fine", Model: "one"}},
		{{Name: "fine", Model: "two"}},
		{{Name: "fine", Model: "one", Score: "sharp"}},
		{{Name: "fine", Model: "one", Images: []string{"reference"}}},
		{{Name: "fine", Model: "one", Images: []string{"reference"}}, {Name: "sharp", Model: "one", Images: []string{"improved"}}},
		{{Name: "fine", Model: "one", Images: []string{"improved"}}, {Name: "sharp", Model: "one", Images: []string{"reference"}}},
	} {
		d, err := newInstantDataset(root)
		if err != nil {
			t.Fatal(err)
		}
		d.config.Models["one"], d.config.Models["two"] = Model{Kind: kindScorer}, Model{Kind: kindScorer}
		d.config.Scorers = scorers
		if err := d.open(t.Context(), write); err != nil {
			t.Fatal(err)
		}
		b, err := d.openBase(t.Context(), manifests.Snapshot{})
		if err := errors.Join(err, d.close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if same, ok := seen[b.partKey]; ok {
			t.Errorf("%+v and %+v have one key", same, scorers)
		}
		seen[b.partKey] = scorers
	}
}

// TestPreviewDecidesNothing: which of similar pairs stays goes by the last
// snapshot that is no preview, whether a build takes it over or not.
func TestPreviewDecidesNothing(t *testing.T) {
	t.Parallel()
	r := newRefresher(t)
	all := func(d *dataset) { d.config.Ingest.Duplicates.Images = ingest.DefaultImageDistance }
	preview := func(d *dataset) { all(d); d.config.limit = 3 }
	root := t.TempDir()
	r.change = all
	full := r.build(root)
	r.change = preview
	if p := r.build(root); !p.snapshot.Settings.Preview() || p.snapshot.Members.Digest == full.snapshot.Members.Digest {
		t.Fatal("the preview has the pairs of the whole")
	}
	r.change = all
	store, err := blob.NewFile(filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), manifests.ProvenanceKey(full.snapshot.Number)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full.snapshot.Content, r.build(root).snapshot.Content); diff != "" {
		t.Errorf("before the preview (-) and after (+):\n%s", diff)
	}
	r.change = preview
	r.build(root)
	r.change = all
	for _, published := range []bool{true, false} { // after the preview, and after itself
		b := r.build(root)
		if diff := cmp.Diff(full.snapshot.Content, b.snapshot.Content); diff != "" || !b.unchanged || b.published != published {
			t.Errorf("unchanged %v, published %v\n%s", b.unchanged, b.published, diff)
		}
	}
}

// TestOtherProgramTakesNothingOver: where the version does not tell the code, as of
// a test, another program goes through all pairs.
func TestOtherProgramTakesNothingOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, samplePairs(t, 6), nil)
	s.must(t, "build")
	if said := s.must(t, "build"); !strings.Contains(said, "taken     all as it is") {
		t.Fatalf("the same program says\n%s", said)
	}
	program, err := os.ReadFile(s.command(t.Context()).Path)
	if err != nil {
		t.Fatal(err)
	}
	build := s.command(t.Context(), "build")
	build.Path = filepath.Join(t.TempDir(), "irgdata")
	if err := os.WriteFile(build.Path, append(program, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	said, err := build.CombinedOutput()
	if err != nil || strings.Contains(string(said), "taken") {
		t.Errorf("another program: %v\n%s", err, said)
	}
}

// changingSource has other folders from its second listing on.
type changingSource struct {
	ingest.Source
	listed, read []ingest.Source
	again        bool
}

func (s *changingSource) Units(ctx context.Context) iter.Seq2[ingest.Unit, error] {
	folders := s.listed
	if s.again {
		folders = s.read
	}
	s.again = true
	return func(yield func(ingest.Unit, error) bool) {
		for _, folder := range folders {
			for unit, err := range folder.Units(ctx) {
				if !yield(unit, err) {
					return
				}
			}
		}
	}
}

// TestRefreshOfChangingSource: a build whose source is changed before it reads it is
// not taken for one of what it had listed.
func TestRefreshOfChangingSource(t *testing.T) {
	t.Parallel()
	folder := func(n int) ingest.Source {
		return ingest.NewFolder("made", newMadeFolder(n, 32), ".", ingest.Columns{})
	}
	a, b, c := folder(40), folder(50), folder(60)
	for name, sources := range map[string]changingSource{
		"more":    {listed: []ingest.Source{a}, read: []ingest.Source{a, b}},
		"less":    {listed: []ingest.Source{a, b}, read: []ingest.Source{a}},
		"another": {listed: []ingest.Source{a, b}, read: []ingest.Source{a, c}},
		"turned":  {listed: []ingest.Source{a, b}, read: []ingest.Source{b, a}},
	} {
		r := newRefresher(t)
		root := t.TempDir()
		list := func(first, then []ingest.Source) {
			r.source = func(s ingest.Source) ingest.Source {
				return &changingSource{Source: s, listed: first, read: then}
			}
		}
		list(sources.listed, sources.read)
		if first := r.build(root); !first.published {
			t.Errorf("%s: nothing was published", name)
		}
		list(sources.listed, sources.listed)
		second, fresh := r.build(root), r.build(t.TempDir())
		if diff := cmp.Diff(fresh.snapshot.Content, second.snapshot.Content); diff != "" || second.unchanged {
			t.Errorf("%s: unchanged %v, from nothing (-) and refreshed (+):\n%s", name, second.unchanged, diff)
		}
		if !r.build(root).unchanged {
			t.Errorf("%s: the third build had something to do", name)
		}
	}
}
