package manifests

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/irgdata/irgdata"
)

// before says which of two ends of the same call holds, when two machines made
// it at once: an answer before a failure, then the lesser by its content, then
// the one that took longer. The choice is the same wherever the two meet.
func (c Call) before(other Call) bool {
	if c.Failed() != other.Failed() {
		return other.Failed()
	}
	content := func(c Call) string { return fmt.Sprint(c.Text, c.Image.Digest, c.Rule, c.Reason, c.First) }
	order := cmp.Or(strings.Compare(content(c), content(other)), cmp.Compare(other.Seconds, c.Seconds))
	if order == 0 {
		order = strings.Compare(c.making().String(), other.making().String())
	}
	return order < 0
}

// making tells this making of the call from another one of the same key.
func (c Call) making() irgdata.Digest {
	image := c.Image.Digest
	return irgdata.NewDigester("making/1").Text(c.Text).Digest(image).Text(c.Rule).Text(c.Reason).Text(fmt.Sprint(c.First)).
		Text(c.Finish).Float(c.Seconds).Uint(uint64(c.TokensIn)).Uint(uint64(c.TokensOut)).Uint(uint64(c.Attempts)).Text(c.Server).Sum()
}

// insertion says how calls are added.
type insertion struct {
	// shared: a segment of the store holds them.
	shared bool
	// keep the end of a call that is there, even if the other one holds: a run
	// that is under way may have used it.
	keep bool
}

// inserted counts what became of calls.
type inserted struct {
	added, replaced int
	kept            int // in spite of another end that holds
}

// insertCalls adds calls. Of two ends of the same call it keeps, and puts into
// calls, the one that holds, and counts the other as a double.
func insertCalls(tx *sql.Tx, calls []Call, how insertion) (n inserted, err error) {
	find, err := tx.Prepare(`SELECT shared, pair, ` + callColumns + ` FROM calls WHERE key = ?`)
	if err != nil {
		return n, err
	}
	defer find.Close()
	put, err := tx.Prepare(`INSERT OR REPLACE INTO calls (` + insertColumns + `) VALUES (` + insertPlaces + `)`)
	if err != nil {
		return n, err
	}
	defer put.Close()
	recipes := recipeIDs{tx: tx}
	var row []any
	for i, c := range calls {
		var there Call
		var shared bool
		var pair []byte
		err := scanCall(find.QueryRow(c.Key[:]), &there, &shared, &pair)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			n.added++
		case err != nil:
			return n, err
		case c.before(there) && how.keep:
			n.kept++
			calls[i] = there
			continue
		case c.before(there):
			n.replaced++
			if c.Asked.IsZero() && len(pair) > 0 { // a call without it came from the rows
				if c.Asked, err = askedOf(tx, c.Key); err != nil {
					return n, err
				}
			}
			if err := putDouble(tx, there.double(), shared); err != nil {
				return n, err
			}
		default:
			if there.before(c) {
				if err := putDouble(tx, c.double(), how.shared); err != nil {
					return n, err
				}
			}
			calls[i] = there
			continue
		}
		if row, err = recipes.appendRow(row[:0], c, how.shared); err != nil {
			return n, err
		}
		if _, err := put.Exec(row...); err != nil {
			return n, err
		}
	}
	return n, nil
}

const (
	insertColumns = callColumns + `, shared, ` + askedColumns
	insertPlaces  = `?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`
)

// recipeIDs finds and makes the rows of recipes within a transaction.
type recipeIDs struct {
	tx    *sql.Tx
	known map[string]int64
}

// appendRow adds the call's values in the order of insertColumns.
func (r *recipeIDs) appendRow(row []any, c Call, shared bool) ([]any, error) {
	image, first := "", ""
	if !c.Image.IsZero() {
		encoded, err := json.Marshal(c.Image)
		if err != nil {
			return nil, err
		}
		image = string(encoded)
	}
	if len(c.First) > 0 {
		encoded, err := json.Marshal(c.First)
		if err != nil {
			return nil, err
		}
		first = string(encoded)
	}
	pair := []byte{}
	if !c.Asked.Pair.IsZero() {
		pair = c.Asked.Pair[:]
	}
	recipe, err := r.id(c.Asked.Recipe)
	return append(row,
		c.Key[:], c.Step, c.Model, c.Text, image, c.Rule, c.Reason, c.Finish, c.Seconds, c.TokensIn, c.TokensOut, c.Attempts, first, c.Server, c.checksum(image, first),
		shared, pair, c.Asked.Shown, recipe, c.Asked.Inputs,
	), err
}

// id is 0 for no recipe.
func (r *recipeIDs) id(recipe string) (id int64, err error) {
	if recipe == "" {
		return 0, nil
	}
	if id, ok := r.known[recipe]; ok {
		return id, nil
	}
	if _, err := r.tx.Exec(`INSERT INTO recipes (recipe) VALUES (?) ON CONFLICT DO NOTHING`, recipe); err != nil {
		return 0, err
	}
	if err := r.tx.QueryRow(`SELECT id FROM recipes WHERE recipe = ?`, recipe).Scan(&id); err != nil {
		return 0, err
	}
	if r.known == nil {
		r.known = map[string]int64{}
	}
	r.known[recipe] = id
	return id, nil
}
