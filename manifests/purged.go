package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// purgedPrefix is the folder of what was purged: digests of pairs that were
// removed, of calls that were about these, and of images that such calls painted.
// An object is a list of them under its digest, in ascending order. None is ever
// deleted: they keep the calls of a ledger that was elsewhere meanwhile from coming
// back.
const purgedPrefix = "purged/"

// purgedDigests is the most digests of an object.
const purgedDigests = 1 << 20

// purged is what the store says was purged, as far as it was read. It is safe for
// concurrent use; its zero value has read nothing.
type purged struct {
	mu      sync.Mutex
	objects map[irgdata.Digest]bool
	digests map[irgdata.Digest]struct{}
}

// read reads what was purged since the last time, and reports whether there was
// anything.
func (p *purged) read(ctx context.Context, store blob.Store) (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o, err := range store.List(ctx, purgedPrefix) {
		if err != nil {
			return more, fmt.Errorf("list what was purged: %w", err)
		}
		name, err := irgdata.ParseDigest(strings.TrimPrefix(o.Key, purgedPrefix))
		if err != nil || p.objects[name] {
			continue // no object of ours, or one that was read
		}
		list, err := blob.ReadVerified(ctx, store, o.Key, o.Size, name)
		switch {
		case errors.Is(err, blob.ErrDamaged):
			return more, fmt.Errorf("%w: `irgdata verify --repair` deletes it, and `irgdata gc --removed` makes it anew", err)
		case err != nil:
			return more, err
		}
		var digests []irgdata.Digest
		for d := range slices.Chunk(list, len(irgdata.Digest{})) {
			if len(d) == len(irgdata.Digest{}) {
				digests = append(digests, irgdata.Digest(d))
			}
		}
		p.add(digests)
		if p.objects == nil {
			p.objects = map[irgdata.Digest]bool{}
		}
		p.objects[name], more = true, true
	}
	return more, nil
}

// add adds digests that no object has yet. The zero one, of no pair, is none.
func (p *purged) add(digests []irgdata.Digest) {
	if p.digests == nil {
		p.digests = map[irgdata.Digest]struct{}{}
	}
	for _, d := range digests {
		if !d.IsZero() {
			p.digests[d] = struct{}{}
		}
	}
}

func (p *purged) has(d irgdata.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, is := p.digests[d]
	return is
}

// call reports whether the call is about a pair that was removed.
func (p *purged) call(key, pair irgdata.Digest) bool { return p.has(key) || p.has(pair) }

// put makes the digests durable that are not yet, and knows them from then on.
func (p *purged) put(ctx context.Context, store blob.Store, digests []irgdata.Digest) error {
	fresh := map[irgdata.Digest]bool{}
	for _, d := range digests {
		if !d.IsZero() && !p.has(d) {
			fresh[d] = true
		}
	}
	sorted := slices.SortedFunc(maps.Keys(fresh), func(a, b irgdata.Digest) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(sorted, purgedDigests) {
		var list []byte
		for _, d := range part {
			list = append(list, d[:]...)
		}
		name := irgdata.DigestOf(list)
		if err := blob.PutContent(ctx, store, purgedPrefix+name.String(), bytes.NewReader(list), int64(len(list)), name); err != nil {
			return fmt.Errorf("note what is purged: %w", err)
		}
	}
	if len(sorted) == 0 {
		return nil
	}
	_, err := p.read(ctx, store)
	return err
}

// names lists the objects that were read.
func (p *purged) names() []irgdata.Digest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.objects))
}

// split takes the calls that were purged out of a segment and keeps what they
// cost.
func (p *purged) split(s *segment) (gone []Call) {
	kept := s.calls[:0]
	for _, c := range s.calls {
		if !p.call(c.Key, c.Asked.Pair) {
			kept = append(kept, c)
			continue
		}
		gone = append(gone, c)
		if !c.costless() {
			s.doubles = append(s.doubles, c.double())
		}
	}
	clear(s.calls[len(kept):])
	s.calls = kept
	return gone
}

// painted are the images of calls.
func painted(calls []Call) (images []irgdata.Digest) {
	for _, c := range calls {
		images = append(images, c.Image.Digest) // zero where it is a text
	}
	return images
}
