package manifests

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"math"
	"net/url"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/irgdata/irgdata/internal/blob"
)

// errDamagedCall says that what a local ledger holds of a call is not what was
// recorded.
var errDamagedCall = errors.New("its record is damaged")

var checksumTable = crc64.MakeTable(crc64.ECMA)

// checksum is of the call as the ledger's columns hold it, image and first as JSON.
// SQLite has none of its own, and what it reads goes into rows.
func (c Call) checksum(image, first string) int64 {
	var text []byte
	for _, s := range []string{string(c.Key[:]), c.Step, c.Model, c.Text, image, c.Rule, c.Reason, c.Finish, first, c.Server} {
		text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
	}
	for _, n := range []uint64{math.Float64bits(c.Seconds), uint64(c.TokensIn), uint64(c.TokensOut), uint64(c.Attempts)} {
		text = binary.BigEndian.AppendUint64(text, n)
	}
	return int64(crc64.Checksum(text, checksumTable))
}

// LedgerDamaged reports whether an error comes from a damaged local ledger, which
// [MendLedger] mends.
func LedgerDamaged(err error) bool {
	var s *sqlite.Error
	if errors.As(err, &s) {
		primary := s.Code() & 0xff
		return primary == sqlite3.SQLITE_CORRUPT || primary == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, errDamagedCall)
}

// CheckLedger reads a local ledger and names what is damaged in it. It changes
// nothing, and a run may be using the ledger. Of no ledger nothing is damaged.
func CheckLedger(ctx context.Context, path string) (problems []string, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	defer func() {
		if err != nil && LedgerDamaged(err) {
			problems, err = append(problems, err.Error()), nil
		}
		if err != nil {
			err = fmt.Errorf("check ledger %s: %w", path, err)
		}
	}()
	db, err := openSQLite(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var said string
		if err := rows.Scan(&said); err != nil {
			return problems, err
		}
		if said != "ok" {
			problems = append(problems, said)
		}
	}
	if err := rows.Err(); err != nil {
		return problems, err
	}
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version != ledgerFormat {
		return problems, err // older ones have no checksums
	}
	_, err = (&Ledger{path: path, db: db}).eachSoundCall(ctx, 0, func(Call, bool) error { return nil }, func(err error) {
		problems = append(problems, err.Error())
	})
	return problems, err
}

// eachSoundCall reads the calls of a ledger after a row, in order, and whether a
// segment holds them. It returns the last row that it read. A call of which it
// cannot be read what was asked is sound without that.
func (l *Ledger) eachSoundCall(ctx context.Context, after int64, sound func(c Call, shared bool) error, damaged func(error)) (last int64, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT rowid, shared, `+askedColumns+`, `+callColumns+` FROM calls WHERE rowid > ? ORDER BY rowid`, after)
	if err != nil {
		return after, err
	}
	defer rows.Close()
	known := recipes{}
	for last = after; rows.Next(); {
		var c Call
		var shared bool
		var asked askedRow
		if err := scanCall(rows, &c, append([]any{&last, &shared}, asked.columns()...)...); err != nil {
			damaged(fmt.Errorf("row %d: %w", last, err))
			continue
		}
		if recipe, err := l.recipe(ctx, known, asked.recipe); err != nil {
			damaged(fmt.Errorf("row %d: what was asked: %w", last, err))
		} else {
			c.Asked = asked.asked(recipe)
		}
		if err := sound(c, shared); err != nil {
			return last, err
		}
	}
	return last, rows.Err()
}

// MendLedger makes a damaged local ledger anew of the calls in it that are sound,
// and returns their number. What segments hold the next [Ledger.Pull] adds. Those
// that no segment holds are put into the store before the damaged file goes, so that
// none is lost if it is broken off. Nobody else may have the ledger.
func MendLedger(ctx context.Context, path string, store blob.Store) (kept int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("mend ledger %s: %w", path, err)
		}
	}()
	mending := path + ".mending"
	for _, suffix := range []string{"", "-wal", "-shm"} { // of one that was broken off
		if err := os.Remove(mending + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	fresh, err := OpenLedger(ctx, mending)
	if err != nil {
		return 0, err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, fresh.Close())
		}
	}()
	db, err := openSQLite(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if kept, err = fresh.salvage(ctx, &Ledger{path: path, db: db}); err != nil {
		return kept, err
	}
	if _, err := fresh.Push(ctx, store); err != nil {
		return kept, err
	}
	closed = true
	if err := errors.Join(fresh.Close(), db.Close()); err != nil {
		return kept, err
	}
	for _, suffix := range []string{"-wal", "-shm"} { // they are of the damaged file
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
	}
	return kept, publish(mending, path)
}

// salvage adds the sound calls of a damaged ledger. Where it cannot be read it goes
// on some rows later, ever farther.
func (l *Ledger) salvage(ctx context.Context, old *Ledger) (kept int, err error) {
	var batches [2][]Call // by whether a segment holds them
	add := func(shared int) error {
		if len(batches[shared]) == 0 {
			return nil
		}
		tx, err := l.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		if _, err := insertCalls(tx, batches[shared], insertion{shared: shared == 1}); err != nil {
			return err
		}
		kept += len(batches[shared])
		batches[shared] = batches[shared][:0]
		return tx.Commit()
	}
	for after, step := int64(0), int64(1); after < 1<<40; {
		var failed error // here, not there
		last, err := old.eachSoundCall(ctx, after, func(c Call, shared bool) error {
			of := 0
			if shared {
				of = 1
			}
			if batches[of] = append(batches[of], c); len(batches[of]) == 1000 {
				failed = add(of)
			}
			return failed
		}, func(error) {})
		switch {
		case failed != nil:
			return kept, failed
		case ctx.Err() != nil:
			return kept, ctx.Err()
		case err == nil:
			after = 1 << 40
		case last > after:
			after, step = last, 1
		default:
			after, step = after+step, 2*step
		}
	}
	// What they cost is worth less than the calls: as far as it can be read.
	doubles, _ := old.unsharedDoubles(ctx)
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return kept, err
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, d := range doubles {
		if err := putDouble(tx, d, false); err != nil {
			return kept, err
		}
	}
	err = errors.Join(tx.Commit(), add(0), add(1))
	return kept, err
}
