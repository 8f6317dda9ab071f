package manifests

import (
	"maps"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// Opinions counts what judge and scorers said. One goroutine uses it; the counts
// do not depend on the order of the trajectories.
type Opinions struct {
	forms  map[string]modes.Form // of the questions, by their IDs
	counts map[opinionKey]*Opinion
}

type opinionKey struct{ question, subject string }

// NewOpinions counts the answers to the questions.
func NewOpinions(questions []modes.Question) *Opinions {
	o := &Opinions{forms: map[string]modes.Form{}, counts: map[opinionKey]*Opinion{}}
	for _, q := range questions {
		o.forms[q.ID()] = q.Form
	}
	return o
}

// bothOrders is the subject under which pairs are counted whose two orders
// agree on one image.
const bothOrders = "both orders"

// Add counts what was said of a trajectory.
func (o *Opinions) Add(t irgdata.Trajectory) {
	compared := 0
	for _, j := range t.Judgements {
		subject, form := j.Subject, o.forms[j.Question]
		if form == modes.Numbers && j.About != "" {
			subject += "." + j.About
		}
		o.count(j.Question, subject, form == modes.YesNo || form == modes.Preference, j.Value, j.Abstained == "")
		if form == modes.Preference {
			if compared++; compared == 2 {
				value, ok := modes.Preferred(t)
				o.count(j.Question, bothOrders, true, value, ok)
			}
		}
	}
}

// Merge adds the counts of others.
func (o *Opinions) Merge(others []Opinion) {
	for _, other := range others {
		c := o.of(other.Question, other.Subject)
		c.Asked += other.Asked
		c.Yes += other.Yes
		c.No += other.No
		c.Even += other.Even
		c.Abstained += other.Abstained
	}
}

func (o *Opinions) of(question, subject string) *Opinion {
	key := opinionKey{question, subject}
	if o.counts[key] == nil {
		o.counts[key] = &Opinion{Question: question, Subject: subject}
	}
	return o.counts[key]
}

// count adds one answer. Numbers and lists are only asked or not.
func (o *Opinions) count(question, subject string, yesNo bool, value float64, ok bool) {
	c := o.of(question, subject)
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
func (o *Opinions) Counts() []Opinion {
	var out []Opinion
	for _, c := range slices.SortedFunc(maps.Values(o.counts), CompareOpinions) {
		out = append(out, *c)
	}
	return out
}
