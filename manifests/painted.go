package manifests

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/irgdata/irgdata"
)

// Painted calls see for the image of each recorded call that has one.
func (l *Ledger) Painted(ctx context.Context, see func(irgdata.ImageRef)) error {
	rows, err := l.db.QueryContext(ctx, `SELECT image FROM calls WHERE image <> ''`)
	if err != nil {
		return fmt.Errorf("ledger: list the painted images: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var ref irgdata.ImageRef
		err := rows.Scan(&text)
		if err == nil {
			err = json.Unmarshal([]byte(text), &ref)
		}
		if err != nil {
			return fmt.Errorf("ledger: list the painted images: %w", err)
		}
		see(ref)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ledger: list the painted images: %w", err)
	}
	return nil
}
