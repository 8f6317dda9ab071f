package manifests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// PurgeOptions say which calls must go.
type PurgeOptions struct {
	// Pairs are the identities of pairs that were removed, and Calls the keys of
	// calls about them that do not say themselves what was asked.
	Pairs, Calls []irgdata.Digest
	// DryRun deletes nothing.
	DryRun bool
}

// Purged is what [Purge] did, or would do.
type Purged struct {
	// Calls are those whose answers were deleted.
	Calls int
	all   *purged
}

// Image reports whether a call that was purged, now or earlier, painted the image.
func (p Purged) Image(image irgdata.Digest) bool { return p.all.has(image) }

// Purge deletes the answers of calls about removed pairs, of this and all earlier
// purges, from the store's segments and from the ledger; what they cost stays. From
// then on every other ledger of the dataset drops them when it is next opened, and
// none puts them back.
//
// It may be killed at any point and run again: first it is noted what is purged,
// then segments are rewritten as [Compact] does, beside builds, readers and
// compactions.
func Purge(ctx context.Context, store blob.Store, ledger *Ledger, o PurgeOptions) (Purged, error) {
	p := new(purged)
	done, err := purge(ctx, store, ledger, p, o)
	if err != nil {
		return done, fmt.Errorf("purge the ledger: %w", err)
	}
	done.all = p
	return done, nil
}

func purge(ctx context.Context, store blob.Store, ledger *Ledger, p *purged, o PurgeOptions) (done Purged, err error) {
	if _, err := p.read(ctx, store); err != nil {
		return done, err
	}
	digests := slices.Concat(o.Pairs, o.Calls)
	if o.DryRun {
		p.add(digests)
	} else if err := p.put(ctx, store, digests); err != nil {
		return done, err
	}
	gone := map[irgdata.Digest]bool{} // keys of calls
	var images []irgdata.Digest
	err = ledger.purgedRows(ctx, p, func(r purgedRow) {
		gone[r.key] = true
		images = append(images, r.image)
	})
	if err != nil {
		return done, err
	}
	c, err := compact(ctx, store, p, o.DryRun)
	if err != nil {
		return done, err
	}
	for _, call := range c.gone {
		gone[call.Key] = true
	}
	done.Calls = len(gone)
	if o.DryRun {
		p.add(append(images, painted(c.gone)...))
		return done, nil
	}
	if _, err := ledger.Pull(ctx, store); err != nil { // which purges it
		return done, err
	}
	_, err = p.read(ctx, store) // images of the ledger's own
	return done, err
}

// purgedRow is a call of a ledger that was purged.
type purgedRow struct {
	row        int64
	key, image irgdata.Digest
}

