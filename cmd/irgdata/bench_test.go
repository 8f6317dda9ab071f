package main

import (
	"io"
	"testing"

	"github.com/irgdata/irgdata"
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
	if calls != b.N*pairs*len(modes.StepsFor(irgdata.Distill, modes.All(), false)) {
		b.Fatalf("%d calls were reused", calls)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(calls)*100_000, "s/100k-calls")
}
