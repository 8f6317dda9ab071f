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

// memberPrefix is the folder of the objects that list a snapshot's pairs: for
// each its identity and the digest of its row, 64 bytes, in the order of the
// rows. Who has to know what is in a snapshot, or what changed between two, need
// not read their shards.
const memberPrefix = "members/"

// MemberBytes is the size of a member in the list.
const MemberBytes = 2 * len(irgdata.Digest{})

// Member is a pair of a snapshot.
type Member struct {
	ID irgdata.Digest
	// Row is the digest of the pair's row: of all its cells, images by their
	// digests. It changes when anything about the trajectory does.
	Row irgdata.Digest
}

// Members is the list of a snapshot's pairs, as an object of the store.
type Members struct {
	Key    string         `json:"key"`
	Digest irgdata.Digest `json:"digest"`
	Count  int64          `json:"count"`
}

// PutMembers puts the list of count members into the store.
func PutMembers(ctx context.Context, store blob.Store, list io.Reader, digest irgdata.Digest, count int64) (Members, error) {
	m := Members{Key: memberPrefix + digest.String(), Digest: digest, Count: count}
	err := store.Put(ctx, m.Key, list, blob.PutOptions{CreateOnly: true, Size: m.size(), Digest: digest})
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return Members{}, err
	}
	return m, nil
}

func (m Members) size() int64 { return m.Count * int64(MemberBytes) }

// Each calls see for each member, in order.
func (m Members) Each(ctx context.Context, store blob.Store, see func(Member)) error {
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
		var b [MemberBytes]byte
		if _, err := io.ReadFull(buffered, b[:]); err != nil {
			return fmt.Errorf("read the members %s: %w", store.URL(m.Key), err)
		}
		see(Member{ID: irgdata.Digest(b[:len(irgdata.Digest{})]), Row: irgdata.Digest(b[len(irgdata.Digest{}):])})
	}
	return nil
}
