package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
)

// archives writes tar archives of n photos of 1024×768 with captions, and
// returns their bytes.
func archives(b *testing.B, dir string, shards, n int) (size int64) {
	b.Helper()
	for s := range shards {
		var files []string
		for i := range n {
			name := fmt.Sprintf("%06d", s*n+i)
			files = append(files, name+".jpg", string(photo(b, uint64(s*n+i))), name+".txt", fmt.Sprintf("photo %s of a valley in the light of %d suns", name, i))
		}
		content := tarOf(b, files...)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.tar", s)), content, 0o644); err != nil {
			b.Fatal(err)
		}
		size += int64(len(content))
	}
	return size
}

// photo is smooth with grain, as of a camera.
func photo(b *testing.B, seed uint64) []byte {
	b.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	x0, y0 := 1+r.IntN(40), 1+r.IntN(40)
	img := image.NewRGBA(image.Rect(0, 0, 1024, 768))
	for y := range 768 {
		for x := range 1024 {
			g := uint8(r.IntN(16))
			img.SetRGBA(x, y, color.RGBA{R: uint8(x*x0/97) + g, G: uint8(y*y0/83) + g, B: uint8((x*y0^y*x0)>>6) + g, A: 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return encoded.Bytes()
}

// BenchmarkIngest compares reading archives of photos, decoding and comparing
// each, with a plain read and digest of the same bytes.
func BenchmarkIngest(b *testing.B) {
	const shards, each = 4, 25
	dir := b.TempDir()
	size := archives(b, dir, shards, each)
	source := func() ingest.Feed {
		return ingest.Feed{Source: ingest.NewTar("photos", ingest.Location{FS: os.DirFS(dir), Pattern: "*.tar"}, ingest.Columns{})}
	}
	admission, err := ingest.NewAdmission(defaults(), images.NewMemory(1<<30), nil)
	if err != nil {
		b.Fatal(err)
	}
	o := ingest.Options{Workers: 2, Loaders: 32, Work: b.TempDir(), Duplicates: ingest.DuplicateOptions{ImageDistance: ingest.DefaultImageDistance, PromptSimilarity: ingest.DefaultPromptSimilarity}}
	read := func(b *testing.B, catalog *manifests.Catalog) {
		n := 0
		for _, err := range ingest.Open(b.Context(), []ingest.Feed{source()}, admission, o, catalog, func(context.Context, []byte) error { return nil }) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != shards*each {
			b.Fatalf("%d items", n)
		}
	}
	perImage := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*shards*each/b.Elapsed().Seconds(), "images/s")
	}
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for s := range shards {
				f, err := os.Open(filepath.Join(dir, fmt.Sprintf("%05d.tar", s)))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(sha256.New(), f); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		}
		perImage(b)
	})
	b.Run("new", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			read(b, nil)
		}
		perImage(b)
	})
	b.Run("known", func(b *testing.B) {
		r := newReader(b, defaults())
		catalog := manifests.NewCatalog(r.store)
		read(b, catalog)
		b.SetBytes(size)
		for b.Loop() {
			read(b, catalog)
		}
		perImage(b)
	})
}
