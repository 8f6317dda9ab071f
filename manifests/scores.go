package manifests

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/irgdata/irgdata"
)

// scoresFormat is the version of the tables of scores. Another version's tables
// are dropped and made anew: measuring again costs time, no model call.
const scoresFormat = 1

// Of the trajectories' scores, a layout has the names and a row the values: most
// rows have the same names. A value is 8 bytes, a float64 in little-endian order.
const scoresSchema = `
CREATE TABLE IF NOT EXISTS scores_format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS score_layouts (
	id    INTEGER PRIMARY KEY,
	names TEXT NOT NULL UNIQUE -- "size/1 draft.min_side", one a line
);
CREATE TABLE IF NOT EXISTS scores (
	key     BLOB PRIMARY KEY, -- identifies what was measured
	layout  INTEGER NOT NULL,
	numbers BLOB NOT NULL,
	shared  INTEGER NOT NULL -- 1: a segment of the store holds it
);
CREATE INDEX IF NOT EXISTS scores_unshared ON scores (shared) WHERE shared = 0;
CREATE TABLE IF NOT EXISTS score_segments (digest BLOB PRIMARY KEY) WITHOUT ROWID`

// Scores is what filter rules measured, kept beside the ledger so that it is
// measured once. Its methods are safe for concurrent use. It is no longer used
// when the ledger is closed.
type Scores struct {
	path   string // of the ledger
	db     *sql.DB
	lookup *sql.Stmt

	mu      sync.Mutex
	layouts map[int64][]scoreName // by id
	ids     map[string]int64      // of layouts, by their names
	waiting []scoreRow            // on their way to the disk
	since   time.Time             // when the first of these came
}

// scoreName says which rule measured what.
type scoreName struct{ rule, name string }

// scoreRow is the scores of one trajectory.
type scoreRow struct {
	key    irgdata.Digest
	scores []irgdata.Score
}

// batchScores is the number of trajectories whose scores go to the disk
// together, and batchTime how old the first of them may be when the next one
// comes. A killed run measures these again.
const (
	batchScores = 512
	batchTime   = 2 * time.Second
)

// Scores opens the scores that are kept beside the ledger. The caller closes
// them before the ledger.
func (l *Ledger) Scores(ctx context.Context) (*Scores, error) {
	s := &Scores{path: l.path, db: l.db, layouts: map[int64][]scoreName{}, ids: map[string]int64{}}
	err := s.prepare(ctx)
	if err == nil {
		s.lookup, err = s.db.PrepareContext(ctx, `SELECT layout, numbers FROM scores WHERE key = ?`)
	}
	if err != nil {
		return nil, fmt.Errorf("open the scores: %w", err)
	}
	return s, nil
}

func (s *Scores) prepare(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, scoresSchema); err != nil {
		return err
	}
	var version int
	err = tx.QueryRowContext(ctx, `SELECT version FROM scores_format`).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if version != scoresFormat {
		for _, statement := range []string{
			`DROP TABLE score_layouts`, `DROP TABLE scores`, `DROP TABLE score_segments`, `DROP TABLE scores_format`, scoresSchema,
			fmt.Sprintf(`INSERT INTO scores_format VALUES (%d)`, scoresFormat),
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// Close writes what is under way.
func (s *Scores) Close(ctx context.Context) error {
	return errors.Join(s.Flush(ctx), s.lookup.Close())
}

// Lookup returns what is kept under the key, in no particular order.
func (s *Scores) Lookup(ctx context.Context, key irgdata.Digest) ([]irgdata.Score, error) {
	var layout int64
	var numbers []byte
	err := s.lookup.QueryRowContext(ctx, key[:]).Scan(&layout, &numbers)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	var scores []irgdata.Score
	if err == nil {
		scores, err = s.decode(ctx, s.db, layout, numbers)
	}
	if err != nil {
		return nil, fmt.Errorf("look up the scores %s: %w", key, err)
	}
	return scores, nil
}

// Record keeps scores under the key, beside those that are kept already. They
// are on the disk after Flush.
func (s *Scores) Record(ctx context.Context, key irgdata.Digest, scores []irgdata.Score) error {
	s.mu.Lock()
	if len(s.waiting) == 0 {
		s.since = time.Now()
	}
	s.waiting = append(s.waiting, scoreRow{key, slices.Clone(scores)})
	full := len(s.waiting) >= batchScores || time.Since(s.since) > batchTime
	s.mu.Unlock()
	if full {
		return s.Flush(ctx)
	}
	return nil
}

// Flush writes what was recorded.
func (s *Scores) Flush(ctx context.Context) error {
	s.mu.Lock()
	rows := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := s.insert(ctx, tx, rows, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep scores in %s: %w", s.path, err)
	}
	return nil
}

// write runs one transaction.
func (s *Scores) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := f(tx); err != nil {
		return errors.Join(err, s.forget())
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(err, s.forget())
	}
	return nil
}

// forget drops the known layouts: a transaction that failed may have made them.
func (s *Scores) forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.layouts)
	clear(s.ids)
	return nil
}

