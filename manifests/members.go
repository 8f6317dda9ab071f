package manifests

import (
	"bufio"
	"context"
	"errors"
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
func PutMembers(ctx context.Context, store blob.Store, list io.Reader, digest irgdata.Digest, count int64) (Members, error) {
	m := Members{Key: memberPrefix + digest.String(), Digest: digest, Count: count}
	err := store.Put(ctx, m.Key, list, blob.PutOptions{CreateOnly: true, Size: m.size(), Digest: digest})
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return Members{}, err
	}
	return m, nil
}

func (m Members) size() int64 { return m.Count * int64(len(irgdata.Digest{})) }

// Each calls see for each identity, in order.
func (m Members) Each(ctx context.Context, store blob.Store, see func(irgdata.Digest)) error {
	if m.Count == 0 {
		return nil
	}
	r, err := store.Open(ctx, m.Key, 0, -1)
	if err != nil {
		return fmt.Errorf("read the members: %w", err)
	}
	defer r.Close()
	buffered := bufio.NewReaderSize(r, 1<<20)
	for range m.Count {
		var id irgdata.Digest
		if _, err := io.ReadFull(buffered, id[:]); err != nil {
			return fmt.Errorf("read the members %s: %w", store.URL(m.Key), err)
		}
		see(id)
	}
	return nil
}
