package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// Provenance says what a snapshot was made from, so that the next build makes
// only what changed. It lies beside the manifest and decides nothing: without
// it a build makes everything again, to the same bytes.
type Provenance struct {
	Format int `json:"format"`
	// Snapshot is the checksum of the manifest that it is of.
	Snapshot irgdata.Digest `json:"snapshot,omitzero"`
	// Inputs is the digest of all that decides the snapshot; zero if another
	// build of the same inputs could give another one, as calls or downloads
	// without an answer are tried again.
	Inputs irgdata.Digest `json:"inputs"`
	// Calls is the number of calls that the snapshot's items took, from the
	// ledger or new.
	Calls int64 `json:"calls"`
	// Parts are those of the snapshot's items of which the same holds, in
	// order.
	Parts []Part `json:"parts"`
	// Checksum is the digest of the bytes with this field empty.
	Checksum irgdata.Digest `json:"checksum"`
}

// Part is what became of successive items: whole shards and their counts.
type Part struct {
	// Key is the digest of all that decides the part.
	Key irgdata.Digest `json:"key"`
	// First is the number of trajectories of the snapshot before the part.
	First int64 `json:"first"`
	// Calls is the number of calls that the part's items took.
	Calls    int64     `json:"calls"`
	Shards   []Shard   `json:"shards"`
	Rejects  []Shard   `json:"reject_shards"`
	Counts   Counts    `json:"counts"`
	Opinions []Opinion `json:"opinions,omitempty"`
}

const (
	provenancePrefix = "provenance/"
	provenanceFormat = 1
	// maxProvenance bounds an object's bytes against damaged and hostile ones.
	maxProvenance = 256 << 20
)

// ProvenanceKey is where that of a snapshot lies in its store.
func ProvenanceKey(number int) string {
	return fmt.Sprintf("%s%06d%s", provenancePrefix, number, manifestSuffix)
}

// PutProvenance keeps p for the snapshot, in the place of what is there. Of too
// many parts none is kept.
func PutProvenance(ctx context.Context, store blob.Store, s Snapshot, p Provenance) error {
	p.Snapshot = s.Checksum
	text, err := p.encodeWithin(maxProvenance)
	if err == nil {
		err = blob.PutBytes(ctx, store, ProvenanceKey(s.Number), text, blob.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep the provenance of snapshot %d: %w", s.Number, err)
	}
	return nil
}

// LoadProvenance reads that of a snapshot. If there is none, or it is damaged,
// or that of another snapshot which once had the number, it is empty.
func LoadProvenance(ctx context.Context, store blob.Store, s Snapshot) (Provenance, error) {
	p, err := readProvenance(ctx, store, s.Number)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrDamaged) || err == nil && p.Snapshot != s.Checksum {
		return Provenance{}, nil
	}
	return p, err
}

// dropProvenance deletes that of all snapshots, so that the next build goes
// through all pairs.
func dropProvenance(ctx context.Context, store blob.Store) (dropped int, err error) {
	var keys []string
	for o, err := range store.List(ctx, provenancePrefix) {
		if err != nil {
			return 0, fmt.Errorf("list the provenance: %w", err)
		}
		keys = append(keys, o.Key)
	}
	for _, key := range keys {
		if err := store.Delete(ctx, key); err != nil {
			return 0, fmt.Errorf("delete the provenance: %w", err)
		}
	}
	return len(keys), nil
}

// readProvenance gives ErrNotExist if there is none, and ErrDamaged.
func readProvenance(ctx context.Context, store blob.Store, number int) (p Provenance, err error) {
	text, err := blob.ReadAll(ctx, store, ProvenanceKey(number), maxProvenance)
	if err != nil {
		return p, fmt.Errorf("read the provenance of snapshot %d: %w", number, err)
	}
	if p, err = decodeProvenance(text); err != nil {
		return p, fmt.Errorf("read the provenance of snapshot %d: %w: %w", number, blob.ErrDamaged, err)
	}
	return p, nil
}

func decodeProvenance(text []byte) (p Provenance, err error) {
	if err := json.Unmarshal(text, &p); err != nil {
		return p, err
	}
	if p.Format != provenanceFormat {
		return p, fmt.Errorf("it has format %d and this irgdata reads format %d", p.Format, provenanceFormat)
	}
	for i, part := range p.Parts {
		if err := checkShards(part.Counts, part.Shards, part.Rejects); err != nil {
			return p, fmt.Errorf("part %d: %w", i, err)
		}
		if part.First < 0 {
			return p, fmt.Errorf("part %d begins after %d trajectories", i, part.First)
		}
	}
	if again, err := p.encode(); err != nil || !bytes.Equal(again, text) {
		return p, errors.New("it was changed: its checksum does not fit")
	}
	return p, nil
}

// encodeWithin encodes without the parts if there are more than most bytes.
func (p Provenance) encodeWithin(most int) ([]byte, error) {
	text, err := p.encode()
	if err == nil && len(text) > most {
		p.Parts = nil
		text, err = p.encode()
	}
	return text, err
}

func (p Provenance) encode() ([]byte, error) {
	p.Format, p.Checksum = provenanceFormat, irgdata.Digest{}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	p.Checksum = irgdata.DigestOf(text)
	return json.Marshal(p)
}
