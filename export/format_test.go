package export_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// otherFormats are those that export.Write writes.
func otherFormats() []export.Format { return export.Formats()[1:] }

func formatOptions(t testing.TB, f export.Format, s export.Selection) export.Options {
	return export.Options{Format: f, Selection: s, Prompts: modes.DefaultPrompts(), Work: t.TempDir(), Renderers: 3}
}

// written writes a format of a snapshot into a new folder.
func written(t *testing.T, store blob.Store, s manifests.Snapshot, f export.Format, sel export.Selection) (export.Manifest, *blob.File) {
	t.Helper()
	dest := newStore(t)
	m, _, err := export.Write(t.Context(), store, s, dest, formatOptions(t, f, sel))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Modes {
		rows := int64(0)
		for _, file := range l.Files {
			rows += file.Rows
			if err := blob.Verify(t.Context(), dest, file.Path, file.Digest); err != nil {
				t.Error(err)
			}
		}
		if rows != l.Rows {
			t.Errorf("%s: the files of %s have %d rows, want %d", f, l.Mode, rows, l.Rows)
		}
	}
	return m, dest
}

func snapshot(t *testing.T, n int) (*blob.File, manifests.Snapshot) {
	t.Helper()
	store := newStore(t)
	s, err := publish(t.Context(), t, store, n, 2)
	if err != nil {
		t.Fatal(err)
	}
	return store, s
}

// TestFormatsAreFunctionsOfTheSnapshot: renderers change no byte, and an export
// that is there is left as it is, unless it is another one.
func TestFormatsAreFunctionsOfTheSnapshot(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 10)
	for _, f := range otherFormats() {
		for _, sel := range []export.Selection{{}, {Validation: 0.3, Shuffle: true, Seed: 5}} {
			if testing.Short() && !sel.Shuffle {
				continue
			}
			_, first := written(t, store, s, f, sel)
			dest := newStore(t)
			o := formatOptions(t, f, sel)
			o.Renderers = 1
			if _, wrote, err := export.Write(t.Context(), store, s, dest, o); err != nil || !wrote {
				t.Fatal(f, wrote, err)
			}
			sameTrees(t, tree(t, first.URL(".")), tree(t, dest.URL(".")))
			if _, wrote, err := export.Write(t.Context(), store, s, dest, o); err != nil || wrote {
				t.Errorf("%s: a repeated export wrote (%v)", f, err)
			}
			o.Selection.Stage = 2
			if f == export.LLaVA {
				o.Selection = export.Selection{Where: `source == "s"`}
			}
			if _, _, err := export.Write(t.Context(), store, s, dest, o); err == nil || !strings.Contains(err.Error(), "another export") {
				t.Errorf("%s: another export was written over the first (%v)", f, err)
			}
		}
	}
}

// TestEveryFaultOfAFormatIsMended fails each operation of the destination in
// turn: no failure shows an export that is not whole, and the next try has the bytes of an
// undisturbed one.
func TestEveryFaultOfAFormatIsMended(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 2)
	formats := otherFormats()
	if testing.Short() {
		formats = []export.Format{export.JSONL, export.WebDataset} // the writing of Parquet takes its time
	}
	for _, f := range formats {
		_, undisturbed := written(t, store, s, f, export.Selection{})
		want := tree(t, undisturbed.URL("."))
		failed := 0
		for operation := 0; ; operation++ {
			below := newStore(t)
			dest := faultblob.New(below, faultblob.Nth(operation, faultblob.Midway))
			_, _, err := export.Write(t.Context(), store, s, dest, formatOptions(t, f, export.Selection{}))
			if err != nil {
				failed++
				if !errors.Is(err, faultblob.ErrInjected) {
					t.Fatalf("%s: operation %d: %v", f, operation, err)
				}
				if _, err := export.ReadManifest(t.Context(), below); err == nil { // what failed is the removal of the progress
					whole := tree(t, below.URL("."))
					delete(whole, "progress.json")
					sameTrees(t, want, whole)
				} else if !errors.Is(err, blob.ErrNotExist) {
					t.Fatalf("%s: operation %d: %v", f, operation, err)
				}
				if _, _, err := export.Write(t.Context(), store, s, below, formatOptions(t, f, export.Selection{})); err != nil {
					t.Fatal(err)
				}
			}
			sameTrees(t, want, tree(t, below.URL(".")))
			if dest.Operations() <= operation {
				break
			}
		}
		if failed < 2 {
			t.Errorf("%s: %d operations were made to fail", f, failed)
		}
	}
}

