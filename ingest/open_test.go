package ingest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"golang.org/x/image/bmp"
	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/images"
)

type fsFile = fs.File

func makePipe(t testing.TB, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// header is the beginning of a PNG of that size.
func header(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	b = append(b, 8, 2, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
	b = append(b, 0, 0, 0, 1)
	b = append(b, "IDAT\x00"...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte("IDAT\x00")))
}

// drawing is a picture of soft waves that differs for each seed and is the same
// in every size.
func drawing(seed uint64, side int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	type wave struct{ x, y, phase float64 }
	var waves [3][6]wave
	for c := range waves {
		for i := range waves[c] {
			waves[c][i] = wave{60 * r.Float64(), 60 * r.Float64(), 7 * r.Float64()}
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			var v [3]uint8
			for c := range waves {
				sum := 0.0
				for _, w := range waves[c] {
					sum += math.Sin(w.x*float64(x)/float64(side) + w.y*float64(y)/float64(side) + w.phase)
				}
				v[c] = uint8(128 + 20*sum)
			}
			img.SetRGBA(x, y, color.RGBA{v[0], v[1], v[2], 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // into memory
	}
	return out.Bytes()
}

// numbered is a folder of n pairs that have nothing in common, each in the
// words of its own number.
func numbered(first, n int) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := first; i < first+n; i++ {
		fsys[fmt.Sprintf("%04d.png", i)] = &fstest.MapFile{Data: drawing(uint64(i), 32)}
		fsys[fmt.Sprintf("%04d.txt", i)] = file(strings.Repeat(fmt.Sprintf("word%d ", i), 5))
	}
	return fsys
}

func keys(items []irgdata.Item[irgdata.Pair]) (out []string) {
	for _, item := range items {
		if item.Reject != nil {
			out = append(out, item.Reject.Rule+" "+item.Reject.Pair.Key)
		} else {
			out = append(out, item.Value.Key)
		}
	}
	return out
}

// counting counts the files that are opened.
type counting struct {
	fstest.MapFS
	mu     *sync.Mutex
	opened map[string]int
}

func newCounting(fsys fstest.MapFS) counting {
	return counting{fsys, new(sync.Mutex), map[string]int{}}
}

func (c counting) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened[name]++
	return c.MapFS.Open(name)
}

func (c counting) images() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, times := range c.opened {
		if strings.HasSuffix(name, ".png") {
			n += times
		}
	}
	clear(c.opened)
	return n
}

// TestCatalog: what has not changed is not read again, and what is added or
// changed costs its own unit alone.
func TestCatalog(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads thousands of images")
	}
	const n = 3000 // about three units
	fsys := newCounting(numbered(0, n))
	r := newReader(t, defaults())
	source := ingest.Feed{Source: ingest.NewFolder("photos", fsys, ".", ingest.Columns{})}
	first, err := r.open(t.Context(), source)
	if err != nil || len(first) != n {
		t.Fatalf("%d items, %v", len(first), err)
	}
	if read := fsys.images(); read != n {
		t.Errorf("read %d images, want %d", read, n)
	}
	again, err := r.open(t.Context(), source)
	if err != nil || !slices.Equal(keys(first), keys(again)) {
		t.Errorf("%d items, %v", len(again), err)
	}
	if read := fsys.images(); read > 0 {
		t.Errorf("read %d images again", read)
	}
	fsys.MapFS["1500a.png"], fsys.MapFS["1500a.txt"] = &fstest.MapFile{Data: drawing(999_999, 32)}, file("something new under the sun")
	delete(fsys.MapFS, "0100.png")
	changed, err := r.open(t.Context(), source)
	if err != nil || len(changed) != n+1 { // its caption is left, without an image
		t.Errorf("%d items, %v", len(changed), err)
	}
	if read := fsys.images(); read == 0 || read >= n {
		t.Errorf("read %d of %d images for one that is new and one that went", read, n)
	}
	// Other options make other entries.
	o := defaults()
	o.Images.MinSide = 17
	r.setAdmission(t, o, nil)
	if _, err := r.open(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if read := fsys.images(); read != n {
		t.Errorf("read %d images under other options, want %d", read, n)
	}
}

// TestPlaces: equal names, sizes and times at two places are two things.
func TestPlaces(t *testing.T) {
	r := newReader(t, defaults())
	at := func(place string, seed uint64, caption string) ingest.Feed {
		picture, err := images.Decode(drawing(seed, 64))
		if err != nil {
			t.Fatal(err)
		}
		var encoded bytes.Buffer
		if err := bmp.Encode(&encoded, picture); err != nil { // equal sizes
			t.Fatal(err)
		}
		f := folder(fstest.MapFS{"0.bmp": {Data: encoded.Bytes()}, "0.txt": file(caption)})
		f.Place = place
		return f
	}
	a, b := at("/a", 1, "a cat that sleeps on the sofa"), at("/b", 2, "a dog that waits at the gates")
	for range 2 {
		if items, err := r.open(t.Context(), a); err != nil || len(items) != 1 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		items, err := r.open(t.Context(), a, b)
		if err != nil || len(items) != 2 || items[1].Value.Prompt != "a dog that waits at the gates" {
			t.Fatalf("%v, %v", keys(items), err)
		}
	}
}

// TestLostImage: an item whose image is no longer in the store is read again,
// and no other.
func TestLostImage(t *testing.T) {
	fsys := newCounting(numbered(0, 5))
	r := newReader(t, defaults())
	r.o.Inventory = r.images.Inventory
	source := ingest.Feed{Source: ingest.NewFolder("photos", fsys, ".", ingest.Columns{})}
	first, err := r.open(t.Context(), source)
	if err != nil || len(first) != 5 {
		t.Fatalf("%d items, %v", len(first), err)
	}
	fsys.images()
	lost := first[2].Value.Image
	d := lost.Digest.String()
	if err := r.store.Delete(t.Context(), "images/"+d[:2]+"/"+d); err != nil {
		t.Fatal(err)
	}
	again, err := r.open(t.Context(), source)
	if err != nil || !slices.Equal(keys(first), keys(again)) {
		t.Errorf("%v, %v", keys(again), err)
	}
	if read := fsys.images(); read != 1 {
		t.Errorf("read %d images, want the lost one", read)
	}
	if _, err := r.images.Bytes(t.Context(), lost); err != nil {
		t.Error(err)
	}
	if _, err := r.open(t.Context(), source); err != nil || fsys.images() != 0 {
		t.Errorf("it was read again, %v", err)
	}
}

// TestPartsAreKept: what a limit or a sample read of a unit is not read again.
func TestPartsAreKept(t *testing.T) {
	fsys := newCounting(numbered(0, 20))
	r := newReader(t, defaults())
	read := func(limit, feed int, sample float64) int {
		t.Helper()
		r.o.Limit, r.o.Sample = limit, sample
		if _, err := r.open(t.Context(), ingest.Feed{Source: ingest.NewFolder("photos", fsys, ".", ingest.Columns{}), Limit: feed}); err != nil {
			t.Fatal(err)
		}
		return fsys.images()
	}
	if n := read(4, 0, 0); n != 4 {
		t.Errorf("the first 4: read %d", n)
	}
	if n := read(4, 0, 0); n != 0 {
		t.Errorf("the first 4 again: read %d", n)
	}
	if n := read(0, 6, 0); n != 2 {
		t.Errorf("the first 6 of the source: read %d, want the other 2", n)
	}
	sampled := read(0, 0, 0.5)
	if sampled == 0 || sampled > 14 {
		t.Errorf("a sample: read %d", sampled)
	}
	if n := read(0, 0, 0.5); n != 0 {
		t.Errorf("the sample again: read %d", n)
	}
	if n := read(0, 0, 0); n != 14-sampled {
		t.Errorf("all: read %d, want %d", n, 14-sampled)
	}
	if n := read(0, 0, 0); n != 0 {
		t.Errorf("all again: read %d", n)
	}
}

// TestHeaderChanges: rows that are read otherwise are other rows.
func TestHeaderChanges(t *testing.T) {
	r := newReader(t, defaults())
	caption := func(header string) string {
		t.Helper()
		fsys := fstest.MapFS{"x.csv": file(header + "\nthe first text of a row,the second text of a row,a.png\n"), "a.png": {Data: drawing(1, 64)}}
		items, err := r.open(t.Context(), ingest.Feed{Source: ingest.NewTable("t", ingest.Location{FS: fsys, Pattern: "x.csv"}, ingest.TableOptions{})})
		if err != nil || len(items) != 1 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		return items[0].Value.Prompt
	}
	if got := caption("caption,alt,image"); got != "the first text of a row" {
		t.Errorf("got %q", got)
	}
	if got := caption("alt,caption,image"); got != "the second text of a row" {
		t.Errorf("got %q", got)
	}
}

// TestMix: sources alternate in proportion to their weights, up to their own
// limits and that of all.
func TestMix(t *testing.T) {
	feed := func(name string, first, n, limit int, weight float64) ingest.Feed {
		return ingest.Feed{Source: ingest.NewFolder(name, numbered(first, n), ".", ingest.Columns{}), Limit: limit, Weight: weight}
	}
	for _, c := range []struct {
		name  string
		feeds []ingest.Feed
		limit int
		want  string
	}{
		{"one after another", []ingest.Feed{feed("a", 0, 3, 0, 0), feed("b", 10, 2, 0, 0)}, 0, "aaabb"},
		{"by weight", []ingest.Feed{feed("a", 0, 6, 0, 2), feed("b", 10, 4, 0, 1)}, 0, "abaabaabab"},
		{"by weight, limited", []ingest.Feed{feed("a", 0, 6, 0, 2), feed("b", 10, 4, 0, 1)}, 6, "abaaba"},
		{"limits of their own", []ingest.Feed{feed("a", 0, 6, 2, 0), feed("b", 10, 4, 1, 0)}, 0, "aab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReader(t, defaults())
			r.o.Limit = c.limit
			items, err := r.open(t.Context(), c.feeds...)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, item := range items {
				got += item.Value.Source
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestSimilarPairs: exact duplicates, images that look alike and prompts that
// say the same, across sources; of the images the largest stays, and a pair of
// the snapshot that is built upon stays before any other.
func TestSimilarPairs(t *testing.T) {
	a := fstest.MapFS{
		"small.png": {Data: drawing(1, 128)}, "small.txt": file("a tower of blocks"),
		"other.png": {Data: drawing(2, 128)}, "other.txt": file("quite another thing in many words"),
		"same.png": {Data: drawing(2, 128)}, "same.txt": file("quite another thing in many words"),
	}
	b := fstest.MapFS{
		"large.png": {Data: drawing(1, 256)}, "large.txt": file("the same tower, larger"),
		"again.png": {Data: drawing(3, 128)}, "again.txt": file("Quite another thing,  in many words."),
	}
	feeds := []ingest.Feed{folder(a), {Source: ingest.NewFolder("more", b, ".", ingest.Columns{})}}
	r := newReader(t, defaults())
	r.o.Duplicates = ingest.DuplicateOptions{ImageDistance: 31, PromptSimilarity: ingest.DefaultPromptSimilarity}
	read := func() ([]irgdata.Item[irgdata.Pair], string) {
		t.Helper()
		items, err := r.open(t.Context(), feeds...)
		if err != nil {
			t.Fatal(err)
		}
		lines := keys(items)
		slices.Sort(lines)
		return items, strings.Join(lines, ", ")
	}
	items, got := read()
	// Of the prompts that say the same, the pair of the smaller identity stays.
	want := "duplicate same.png, large.png, other.png, similar_image small.png, similar_prompt again.png"
	if got != want {
		want = "again.png, duplicate same.png, large.png, similar_image small.png, similar_prompt other.png"
	}
	if got != want {
		t.Errorf("got %s", got)
	}
	kept := map[irgdata.Digest]bool{}
	for _, item := range items {
		if item.Reject == nil {
			kept[item.Value.ID] = true
		}
	}
	r.o.Preferred = func(id irgdata.Digest) bool { return kept[id] }
	if _, again := read(); again != got {
		t.Errorf("over its own result: got %s, want %s", again, got)
	}
	small := irgdata.PairID("a tower of blocks", irgdata.DigestOf(a["small.png"].Data))
	r.o.Preferred = func(id irgdata.Digest) bool { return id == small }
	if _, got := read(); !strings.Contains(got, "similar_image large.png") {
		t.Errorf("a pair of the snapshot before went: %s", got)
	}
}

// TestContaminated: a prompt of a benchmark is a reject that says which; its pair
// takes the place of no other, and the catalog knows nothing of it.
func TestContaminated(t *testing.T) {
	source := ingest.Feed{Source: ingest.NewFolder("photos", fstest.MapFS{
		"a.png": {Data: drawing(1, 256)}, "a.txt": file("a tower of blocks"), // the larger of two alike
		"b.png": {Data: drawing(1, 128)}, "b.txt": file("the same tower, in other words"),
		"c.png": {Data: drawing(2, 128)}, "c.txt": file("a red fox in the snow"),
	}, ".", ingest.Columns{})}
	r := newReader(t, defaults())
	r.o.Duplicates = ingest.DuplicateOptions{ImageDistance: 31}
	read := func(want string) []irgdata.Item[irgdata.Pair] {
		t.Helper()
		items, err := r.open(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(keys(items), ", "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return items
	}
	const clean = "a.png, similar_image b.png, c.png"
	read(clean)
	var asked []string
	r.o.Contaminated = func(prompt string) (string, float64, bool) {
		asked = append(asked, prompt)
		return "the prompt is one of benchmark towers", 0.9, prompt == "a tower of blocks"
	}
	reject := read("contaminated a.png, b.png, c.png")[0].Reject // from the catalog
	if reject.Stage != "ingest" || reject.Reason != "the prompt is one of benchmark towers" || reject.Score != 0.9 || reject.Pair.Prompt != "a tower of blocks" {
		t.Errorf("the reject is %+v", reject)
	}
	if len(asked) != 3 {
		t.Errorf("asked about %q", asked)
	}
	r.o.Contaminated = nil
	read(clean)
}

// TestOrderOfSources: which pairs stay does not depend on the order of the
// sources or the number of workers.
func TestOrderOfSources(t *testing.T) {
	stay := func(workers int, feeds ...ingest.Feed) (ids []string) {
		r := newReader(t, defaults())
		r.o.Workers, r.o.Loaders = workers, workers
		r.o.Duplicates = ingest.DuplicateOptions{ImageDistance: 31}
		items, err := r.open(t.Context(), feeds...)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if item.Reject == nil {
				ids = append(ids, item.Value.ID.String())
			}
		}
		slices.Sort(ids)
		return ids
	}
	n := 30
	if testing.Short() {
		n = 10
	}
	a, b := numbered(0, n), fstest.MapFS{}
	for i := range n {
		a[fmt.Sprintf("%04d.png", i)] = &fstest.MapFile{Data: drawing(uint64(i), 192)}
	}
	for i := range n { // half of them again, in another size
		b[fmt.Sprintf("%04d.png", i)] = &fstest.MapFile{Data: drawing(uint64(i*2), 128+64*(i%3))}
		b[fmt.Sprintf("%04d.txt", i)] = file(fmt.Sprintf("picture number %d of the second set", i))
	}
	x, y := folder(a), ingest.Feed{Source: ingest.NewFolder("b", b, ".", ingest.Columns{})}
	want := stay(1, x, y)
	if len(want) != n+n/2 {
		t.Errorf("%d stay", len(want))
	}
	if got := stay(4, y, x); !slices.Equal(got, want) {
		t.Errorf("in another order %d stay, want the same %d", len(got), len(want))
	}
}

// TestSample: a part is drawn evenly and is the same each time, and nothing
// that was passed over counts as read.
func TestSample(t *testing.T) {
	r := newReader(t, defaults())
	r.o.Sample = 0.25
	source := folder(numbered(0, 400))
	first, err := r.open(t.Context(), source)
	if err != nil || len(first) < 70 || len(first) > 130 {
		t.Fatalf("%d of 400, %v", len(first), err)
	}
	again, err := r.open(t.Context(), source)
	if err != nil || !slices.Equal(keys(first), keys(again)) {
		t.Errorf("%d, then %d, %v", len(first), len(again), err)
	}
	r.o.Sample = 0
	if all, err := r.open(t.Context(), source); err != nil || len(all) != 400 {
		t.Errorf("%d of 400, %v", len(all), err)
	}
}

// TestPromptsAlone: a list of prompts gives pairs without an image.
func TestPromptsAlone(t *testing.T) {
	source := ingest.NewTable("p", ingest.Location{FS: fstest.MapFS{"p.txt": file("a red fox\na red fox\n\ncaf\xe9\n")}, Pattern: "p.txt"}, ingest.TableOptions{PromptOnly: true})
	items, err := newReader(t, defaults()).open(t.Context(), ingest.Feed{Source: source, License: "CC0-1.0"})
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	if p := items[0].Value; p.Prompt != "a red fox" || !p.Image.IsZero() || p.License != "CC0-1.0" || p.ID != irgdata.PairID("a red fox", irgdata.Digest{}) {
		t.Errorf("got %+v", p)
	}
	if items[1].Reject == nil || items[1].Reject.Rule != "duplicate" || items[2].Value.Prompt != "café" {
		t.Errorf("got %v", keys(items))
	}
}
