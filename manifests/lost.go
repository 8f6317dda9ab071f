package manifests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
)

// lostPrefix is the folder of the marks of painted images that were lost and
// that nothing else holds. A mark is an empty object under the image's digest.
// As long as the image is not there, no ledger knows of the calls that painted
// it, so that they are made again; when it is there again the mark means
// nothing.
const lostPrefix = "lost/"

func markLost(ctx context.Context, store blob.Store, image irgdata.Digest) error {
	err := blob.PutBytes(ctx, store, lostPrefix+image.String(), nil, blob.PutOptions{CreateOnly: true})
	if errors.Is(err, blob.ErrExists) {
		return nil
	}
	return err
}

// LostMarks digests all marks that were ever made: as long as it is the same, no
// call was forgotten for a lost image.
func LostMarks(ctx context.Context, store blob.Store) (irgdata.Digest, error) {
	d := irgdata.NewDigester("lost/1")
	for o, err := range store.List(ctx, lostPrefix) {
		if err != nil {
			return irgdata.Digest{}, fmt.Errorf("list the lost images: %w", err)
		}
		d.Text(o.Key)
	}
	return d.Sum(), nil
}

// lostImages are those that are marked and not there.
func lostImages(ctx context.Context, store blob.Store) (map[irgdata.Digest]bool, error) {
	lost := map[irgdata.Digest]bool{}
	for o, err := range store.List(ctx, lostPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the lost images: %w", err)
		}
		digest, err := irgdata.ParseDigest(strings.TrimPrefix(o.Key, lostPrefix))
		if err != nil {
			continue // no object of ours
		}
		_, err = store.Stat(ctx, images.Key(digest))
		switch {
		case errors.Is(err, blob.ErrNotExist):
			lost[digest] = true
		case err != nil:
			return nil, fmt.Errorf("look for lost images: %w", err)
		}
	}
	return lost, nil
}

// painted calls see for each call whose answer is an image.
func (l *Ledger) painted(ctx context.Context, see func(row int64, step string, image irgdata.Digest)) error {
	rows, err := l.db.QueryContext(ctx, `SELECT rowid, step, image FROM calls WHERE image <> ''`)
	if err != nil {
		return fmt.Errorf("ledger: list the painted images: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var step, text string
		var image irgdata.ImageRef
		if err := rows.Scan(&row, &step, &text); err != nil {
			return fmt.Errorf("ledger: list the painted images: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &image); err != nil {
			return fmt.Errorf("ledger: list the painted images: row %d: %w", row, err)
		}
		see(row, step, image.Digest)
	}
	return rows.Err()
}

// forget removes the calls that painted one of the images.
func (l *Ledger) forget(ctx context.Context, lost map[irgdata.Digest]bool) error {
	if len(lost) == 0 {
		return nil
	}
	var gone []int64
	err := l.painted(ctx, func(row int64, _ string, image irgdata.Digest) {
		if lost[image] {
			gone = append(gone, row)
		}
	})
	if err != nil {
		return err
	}
	return l.eachRow(ctx, gone, func(tx *sql.Tx, row int64) error {
		var key []byte
		if err := tx.QueryRowContext(ctx, `DELETE FROM calls WHERE rowid = ? RETURNING key`, row).Scan(&key); err != nil {
			return err
		}
		return noteLost(ctx, tx, irgdata.Digest(key))
	})
}

// AbsentLost is noted of a call whose answer, a painted image, was lost and
// given up.
const AbsentLost = "lost"

func noteLost(ctx context.Context, tx *sql.Tx, key irgdata.Digest) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO absent (key, why) VALUES (?, ?)`, key[:], AbsentLost)
	return err
}

// eachRow does something to each row, to all or none.
func (l *Ledger) eachRow(ctx context.Context, rows []int64, do func(tx *sql.Tx, row int64) error) error {
	if len(rows) == 0 {
		return nil
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, row := range rows {
		if err := do(tx, row); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return tx.Commit()
}
