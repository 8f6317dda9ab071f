package export_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// benchRows trajectories have two images of about 400 kB each.
const benchRows = 250

// noise is a picture that does not compress.
func noise(b testing.TB, seed uint64) []byte {
	b.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 360, 360))
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range img.Pix {
		img.Pix[i] = uint8(random.Uint32()) | uint8(i%4/3*255)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// noisyItems are trajectories whose pictures are in the store, and the size of
// those pictures.
func noisyItems(b *testing.B, pictures *images.Store) (all []irgdata.Item[irgdata.Judged], size int64) {
	for i := range benchRows {
		item, err := item(b.Context(), 5*i, pictures)
		if err != nil {
			b.Fatal(err)
		}
		t := &item.Value.Trajectory
		for s, slot := range []irgdata.Slot{irgdata.SlotReference, irgdata.SlotDraft} {
			ref, err := pictures.Put(b.Context(), noise(b, uint64(2*i+s)))
			if err != nil {
				b.Fatal(err)
			}
			t.Slots[slot].Image = ref
			size += ref.Size
		}
		t.Pair.Image = t.Slots[irgdata.SlotReference].Image
		t.Pair.ID = irgdata.PairID(t.Pair.Prompt, t.Pair.Image.Digest)
		t.Slots[irgdata.SlotImproved].Image = t.Pair.Image
		all = append(all, item)
	}
	return all, size
}

// benchShards are the options that a build has by default.
func benchShards(b *testing.B) export.ShardOptions {
	return export.ShardOptions{Modes: modes.All(), Bytes: 500e6, RowGroupBytes: 32 << 20, RowGroupRows: 100, Workers: 2, Work: b.TempDir()}
}

// BenchmarkWriteShards measures the writing of a snapshot's shards, images
// read from the store and all; BenchmarkPlainWrite is the peer: the same bytes
// written to one file and synchronised.
func BenchmarkWriteShards(b *testing.B) {
	pictures := images.NewStore(newStore(b))
	all, size := noisyItems(b, pictures)
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		dest := newStore(b)
		b.StartTimer()
		if _, _, err := export.WriteShards(b.Context(), given(all), pictures, dest, new(export.Previous), benchShards(b)); err != nil {
			b.Fatal(err)
		}
	}
}

