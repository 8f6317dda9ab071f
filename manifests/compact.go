package manifests

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// A compacted segment holds at most this many calls, with about this many bytes
// of texts: few objects to list and open, none of which takes much memory.
const (
	compactCalls = 50_000
	compactBytes = 32 << 20
)

// maxListings bounds how often segments are listed because one was gone when
// its turn came. Each time a compaction must have come between.
const maxListings = 10

// eachSegment visits each object under the prefix of segments once. A visit
// that gives [blob.ErrNotExist] met a compaction, which had put what it deleted
// elsewhere before: the objects are listed again, and new ones visited.
func eachSegment(ctx context.Context, store blob.Store, visit func(o blob.Object) error) error {
	visited := map[string]bool{}
	for listing := 1; ; listing++ {
		gone := false
		for o, err := range store.List(ctx, segmentPrefix) {
			if err != nil {
				return fmt.Errorf("list segments: %w", err)
			}
			if visited[o.Key] {
				continue
			}
			switch err := visit(o); {
			case errors.Is(err, blob.ErrNotExist) && listing < maxListings:
				gone = true
				continue
			case err != nil:
				return err
			}
			visited[o.Key] = true
		}
		if !gone {
			return nil
		}
	}
}

// Compaction is what [Compact] did, or would do.
type Compaction struct {
	// Segments and Bytes are all of the store before, as listed.
	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"`
	// Merged segments became Written ones, which have other bytes.
	Merged       int   `json:"merged"`
	MergedBytes  int64 `json:"merged_bytes"`
	Written      int   `json:"written"`
	WrittenBytes int64 `json:"written_bytes"`
	// Doubles are calls that several merged segments held; one of each is kept,
	// the one that holds in every ledger.
	Doubles int `json:"doubles"`
	// Purged calls are about pairs that were removed: what they cost is kept.
	Purged int `json:"purged,omitempty"`
}

// Compact merges the store's small segments into few: it writes what they hold
// together, and then deletes exactly those that it read. A dry run reads all and
// changes nothing.
//
// It may be killed at any point and run beside builds, readers and other
// compactions. A segment is deleted when another one is in the store that holds
// all of its calls and more, and that one is deleted on the same condition
// alone; so every call is in some segment at every time, unless it was purged
// ([Purge]).
func Compact(ctx context.Context, store blob.Store, dry bool) (Compaction, error) {
	p := new(purged)
	_, err := p.read(ctx, store)
	var c compaction
	if err == nil {
		c, err = compact(ctx, store, p, dry)
	}
	if err != nil {
		return c.Compaction, fmt.Errorf("compact the ledger's segments: %w", err)
	}
	return c.Compaction, nil
}

// compact is a compaction that leaves out what was purged. If more was meanwhile, it
// begins again: what it wrote may have that.
func compact(ctx context.Context, store blob.Store, p *purged, dry bool) (compaction, error) {
	c := compaction{store: store, purged: p, dry: dry}
	err := eachSegment(ctx, store, func(o blob.Object) error { return c.visit(ctx, o) })
	if err == nil {
		err = c.merge(ctx)
	}
	if err != nil || dry {
		return c, err
	}
	// With the segments goes the knowledge of what purged calls have painted.
	if err := p.put(ctx, store, painted(c.gone)); err != nil {
		return c, err
	}
	for _, key := range c.superseded {
		if err := store.Delete(ctx, key); err != nil {
			return c, err
		}
	}
	more, err := p.read(ctx, store)
	if err != nil || !more {
		return c, err
	}
	again, err := compact(ctx, store, p, dry)
	c.gone = append(c.gone, again.gone...)
	c.Purged = len(c.gone)
	return c, err
}

// compaction is one under way.
type compaction struct {
	Compaction
	store  blob.Store
	purged *purged
	dry    bool

	// The segments that will be merged next, and their calls.
	group []blob.Object
	segment
	bytes   int  // of the calls' texts
	rewrite bool // a call of theirs was purged

	gone       []Call   // that were purged, without their texts
	superseded []string // keys of merged segments
}

// visit reads a segment and adds it to the group, in place of one that it does
// not fit into.
func (c *compaction) visit(ctx context.Context, o blob.Object) error {
	digest, ok := segmentDigest(o.Key)
	if !ok {
		return nil // no object of ours
	}
	s, err := readSegment(ctx, c.store, o, digest)
	if err != nil {
		return fmt.Errorf("read segment %s: %w", c.store.URL(o.Key), err)
	}
	c.Segments++
	c.Bytes += o.Size
	gone := c.purged.split(&s)
	size := 0
	for _, call := range s.calls {
		size += len(call.Text) + len(call.Reason)
	}
	if len(c.calls)+len(s.calls) > compactCalls || c.bytes+size > compactBytes {
		if err := c.merge(ctx); err != nil {
			return err
		}
	}
	for _, call := range gone {
		c.gone = append(c.gone, Call{Key: call.Key, Image: call.Image})
	}
	c.Purged = len(c.gone)
	c.rewrite = c.rewrite || len(gone) > 0
	c.group, c.bytes = append(c.group, o), c.bytes+size
	c.calls, c.doubles = append(c.calls, s.calls...), append(c.doubles, s.doubles...)
	return nil
}

// merge writes the group as one segment and begins an empty group. It leaves a
// single segment as it is, unless a call of it was purged.
func (c *compaction) merge(ctx context.Context) error {
	group, s, rewrite := c.group, c.segment, c.rewrite
	c.group, c.segment, c.bytes, c.rewrite = nil, segment{}, 0, false
	if len(group) < 2 && !rewrite {
		return nil
	}
	doubles := s.settle()
	encoded, err := encodeSegment(s)
	if err != nil {
		return err
	}
	digest := irgdata.DigestOf(encoded)
	key := segmentKey(digest)
	if !c.dry {
		if err := blob.PutContent(ctx, c.store, key, bytes.NewReader(encoded), int64(len(encoded)), digest); err != nil {
			return err
		}
	}
	c.Written++
	c.WrittenBytes += int64(len(encoded))
	c.Doubles += doubles
	for _, o := range group {
		c.Merged++
		c.MergedBytes += o.Size
		if o.Key != key { // one may hold all that the others do
			c.superseded = append(c.superseded, o.Key)
		}
	}
	return nil
}

// settle sorts calls by key, keeps the one of each key that holds, makes doubles
// of the others and returns their number: equal sets of calls give equal
// segments on every machine.
func (s *segment) settle() (doubles int) {
	slices.SortFunc(s.calls, func(a, b Call) int {
		if order := bytes.Compare(a.Key[:], b.Key[:]); order != 0 {
			return order
		}
		switch {
		case a.before(b):
			return -1
		case b.before(a):
			return 1
		}
		return 0
	})
	held := s.calls[:0]
	for _, c := range s.calls {
		switch {
		case len(held) == 0 || held[len(held)-1].Key != c.Key:
			held = append(held, c)
		case held[len(held)-1].Asked.IsZero():
			held[len(held)-1].Asked = c.Asked
			fallthrough
		default:
			if held[len(held)-1].before(c) && !c.costless() {
				doubles++
				s.doubles = append(s.doubles, c.double())
			}
		}
	}
	s.calls = held
	slices.SortFunc(s.doubles, func(a, b double) int {
		return cmp.Or(bytes.Compare(a.call.Key[:], b.call.Key[:]), bytes.Compare(a.making[:], b.making[:]))
	})
	s.doubles = slices.CompactFunc(s.doubles, func(a, b double) bool { return a.call.Key == b.call.Key && a.making == b.making })
	return doubles
}
