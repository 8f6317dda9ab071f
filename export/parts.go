package export

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// A snapshot is made in parts of a thousand items or so, each with shards of its
// own, so that a part of which nothing has changed is taken over from the
// snapshot before: without a look at its calls, scores and images. Where a part
// ends is a matter of its last item alone, unless it is at its bounds, so that an
// item that is added or removed changes one part, or a few.

// PartSizes are numbers of items. Mean is counted from Least on.
type PartSizes struct{ Least, Mean, Most int }

// DefaultPartSizes are those of datasets that are not tiny.
func DefaultPartSizes() PartSizes { return PartSizes{Least: 256, Mean: 1024, Most: 4096} }

// mostPartText bounds the prompts of a part, whose items are held until it ends:
// there are rejects of captions that are far too long.
const mostPartText = 32 << 20

// Cut marks the parts of the sequence. What of a part is not in the items is in
// the key. The items of a part that is known are taken out.
func Cut(items iter.Seq2[irgdata.Item[irgdata.Pair], error], key irgdata.Digest, sizes PartSizes, known func(part irgdata.Digest) bool) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		var part []irgdata.Item[irgdata.Pair]
		digest, text := irgdata.NewDigester("part/1").Digest(key), 0
		end := func() bool {
			cut := irgdata.Cut{Part: digest.Sum()}
			if cut.Known = known(cut.Part); !cut.Known {
				for _, item := range part {
					if !yield(item, nil) {
						return false
					}
				}
			}
			clear(part) // else the longest part's prompts stay in memory
			part, digest, text = part[:0], irgdata.NewDigester("part/1").Digest(key), 0
			return yield(irgdata.Item[irgdata.Pair]{Cut: &cut}, nil)
		}
		for item, err := range items {
			if err != nil {
				yield(item, err)
				return
			}
			d := itemDigest(item)
			part = append(part, item)
			digest.Digest(d)
			text += len(pairOf(item).Prompt)
			last := len(part) >= sizes.Least && binary.BigEndian.Uint64(d[:8])%uint64(sizes.Mean) == 0
			if (last || len(part) >= sizes.Most || text >= mostPartText) && !end() {
				return
			}
		}
		if len(part) > 0 {
			end()
		}
	}
}

// pairOf is the pair, or that which was rejected.
func pairOf(item irgdata.Item[irgdata.Pair]) irgdata.Pair {
	if item.Reject != nil {
		return item.Reject.Pair
	}
	return item.Value
}

// itemDigest digests all fields of an item of ingest.
func itemDigest(item irgdata.Item[irgdata.Pair]) irgdata.Digest {
	d, p := irgdata.NewDigester("item/1"), pairOf(item)
	if r := item.Reject; r != nil {
		d.Text(r.Mode).Text(r.Stage).Text(r.Rule).Text(r.Reason).Uint(math.Float64bits(r.Score))
	}
	d.Digest(p.ID).Text(p.Prompt).Text(p.Source).Text(p.Key).Text(p.License).Text(p.URL).Text(p.Language)
	d.Digest(p.Image.Digest).Uint(uint64(p.Image.Size)).Text(p.Image.Format).Uint(uint64(p.Image.Width)).Uint(uint64(p.Image.Height))
	d.Uint(uint64(len(p.Notes)))
	for _, note := range p.Notes {
		d.Text(note)
	}
	return d.Sum()
}

// Previous knows what a snapshot is made of. One goroutine closes it when nobody
// uses it any more.
type Previous struct {
	parts   map[irgdata.Digest]manifests.Part
	whole   bool
	members *os.File // nil: no part is known
}

// OpenPrevious knows those parts of a snapshot whose shards are all in the store,
// in their sizes; of snapshot 0 there are none. It keeps the list of members in
// the folder work.
func OpenPrevious(ctx context.Context, store blob.Store, s manifests.Snapshot, from manifests.Provenance, work string) (*Previous, error) {
	p := &Previous{parts: map[irgdata.Digest]manifests.Part{}}
	if s.Number == 0 {
		return p, nil
	}
	sizes := map[string]int64{}
	for _, prefix := range []string{manifests.ShardPrefix, manifests.RejectPrefix} {
		for o, err := range store.List(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("look for the shards of snapshot %d: %w", s.Number, err)
			}
			sizes[o.Key] = o.Size
		}
	}
	there := func(shards []manifests.Shard) bool {
		return !slices.ContainsFunc(shards, func(shard manifests.Shard) bool { return sizes[shard.Key] != shard.Size })
	}
	var err error
	if s.Members.Count > 0 {
		p.members, err = s.Members.Spool(ctx, store, work)
		if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrDamaged) {
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the members of snapshot %d: %w", s.Number, err)
		}
	}
	p.whole = there(s.Shards) && there(s.Rejects)
	for _, part := range from.Parts {
		if there(part.Shards) && there(part.Rejects) {
			p.parts[part.Key] = part
		}
	}
	return p, nil
}

// Whole reports whether all shards of the snapshot are in the store.
func (p *Previous) Whole() bool { return p.whole }

// Knows reports whether WriteShards takes the part over.
func (p *Previous) Knows(part irgdata.Digest) bool {
	_, known := p.parts[part]
	return known
}

// membersOf reads the part's lines of the list of members.
func (p *Previous) membersOf(part manifests.Part) io.Reader {
	if p.members == nil {
		return strings.NewReader("")
	}
	size := int64(manifests.MemberBytes)
	return io.NewSectionReader(p.members, part.First*size, part.Counts.Trajectories*size)
}

// Close frees the list of members.
func (p *Previous) Close() error {
	if p.members == nil {
		return nil
	}
	return p.members.Close() // nameless: nothing is kept
}
