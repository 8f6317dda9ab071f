package manifests

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// memberPrefix is the folder of the objects that list the identities of a
// snapshot's pairs: 32 bytes each, in the order of its rows. Who has to know
// what is in a snapshot need not read its shards.
const memberPrefix = "members/"

// Members is the list of a snapshot's pairs, as an object of the store.
type Members struct {
	Key    string         `json:"key"`
	Digest irgdata.Digest `json:"digest"`
	Count  int64          `json:"count"`
}

// PutMembers puts the list of count identities into the store.
func PutMembers(ctx context.Context, store blob.Store, list io.ReadSeeker, digest irgdata.Digest, count int64) (Members, error) {
	m := Members{Key: memberPrefix + digest.String(), Digest: digest, Count: count}
	return m, blob.PutContent(ctx, store, m.Key, list, m.size(), digest)
}

func (m Members) size() int64 { return m.Count * int64(len(irgdata.Digest{})) }

// Each calls see for each identity, in order. That the list is damaged shows at
// its end, as blob.ErrDamaged.
func (m Members) Each(ctx context.Context, store blob.Store, see func(irgdata.Digest)) error {
	if m.Count == 0 {
		return nil
	}
	r, err := store.Open(ctx, m.Key, 0, -1)
	if err != nil {
		return fmt.Errorf("read the members: %w", err)
	}
	defer r.Close()
	sum := sha256.New()
	buffered := bufio.NewReaderSize(io.TeeReader(r, sum), 1<<20)
	for range m.Count {
		var id irgdata.Digest
		if _, err := io.ReadFull(buffered, id[:]); err != nil {
			return fmt.Errorf("read the members %s: %w", store.URL(m.Key), err)
		}
		see(id)
	}
	if irgdata.Digest(sum.Sum(nil)) != m.Digest {
		return fmt.Errorf("read the members %s: %w: `irgdata verify --repair` lists them anew", store.URL(m.Key), blob.ErrDamaged)
	}
	return nil
}
