package manifests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
)

// Asked is what a call's key was made of, so that a later plan can say what is
// no longer the same. It is zero for calls of older formats and for those that
// a repair put together from the rows.
type Asked struct {
	// Pair is the pair's identity, and Shown a fingerprint of the image that it
	// came with: the first 16 hexadecimal digits of its digest; "" for none.
	Pair  irgdata.Digest `json:"pair"`
	Shown string         `json:"shown,omitempty"`
	// Recipe is what many calls have in common, as text of the caller's; it is
	// kept once.
	Recipe string `json:"recipe"`
	// Inputs are names and fingerprints of what else was shown, such as
	// "draft:0123456789abcdef", separated by spaces.
	Inputs string `json:"inputs,omitempty"`
}

// IsZero reports whether it is not known what was asked.
func (a Asked) IsZero() bool { return a.Pair.IsZero() }

// Fingerprint is the beginning of a digest, enough to tell a pair's contents
// from each other.
func Fingerprint(d irgdata.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()[:16]
}

const askedColumns = `pair, shown, recipe, inputs`

// askedRow is what Scan reads of askedColumns.
type askedRow struct {
	pair          []byte
	shown, inputs string
	recipe        int64
}

func (r *askedRow) columns() []any { return []any{&r.pair, &r.shown, &r.recipe, &r.inputs} }

func (r *askedRow) asked(recipe string) Asked {
	a := Asked{Shown: r.shown, Recipe: recipe, Inputs: r.inputs}
	copy(a.Pair[:], r.pair)
	return a
}

func askedOf(tx *sql.Tx, key irgdata.Digest) (Asked, error) {
	var row askedRow
	var recipe string
	err := tx.QueryRow(`SELECT `+askedColumns+`, coalesce((SELECT recipe FROM recipes WHERE id = calls.recipe), '') FROM calls WHERE key = ?`, key[:]).
		Scan(append(row.columns(), &recipe)...)
	return row.asked(recipe), err
}

// recipes are the texts by their ids, as far as they were read.
type recipes map[int64]string

func (l *Ledger) recipe(ctx context.Context, known recipes, id int64) (string, error) {
	text, ok := known[id]
	if ok || id == 0 {
		return text, nil
	}
	if err := l.db.QueryRowContext(ctx, `SELECT recipe FROM recipes WHERE id = ?`, id).Scan(&text); err != nil {
		return "", fmt.Errorf("recipe %d: %w", id, err)
	}
	known[id] = text
	return text, nil
}

// History is what the ledger knows of the calls of a pair.
type History struct {
	// Asked are the pair's calls, oldest first.
	Asked []Asked
	// Image: there are calls of another pair with the same image.
	Image bool
}

// History returns what was asked for a pair, whose image has the fingerprint.
func (l *Ledger) History(ctx context.Context, pair irgdata.Digest, shown string) (h History, err error) {
	// "pair <> x''" lets SQLite take the index.
	rows, err := l.db.QueryContext(ctx, `SELECT `+askedColumns+` FROM calls WHERE shown = ? AND pair = ? AND pair <> x'' ORDER BY rowid`, shown, pair[:])
	if err != nil {
		return h, fmt.Errorf("ledger: what was asked for pair %s: %w", pair, err)
	}
	defer rows.Close()
	known := recipes{}
	for rows.Next() {
		var row askedRow
		err := rows.Scan(row.columns()...)
		var recipe string
		if err == nil {
			recipe, err = l.recipe(ctx, known, row.recipe)
		}
		if err != nil {
			return h, fmt.Errorf("ledger: what was asked for pair %s: %w", pair, err)
		}
		h.Asked = append(h.Asked, row.asked(recipe))
	}
	if err := rows.Err(); err != nil {
		return h, fmt.Errorf("ledger: what was asked for pair %s: %w", pair, err)
	}
	if len(h.Asked) == 0 && shown != "" {
		err = l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE shown = ? AND pair <> x'')`, shown).Scan(&h.Image)
	}
	if err != nil {
		return h, fmt.Errorf("ledger: what was asked for pair %s: %w", pair, err)
	}
	return h, nil
}

// Untold reports whether there are calls of which it is not known what was
// asked.
func (l *Ledger) Untold(ctx context.Context) (some bool, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM calls) > (SELECT count(*) FROM calls WHERE pair <> x'')`).Scan(&some)
	if err != nil {
		return false, fmt.Errorf("ledger: look for calls of older formats: %w", err)
	}
	return some, nil
}

// Absent notes why a call is not in the ledger though it was asked: the next
// plan says so. The note is of this machine alone.
func (l *Ledger) Absent(ctx context.Context, key irgdata.Digest, why string) error {
	if _, err := l.db.ExecContext(ctx, `INSERT OR REPLACE INTO absent (key, why) VALUES (?, ?)`, key[:], why); err != nil {
		return fmt.Errorf("ledger: note that call %s got no answer: %w", key, err)
	}
	return nil
}

// WhyAbsent returns what was noted last of a call that is not in the ledger; ""
// if nothing was.
func (l *Ledger) WhyAbsent(ctx context.Context, key irgdata.Digest) (why string, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT why FROM absent WHERE key = ?`, key[:]).Scan(&why)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("ledger: look up call %s: %w", key, err)
	}
	return why, nil
}
