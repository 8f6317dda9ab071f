package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

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

// BenchmarkRefresh measures how the cost of a dataset grows with it: the first
// build, one that finds nothing changed, one that finds 1% more pairs, one that
// has to look at every pair again, and verify, each with the seconds it took.
// IRGDATA_BENCH_PAIRS sets the number of pairs.
func BenchmarkRefresh(b *testing.B) {
	pairs := 2000
	if text := os.Getenv("IRGDATA_BENCH_PAIRS"); text != "" {
		if _, err := fmt.Sscan(text, &pairs); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		root := b.TempDir()
		build := func(n int) (result, float64) {
			start := time.Now()
			d, err := instantDataset(b.Context(), root, n, 64)
			if err != nil {
				b.Fatal(err)
			}
			d.config.Export.Formats = nil
			r, err := d.run(b.Context(), newProgress(io.Discard))
			if err == nil {
				err = d.close(b.Context())
			}
			if err != nil {
				b.Fatal(err)
			}
			return r, time.Since(start).Seconds()
		}
		_, first := build(pairs)
		same, unchanged := build(pairs)
		grown, more := build(pairs + pairs/100)
		provenance := filepath.Join(root, "store", filepath.FromSlash(manifests.ProvenanceKey(grown.snapshot.Number)))
		if err := os.Remove(provenance); err != nil {
			b.Fatal(err)
		}
		all, again := build(pairs + pairs/100)
		if made := pairs / 100 * len(modes.StepsFor(irgdata.Distill, modes.All(), false)); !same.unchanged || grown.calls.Made != made || all.calls.Made != 0 || all.published {
			b.Fatalf("unchanged %v, then %d calls made, want %d, then %d", same.unchanged, grown.calls.Made, made, all.calls.Made)
		}
		store, err := blob.NewFile(filepath.Join(root, "store"))
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if report, err := manifests.Verify(b.Context(), store, all.snapshot, manifests.VerifyOptions{Work: root, Workers: 2}); err != nil || len(report.Problems) > 0 {
			b.Fatalf("%v, %v", report.Problems, err)
		}
		verify := time.Since(start).Seconds()
		b.ReportMetric(first, "first-s")
		b.ReportMetric(unchanged, "unchanged-s")
		b.ReportMetric(more, "1%-more-s")
		b.ReportMetric(again, "all-again-s")
		b.ReportMetric(verify, "verify-s")
		if peak, err := peakMemory(); err == nil {
			b.ReportMetric(float64(peak)/(1<<20), "MiB")
		}
	}
}
