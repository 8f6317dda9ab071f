package export

import (
	"context"
	"iter"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// selected is a trajectory with the modes that it is taken under.
type selected struct {
	record
	under []bool // by the wanted modes
}

// inOrder yields the trajectories of a snapshot in the order of the sources.
func inOrder(ctx context.Context, store blob.Store, s manifests.Snapshot, wanted []modes.Mode, work string) iter.Seq2[selected, error] {
	return func(yield func(selected, error) bool) {
		for _, shard := range s.Shards {
			for r, err := range readShard(ctx, store, shard, work) {
				x := selected{record: r, under: make([]bool, len(wanted))}
				for i, m := range wanted {
					x.under[i] = err == nil && r.keeps[m.Name]
				}
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	}
}
