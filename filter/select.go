package filter

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/minhash"
	"github.com/irgdata/irgdata/modes"
)

// SelectOptions say what is selected.
type SelectOptions struct {
	Modes     []modes.Mode
	Rules     []Rule // that on templates is used, if it is there
	Selection Selection
	// Work is a folder for what has been judged.
	Work string
}

// Selects reports whether anything is bounded, so that what becomes of a
// trajectory depends on the others.
func Selects(o SelectOptions) bool { return o.templates() >= 0 || o.Selection.Wanted() }

// templates is the place of the rule on templates, less than 0 for none.
func (o SelectOptions) templates() int {
	return slices.IndexFunc(o.Rules, func(r Rule) bool { return r.dataset })
}

// Select takes what the dataset as a whole has enough of out of the sequence,
// which keeps its order; what it takes out is a reject. What stays depends on
// the items alone, and not on their order. The sequence is read to its end,
// into a file, before the first item comes out; in memory are 48 bytes for each
// trajectory, and 96 more where the rule on templates is used. Where nothing is
// bounded the sequence is passed on as it is.
func Select(ctx context.Context, judged iter.Seq2[irgdata.Item[irgdata.Judged], error], o SelectOptions) iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	if !Selects(o) {
		return judged
	}
	templates := o.templates()
	return func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		var none irgdata.Item[irgdata.Judged]
		s := newSelector(o)
		if templates >= 0 {
			s.templates = newTemplates(o.Rules[templates])
		}
		spool, err := newSpool(o.Work)
		if err != nil {
			yield(none, err)
			return
		}
		defer spool.close()
		for item, err := range judged {
			if err == nil {
				err = spool.add(item)
			}
			if err != nil {
				yield(none, err)
				return
			}
			if item.Reject == nil {
				s.add(item.Value)
			}
		}
		s.decide()
		n := 0
		for item, err := range spool.items() {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && item.Reject == nil {
				item = s.selected(n, item.Value)
				n++
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// candidate is what is remembered of a trajectory that passed the rules.
type candidate struct {
	hash             uint64  // of its identity
	score            float64 // the less, the better
	source, category uint32  // in the selector's quotas
	modes            uint8   // that keep it, by their places in the table
	selected         uint8   // of these
	templated        uint8   // slots that are like too many others
	why              uint8   // nothing is selected: full source or category
}

const (
	fullSource   = 1
	fullCategory = 2
)

// quota counts what has a name.
type quota struct {
	name               string
	most, passed, kept int // most 0: any number
}

// full reports whether no more is wanted.
func (q quota) full() bool { return q.most > 0 && q.kept >= q.most }

func (q quota) reason(what, things string) string {
	return fmt.Sprintf("%s %s has its %d %s, and %d passed", what, q.name, q.most, things, q.passed)
}

// quotas are counted by name.
type quotas struct {
	all    []quota
	places map[string]uint32
}

// of is the place of the name's quota, which is made with the bound if it is
// new.
func (q *quotas) of(name string, most int) uint32 {
	at, ok := q.places[name]
	if !ok {
		at = uint32(len(q.all))
		q.all = append(q.all, quota{name: name, most: most})
		q.places[name] = at
	}
	return at
}

type selector struct {
	o          SelectOptions
	classifier classifier
	bands      minhash.Bands
	score      string // preferred, if it is a score
	most       bool
	candidates []candidate
	clusters   []uint64 // of the candidates, for preference spread
	sources    quotas
	categories quotas
	modes      []quota
	templates  *templates // nil: the rule is not used
}

func newSelector(o SelectOptions) *selector {
	s := &selector{o: o, classifier: newClassifier(o.Selection.Balance), bands: minhash.BandsFor(minhash.MinSimilarity)}
	s.score, s.most = o.Selection.Prefer.score()
	s.sources.places, s.categories.places = map[string]uint32{}, map[string]uint32{}
	for _, m := range o.Modes {
		s.modes = append(s.modes, quota{name: m.Name, most: o.Selection.Modes[m.Name]})
	}
	return s
}

// add remembers a trajectory that passed.
func (s *selector) add(j irgdata.Judged) {
	p := j.Trajectory.Pair
	c := candidate{hash: binary.BigEndian.Uint64(p.ID[:8]), score: math.Inf(1)}
	c.source = s.sources.of(p.Source, s.o.Selection.Sources[p.Source])
	c.category = s.categories.of(s.classifier.category(p), s.o.Selection.Balance.Max)
	s.sources.all[c.source].passed++
	s.categories.all[c.category].passed++
	for i, m := range s.o.Modes {
		if j.Keeps(m.Name) {
			c.modes |= 1 << i
			s.modes[i].passed++
		}
	}
	for _, score := range j.Scores {
		if score.Name == s.score && !math.IsNaN(score.Value) {
			c.score = score.Value
			if s.most {
				c.score = -c.score
			}
		}
	}
	s.candidates = append(s.candidates, c)
	if s.o.Selection.Prefer == PreferSpread {
		s.clusters = append(s.clusters, s.bands.Key(minhash.Of(p.Prompt), 0))
	}
	if s.templates != nil {
		s.templates.add(j.Trajectory)
	}
}

// order lists the candidates, the preferred ones first.
func (s *selector) order() []uint32 {
	order := make([]uint32, len(s.candidates))
	for i := range order {
		order[i] = uint32(i)
	}
	byHash := func(a, b uint32) int { return cmp.Compare(s.candidates[a].hash, s.candidates[b].hash) }
	if s.clusters != nil {
		// The first of each cluster, then the second ones.
		slices.SortFunc(order, func(a, b uint32) int { return cmp.Or(cmp.Compare(s.clusters[a], s.clusters[b]), byHash(a, b)) })
		for i, at := range order {
			if i > 0 && s.clusters[at] == s.clusters[order[i-1]] {
				s.candidates[at].score = s.candidates[order[i-1]].score + 1
			} else {
				s.candidates[at].score = 0
			}
		}
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(s.candidates[a].score, s.candidates[b].score), byHash(a, b))
	})
	return order
}

