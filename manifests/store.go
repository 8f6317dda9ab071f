package manifests

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// identityKey is the object that makes a store a dataset of ours. It is
// written once and never changed.
const identityKey = "dataset.json"

// storeFormat is the version of the keys and manifests of a store.
const storeFormat = 1

type identity struct {
	Format   int            `json:"format"`
	ID       irgdata.Digest `json:"id"`
	Checksum irgdata.Digest `json:"checksum"` // of ID
}

func newIdentity(id irgdata.Digest) identity {
	return identity{Format: storeFormat, ID: id, Checksum: irgdata.DigestOf(id[:])}
}

func (i identity) encode() ([]byte, error) {
	text, err := json.Marshal(i)
	return append(text, '\n'), err
}

// Identify returns the identity of the dataset in the store, and gives it one
// if it has none. What is known of a store elsewhere, such as in a local
// ledger, holds for this identity alone: a store that was deleted and made
// again is another one.
func Identify(ctx context.Context, store blob.Store) (irgdata.Digest, error) {
	id, err := Identity(ctx, store)
	if !errors.Is(err, blob.ErrNotExist) {
		return id, err
	}
	var random irgdata.Digest
	_, _ = rand.Read(random[:]) // never fails, by its contract
	text, err := newIdentity(random).encode()
	if err != nil {
		return irgdata.Digest{}, err
	}
	err = blob.PutBytes(ctx, store, identityKey, text, blob.PutOptions{CreateOnly: true})
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return irgdata.Digest{}, fmt.Errorf("make a dataset in the store: %w", err)
	}
	return Identity(ctx, store) // another run may have been faster
}

// Identity returns the identity of the dataset in the store; blob.ErrNotExist
// if there is no dataset.
func Identity(ctx context.Context, store blob.Store) (irgdata.Digest, error) {
	text, err := blob.ReadAll(ctx, store, identityKey, 4096)
	if err != nil {
		return irgdata.Digest{}, err
	}
	var i identity
	if err := json.Unmarshal(text, &i); err != nil {
		return irgdata.Digest{}, fmt.Errorf("read %s: it is no dataset identity: %w", store.URL(identityKey), damage(err))
	}
	if i.Format != storeFormat {
		return irgdata.Digest{}, fmt.Errorf("read %s: the store has format %d and this irgdata reads format %d: use the irgdata that wrote it", store.URL(identityKey), i.Format, storeFormat)
	}
	if again, err := newIdentity(i.ID).encode(); err != nil || !bytes.Equal(again, text) {
		return irgdata.Digest{}, fmt.Errorf("read %s: %w: its checksum does not fit", store.URL(identityKey), blob.ErrDamaged)
	}
	return i.ID, nil
}
