package manifests

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/irgdata/irgdata"
)

// Painted calls see for the image of each recorded call that has one, but for those
// that a dry run would purge.
func (l *Ledger) Painted(ctx context.Context, but Purged, see func(irgdata.ImageRef)) error {
	rows, err := l.db.QueryContext(ctx, `SELECT key, pair, image FROM calls WHERE image <> ''`)
	if err != nil {
		return fmt.Errorf("ledger: list the painted images: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, pair []byte
		var text string
		var ref irgdata.ImageRef
		err := rows.Scan(&key, &pair, &text)
		if err == nil {
			err = json.Unmarshal([]byte(text), &ref)
		}
		if err != nil {
			return fmt.Errorf("ledger: list the painted images: %w", err)
		}
		var c, of irgdata.Digest
		copy(c[:], key)
		copy(of[:], pair)
		if !but.all.call(c, of) {
			see(ref)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ledger: list the painted images: %w", err)
	}
	return nil
}