func given(all []irgdata.Item[irgdata.Judged]) iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	return func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func BenchmarkPlainWrite(b *testing.B) {
	var content [][]byte
	size := int64(0)
	for i := range 2 * benchRows {
		content = append(content, noise(b, uint64(i)))
		size += int64(len(content[i]))
	}
	dir := b.TempDir()
	b.SetBytes(size)
	n := 0
	for b.Loop() {
		n++
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range content {
			if _, err := file.Write(c); err != nil {
				b.Fatal(err)
			}
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		if err := file.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteIRG measures the export of a snapshot to the trainer's form,
// by the bytes of the Parquet files written: each picture in the rows of up to
// four modes, as base64. BenchmarkPlainWrite is the peer here too. The fastest, and
// the processors' time, tell something on a machine that others use too. With
// IRGDATA_BENCH_KEEP=DIR the snapshot and its export stay in DIR, for
// docs/bench/export.sh.
func BenchmarkWriteIRG(b *testing.B) {
	store, keep := newStore(b), os.Getenv("IRGDATA_BENCH_KEEP")
	if keep != "" {
		var err error
		if store, err = blob.NewFile(filepath.Join(keep, "store")); err != nil {
			b.Fatal(err)
		}
	}
	pictures := images.NewStore(store)
	all, _ := noisyItems(b, pictures)
	s, err := publishItems(b.Context(), store, given(all), pictures, benchShards(b))
	if err != nil {
		b.Fatal(err)
	}
	var m export.Manifest
	var dest *blob.File
	fastest, least := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for b.Loop() {
		b.StopTimer()
		if dest != nil { // as the peers do: a machine's free memory is faster than new memory
			if err := os.RemoveAll(dest.URL(".")); err != nil {
				b.Fatal(err)
			}
		}
		dest = newStore(b)
		b.StartTimer()
		start, used := time.Now(), processorTime(b)
		if m, _, err = export.WriteIRG(b.Context(), store, s, dest, options(b, 2, 2)); err != nil {
			b.Fatal(err)
		}
		fastest, least = min(fastest, time.Since(start)), min(least, processorTime(b)-used)
	}
	b.ReportMetric(fastest.Seconds(), "s/fastest")
	b.ReportMetric(least.Seconds(), "cpu-s/least")
	b.SetBytes(bytesOf(m))
	if keep != "" {
		if err := os.CopyFS(filepath.Join(keep, "export"), os.DirFS(dest.URL("."))); err != nil {
			b.Fatal(err)
		}
	}
}

// noisyExport publishes a snapshot of noisyItems and exports it.
func noisyExport(b *testing.B) (store *blob.File, s manifests.Snapshot, dest *blob.File, m export.Manifest) {
	b.Helper()
	store, dest = newStore(b), newStore(b)
	pictures := images.NewStore(store)
	all, _ := noisyItems(b, pictures)
	s, err := publishItems(b.Context(), store, given(all), pictures, benchShards(b))
	if err == nil {
		m, _, err = export.WriteIRG(b.Context(), store, s, dest, options(b, 2, 2))
	}
	if err != nil {
		b.Fatal(err)
	}
	return store, s, dest, m
}

// bytesOf is the size of an export's files.
func bytesOf(m export.Manifest) (size int64) {
	for _, mode := range m.Modes {
		for _, f := range mode.Files {
			size += f.Size
		}
	}
	return size
}

// BenchmarkWriteIRGToBucket measures the same export to a bucket of a real S3 server
// over loopback, as fast as that is and through a line of 1 Gbit/s, and beside it the
// putting of the same objects, all modes at a time.
func BenchmarkWriteIRGToBucket(b *testing.B) {
	s3 := s3test.Start(b)
	s3.Bucket(b, "exports")
	store, s, dest, m := noisyExport(b)
	size := bytesOf(m)
	puts := func(to blob.Store) error {
		putting := pool.New().WithErrors().WithMaxGoroutines(len(m.Modes))
		for o, err := range dest.List(b.Context(), "") {
			if err != nil {
				return err
			}
			putting.Go(func() error {
				body, err := dest.Open(b.Context(), o.Key, 0, -1)
				if err != nil {
					return err
				}
				defer body.Close()
				return to.Put(b.Context(), o.Key, body, blob.PutOptions{Size: o.Size})
			})
		}
		return putting.Wait()
	}
	exported := func(to blob.Store) error {
		_, _, err := export.WriteIRG(b.Context(), store, s, to, options(b, 2, 2))
		return err
	}
	for _, line := range []struct{ name, endpoint string }{{"loopback", s3.Endpoint}, {"1Gbit", slowLine(b, s3.Endpoint, 125e6)}} {
		for _, work := range []struct {
			name string
			do   func(blob.Store) error
		}{{"export", exported}, {"puts", puts}} {
			b.Run(line.name+"/"+work.name, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					to, err := blob.NewS3(b.Context(), blob.S3Options{Bucket: "exports", Prefix: "here", Endpoint: line.endpoint, PathStyle: true})
					if err == nil {
						err = work.do(to)
					}
					if err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					if err := os.RemoveAll(filepath.Join(s3.Dir, "exports", "here")); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}

// slowLine passes what comes on to a server, at most so many bytes a second of all
// connections together, until the benchmark ends. What the server says is not held up.
func slowLine(b *testing.B, server string, rate float64) (endpoint string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var lines conc.WaitGroup
	b.Cleanup(func() { l.Close(); lines.Wait() })
	var lock sync.Mutex
	var free time.Time // when the line has passed on all that it was given
	hold := func(n int) {
		lock.Lock()
		free = time.Unix(0, max(free.UnixNano(), time.Now().UnixNano())).Add(time.Duration(float64(n) / rate * 1e9))
		until := free
		lock.Unlock()
		time.Sleep(time.Until(until))
	}
	lines.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			onward, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
			if err != nil {
				client.Close()
				continue
			}
			lines.Go(func() { _, _ = io.Copy(client, onward); client.Close() })
			lines.Go(func() {
				defer onward.Close()
				piece := make([]byte, 64<<10)
				for {
					n, err := client.Read(piece)
					hold(n)
					if _, failed := onward.Write(piece[:n]); err != nil || failed != nil {
						return
					}
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

// processorTime is what the process used so far, in the kernel too.
func processorTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkCheck measures the reading of an export as the loader would, by the
// bytes of the conversations: decompressed, parsed, and each image's header
// read.
func BenchmarkCheck(b *testing.B) {
	_, _, dest, m := noisyExport(b)
	b.SetBytes(bytesOf(m))
	for b.Loop() {
		r, err := loader.Check(b.Context(), loader.InFolder(dest.URL(".")), loader.Options{Ranks: 2, Workers: 2, Seed: 42, Jobs: 2})
		if err != nil || !r.Whole() {
			b.Fatal(err, r)
		}
	}
}

// BenchmarkWrite measures the other formats by the bytes that they write, in
// full and shuffled; BenchmarkPlainWrite is the peer.
func BenchmarkWrite(b *testing.B) {
	store := newStore(b)
	pictures := images.NewStore(store)
	all, _ := noisyItems(b, pictures)
	s, err := publishItems(b.Context(), store, given(all), pictures, benchShards(b))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range otherFormats() {
		for _, sel := range []export.Selection{{}, {Shuffle: true}} {
			b.Run(fmt.Sprintf("%s/shuffle=%t", f, sel.Shuffle), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					dest := newStore(b)
					b.StartTimer()
					if _, _, err := export.Write(b.Context(), store, s, dest, formatOptions(b, f, sel)); err != nil {
						b.Fatal(err)
					}
					size := int64(0)
					for o, err := range dest.List(b.Context(), "") {
						if err != nil {
							b.Fatal(err)
						}
						size += o.Size
					}
					b.SetBytes(size)
				}
			})
		}
	}
}
