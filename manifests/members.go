package manifests

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
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

func (m Member) bytes() []byte { return append(m.ID[:], m.Row[:]...) }

// RowDigest digests all cells of a row, images by their path, which has their
// digest.
func RowDigest(row parquet.Row) irgdata.Digest {
	d := irgdata.NewDigester("row/1").Uint(uint64(len(row)))
	for _, cell := range row {
		switch v := cell.(type) {
		case parquet.Image:
			d.Text(v.Path)
		case string:
			d.Text(v)
		default: // a flag, a number, or nothing
			d.Text(fmt.Sprint(v))
		}
	}
	return d.Sum()
}

// Members is the list of a snapshot's pairs, as an object of the store.
type Members struct {
	Key    string         `json:"key"`
	Digest irgdata.Digest `json:"digest"`
	Count  int64          `json:"count"`
}

// PutMembers puts the list of count members into the store.
func PutMembers(ctx context.Context, store blob.Store, list io.ReadSeeker, digest irgdata.Digest, count int64) (Members, error) {
	m := Members{Key: memberPrefix + digest.String(), Digest: digest, Count: count}
	return m, blob.PutContent(ctx, store, m.Key, list, m.size(), digest)
}

// Spool copies the list into a nameless file of the folder dir, which the caller
// closes. Errors are those of blob.Spool.
func (m Members) Spool(ctx context.Context, store blob.Store, dir string) (*os.File, error) {
	return blob.Spool(ctx, store, m.Key, m.size(), m.Digest, dir)
}

func (m Members) size() int64 { return m.Count * int64(MemberBytes) }

// Each calls see for each member, in order. That the list is damaged shows at its
// end, as blob.ErrDamaged.
func (m Members) Each(ctx context.Context, store blob.Store, see func(Member)) error {
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
		var b [MemberBytes]byte
		if _, err := io.ReadFull(buffered, b[:]); err != nil {
			return fmt.Errorf("read the members %s: %w", store.URL(m.Key), err)
		}
		see(Member{ID: irgdata.Digest(b[:len(irgdata.Digest{})]), Row: irgdata.Digest(b[len(irgdata.Digest{}):])})
	}
	if irgdata.Digest(sum.Sum(nil)) != m.Digest {
		return fmt.Errorf("read the members %s: %w: `irgdata verify --repair` lists them anew", store.URL(m.Key), blob.ErrDamaged)
	}
	return nil
}
