package annotate

import (
	"maps"
	"slices"
	"sync"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// Opinions counts what judge and scorers said, over all pairs of a run, also
// those that filters leave out later. It is safe for concurrent use; the counts
// do not depend on the order of the pairs.
type Opinions struct {
	mu     sync.Mutex
	counts map[opinionKey]*manifests.Opinion
}

type opinionKey struct{ question, subject string }

func newOpinions() *Opinions { return &Opinions{counts: map[opinionKey]*manifests.Opinion{}} }

// bothOrders is the subject under which pairs are counted whose two orders
// agree on one image.
const bothOrders = "both orders"

func (o *Opinions) add(questions []modes.Question, t irgdata.Trajectory) {
	o.mu.Lock()
	defer o.mu.Unlock()
	form := map[string]modes.Form{}
	for _, q := range questions {
		form[q.ID()] = q.Form
	}
	compared := 0
	for _, j := range t.Judgements {
		subject := j.Subject
		if form[j.Question] == modes.Numbers && j.About != "" {
			subject += "." + j.About
		}
		yesNo := form[j.Question] == modes.YesNo || form[j.Question] == modes.Preference
		o.count(j.Question, subject, yesNo, j.Value, j.Abstained == "")
		if form[j.Question] == modes.Preference {
			if compared++; compared == 2 {
				value, ok := modes.Preferred(t)
				o.count(j.Question, bothOrders, true, value, ok)
			}
		}
	}
}

// count adds one answer. Numbers and lists are only asked or not.
func (o *Opinions) count(question, subject string, yesNo bool, value float64, ok bool) {
	key := opinionKey{question, subject}
	c := o.counts[key]
	if c == nil {
		c = &manifests.Opinion{Question: question, Subject: subject}
		o.counts[key] = c
	}
	c.Asked++
	switch {
	case !ok:
		c.Abstained++
	case !yesNo:
	case value > .5:
		c.Yes++
	case value < .5:
		c.No++
	default:
		c.Even++
	}
}

// Counts returns the counts so far, by question and subject in alphabetical
// order.
func (o *Opinions) Counts() []manifests.Opinion {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []manifests.Opinion
	for _, c := range slices.SortedFunc(maps.Values(o.counts), manifests.CompareOpinions) {
		out = append(out, *c)
	}
	return out
}
