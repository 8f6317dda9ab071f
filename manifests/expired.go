package manifests

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
)

// expiredPrefix is the folder of the marks of expired snapshots. The manifest of
// such a snapshot stays, so that its number is never given again and its counts
// can be read for ever; its shards may be gone.
const expiredPrefix = "expired/"

// expiry is the content of a mark.
type expiry struct {
	Snapshot int    `json:"snapshot"`
	Reason   string `json:"reason"`
}

func expiredKey(number int) string { return fmt.Sprintf("%s%06d.json", expiredPrefix, number) }

// ErrExpired says that a snapshot's shards were given up.
var ErrExpired = errors.New("the snapshot has expired")

// expire marks a snapshot, before anything of it is deleted.
func expire(ctx context.Context, store blob.Store, number int, reason string) error {
	err := putSealed(ctx, store, expiredKey(number), expiry{number, reason})
	if errors.Is(err, blob.ErrExists) {
		return nil
	}
	return err
}

// Expired gives the numbers of the snapshots that have expired, with the
// reasons.
func Expired(ctx context.Context, store blob.Store) (map[int]string, error) {
	expired := map[int]string{}
	for o, err := range store.List(ctx, expiredPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the expired snapshots: %w", err)
		}
		number, err := strconv.Atoi(strings.TrimSuffix(path.Base(o.Key), ".json"))
		if err != nil || o.Key != expiredKey(number) {
			continue // no object of ours
		}
		mark, err := loadSealed[expiry](ctx, store, o.Key)
		if err != nil {
			return nil, err
		}
		expired[number] = mark.Reason
	}
	return expired, nil
}

// LoadWhole reads a snapshot whose rows are to be read: ErrExpired if they may
// be gone.
func LoadWhole(ctx context.Context, store blob.Store, number int) (Snapshot, error) {
	mark, err := loadSealed[expiry](ctx, store, expiredKey(number))
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return Load(ctx, store, number)
	case err != nil:
		return Snapshot{}, err
	}
	return Snapshot{}, fmt.Errorf("%w: snapshot %d, %s: its counts are in `irgdata log`, its rows are gone", ErrExpired, number, mark.Reason)
}
