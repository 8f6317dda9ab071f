package filter_test

import (
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// BenchmarkFilter judges one trajectory with two pictures of 256×256, measured
// anew and by its stored scores.
func BenchmarkFilter(b *testing.B) {
	store := newImages(b)
	tr := good(b, store)
	c, _, err := filter.DefaultConfig().Complete()
	if err != nil {
		b.Fatal(err)
	}
	rules, _, err := c.New(filter.Environment{Prompts: modes.DefaultPrompts()})
	if err != nil {
		b.Fatal(err)
	}
	l, err := manifests.OpenLedger(b.Context(), filepath.Join(b.TempDir(), "ledger.sqlite"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	scores, err := l.Scores(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer scores.Close(b.Context())
	for _, bc := range []struct {
		name   string
		scores *manifests.Scores
	}{{"measured", nil}, {"stored", scores}} {
		b.Run(bc.name, func(b *testing.B) {
			run := func(n int) {
				in := func(yield func(irgdata.Item[irgdata.Trajectory], error) bool) {
					for range n {
						if !yield(irgdata.Item[irgdata.Trajectory]{Value: tr}, nil) {
							return
						}
					}
				}
				for _, err := range filter.Run(b.Context(), in, filter.Options{Modes: modes.All(), Rules: rules, Workers: 1, Scores: bc.scores}, store) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			run(1)
			if bc.scores != nil {
				if err := bc.scores.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				run(100)
				n += 100
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "trajectories/s")
		})
	}
}