// insert adds scores and returns the number of rows that changed. A score that
// is there already stays.
func (s *Scores) insert(ctx context.Context, tx *sql.Tx, rows []scoreRow, shared bool) (int, error) {
	find, err := tx.PrepareContext(ctx, `SELECT layout, numbers FROM scores WHERE key = ?`)
	if err != nil {
		return 0, err
	}
	defer find.Close()
	put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO scores (key, layout, numbers, shared) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer put.Close()
	changed := 0
	for _, row := range rows {
		var layout int64
		var numbers []byte
		var there []irgdata.Score
		err := find.QueryRowContext(ctx, row.key[:]).Scan(&layout, &numbers)
		if err == nil {
			there, err = s.decode(ctx, tx, layout, numbers)
		} else if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		if err != nil {
			return 0, err
		}
		known := map[scoreName]bool{}
		for _, score := range there {
			known[scoreName{score.Rule, score.Name}] = true
		}
		all := there
		for _, score := range row.scores {
			if name := (scoreName{score.Rule, score.Name}); !known[name] {
				known[name] = true
				all = append(all, score)
			}
		}
		if len(all) == len(there) {
			continue
		}
		if layout, err = s.layout(ctx, tx, all); err != nil {
			return 0, err
		}
		numbers = numbers[:0]
		for _, score := range all {
			numbers = binary.LittleEndian.AppendUint64(numbers, math.Float64bits(score.Value))
		}
		// Scores of a segment that join others make a row that no segment holds.
		if _, err := put.ExecContext(ctx, row.key[:], layout, numbers, shared && len(there) == 0); err != nil {
			return 0, err
		}
		changed++
	}
	return changed, nil
}

// layout is the id of the names, which are made a layout if they are none yet.
func (s *Scores) layout(ctx context.Context, tx *sql.Tx, scores []irgdata.Score) (int64, error) {
	lines := make([]string, len(scores))
	for i, score := range scores {
		lines[i] = score.Rule + " " + score.Name
	}
	names := strings.Join(lines, "\n")
	s.mu.Lock()
	id, ok := s.ids[names]
	s.mu.Unlock()
	if ok {
		return id, nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO score_layouts (names) VALUES (?) ON CONFLICT DO NOTHING`, names); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, `SELECT id FROM score_layouts WHERE names = ?`, names).Scan(&id); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.ids[names] = id
	s.mu.Unlock()
	return id, nil
}

// queryer is the database, or a transaction of it.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// decode puts names to the numbers of a row.
func (s *Scores) decode(ctx context.Context, db queryer, layout int64, numbers []byte) ([]irgdata.Score, error) {
	s.mu.Lock()
	names, ok := s.layouts[layout]
	s.mu.Unlock()
	if !ok {
		var text string
		if err := db.QueryRowContext(ctx, `SELECT names FROM score_layouts WHERE id = ?`, layout).Scan(&text); err != nil {
			return nil, fmt.Errorf("layout %d: %w", layout, err)
		}
		names = splitNames(strings.Split(text, "\n"))
		s.mu.Lock()
		s.layouts[layout] = names
		s.mu.Unlock()
	}
	return decodeNumbers(names, numbers)
}

func splitNames(lines []string) []scoreName {
	names := make([]scoreName, len(lines))
	for i, line := range lines {
		names[i].rule, names[i].name, _ = strings.Cut(line, " ")
	}
	return names
}

func decodeNumbers(names []scoreName, numbers []byte) ([]irgdata.Score, error) {
	if len(numbers) != 8*len(names) {
		return nil, fmt.Errorf("it has %d bytes, want those of %d numbers", len(numbers), len(names))
	}
	scores := make([]irgdata.Score, len(names))
	for i, n := range names {
		scores[i] = irgdata.Score{Rule: n.rule, Name: n.name, Value: math.Float64frombits(binary.LittleEndian.Uint64(numbers[8*i:]))}
	}
	return scores, nil
}
