package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
// build, one that goes through every pair again, one that finds nothing changed, one
// that must look for changes and finds none, one that finds 1% more pairs, and verify,
// each with the seconds it took and those of the processors. IRGDATA_BENCH_PAIRS sets
// the number of pairs. With IRGDATA_BENCH_ROOT the dataset stays in that folder, and
// one that is there already is not built first.
func BenchmarkRefresh(b *testing.B) {
	pairs := 2000
	if text := os.Getenv("IRGDATA_BENCH_PAIRS"); text != "" {
		if _, err := fmt.Sscan(text, &pairs); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		root := os.Getenv("IRGDATA_BENCH_ROOT")
		if root == "" {
			root = b.TempDir()
		}
		measure := func(what string, do func() error) {
			start, used := time.Now(), processorTime(b)
			if err := do(); err != nil {
				b.Fatalf("%s: %v", what, err)
			}
			b.ReportMetric(time.Since(start).Seconds(), what+"-s")
			b.ReportMetric((processorTime(b) - used).Seconds(), what+"-cpu-s")
		}
		build := func(what string, n int) (r result) {
			measure(what, func() error {
				d, err := instantDataset(b.Context(), root, n, 64)
				if err != nil {
					return err
				}
				d.config.Export.Formats, d.config.retryDownloads = nil, what == "looked-over"
				r, err = d.run(b.Context(), newProgress(io.Discard))
				return errors.Join(err, d.close(b.Context()))
			})
			return r
		}
		store, err := blob.NewFile(filepath.Join(root, "store"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err = manifests.Latest(b.Context(), store); errors.Is(err, manifests.ErrNoSnapshot) {
			build("first", pairs)
			_, err = manifests.Latest(b.Context(), store)
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(root, "store", "provenance")); err != nil {
			b.Fatal(err)
		}
		all := build("all-again", pairs)
		same, over := build("unchanged", pairs), build("looked-over", pairs)
		grown := build("1%-more", pairs+pairs/100)
		if made := pairs / 100 * len(modes.StepsFor(irgdata.Distill, modes.All(), false)); all.calls.Made != 0 || all.published || !same.unchanged || over.takenOver != over.snapshot.Counts.Items || grown.calls.Made != made {
			b.Fatalf("%d calls made, unchanged %v, %d taken over, then %d calls made, want %d", all.calls.Made, same.unchanged, over.takenOver, grown.calls.Made, made)
		}
		for _, full := range []bool{false, true} {
			measure(map[bool]string{false: "verify", true: "verify-full"}[full], func() error {
				report, err := manifests.Verify(b.Context(), store, grown.snapshot, manifests.VerifyOptions{Full: full, Work: root, Workers: 2})
				if len(report.Problems) > 0 {
					err = errors.Join(err, fmt.Errorf("found %v", report.Problems))
				}
				return err
			})
		}
		if peak, err := peakMemory(); err == nil {
			b.ReportMetric(float64(peak)/(1<<20), "MiB")
		}
	}
}

// processorTime is what this process has taken of the processors.
func processorTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
