package export_test

import (
	"context"
	"fmt"
	"image"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"bytes"
	"image/png"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
)

// benchRows trajectories have two images of about 400 kB each.
const benchRows = 250

// noise is a picture that does not compress.
func noise(b *testing.B, seed uint64) []byte {
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

// BenchmarkWriteShards measures the writing of a snapshot's shards, images
// read from the store and all; BenchmarkPlainWrite is the peer: the same bytes
// written to one file and synchronised.
func BenchmarkWriteShards(b *testing.B) {
	store := newStore(b)
	pictures := images.NewStore(store)
	var all []irgdata.Item[irgdata.Judged]
	size := int64(0)
	for i := range benchRows {
		item, err := item(b.Context(), i*5, pictures)
		if err != nil {
			b.Fatal(err)
		}
		for s, slot := range []irgdata.Slot{irgdata.SlotReference, irgdata.SlotDraft} {
			ref, err := pictures.Put(b.Context(), noise(b, uint64(2*i+s)))
			if err != nil {
				b.Fatal(err)
			}
			item.Value.Trajectory.Slots[slot].Image = ref
			size += ref.Size
		}
		all = append(all, item)
	}
	o := export.ShardOptions{Modes: modes.All(), Bytes: 500e6, RowGroupBytes: 32 << 20, RowGroupRows: 100, Workers: 2, Work: b.TempDir()}
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		dest := newStore(b)
		b.StartTimer()
		if _, err := export.WriteShards(b.Context(), given(all), pictures, dest, o); err != nil {
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
// by the bytes of the Parquet files written.
func BenchmarkWriteIRG(b *testing.B) {
	store := newStore(b)
	s, err := publish(b.Context(), b, store, 500, 2)
	if err != nil {
		b.Fatal(err)
	}
	written := int64(0)
	for b.Loop() {
		m, _, err := export.WriteIRG(context.Background(), store, s, newStore(b), options(b, 2, 2))
		if err != nil {
			b.Fatal(err)
		}
		written = 0
		for _, mode := range m.Modes {
			for _, f := range mode.Files {
				written += f.Size
			}
		}
	}
	b.SetBytes(written)
}