// TestCancelledFormatEnds: a cancelled export leaves no manifest.
func TestCancelledFormatEnds(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 3)
	for _, f := range otherFormats() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dest := newStore(t)
		if _, _, err := export.Write(ctx, store, s, dest, formatOptions(t, f, export.Selection{})); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", f, err)
		}
		if _, err := export.ReadManifest(t.Context(), dest); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("%s: got %v", f, err)
		}
	}
}

// chat is an example as a reader of JSON sees it.
type chat struct {
	ID, Mode, Prompt string
	Images           []string
	Messages         []struct {
		Role    string
		Content []struct{ Type, Text, Image string }
	}
}

// shown is what an example is made of, for comparison.
type shown struct {
	mode, prompt string
	images       []irgdata.Digest
}

// wanted are the examples of a snapshot of n items, in order.
func wantedExamples(n int, mode modes.Mode) (all []shown) {
	for i := range n {
		if i%5 == 4 || mode.Name == lostMode && i%7 == 0 {
			continue
		}
		x := shown{mode: mode.Name, prompt: fmt.Sprintf("subject %d & <b>", i)}
		for _, slot := range mode.Images() {
			number := 2 * i // the reference, which is the improved image too
			if slot == irgdata.SlotDraft {
				number++
			}
			x.images = append(x.images, irgdata.DigestOf(picture(number)))
		}
		all = append(all, x)
	}
	return all
}

func compare(t *testing.T, f export.Format, m export.Manifest, n int, got []shown) {
	t.Helper()
	var want []shown
	for _, l := range m.Modes {
		mode, err := modes.Select([]string{l.Mode})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, wantedExamples(n, mode[0])...)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shown{})); diff != "" || len(got) == 0 {
		t.Errorf("%s: %s", f, diff)
	}
}

// read makes an example of its JSON; load fetches an image by its name.
func read(t *testing.T, text []byte, load func(name string) []byte) shown {
	t.Helper()
	var c chat
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	x := shown{mode: c.Mode, prompt: c.Prompt}
	for _, m := range c.Messages {
		for _, part := range m.Content {
			if part.Type == "image" {
				x.images = append(x.images, irgdata.DigestOf(load(part.Image)))
			}
		}
	}
	if len(c.Images) != len(x.images) {
		t.Errorf("%d images and %d parts that show one", len(c.Images), len(x.images))
	}
	return x
}

const formatItems = 16

func TestJSONLRoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	m, dest := written(t, store, s, export.JSONL, export.Selection{})
	var got []shown
	files := tree(t, dest.URL("."))
	for _, l := range m.Modes {
		for line := range strings.Lines(files[l.Files[0].Path]) {
			got = append(got, read(t, []byte(line), func(name string) []byte { return []byte(files[name]) }))
		}
	}
	compare(t, export.JSONL, m, formatItems, got)
}

func TestWebDatasetRoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	m, dest := written(t, store, s, export.WebDataset, export.Selection{})
	var got []shown
	for _, l := range m.Modes {
		var keys []string
		samples := map[string]map[string][]byte{}
		file, err := os.Open(dest.URL(l.Files[0].Path))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for r := tar.NewReader(file); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			key, name, _ := strings.Cut(h.Name, ".")
			if len(keys) == 0 || keys[len(keys)-1] != key { // a sample's files are neighbours
				keys = append(keys, key)
				samples[key] = map[string][]byte{}
			}
			if samples[key][name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.IsSorted(keys) || len(keys) != len(slices.Compact(slices.Clone(keys))) {
			t.Errorf("the keys are %v", keys)
		}
		for _, key := range keys {
			got = append(got, read(t, samples[key]["json"], func(name string) []byte { return samples[key][name] }))
		}
	}
	compare(t, export.WebDataset, m, formatItems, got)
}

func TestLLaVARoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	m, dest := written(t, store, s, export.LLaVA, export.Selection{})
	files := tree(t, dest.URL("."))
	var info map[string]struct {
		FileName string `json:"file_name"`
		Columns  map[string]string
	}
	if err := json.Unmarshal([]byte(files["dataset_info.json"]), &info); err != nil || len(info) != 2 {
		t.Fatalf("dataset_info.json has %d entries (%v)", len(info), err)
	}
	var got []shown
	for _, l := range m.Modes {
		var rows []map[string]any
		if err := json.Unmarshal([]byte(files[info["irgl_"+l.Mode+"_train"].FileName]), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			x := shown{mode: l.Mode}
			marks := 0
			for i, turn := range row["conversations"].([]any) {
				turn := turn.(map[string]any)
				if turn["from"] != []string{"human", "gpt"}[i%2] {
					t.Errorf("turn %d is of %v", i, turn["from"])
				}
				value := turn["value"].(string)
				marks += strings.Count(value, "<image>")
				if _, after, ok := strings.Cut(value, "subject "); ok && x.prompt == "" {
					number, _, _ := strings.Cut(after, " ")
					x.prompt = "subject " + number + " & <b>"
				}
			}
			for _, path := range row["images"].([]any) {
				x.images = append(x.images, irgdata.DigestOf([]byte(files[path.(string)])))
			}
			if marks != len(x.images) {
				t.Errorf("%d marks for %d images", marks, len(x.images))
			}
			got = append(got, x)
		}
	}
	compare(t, export.LLaVA, m, formatItems, got)
}

