package images

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/irgdata/irgdata"
)

// lists are the folders that are listed side by side: a bucket lists a thousand
// objects a request, one request after the other.
const lists = "0123456789abcdef"

// Inventory lists the images that are in the store at this time, and returns
// whether one is among them. It holds 8 bytes for each: of two digests that
// begin alike, which chance does not bring about, one would stand for both.
func (s *Store) Inventory(ctx context.Context) (holds func(irgdata.Digest) bool, err error) {
	var there [len(lists)][]uint64
	listing := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for i, first := range lists {
		listing.Go(func(ctx context.Context) error {
			for o, err := range s.objects.List(ctx, Prefix+string(first)) {
				if err != nil {
					return fmt.Errorf("list the images: %w", err)
				}
				if d, err := irgdata.ParseDigest(path.Base(o.Key)); err == nil && o.Key == Key(d) {
					there[i] = append(there[i], binary.BigEndian.Uint64(d[:]))
				}
			}
			slices.Sort(there[i])
			return nil
		})
	}
	if err := listing.Wait(); err != nil {
		return nil, err
	}
	return func(d irgdata.Digest) bool {
		_, found := slices.BinarySearch(there[d[0]>>4], binary.BigEndian.Uint64(d[:]))
		return found
	}, nil
}
