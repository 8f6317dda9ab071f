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
	"github.com/irgdata/irgdata/runtime"
)

// ledgerFormat is the version of the ledger's schema, kept in the file's
// user_version. Older ones are brought up to it, a newer one is refused, never
// guessed at.
const ledgerFormat = 4

// Call is one model call that came to an end: with an answer, or with a
// failure for which the model did its work all the same (a refusal, a
// truncated text). Both have been paid for; both are kept.
type Call struct {
	Key irgdata.Digest `json:"key"`
	// Step is the step's name and version, "draft/1", and Model the identity
	// of the model, "name@revision".
	Step  string `json:"step"`
	Model string `json:"model"`
	// Text or Image is the answer. The image's bytes are in the image store
	// before the call is recorded.
	Text  string           `json:"text,omitempty"`
	Image irgdata.ImageRef `json:"image,omitzero"`
	// First are the candidates of the text's first token, where they were asked
	// for and given.
	First []runtime.Candidate `json:"first,omitempty"`
	// Rule and Reason are set instead of an answer when it was unusable.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	// What the backend said, and what it cost.
	Finish    string  `json:"finish,omitempty"`
	Seconds   float64 `json:"seconds"`
	TokensIn  int     `json:"tokens_in"`
	TokensOut int     `json:"tokens_out"`
	// Attempts counts the requests sent until the call came to its end.
	Attempts int `json:"attempts"`
	// Server is the one that answered, where the model has some.
	Server string `json:"server,omitempty"`
	// Asked is what the key was made of. [Ledger.Lookup] leaves it out.
	Asked Asked `json:"asked,omitzero"`
}

// Failed reports whether the call gave no usable answer.
func (c Call) Failed() bool { return c.Rule != "" }

// Ledger is the durable record of model calls, an SQLite file. Its methods are
// safe for concurrent use.
type Ledger struct {
	path    string
	db      *sql.DB
	lookup  *sql.Stmt // prepared: most of a look-up would be that
	records chan pending
	stop    chan struct{}
	stopped chan struct{} // closed when the writer has ended
	purged  purged
}

// pending is a call on its way to the disk; the writer answers on done.
type pending struct {
	call Call
	done chan recorded
}

// recorded is the call that holds, or why none was kept.
type recorded struct {
	call Call
	err  error
}

// errClosed is what Record gives after Close.
var errClosed = errors.New("the ledger is closed")