// TestLLaVALeavesOutMarks: a text that holds a mark of a medium would have the
// readers look for a medium that is not there.
func TestLLaVALeavesOutMarks(t *testing.T) {
	t.Parallel()
	prompts := []string{"a cat", "an <image> of a cat", "a <video>", "<audio>", "<images> and a <Video>"}
	store := newStore(t)
	pictures := images.NewStore(store)
	marked := func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		i := 0
		for it, err := range items(t.Context(), 6, pictures) {
			if pair := &it.Value.Trajectory.Pair; it.Reject == nil {
				pair.Prompt = prompts[i]
				pair.ID = irgdata.PairID(pair.Prompt, pair.Image.Digest)
				i++
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
	s, err := publishItems(t.Context(), store, marked, pictures, shardOptions(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	m, dest := written(t, store, s, export.LLaVA, export.Selection{})
	files := tree(t, dest.URL("."))
	for _, l := range m.Modes {
		if l.Rows != 2 || l.LeftOut != 3 {
			t.Errorf("%s has %d rows, %d left out", l.Mode, l.Rows, l.LeftOut)
		}
		if text := files[l.Files[0].Path]; strings.Contains(text, "<video>") || strings.Contains(text, "<audio>") {
			t.Errorf("%s holds a mark without its medium", l.Mode)
		}
	}
}

// TestMDSRoundTrip reads shards after the definition of the format in
// streaming/base/format/mds/reader.py.
func TestMDSRoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	m, dest := written(t, store, s, export.MDS, export.Selection{})
	files := tree(t, dest.URL("."))
	var got []shown
	for _, l := range m.Modes {
		folder := path.Dir(l.Files[0].Path)
		var index struct {
			Version int
			Shards  []struct {
				Names   []string `json:"column_names"`
				Samples int
				RawData struct {
					Basename string
					Bytes    int
				} `json:"raw_data"`
			}
		}
		if err := json.Unmarshal([]byte(files[folder+"/index.json"]), &index); err != nil || index.Version != 2 {
			t.Fatal(index.Version, err)
		}
		for _, shard := range index.Shards {
			data := []byte(files[folder+"/"+shard.RawData.Basename])
			number := func(at uint32) uint32 { return binary.LittleEndian.Uint32(data[at:]) }
			if len(data) != shard.RawData.Bytes || int(number(0)) != shard.Samples || !slices.IsSorted(shard.Names) {
				t.Fatalf("%d bytes, %d samples, columns %v", len(data), number(0), shard.Names)
			}
			for i := range uint32(shard.Samples) {
				begin, end := number(4+4*i), number(8+4*i)
				at := begin + 4*uint32(len(shard.Names))
				columns := map[string][]byte{}
				for c, name := range shard.Names {
					size := number(begin + 4*uint32(c))
					columns[name] = data[at : at+size]
					at += size
				}
				if at != end {
					t.Fatalf("a sample ends at %d, want %d", at, end)
				}
				x := shown{mode: l.Mode, prompt: string(columns["prompt"])}
				for n := 0; columns[fmt.Sprintf("image%d", n)] != nil; n++ {
					x.images = append(x.images, irgdata.DigestOf(columns[fmt.Sprintf("image%d", n)]))
				}
				got = append(got, x)
			}
		}
	}
	compare(t, export.MDS, m, formatItems, got)
}

// TestHFRoundTrip: each row has the messages and the images of its trajectory, in
// the order of the mode, and the card and croissant.json tell of them.
func TestHFRoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	if err := manifests.PutAccount(t.Context(), store, s.Number, manifests.Account{
		Steps: []manifests.StepUsage{{Step: "draft/1", Model: "m@1", Usage: manifests.Usage{Calls: 7, GPUSeconds: 7200}}}, Total: manifests.Usage{Calls: 7},
	}); err != nil {
		t.Fatal(err)
	}
	m, dest := written(t, store, s, export.HF, export.Selection{Validation: 0.3})
	files := tree(t, dest.URL("."))
	for _, mode := range modes.All() {
		got, want := map[string][]part{}, map[string][]part{}
		for _, tr := range wantedTrajectories(t, formatItems, mode.Name) {
			want[tr.Pair.Prompt] = chatParts(t, mode, tr)
		}
		for _, l := range m.Modes {
			if l.Mode != mode.Name {
				continue
			}
			var chats [][]part
			for _, f := range l.Files {
				chats = append(chats, readChats(t, dest, f)...)
			}
			n := 0
			for row, err := range rowsOf(t, dest, l, "prompt", "license") {
				if err != nil {
					t.Fatal(err)
				}
				prompt := row[0].(string)
				if got[prompt] != nil {
					t.Errorf("%s: %s is there twice", mode.Name, prompt)
				}
				got[prompt] = chats[n]
				n++
				if row[1] != "CC0-1.0" {
					t.Errorf("the licence is %v", row[1])
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", mode.Name, diff)
		}
	}
	for _, want := range []string{
		"license: cc0-1.0", "config_name: improving_full_learning", "split: validation", "list: image",
		"hf upload", "assets/example-1-draft.png", "| `draft/1` | `m@1` | 7 |", "16 items came from the sources; 3 were rejected", "| annotate | refused | all | 3 |",
		"| size/1 | reject | min 64 |", "| items | annotate | 16 | 13 |",
	} {
		if !strings.Contains(files["README.md"], want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	var croissant map[string]any
	if err := json.Unmarshal([]byte(files["croissant.json"]), &croissant); err != nil || len(croissant["recordSet"].([]any)) != len(m.Modes) {
		t.Errorf("croissant.json: %v", err)
	}
	if files["assets/example-1-draft.png"] != string(picture(1)) {
		t.Error("the example's draft is another image")
	}
}

func rowsOf(t *testing.T, dest *blob.File, l export.ModeFiles, columns ...string) func(func(parquet.Row, error) bool) {
	return func(yield func(parquet.Row, error) bool) {
		for _, f := range l.Files {
			encoded, err := os.ReadFile(dest.URL(f.Path))
			if err != nil {
				t.Fatal(err)
			}
			r, err := parquet.NewReader(bytes.NewReader(encoded))
			if err != nil {
				t.Fatal(err)
			}
			for row, err := range r.Rows(t.Context(), columns...) {
				if !yield(row, err) {
					return
				}
			}
		}
	}
}

// TestCutsOfHF: row groups end at 100 rows or about 16 MiB, and files at about
// their size, by the footers.
func TestCutsOfHF(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it writes 40 MB of images thrice")
	}
	const rows, groupBytes, fileBytes, small, large = 100, 16 << 20, 20e6, 110, 95
	heavyPicture := noise(t, 1)
	store := newStore(t)
	pictures := images.NewStore(store)
	all := func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for i := range small + large {
			it, err := item(t.Context(), 5*i, pictures)
			if err == nil && i >= small {
				var ref irgdata.ImageRef
				ref, err = pictures.Put(t.Context(), append(bytes.Clone(heavyPicture), byte(i))) // what stands behind a PNG is not read
				tr := &it.Value.Trajectory
				tr.Pair.Image, tr.Pair.ID = ref, irgdata.PairID(tr.Pair.Prompt, ref.Digest)
				tr.Slots[irgdata.SlotReference].Image, tr.Slots[irgdata.SlotImproved].Image = ref, ref
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
	so := shardOptions(t, 2)
	so.Bytes, so.RowGroupBytes = 64<<20, 8<<20
	s, err := publishItems(t.Context(), store, all, pictures, so)
	if err != nil {
		t.Fatal(err)
	}
	o := formatOptions(t, export.HF, export.Selection{Mix: []export.Share{{Mode: "initial_full_learning", Weight: weight(1)}, {Weight: weight(0)}}})
	o.FileBytes = fileBytes
	dest := newStore(t)
	m, _, err := export.Write(t.Context(), store, s, dest, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Modes) != 1 || m.Modes[0].Rows != small+large || len(m.Modes[0].Files) < 2 {
		t.Fatalf("want %d rows of one mode in more than one file, got %+v", small+large, m.Modes)
	}
	largest := int64(len(heavyPicture)) + 64<<10 // a row
	var full, heavy int
	for i, f := range m.Modes[0].Files {
		encoded, err := os.ReadFile(dest.URL(f.Path))
		if err != nil {
			t.Fatal(err)
		}
		r, err := file.NewParquetReader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if r.NumRows() != f.Rows || r.NumRowGroups() != f.RowGroups {
			t.Errorf("%s has %d rows in %d row groups, and the manifest says %+v", f.Path, r.NumRows(), r.NumRowGroups(), f)
		}
		last, lastGroup := i == len(m.Modes[0].Files)-1, int64(0)
		for n := range r.NumRowGroups() {
			group := r.MetaData().RowGroup(n)
			lastGroup = group.TotalByteSize()
			switch {
			case group.NumRows() > rows || group.TotalByteSize() > groupBytes+largest:
				t.Errorf("%s: row group %d has %d rows and %d bytes", f.Path, n, group.NumRows(), group.TotalByteSize())
			case group.NumRows() == rows:
				full++
			case group.TotalByteSize() >= groupBytes*99/100: // cells are counted, not what they are encoded to
				heavy++
			case !last || n < r.NumRowGroups()-1:
				t.Errorf("%s: row group %d ends with %d rows and %d bytes", f.Path, n, group.NumRows(), group.TotalByteSize())
			}
		}
		if size := int64(len(encoded)); size >= fileBytes+lastGroup || size < fileBytes && !last {
			t.Errorf("%s has %d bytes", f.Path, size)
		}
	}
	if full == 0 || heavy == 0 {
		t.Errorf("%d row groups end by their rows and %d by their bytes, want some of each", full, heavy)
	}
}

func TestTrajectoriesRoundTrip(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, formatItems)
	m, dest := written(t, store, s, export.Parquet, export.Selection{Validation: 0.3})
	seen := map[string]string{}
	type held struct {
		thinking, draftThinking, reflection any
		reference, draft, improved          irgdata.Digest
	}
	got, want := map[string]held{}, map[string]held{}
	for _, tr := range wantedTrajectories(t, formatItems, "") {
		text := func(s irgdata.Slot) any { return tr.Slots[s].Text }
		want[tr.Pair.Prompt] = held{ // the improved image is the reference, and not there twice
			text(irgdata.SlotThinking), text(irgdata.SlotDraftThinking), text(irgdata.SlotReflection),
			tr.Pair.Image.Digest, tr.Slots[irgdata.SlotDraft].Image.Digest, irgdata.Digest{},
		}
	}
	digest := func(cell any) irgdata.Digest {
		if picture, ok := cell.(parquet.Image); ok {
			return irgdata.DigestOf(picture.Bytes)
		}
		return irgdata.Digest{}
	}
	for _, l := range m.Modes {
		for row, err := range rowsOf(t, dest, l, "prompt", "split", "draft_min_side", lostMode, "thinking", "draft_thinking", "reflection", "reference", "draft", "improved") {
			if err != nil {
				t.Fatal(err)
			}
			prompt := row[0].(string)
			seen[prompt] = row[1].(string)
			if row[1] != string(l.Split) || row[2] != 64.0 {
				t.Errorf("row %v", row[:3])
			}
			got[prompt] = held{row[4], row[5], row[6], digest(row[7]), digest(row[8]), digest(row[9])}
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(held{})); diff != "" {
		t.Error(diff)
	}
	splits := map[string]int{}
	for _, split := range seen {
		splits[split]++
	}
	if len(seen) != int(s.Counts.Trajectories) || splits["train"] == 0 || splits["validation"] == 0 {
		t.Errorf("%d rows, splits %v", len(seen), splits)
	}
}

// prompts reads a JSONL export: the numbers of the subjects of each mode and
// split, in order.
func prompts(t *testing.T, m export.Manifest, dest *blob.File) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, l := range m.Modes {
		text, err := os.ReadFile(filepath.Join(dest.URL("."), l.Files[0].Path))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var c chat
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			key := l.Mode + "/" + string(l.Split)
			all[key] = append(all[key], strings.Fields(c.Prompt)[1])
		}
	}
	return all
}

func weight(x float64) *float64 { return &x }
func count(n int64) *int64      { return &n }

const full, generation = "initial_full_learning/train", "initial_thinking_generation_learning/train"

func TestSelections(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 20) // 16 trajectories
	inOrder := strings.Fields("0 1 2 3 5 6 7 8 10 11 12 13 15 16 17 18")
	for _, c := range []struct {
		name  string
		s     export.Selection
		check func(t *testing.T, got map[string][]string, m export.Manifest)
	}{
		{"all", export.Selection{}, func(t *testing.T, got map[string][]string, _ export.Manifest) {
			if len(got) != 6 || !slices.Equal(got[full], inOrder) {
				t.Errorf("got %v", got)
			}
		}},
		{"the second stage", export.Selection{Stage: 2}, func(t *testing.T, got map[string][]string, _ export.Manifest) {
			if len(got) != 2 {
				t.Errorf("got %v", got)
			}
		}},
		{"where", export.Selection{Where: `prompt contains "1" && draft_min_side == 64 && source == "s"`}, func(t *testing.T, got map[string][]string, _ export.Manifest) {
			if want := strings.Fields("1 10 11 12 13 15 16 17 18"); !slices.Equal(got[full], want) {
				t.Errorf("got %v, want %v", got[full], want)
			}
		}},
		{"where with a name of its own", export.Selection{Where: `let side = draft_min_side; side == 64 && prompt contains "18"`}, func(t *testing.T, got map[string][]string, _ export.Manifest) {
			if !slices.Equal(got[full], []string{"18"}) {
				t.Errorf("got %v", got[full])
			}
		}},
		{"shuffled", export.Selection{Shuffle: true, Seed: 3}, func(t *testing.T, got map[string][]string, _ export.Manifest) {
			sorted := slices.SortedFunc(slices.Values(got[full]), func(a, b string) int { return slices.Index(inOrder, a) - slices.Index(inOrder, b) })
			if slices.Equal(got[full], inOrder) || !slices.Equal(sorted, inOrder) || !slices.Equal(got[full], got[generation]) {
				t.Errorf("got %v", got[full])
			}
		}},
		{"weights", export.Selection{Mix: []export.Share{{Mode: "initial_full_learning", Weight: weight(2.5)}, {Mode: "initial_thinking_generation_learning", Weight: weight(0)}}}, func(t *testing.T, got map[string][]string, m export.Manifest) {
			times := map[string]int{}
			for _, p := range got[full] {
				times[p]++
			}
			twice := 0
			for _, n := range times {
				if n == 2 {
					twice++
				} else if n != 3 {
					t.Errorf("an example is there %d times", n)
				}
			}
			if !slices.Equal(got[full][:16], inOrder) || len(times) != 16 || twice != 8 || got[generation] != nil || m.Mix[0].Taken != 40 || m.Mix[0].Available != 16 || m.Mix[1].Taken != 0 || m.Mix[1].Available != 16 {
				t.Errorf("got %v, mix %+v", got[full], m.Mix)
			}
		}},
		{"counts", export.Selection{Mix: []export.Share{{Source: "s", Count: count(30)}}}, func(t *testing.T, got map[string][]string, m export.Manifest) {
			rows := int64(0)
			for _, l := range m.Modes {
				rows += l.Rows
			}
			if rows != 30 || m.Mix[0].Taken != 30 {
				t.Errorf("%d rows, mix %+v", rows, m.Mix)
			}
		}},
		{"one split", export.Selection{Split: export.Validation, Validation: 0.3}, func(t *testing.T, got map[string][]string, m export.Manifest) {
			if got[full] != nil || len(got["initial_full_learning/validation"]) == 0 {
				t.Errorf("got %v", got)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, dest := written(t, store, s, export.JSONL, c.s)
			c.check(t, prompts(t, m, dest), m)
		})
	}
}

// TestMixOfSplits: a mix shapes what is trained on; validation examples are taken
// once, or not at all where their share takes none.
func TestMixOfSplits(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 20) // 16 trajectories
	const mode, other = "initial_full_learning", "initial_thinking_generation_learning"
	m, dest := written(t, store, s, export.JSONL, export.Selection{Validation: 0.3})
	held := len(prompts(t, m, dest)[mode+"/validation"])
	if held == 0 || held == 16 {
		t.Fatalf("%d of 16 are held back", held)
	}
	for _, split := range []export.Split{export.All, export.Train, export.Validation} {
		for _, c := range []struct {
			name  string
			share export.Share
			train int // of the mode
			held  bool
		}{
			{"a count", export.Share{Mode: mode, Count: count(50)}, 50, true},
			{"a count of none", export.Share{Mode: mode, Count: count(0)}, 0, false},
			{"a weight", export.Share{Mode: mode, Weight: weight(2)}, 2 * (16 - held), true},
			{"a weight of none", export.Share{Mode: mode, Weight: weight(0)}, 0, false},
		} {
			t.Run(fmt.Sprintf("%s, split %q", c.name, split), func(t *testing.T) {
				m, _ := written(t, store, s, export.JSONL, export.Selection{Split: split, Validation: 0.3, Mix: []export.Share{c.share}})
				want := map[string]int64{mode + "/train": int64(c.train), other + "/train": int64(16 - held), other + "/validation": int64(held)}
				if c.held {
					want[mode+"/validation"] = int64(held)
				}
				got := map[string]int64{}
				for _, l := range m.Modes {
					got[l.Mode+"/"+string(l.Split)] = l.Rows
				}
				taken := int64(c.train)
				if split == export.Validation {
					taken = 0
				}
				for _, name := range []string{mode, other} {
					for _, of := range []export.Split{export.Train, export.Validation} {
						key := name + "/" + string(of)
						if split != export.All && split != of {
							want[key] = 0
						}
						if got[key] != want[key] {
							t.Errorf("%s has %d rows, want %d", key, got[key], want[key])
						}
					}
				}
				if s := m.Mix[0]; s.Taken != taken || s.Available != int64(16-held) && split != export.Validation || s.Validation != int64(held) && split != export.Train {
					t.Errorf("the share is counted as %+v, want %d taken", s, taken)
				}
			})
		}
	}
}

// TestSelectionForTheTrainer: the official trainer's form takes selections too.
func TestSelectionForTheTrainer(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 20)
	o := options(t, 1, 2)
	o.Selection = export.Selection{Stage: 2, Where: `prompt != "subject 0 & <b>"`, Mix: []export.Share{{Weight: weight(2)}}, Shuffle: true, Seed: 1}
	m, _, err := export.WriteIRG(t.Context(), store, s, newStore(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Modes) != 2 || m.Modes[0].Rows != 30 {
		t.Errorf("got %+v", m.Modes)
	}
	o.Selection = export.Selection{Split: export.Validation, Validation: 0.3, Mix: []export.Share{{Count: count(500)}}}
	if m, _, err = export.WriteIRG(t.Context(), store, s, newStore(t), o); err != nil || m.Modes[0].Rows > 15 {
		t.Errorf("the validation split with a count has %+v (%v)", m.Modes, err)
	}
	o.Selection = export.Selection{Where: `prompt == "subject 1 & <b>"`}
	var few *export.TooFewRowsError
	if _, _, err := export.WriteIRG(t.Context(), store, s, newStore(t), o); !errors.As(err, &few) {
		t.Errorf("one row for two readers: got %v", err)
	}
}

// TestConditionsWithoutASnapshot: names that may be scores wait for the snapshot.
func TestConditionsWithoutASnapshot(t *testing.T) {
	t.Parallel()
	for _, where := range []string{
		`improved_difference > 10 && source == "photos"`,
		`len(prompt) + reflection_words < 1000`,
		`let x = draft_min_side; x > 2 || x < 1`,
		`all(notes, # != "alpha") && not ("beta" in notes)`,
		`prompt matches "^a" and initial_full_learning`,
	} {
		if err := (export.Selection{Where: where}).Validate(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func TestWrongSelections(t *testing.T) {
	t.Parallel()
	store, s := snapshot(t, 3)
	const none = "takes none of the 3 trajectories" // which is no mistake in itself
	for _, c := range []struct {
		s    export.Selection
		want string
	}{
		{export.Selection{Where: `diference > 1`}, "where: character 1: unknown name diference\n  diference > 1\n  ^"},
		{export.Selection{Where: `diference > 1`}, "or a score of the snapshot (draft_min_side)"},
		{export.Selection{Where: `sorce == "s"`}, "where: character 7: invalid operation: == (mismatched types float64 and string)\n  sorce == \"s\"\n        ^\n" +
			"sorce is no column and taken for a score, which is a number: did you mean `source`?"},
		{export.Selection{Where: `source == 3`}, "character 8: invalid operation: == (mismatched types string and int)"},
		{export.Selection{Where: `source ==`}, "character 9: unexpected token EOF"},
		{export.Selection{Where: `prompt`}, "expected bool, but got string"},
		{export.Selection{Where: "source == \"s\" &&\nprompt == 3"}, "character 25: invalid operation"},
		{export.Selection{Where: `now().Year() > 2000`}, "character 1: unknown function now: want one of https://"},
		{export.Selection{Where: `size(prompt) > 3`}, "character 1: unknown function size"},
		{export.Selection{Where: `$env["source"] == "s"`}, "character 1: unknown name $env: name the columns"},
		{export.Selection{Where: `prompt matches "["`}, "where: character 8: error parsing regexp"},
		{export.Selection{Where: `notes[7] == "x"`}, "where: character 6: "},
		{export.Selection{Where: `source == "none"`}, none},
		{export.Selection{Stage: 3}, "stage: is 3: want 1 or 2"},
		{export.Selection{Split: "test"}, `split: is "test": want "train" or "validation"`},
		{export.Selection{Split: export.Validation}, "set validation"},
		{export.Selection{Validation: 1}, "validation: is 1"},
		{export.Selection{Mix: []export.Share{{Mode: "x", Weight: weight(1)}}}, `mix[0]: mode "x" is unknown`},
		{export.Selection{Mix: []export.Share{{}}}, "mix[0]: want either a weight or a count"},
		{export.Selection{Where: "reflection_words > 1", Mix: []export.Share{{Source: "s", Count: count(1)}}}, "unknown name reflection_words"},
		{export.Selection{Where: "draft_min_side < 1", Mix: []export.Share{{Source: "s", Count: count(1)}}}, "mix[0]: count is 1 and no example fits"},
		{export.Selection{Mix: []export.Share{{Weight: weight(1)}, {Source: "t", Weight: weight(0)}}}, "mix[1]: there is no source \"t\" in snapshot 1: did you mean `s`?"},
		{export.Selection{Mix: []export.Share{{Source: "photos", Count: count(1)}}}, "mix[0]: there is no source \"photos\" in snapshot 1: want one of s"},
		{export.Selection{Mix: []export.Share{{Weight: weight(0)}}}, "mix: it takes no mode"},
	} {
		dest := newStore(t)
		_, _, err := export.Write(t.Context(), store, s, dest, formatOptions(t, export.JSONL, c.s))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.s, err, c.want)
		}
		if mistake := new(export.SelectionError); !errors.As(err, &mistake) && c.want != none {
			t.Errorf("%+v: %v is no mistake in the selection", c.s, err)
		}
		if files := tree(t, dest.URL(".")); len(files) > 0 {
			t.Errorf("%+v: a refused export wrote %d files", c.s, len(files))
		}
	}
}

// TestSplitsLeakNothing: pairs of the same prompt or the same image are in the
// same split, and so is what is connected through them.
func TestSplitsLeakNothing(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	pictures := images.NewStore(store)
	const n = 90
	linked := func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for i := range n {
			it, err := item(t.Context(), 10*i, pictures)
			if err == nil {
				p := &it.Value.Trajectory
				// Threes: the first two share an image, the last two a prompt.
				group := i / 3
				number := 2 * group
				if i%3 == 2 {
					number++
				}
				var ref irgdata.ImageRef
				ref, err = pictures.Put(t.Context(), picture(number))
				prompt := fmt.Sprintf("subject %d", 3*group+min(i%3, 1))
				pair := p.Pair
				pair.Prompt, pair.Image, pair.ID = prompt, ref, irgdata.PairID(prompt, ref.Digest)
				made := irgdata.NewTrajectory(pair, irgdata.Distill)
				for _, slot := range []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotDraft, irgdata.SlotReflection} {
					made.Slots[slot] = p.Slots[slot]
				}
				it.Value.Trajectory = made
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
	o := shardOptions(t, 2)
	o.Bytes, o.RowGroupBytes, o.RowGroupRows = 1<<20, 1<<20, 100
	s, err := publishItems(t.Context(), store, linked, pictures, o)
	if err != nil {
		t.Fatal(err)
	}
	m, dest := written(t, store, s, export.JSONL, export.Selection{Validation: 0.3})
	split := map[int]string{}
	held := 0
	for key, subjects := range prompts(t, m, dest) {
		if !strings.HasPrefix(key, "initial_full_learning/") {
			continue
		}
		for _, subject := range subjects {
			var number int
			if _, err := fmt.Sscan(subject, &number); err != nil {
				t.Fatal(err)
			}
			if there, ok := split[number/3]; ok && there != key {
				t.Errorf("group %d is in %s and in %s", number/3, there, key)
			}
			split[number/3] = key
			if strings.HasSuffix(key, "validation") {
				held++
			}
		}
	}
	if held < n/10 || held > n*6/10 {
		t.Errorf("%d of %d pairs are held back, want about 0.3 of them", held, n)
	}
}
