package images

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"slices"

	"github.com/irgdata/irgdata"
)

// Inventory lists the images that are in the store at this time, and returns
// whether one is among them. It holds 8 bytes for each: of two digests that
// begin alike, which chance does not bring about, one would stand for both.
func (s *Store) Inventory(ctx context.Context) (holds func(irgdata.Digest) bool, err error) {
	var there []uint64
	for o, err := range s.objects.List(ctx, Prefix) {
		if err != nil {
			return nil, fmt.Errorf("list the images: %w", err)
		}
		if d, err := irgdata.ParseDigest(path.Base(o.Key)); err == nil && o.Key == Key(d) {
			there = append(there, binary.BigEndian.Uint64(d[:]))
		}
	}
	slices.Sort(there)
	return func(d irgdata.Digest) bool {
		_, found := slices.BinarySearch(there, binary.BigEndian.Uint64(d[:]))
		return found
	}, nil
}