// purgedRows calls see for each call of the ledger that was purged.
func (l *Ledger) purgedRows(ctx context.Context, p *purged, see func(purgedRow)) error {
	rows, err := l.db.QueryContext(ctx, `SELECT rowid, key, pair, image FROM calls`)
	if err != nil {
		return fmt.Errorf("ledger: look for purged calls: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r purgedRow
		var key, pair []byte
		var image string
		if err := rows.Scan(&r.row, &key, &pair, &image); err != nil {
			return fmt.Errorf("ledger: look for purged calls: %w", err)
		}
		var of irgdata.Digest
		copy(r.key[:], key)
		copy(of[:], pair)
		if !p.call(r.key, of) {
			continue
		}
		if image != "" {
			var ref irgdata.ImageRef
			if err := json.Unmarshal([]byte(image), &ref); err != nil {
				return fmt.Errorf("ledger: look for purged calls: row %d: %w", r.row, err)
			}
			r.image = ref.Digest
		}
		see(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ledger: look for purged calls: %w", err)
	}
	return nil
}

// purge deletes the calls that were purged since the last time, and keeps what
// they cost. No word of them is left in the file. Nobody else writes to it.
func (l *Ledger) purge(ctx context.Context, store blob.Store) error {
	if _, err := l.purged.read(ctx, store); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	done := true
	for _, name := range l.purged.names() {
		var seen bool
		if err := l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM segments WHERE digest = ?)`, name[:]).Scan(&seen); err != nil {
			return fmt.Errorf("ledger: look up what was purged: %w", err)
		}
		done = done && seen
	}
	if done {
		return nil
	}
	var rows []int64
	var images []irgdata.Digest
	names := l.purged.names()
	err := l.purgedRows(ctx, &l.purged, func(r purgedRow) {
		rows, images = append(rows, r.row), append(images, r.image)
	})
	if err != nil {
		return err
	}
	// Only this ledger may know of them.
	if err := l.purged.put(ctx, store, images); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := l.eachRow(ctx, rows, func(tx *sql.Tx, row int64) error {
		var c Call
		var shared bool
		if err := scanCall(tx.QueryRowContext(ctx, `SELECT shared, `+callColumns+` FROM calls WHERE rowid = ?`, row), &c, &shared); err != nil {
			return err
		}
		if err := putDouble(tx, c.double(), shared); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM calls WHERE rowid = ?`, row)
		return err
	}); err != nil {
		return err
	}
	// SQLite leaves what it deletes in the pages, and these in its log.
	if _, err := l.db.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("ledger: rewrite the file without purged calls: %w", err)
	}
	var busy, pages, moved int
	if err := l.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("ledger: rewrite the file without purged calls: %w", err)
	}
	if busy != 0 {
		return nil // a reader has the log: the next opening does it again
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, name := range names {
		if err := markSegment(ctx, tx, name); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return tx.Commit()
}

// RemovedRows finds the rows of removed pairs in shards: the identities of the
// pairs, and the keys of all calls that the rows name. Shards that are gone already
// are passed over; damaged ones that cannot be read are listed by key.
func RemovedRows(ctx context.Context, store blob.Store, shards []Shard, removed func(irgdata.Pair) bool) (pairs, calls []irgdata.Digest, unread []string, err error) {
	for _, shard := range shards {
		err := removedRows(ctx, store, shard, func(row shardRow) {
			p := irgdata.Pair{Source: row.text("source"), URL: row.text("url")}
			// Of what is no digest it is not known which pair it is.
			_ = p.ID.UnmarshalText([]byte(row.text("id")))
			_ = p.Image.Digest.UnmarshalText([]byte(row.text("image")))
			if p.ID.IsZero() || !removed(p) {
				return
			}
			pairs, calls = append(pairs, p.ID), append(calls, row.named()...)
		})
		if err != nil { // of the store, or of the shard
			if damage := blob.Verify(ctx, store, shard.Key, shard.Digest); errors.Is(damage, blob.ErrDamaged) {
				unread = append(unread, shard.Key)
				continue
			} else if errors.Is(damage, blob.ErrNotExist) {
				continue
			}
			return pairs, calls, unread, fmt.Errorf("look for removed pairs in %s: %w", store.URL(shard.Key), err)
		}
	}
	return pairs, calls, unread, nil
}

// removedRows reads the texts of the rows of a shard.
func removedRows(ctx context.Context, store blob.Store, shard Shard, see func(shardRow)) error {
	reader, err := parquet.NewReader(blob.NewRanges(ctx, store, shard.Key, shard.Size))
	if err != nil {
		return err
	}
	var names []string
	for _, c := range reader.Columns() {
		switch {
		case c.Kind != parquet.String:
		case c.Name == "id", c.Name == "source", c.Name == "url", c.Name == "image", c.Name == "judgements", strings.HasSuffix(c.Name, "_call"):
			names = append(names, c.Name)
		}
	}
	for row, err := range reader.Rows(ctx, names...) {
		if err != nil {
			return err
		}
		see(shardRow{names, row})
	}
	return nil
}

// named are the keys of the calls that a row names.
func (r shardRow) named() (calls []irgdata.Digest) {
	for name, cell := range r.cells() {
		if text, _ := cell.(string); strings.HasSuffix(name, "_call") {
			if key, err := irgdata.ParseDigest(text); err == nil {
				calls = append(calls, key)
			}
		}
	}
	var judgements []struct {
		Call irgdata.Digest `json:"call"`
	}
	if json.Unmarshal([]byte(r.text("judgements")), &judgements) == nil {
		for _, j := range judgements {
			calls = append(calls, j.Call)
		}
	}
	return calls
}
