package manifests

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/irgdata/irgdata"
)

// double is what is kept of a call that was made once more, on another machine
// at the same time, and does not hold, or that was purged: what it cost, and no
// answer. One of which the ledger has the call is of the former kind.
type double struct {
	call   Call
	making irgdata.Digest
}

func (c Call) double() double {
	d := double{making: c.making(), call: c}
	d.call.Text, d.call.Image, d.call.First, d.call.Reason, d.call.Asked = "", irgdata.ImageRef{}, nil, "", Asked{}
	return d
}

// costless: the call was put together from the rows, which do not know what it
// cost; it is no making of its own.
func (c Call) costless() bool { return c.Seconds == 0 && c.TokensIn == 0 && c.TokensOut == 0 }

func putDouble(tx *sql.Tx, d double, shared bool) error {
	c := d.call
	if c.costless() {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO doubles (key, making, step, model, failed, seconds, tokens_in, tokens_out, attempts, shared)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET shared = max(shared, excluded.shared)`,
		c.Key[:], d.making[:], c.Step, c.Model, c.Failed(), c.Seconds, c.TokensIn, c.TokensOut, c.Attempts, shared)
	return err
}

// unsharedDoubles returns doubles that no segment holds.
func (l *Ledger) unsharedDoubles(ctx context.Context) (doubles []double, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT key, making, step, model, failed, seconds, tokens_in, tokens_out, attempts FROM doubles WHERE shared = 0 LIMIT ?`, segmentCalls)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d double
		var key, making []byte
		var failed bool
		c := &d.call
		if err := rows.Scan(&key, &making, &c.Step, &c.Model, &failed, &c.Seconds, &c.TokensIn, &c.TokensOut, &c.Attempts); err != nil {
			return nil, err
		}
		copy(c.Key[:], key)
		copy(d.making[:], making)
		if failed {
			c.Rule = failedDouble
		}
		doubles = append(doubles, d)
	}
	return doubles, rows.Err()
}

// twice are the doubles of calls that hold.
const twice = `EXISTS (SELECT 1 FROM calls WHERE calls.key = doubles.key)`

// DoublesDigest is that of all calls that were made twice. As long as it is the same
// and no call was forgotten, what the ledger has answered is answered the same on
// every machine.
func (l *Ledger) DoublesDigest(ctx context.Context) (irgdata.Digest, error) {
	d := irgdata.NewDigester("doubles/1")
	rows, err := l.db.QueryContext(ctx, `SELECT key, making FROM doubles WHERE `+twice+` ORDER BY key, making`)
	if err != nil {
		return irgdata.Digest{}, fmt.Errorf("ledger: digest the doubles: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, making []byte
		if err := rows.Scan(&key, &making); err != nil {
			return irgdata.Digest{}, fmt.Errorf("ledger: digest the doubles: %w", err)
		}
		d.Text(string(key)).Text(string(making))
	}
	return d.Sum(), rows.Err()
}

// failedDouble is the rule of a failed double: which one it was is not kept.
const failedDouble = "failed"

// Doubles sums the calls that were made once more than needed, as two machines
// had them under way at one time, by step and model in alphabetical order.
// [Ledger.Costs] does not count them.
func (l *Ledger) Doubles(ctx context.Context) ([]StepCost, error) {
	return l.costs(ctx, `SELECT step, model, count(*), sum(failed), `+sums+`
		FROM doubles WHERE `+twice+` GROUP BY step, model ORDER BY step, model`)
}

// PurgedCosts sums the calls about removed pairs whose answers were purged, by step
// and model in alphabetical order. [Ledger.Costs] does not count them.
func (l *Ledger) PurgedCosts(ctx context.Context) ([]StepCost, error) {
	return l.costs(ctx, `SELECT step, model, count(*), sum(failed), `+sums+`
		FROM doubles WHERE NOT `+twice+` GROUP BY step, model ORDER BY step, model`)
}

func (l *Ledger) costs(ctx context.Context, query string) (costs []StepCost, err error) {
	rows, err := l.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("ledger: sum the costs: %w", err)
	}
	defer rows.Close()
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
