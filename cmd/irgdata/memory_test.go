package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

const (
	// measureIn names the folder in which a child process builds and measures
	// itself.
	measureIn = "IRGDATA_TEST_MEASURE_IN"
	// measurePairs and memoryCeiling are stated in docs/benchmarks.md.
	measurePairs  = 20_000
	memoryCeiling = 300 << 20
)

// instantModel answers at no cost, from a digest of the context.
type instantModel struct{}

func (instantModel) Identity() runtime.Identity {
	return runtime.Identity{Name: "instant", Revision: "1"}
}

func (instantModel) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	d := irgdata.NewDigester("instant").Uint(r.Sampling.Seed)
	reflection := false
	for _, p := range r.Context {
		d.Text(p.Text)
		reflection = reflection || strings.Contains(p.Text, "Step-by-Step")
	}
	if r.Want == runtime.Paint {
		return runtime.Answer{Image: paint(d.Sum(), r.Sampling.Width, r.Sampling.Height), Finish: "stop"}, nil
	}
	return runtime.Answer{Text: thought(d.Sum(), reflection), Finish: "stop"}, nil
}

// madeFolder is a folder of n captioned pictures that exists only as it is
// read.
type madeFolder struct {
	n       int
	picture []byte // of which each file is a variant
}

func newMadeFolder(n, side int) madeFolder {
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i := range img.Pix {
		img.Pix[i] = uint8(i ^ i/side)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // into memory
	}
	return madeFolder{n: n, picture: out.Bytes()}
}

func (m madeFolder) Open(name string) (fs.File, error) {
	if name == "." {
		return &madeDir{m: m}, nil
	}
	if i, ok := m.number(name, ".txt"); ok {
		return newMadeFile(name, fmt.Appendf(nil, "picture number %d", i)), nil
	}
	if i, ok := m.number(name, ".png"); ok {
		return newMadeFile(name, m.variant(i)), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m madeFolder) number(name, extension string) (int, bool) {
	digits, ok := strings.CutSuffix(name, extension)
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil
}

// variant is the picture with its number in a text chunk before the last
// chunk: another image by its bytes, at next to no cost.
func (m madeFolder) variant(i int) []byte {
	const lastChunk = 12 // IEND
	text := fmt.Appendf(nil, "tEXtnumber\x00%06d", i)
	out := slices.Clone(m.picture[:len(m.picture)-lastChunk])
	out = binary.BigEndian.AppendUint32(out, uint32(len(text)-4))
	out = append(out, text...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(text))
	return append(out, m.picture[len(m.picture)-lastChunk:]...)
}

type madeFile struct {
	*bytes.Reader
	fs.FileInfo
	name string
}

func newMadeFile(name string, content []byte) *madeFile {
	return &madeFile{Reader: bytes.NewReader(content), name: name}
}

func (f *madeFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *madeFile) Close() error               { return nil }
func (f *madeFile) Name() string               { return f.name }
func (f *madeFile) IsDir() bool                { return false }
func (f *madeFile) Size() int64                { return f.Reader.Size() }

// madeDir lists the folder.
type madeDir struct {
	madeFile
	m madeFolder
}

func (d *madeDir) Stat() (fs.FileInfo, error) { return d, nil }
func (d *madeDir) IsDir() bool                { return true }
func (d *madeDir) Read([]byte) (int, error)   { return 0, errors.New("a folder") }
func (d *madeDir) ReadDir(int) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	for i := range d.m.n {
		entries = append(entries, fs.FileInfoToDirEntry(newMadeFile(fmt.Sprintf("%06d.png", i), nil)))
	}
	return entries, nil
}

// instantDataset opens a dataset over n made pairs and the instant model.
func instantDataset(ctx context.Context, root string, n, side int) (*dataset, error) {
	c := newConfig()
	c.Sources = []Source{{Name: "made", Bundled: "sample"}} // replaced below
	c.Store, c.Work, c.Export.To = filepath.Join(root, "store"), filepath.Join(root, "work"), filepath.Join(root, "export")
	c.Image = ImageSize{Width: 64, Height: 64}
	c.Filter.MinDifference = 0
	c.dir = "."
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	d := &dataset{config: c, log: slog.New(slog.DiscardHandler)}
	d.openModel = func(context.Context, string, access) (runtime.Model, error) { return instantModel{}, nil }
	if err := d.open(ctx, write); err != nil {
		return nil, err
	}
	d.sources = []ingest.Source{ingest.NewFolder("made", newMadeFolder(n, side))}
	return d, nil
}

// measure builds in root and prints the largest resident set that the process
// had, in bytes.
func measure(root string) int {
	ctx := context.Background()
	d, err := instantDataset(ctx, root, measurePairs, 64)
	if err == nil {
		var r result
		if r, err = d.run(ctx, newProgress(io.Discard)); err == nil && r.snapshot.Counts.Trajectories != measurePairs {
			err = fmt.Errorf("%+v", r.snapshot.Counts)
		}
		err = errors.Join(err, d.close(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	peak, err := peakMemory()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(peak)
	return 0
}

// peakMemory is this process's high-water mark, which Linux keeps.
func peakMemory() (int64, error) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// TestMemoryIsBounded builds from 20,000 pairs in a process of its own, with
// Go's own settings, and holds its largest resident set against the ceiling.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds 20,000 pairs")
	}
	if raceEnabled {
		t.Skip("the race detector multiplies memory")
	}
	if _, err := peakMemory(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), measureIn+"="+t.TempDir(), "GOMEMLIMIT=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	peak, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pairs: at most %d MiB resident", measurePairs, peak>>20)
	if peak > memoryCeiling {
		t.Errorf("%d MiB were resident, want at most %d", peak>>20, memoryCeiling>>20)
	}
}

// BenchmarkBuild measures all stages with a model that costs nothing: the
// overhead of the pipeline for a pair of 256×256 pixels in all six modes.
func BenchmarkBuild(b *testing.B) {
	const pairs = 500
	for b.Loop() {
		d, err := instantDataset(b.Context(), b.TempDir(), pairs, 256)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.run(b.Context(), newProgress(io.Discard)); err != nil {
			b.Fatal(err)
		}
		if err := d.close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(pairs*b.N)/b.Elapsed().Seconds(), "pairs/s")
}

// BenchmarkRebuild measures a build that finds everything done, per 100,000
// calls in the ledger.
func BenchmarkRebuild(b *testing.B) {
	const pairs = 5000
	root := b.TempDir()
	build := func() int {
		d, err := instantDataset(b.Context(), root, pairs, 64)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.run(b.Context(), newProgress(io.Discard)); err != nil {
			b.Fatal(err)
		}
		if err := d.close(b.Context()); err != nil {
			b.Fatal(err)
		}
		return d.annotator.Tally().Total().Reused
	}
	build()
	calls := 0
	for b.Loop() {
		calls += build()
	}
	if calls != b.N*pairs*len(modes.StepsFor(irgdata.Distill, modes.All())) {
		b.Fatalf("%d calls were reused", calls)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(calls)*100_000, "s/100k-calls")
}
