package manifests

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/irgdata/irgdata"
)

// Epoch is a token that is another one after any call was recorded, replaced
// or forgotten, by whatever process: as long as it is the same, so is what
// every look-up gives.
func (l *Ledger) Epoch(ctx context.Context) (token irgdata.Digest, err error) {
	var b []byte
	if err := l.db.QueryRowContext(ctx, `SELECT token FROM epoch`).Scan(&b); err != nil {
		return token, fmt.Errorf("ledger: read the epoch: %w", err)
	}
	copy(token[:], b)
	return token, nil
}

// turnEpoch is part of every transaction that changes what look-ups give.
func turnEpoch(tx *sql.Tx) error {
	_, err := tx.Exec(`UPDATE epoch SET token = randomblob(32)`)
	return err
}
