package annotate

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// Tally counts the calls of a run by step and model. It is safe for
// concurrent use.
type Tally struct {
	mu     sync.Mutex
	counts map[tallyKey]*Count
}

type tallyKey struct{ step, model string }

// Count is the number of calls of one step with one model.
type Count struct {
	Step, Model string
	// Made were sent and recorded, Reused came from the ledger. Failed got no
	// answer for transient reasons, Invalid were not taken by the server; both
	// are sent again by the next run.
	Made, Reused, Failed, Invalid int
}

type outcome int

const (
	made outcome = iota
	reused
	failed
	invalid
)

func newTally() *Tally { return &Tally{counts: map[tallyKey]*Count{}} }

func (t *Tally) add(step modes.Step, model runtime.Model, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tallyKey{step.Name, model.Identity().String()}
	c := t.counts[key]
	if c == nil {
		c = &Count{Step: key.step, Model: key.model}
		t.counts[key] = c
	}
	switch o {
	case made:
		c.Made++
	case reused:
		c.Reused++
	case failed:
		c.Failed++
	case invalid:
		c.Invalid++
	}
}

// Counts returns the counts so far, by step and model in alphabetical order.
func (t *Tally) Counts() []Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Count
	for _, c := range slices.SortedFunc(maps.Values(t.counts), func(a, b *Count) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Model, b.Model))
	}) {
		out = append(out, *c)
	}
	return out
}

// Total sums the counts.
func (t *Tally) Total() Count {
	var sum Count
	for _, c := range t.Counts() {
		sum.Made += c.Made
		sum.Reused += c.Reused
		sum.Failed += c.Failed
		sum.Invalid += c.Invalid
	}
	return sum
}
