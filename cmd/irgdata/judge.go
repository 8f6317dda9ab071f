package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// Judge says on what the judge is asked; the rules of the same names hold its
// answers against their thresholds.
type Judge struct {
	Questions []string `yaml:"questions"`
}

// Scorer is a rule on a number that a model of kind scorer gives.
type Scorer struct {
	Name   string   `yaml:"name"`
	Model  string   `yaml:"model"`
	Score  string   `yaml:"score,omitempty"`
	Images []string `yaml:"images,omitempty"`
	Min    Limit    `yaml:"min,omitempty"`
	Max    Limit    `yaml:"max,omitempty"`
	// Action is what a number beyond the limits does.
	Action filter.Action `yaml:"action,omitempty"`
}

// Limit is a number that may be left out.
type Limit string

// UnmarshalText takes a number.
func (l *Limit) UnmarshalText(text []byte) error {
	*l = Limit(text)
	if v, err := l.value(0); err != nil || math.IsNaN(v) {
		return fmt.Errorf("is %q: want a number", text)
	}
	return nil
}

// value is the number, or else what stands for none.
func (l Limit) value(none float64) (float64, error) {
	if l == "" {
		return none, nil
	}
	return strconv.ParseFloat(string(l), 64)
}

// limits are those of the score, infinite where there is none.
func (s Scorer) limits() (least, most float64) {
	least, _ = s.Min.value(math.Inf(-1)) // validated
	most, _ = s.Max.value(math.Inf(1))
	return least, most
}

// slots are those of the images that are scored: where none are named, those
// that the trainer learns to paint.
func (s Scorer) slots() ([]irgdata.Slot, error) {
	if len(s.Images) == 0 {
		return []irgdata.Slot{irgdata.SlotReference, irgdata.SlotImproved}, nil
	}
	all := []irgdata.Slot{irgdata.SlotReference, irgdata.SlotDraft, irgdata.SlotImproved}
	var slots []irgdata.Slot
	for _, name := range s.Images {
		i := slices.IndexFunc(all, func(slot irgdata.Slot) bool { return slot.String() == name })
		if i < 0 || slices.Contains(slots, all[i]) {
			return nil, fmt.Errorf("is %v: want some of %v, each once", s.Images, all)
		}
		slots = append(slots, all[i])
	}
	return slots, nil
}

// rule is the scorer's.
func (s Scorer) rule() filter.Rule {
	least, most := s.limits()
	number := s.Score
	if number == "" {
		number = s.Name
	}
	slots, _ := s.slots() // validated
	r := filter.Scored(s.Name, s.Model, number, slots, least, most)
	r.Action, r.Parameters = s.Action, map[string]float64{}
	if s.Min != "" {
		r.Parameters["min"] = least
	}
	if s.Max != "" {
		r.Parameters["max"] = most
	}
	return r
}

// scorers are the questions to models of kind scorer: one for each model, about
// all images that a rule wants scored.
func (c Config) scorers() []modes.Scorer {
	var list []modes.Scorer
	for _, s := range c.Scorers {
		slots, _ := s.slots() // validated
		i := slices.IndexFunc(list, func(q modes.Scorer) bool { return q.Model == s.Model })
		if i < 0 {
			i, list = len(list), append(list, modes.Scorer{Model: s.Model})
		}
		for _, slot := range slots {
			if !slices.Contains(list[i].Images, slot) {
				list[i].Images = append(list[i].Images, slot)
			}
		}
	}
	return list
}

// calls are all kinds of model call that a build over the wanted modes makes.
func (c Config) calls(wanted []modes.Mode) []modes.Step {
	calls := modes.StepsFor(c.Strategy, wanted, c.paintsReferences())
	for _, q := range modes.QuestionsFor(c.Strategy, wanted, c.Judge.Questions, c.scorers()) {
		if !slices.ContainsFunc(calls, func(s modes.Step) bool { return s.ID() == q.ID() }) {
			calls = append(calls, q.Step)
		}
	}
	return calls
}

// player is the name of the model that plays the role.
func (c Config) player(role modes.Role) string {
	if name, ok := strings.CutPrefix(string(role), string(modes.ScorerRole(""))); ok {
		return name
	}
	return c.Roles[string(role)]
}

// validateJudge reports the first mistake in what judge and scorers are asked.
func (c Config) validateJudge(wrong func(path, format string, args ...any) error) error {
	if err := modes.CheckTopics(c.Judge.Questions); err != nil {
		return wrong("judge.questions", "%v", err)
	}
	for i, s := range c.Scorers {
		path := fmt.Sprintf("scorers[%d]", i)
		m, there := c.Models[s.Model]
		least, most := s.limits()
		switch _, err := s.slots(); {
		case s.Name == "":
			return wrong(path+".name", "is missing: want a name for the rule, scorer.<name>")
		case slices.ContainsFunc(c.Scorers[:i], func(o Scorer) bool { return o.Name == s.Name }):
			return wrong(path+".name", "%q is that of another scorer: give each a name of its own", s.Name)
		case !there || m.Kind != kindScorer:
			return wrong(path+".model", "is %q: want the name of a model of kind %s", s.Model, kindScorer)
		case err != nil:
			return wrong(path+".images", "%v", err)
		case least > most:
			return wrong(path, "min is %v and max is %v: no number is between them", least, most)
		}
	}
	return nil
}

// opinionTable says what judge and scorers said of all annotated pairs.
func opinionTable(w io.Writer, opinions []manifests.Opinion) {
	if len(opinions) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  judged\tof\tasked\tyes\tno\teven\tabstained\n")
	for _, o := range opinions {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.Question, o.Subject, humanize.Comma(o.Asked), dash(o.Yes), dash(o.No), dash(o.Even), dash(o.Abstained))
	}
	t.Flush()
	if first, decided := manifests.PositionBias(opinions); decided > 0 {
		fmt.Fprintf(w, "  Of two images the judge preferred the one shown first in %.1f%% of %s answers; 50%% is no bias.\n", 100*float64(first)/float64(decided), humanize.Comma(decided))
	}
	fmt.Fprintln(w)
}