// ledgerSchema is of format 1, and ledgerMigrations[n-1] makes format n+1 of
// format n. The calls keep their rowid, by which segments are cut.
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
	attempts   INTEGER NOT NULL,
	shared     INTEGER NOT NULL -- 1: a segment of the store holds it
);
CREATE INDEX calls_unshared ON calls (shared) WHERE shared = 0;
CREATE TABLE segments (digest BLOB PRIMARY KEY) WITHOUT ROWID`

var ledgerMigrations = [ledgerFormat - 1]string{
	`ALTER TABLE calls ADD COLUMN first TEXT NOT NULL DEFAULT '';  -- JSON of the candidates, or ''
	ALTER TABLE calls ADD COLUMN server TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE calls ADD COLUMN pair BLOB NOT NULL DEFAULT x''; -- x'': not known what was asked
	ALTER TABLE calls ADD COLUMN shown TEXT NOT NULL DEFAULT '';
	ALTER TABLE calls ADD COLUMN recipe INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE calls ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
	CREATE TABLE recipes (id INTEGER PRIMARY KEY, recipe TEXT NOT NULL UNIQUE);
	CREATE TABLE absent (key BLOB PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;
	CREATE TABLE doubles (
		key        BLOB NOT NULL,
		making     BLOB NOT NULL,
		step       TEXT NOT NULL,
		model      TEXT NOT NULL,
		failed     INTEGER NOT NULL,
		seconds    REAL NOT NULL,
		tokens_in  INTEGER NOT NULL,
		tokens_out INTEGER NOT NULL,
		attempts   INTEGER NOT NULL,
		shared     INTEGER NOT NULL, -- 1: a segment of the store holds it
		PRIMARY KEY (key, making)
	) WITHOUT ROWID;
	` + askedIndex,
	`ALTER TABLE calls ADD COLUMN checksum INTEGER; -- of the callColumns before it; NULL: not known`,
}

// askedIndex finds the calls of a pair, for [Ledger.Asked]. A ledger that is
// being filled gets it last.
const askedIndex = `CREATE INDEX calls_asked ON calls (shown, pair) WHERE pair <> x''`

// callColumns are what scanCall reads after the columns of its own arguments.
const callColumns = `key, step, model, text, image, rule, reason, finish, seconds, tokens_in, tokens_out, attempts, first, server, checksum`

// scanCall reads before and then the callColumns of a row.
func scanCall(row interface{ Scan(...any) error }, c *Call, before ...any) error {
	var key []byte
	var image, first string
	var sum sql.NullInt64
	if err := row.Scan(append(before, &key, &c.Step, &c.Model, &c.Text, &image, &c.Rule, &c.Reason, &c.Finish, &c.Seconds, &c.TokensIn, &c.TokensOut, &c.Attempts, &first, &c.Server, &sum)...); err != nil {
		return err
	}
	copy(c.Key[:], key)
	if sum.Valid && sum.Int64 != c.checksum(image, first) {
		return fmt.Errorf("call %s: %w", c.Key, errDamagedCall)
	}
	var err error
	if image != "" {
		err = json.Unmarshal([]byte(image), &c.Image)
	}
	if err == nil && first != "" {
		err = json.Unmarshal([]byte(first), &c.First)
	}
	return err
}

// OpenLedger opens the ledger at path and makes it if there is none. The
// caller closes it.
func OpenLedger(ctx context.Context, path string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	// WAL with full synchronisation: a committed call survives the loss of
	// power, and readers do not wait for the writer. Every transaction of ours
	// writes, so it takes the lock at its beginning, where waiting is possible.
	db, err := openSQLite(path, url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-8192)", // KiB, of each connection
	}})
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	if err := prepare(ctx, db); err != nil {
		db.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	lookup, err := db.PrepareContext(ctx, `SELECT `+callColumns+` FROM calls WHERE key = ?`)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	l := &Ledger{path: path, db: db, lookup: lookup, records: make(chan pending), stop: make(chan struct{}), stopped: make(chan struct{})}
	go l.write()
	return l, nil
}

func openSQLite(path string, options url.Values) (*sql.DB, error) {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}
	return sql.Open("sqlite", file.String())
}

// prepare makes the schema in a new file and brings that of an old one up to
// date.
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
	switch {
	case version == ledgerFormat:
		return nil
	case version < 0 || version > ledgerFormat:
		return fmt.Errorf("it has format %d and this irgdata reads format %d: use the irgdata that wrote it", version, ledgerFormat)
	case version == 0:
		if _, err := tx.ExecContext(ctx, ledgerSchema); err != nil {
			return err
		}
		version = 1
	}
	for _, migration := range ledgerMigrations[version-1:] {
		if _, err := tx.ExecContext(ctx, migration); err != nil {
			return fmt.Errorf("bring it up to format %d: %w", ledgerFormat, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", ledgerFormat)); err != nil {
		return err
	}
	return tx.Commit()
}

// Close writes what is under way and closes the file.
func (l *Ledger) Close() error {
	close(l.stop)
	<-l.stopped
	return errors.Join(l.lookup.Close(), l.db.Close())
}

// Lookup finds a recorded call.
func (l *Ledger) Lookup(ctx context.Context, key irgdata.Digest) (call Call, found bool, err error) {
	err = scanCall(l.lookup.QueryRowContext(ctx, key[:]), &call)
	if errors.Is(err, sql.ErrNoRows) {
		return Call{}, false, nil
	}
	if err != nil {
		return Call{}, false, fmt.Errorf("ledger %s: look up call %s: %w", l.path, key, err)
	}
	return call, true, nil
}

// Record keeps a call and returns the one that holds: an earlier end of the
// same call may be in the ledger. When it returns nil the call is on the disk;
// only then may anything use its answer.
func (l *Ledger) Record(ctx context.Context, call Call) (Call, error) {
	p := pending{call: call, done: make(chan recorded, 1)}
	select {
	case l.records <- p:
	case <-l.stop:
		return Call{}, fmt.Errorf("ledger: record call %s: %w", call.Key, errClosed)
	case <-ctx.Done():
		return Call{}, ctx.Err()
	}
	// Not abandoned on a cancelled context: the answer has been paid for.
	r := <-p.done
	if r.err != nil {
		return Call{}, fmt.Errorf("ledger %s: record call %s: %w", l.path, call.Key, r.err)
	}
	return r.call, nil
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
			calls, err := l.commit(batch)
			for i, p := range batch {
				r := recorded{err: err}
				if err == nil {
					r.call = calls[i]
				}
				p.done <- r
			}
		case <-l.stop:
			return
		}
	}
}

// commit records the batch and returns the calls that hold.
func (l *Ledger) commit(batch []pending) ([]Call, error) {
	tx, err := l.db.Begin()
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // after Commit it does nothing
	calls := make([]Call, len(batch))
	for i, p := range batch {
		calls[i] = p.call
	}
	if _, err := insertCalls(tx, calls, insertion{}); err != nil {
		return nil, err
	}
	return calls, tx.Commit()
}

func markSegment(ctx context.Context, tx *sql.Tx, digest irgdata.Digest) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO segments (digest) VALUES (?) ON CONFLICT DO NOTHING`, digest[:])
	return err
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

// sums are those of costs. What servers and other machines say of a call is taken
// within bounds, or one nonsense count would be the end of all sums.
const sums = `sum(max(0, min(attempts, 1 << 20))), sum(max(0, min(seconds, 1e9))), sum(max(0, min(tokens_in, 1 << 32))), sum(max(0, min(tokens_out, 1 << 32)))`

// Costs sums the ledger by step and model, in alphabetical order.
func (l *Ledger) Costs(ctx context.Context) ([]StepCost, error) {
	return l.costs(ctx, `SELECT step, model, count(*), sum(rule <> ''), `+sums+`
		FROM calls GROUP BY step, model ORDER BY step, model`)
}

// ServerCost is what the calls cost that one server of a model answered.
type ServerCost struct {
	Server string
	StepCost
}

// ServerCosts sums the calls by model and server, in alphabetical order; those
// that no server is known of are left out.
func (l *Ledger) ServerCosts(ctx context.Context) ([]ServerCost, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT model, server, count(*), sum(rule <> ''), `+sums+`
		FROM calls WHERE server <> '' GROUP BY model, server ORDER BY model, server`)
	if err != nil {
		return nil, fmt.Errorf("ledger: sum the costs by server: %w", err)
	}
	defer rows.Close()
	var costs []ServerCost
	for rows.Next() {
		var c ServerCost
		if err := rows.Scan(&c.Model, &c.Server, &c.Calls, &c.Failed, &c.Attempts, &c.Seconds, &c.TokensIn, &c.TokensOut); err != nil {
			return nil, fmt.Errorf("ledger: sum the costs by server: %w", err)
		}
		costs = append(costs, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: sum the costs by server: %w", err)
	}
	return costs, nil
}
