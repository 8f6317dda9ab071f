package manifests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/irgdata/irgdata"
)

// ledgerFormat is the version of the ledger's schema, kept in the file's
// user_version. Another version is refused, never guessed at.
const ledgerFormat = 1

// Call is one model call that came to an end: with an answer, or with a
// failure for which the model did its work all the same (a refusal, a
// truncated text). Both have been paid for; both are kept.
type Call struct {
	Key irgdata.Digest
	// Step is the step's name and version, "draft/1", and Model the identity
	// of the model, "name@revision".
	Step  string
	Model string
	// Text or Image is the answer. The image's bytes are in the image store
	// before the call is recorded.
	Text  string
	Image irgdata.ImageRef
	// Rule and Reason are set instead of an answer when it was unusable.
	Rule   string
	Reason string
	// What the backend said, and what it cost.
	Finish    string
	Seconds   float64
	TokensIn  int
	TokensOut int
	// Attempts counts the requests sent until the call came to its end.
	Attempts int
}

// Failed reports whether the call gave no usable answer.
func (c Call) Failed() bool { return c.Rule != "" }

// Ledger is the durable record of model calls, an SQLite file. Its methods are
// safe for concurrent use.
type Ledger struct {
	db      *sql.DB
	records chan pending
	stop    chan struct{}
	stopped chan struct{} // closed when the writer has ended
}

// pending is a call on its way to the disk; the writer answers on done.
type pending struct {
	call Call
	done chan error
}

// errClosed is what Record gives after Close.
var errClosed = errors.New("the ledger is closed")

const ledgerSchema = `
CREATE TABLE calls (
	key        BLOB PRIMARY KEY,
	step       TEXT NOT NULL,
	model      TEXT NOT NULL,
	text       TEXT NOT NULL,
	image      TEXT NOT NULL, -- JSON of the image reference, or ''
	rule       TEXT NOT NULL,
	reason     TEXT NOT NULL,
	finish     TEXT NOT NULL,
	seconds    REAL NOT NULL,
	tokens_in  INTEGER NOT NULL,
	tokens_out INTEGER NOT NULL,
	attempts   INTEGER NOT NULL
)`

// OpenLedger opens the ledger at path and makes it if there is none. The
// caller closes it.
func OpenLedger(ctx context.Context, path string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	// WAL with full synchronisation: a committed call survives the loss of
	// power, and readers do not wait for the writer.
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32768)",
	}}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	if err := prepare(ctx, db); err != nil {
		db.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	l := &Ledger{db: db, records: make(chan pending), stop: make(chan struct{}), stopped: make(chan struct{})}
	go l.write()
	return l, nil
}

// prepare makes the schema in a new file and checks the version of an old one.
func prepare(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case ledgerFormat:
		return nil
	case 0:
		if _, err := tx.ExecContext(ctx, ledgerSchema); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", ledgerFormat)); err != nil {
			return err
		}
		return tx.Commit()
	default:
		return fmt.Errorf("it has format %d and this irgdata reads format %d: use the irgdata that wrote it", version, ledgerFormat)
	}
}

// Close writes what is under way and closes the file.
func (l *Ledger) Close() error {
	close(l.stop)
	<-l.stopped
	return l.db.Close()
}

// Lookup finds a recorded call.
func (l *Ledger) Lookup(ctx context.Context, key irgdata.Digest) (call Call, found bool, err error) {
	row := l.db.QueryRowContext(ctx, `SELECT step, model, text, image, rule, reason, finish, seconds, tokens_in, tokens_out, attempts FROM calls WHERE key = ?`, key[:])
	call.Key = key
	var image string
	err = row.Scan(&call.Step, &call.Model, &call.Text, &image, &call.Rule, &call.Reason, &call.Finish, &call.Seconds, &call.TokensIn, &call.TokensOut, &call.Attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return Call{}, false, nil
	}
	if err == nil && image != "" {
		err = json.Unmarshal([]byte(image), &call.Image)
	}
	if err != nil {
		return Call{}, false, fmt.Errorf("ledger: look up call %s: %w", key, err)
	}
	return call, true, nil
}

// Record keeps a call. When it returns nil the call is on the disk; only then
// may anything use its answer. Recording a key again changes nothing: the
// first answer stays.
func (l *Ledger) Record(ctx context.Context, call Call) error {
	p := pending{call: call, done: make(chan error, 1)}
	select {
	case l.records <- p:
	case <-l.stop:
		return fmt.Errorf("ledger: record call %s: %w", call.Key, errClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
	// Not abandoned on a cancelled context: the answer has been paid for.
	if err := <-p.done; err != nil {
		return fmt.Errorf("ledger: record call %s: %w", call.Key, err)
	}
	return nil
}

// write is the one writer. It commits together all the calls that wait, so
// that many workers share one synchronisation of the disk.
func (l *Ledger) write() {
	defer close(l.stopped)
	for {
		select {
		case first := <-l.records:
			batch := []pending{first}
			for len(batch) < 256 {
				select {
				case next := <-l.records:
					batch = append(batch, next)
					continue
				default:
				}
				break
			}
			err := l.commit(batch)
			for _, p := range batch {
				p.done <- err
			}
		case <-l.stop:
			return
		}
	}
}

func (l *Ledger) commit(batch []pending) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	insert, err := tx.Prepare(`INSERT INTO calls (key, step, model, text, image, rule, reason, finish, seconds, tokens_in, tokens_out, attempts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, p := range batch {
		c := p.call
		image := ""
		if !c.Image.IsZero() {
			encoded, err := json.Marshal(c.Image)
			if err != nil {
				return err
			}
			image = string(encoded)
		}
		if _, err := insert.Exec(c.Key[:], c.Step, c.Model, c.Text, image, c.Rule, c.Reason, c.Finish, c.Seconds, c.TokensIn, c.TokensOut, c.Attempts); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// StepCost is what the calls of one step cost with one model.
type StepCost struct {
	Step      string  `json:"step"`
	Model     string  `json:"model"`
	Calls     int     `json:"calls"`
	Failed    int     `json:"failed"`
	Attempts  int     `json:"attempts"`
	Seconds   float64 `json:"seconds"`
	TokensIn  int     `json:"tokens_in"`
	TokensOut int     `json:"tokens_out"`
}

// Costs sums the ledger by step and model, in alphabetical order.
func (l *Ledger) Costs(ctx context.Context) ([]StepCost, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT step, model, count(*), sum(rule <> ''), sum(attempts), sum(seconds), sum(tokens_in), sum(tokens_out)
		FROM calls GROUP BY step, model ORDER BY step, model`)
	if err != nil {
		return nil, fmt.Errorf("ledger: sum the costs: %w", err)
	}
	defer rows.Close()
	var costs []StepCost
	for rows.Next() {
		var c StepCost
		if err := rows.Scan(&c.Step, &c.Model, &c.Calls, &c.Failed, &c.Attempts, &c.Seconds, &c.TokensIn, &c.TokensOut); err != nil {
			return nil, fmt.Errorf("ledger: sum the costs: %w", err)
		}
		costs = append(costs, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: sum the costs: %w", err)
	}
	return costs, nil
}