// decide goes through the candidates in the order of preference and selects each
// for which there is room.
func (s *selector) decide() {
	order := s.order()
	if s.templates != nil {
		s.templates.count()
		for _, at := range order {
			c := &s.candidates[at]
			c.templated = s.templates.judge(int(at))
			if s.templates.rule.action() == Reject {
				c.modes &^= s.showing(c.templated)
			}
		}
		s.templates.forget()
	}
	for _, at := range order {
		c := &s.candidates[at]
		source, category := &s.sources.all[c.source], &s.categories.all[c.category]
		switch {
		case source.full():
			c.why = fullSource
			continue
		case category.full():
			c.why = fullCategory
			continue
		}
		for i := range s.modes {
			if c.modes&(1<<i) != 0 && !s.modes[i].full() {
				s.modes[i].kept++
				c.selected |= 1 << i
			}
		}
		if c.selected != 0 {
			source.kept++
			category.kept++
		}
	}
}

// showing are the modes that show one of the slots.
func (s *selector) showing(slots uint8) (shown uint8) {
	for i, m := range s.o.Modes {
		for _, slot := range m.Needs() {
			if slots&(1<<slot) != 0 {
				shown |= 1 << i
			}
		}
	}
	return shown
}

// selected is the nth candidate with the verdicts of the selection.
func (s *selector) selected(n int, j irgdata.Judged) irgdata.Item[irgdata.Judged] {
	c := s.candidates[n]
	var against []objection
	if s.templates != nil {
		against = s.templates.note(&j, c.templated)
	}
	for i, v := range j.Verdicts {
		if !v.Keep || c.selected&(1<<i) != 0 {
			continue
		}
		x := objection{stage: irgdata.StageSelect, rule: "quota", score: math.NaN()}
		switch {
		case c.modes&(1<<i) == 0: // its slots are like too many others
			for _, slot := range s.o.Modes[i].Needs() {
				if at := slices.IndexFunc(against, func(x objection) bool { return x.slot == slot }); at >= 0 {
					x = against[at]
					break
				}
			}
		case c.why == fullSource:
			x.reason = s.sources.all[c.source].reason("source", "trajectories")
		case c.why == fullCategory:
			x.reason = s.categories.all[c.category].reason("category", "trajectories")
		default:
			x.reason = s.modes[i].reason("mode", "rows")
		}
		j.Verdicts[i] = x.verdict(v.Mode)
	}
	return item(j)
}
