package filter_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/modes"
)

// TestMistakes: each names its key and what was meant.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		entry     filter.Entry
		key, want string
	}{
		{filter.Entry{Rule: "blr"}, "rules[0]", "there is no rule \"blr\": did you mean `blur`?"},
		{filter.Entry{Rule: "blur", Parameters: map[string]any{"mix": 3.0}}, "rules[0].mix", "rule blur has no parameter \"mix\": did you mean `max`?"},
		{filter.Entry{Rule: "blur", Parameters: map[string]any{"max": 0.5}}, "rules[0].max", "is 0.5: want a number of at least 1"},
		{filter.Entry{Rule: "cast", Parameters: map[string]any{"max": "much"}}, "rules[0].max", "is much: want a number"},
		{filter.Entry{Rule: "size", Parameters: map[string]any{"min": 1.5}}, "rules[0].min", "is 1.5: want a whole number"},
		{filter.Entry{Rule: "decode", Parameters: map[string]any{"min": 1.0}}, "rules[0].min", "rule decode has no parameters: want `action`, or nothing"},
	} {
		_, key, err := filter.Config{Rules: []filter.Entry{tc.entry}}.Complete()
		if err == nil || key != tc.key || err.Error() != tc.want {
			t.Errorf("got %s: %v, want %s: %s", key, err, tc.key, tc.want)
		}
	}
	if c, _, err := (filter.Config{}).Complete(); err != nil || len(c.Rules) != 0 {
		t.Errorf("from nothing: %v, %v", c, err)
	}
}

// TestSelect: quotas and templates bound what stays, whatever the order, and
// nothing is lost.
func TestSelect(t *testing.T) {
	var all []irgdata.Judged
	for i := range 200 {
		p := irgdata.Pair{Prompt: fmt.Sprintf("thing number %d", i), Source: []string{"a", "b"}[i%2], Language: "en"}
		p.ID = irgdata.PairID(p.Prompt, irgdata.Digest{})
		j := irgdata.Judged{Trajectory: irgdata.NewTrajectory(p, irgdata.Distill), Scores: []irgdata.Score{{Rule: "coverage/1", Name: "thinking.covered", Value: float64(i)}}}
		j.Trajectory.Slots[irgdata.SlotThinking].Text = "<think>Always the same five words, and then.</think>"
		for _, m := range modes.All() {
			j.Verdicts = append(j.Verdicts, irgdata.Verdict{Mode: m.Name, Keep: true})
		}
		all = append(all, j)
	}
	full := modes.All()[2].Name
	for _, tc := range []struct {
		name      string
		selection filter.Selection
		rules     []filter.Rule
		kept      int // trajectories
		full      int // rows of the third mode
	}{
		{"a source", filter.Selection{Sources: map[string]int{"a": 10}}, nil, 110, 110},
		{"a mode", filter.Selection{Modes: map[string]int{full: 30}}, nil, 200, 30},
		{"languages", filter.Selection{Balance: filter.Balance{By: filter.ByLanguage, Max: 7}, Prefer: filter.PreferSpread}, nil, 7, 7},
		{"templates", filter.Selection{}, []filter.Rule{filter.Templates(0.25)}, 200, 50},
	} {
		var first map[irgdata.Digest]bool
		for range 3 {
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			in := iter.Seq2[irgdata.Item[irgdata.Judged], error](func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
				for _, j := range all {
					j.Verdicts = slices.Clone(j.Verdicts)
					if !yield(irgdata.Item[irgdata.Judged]{Value: j}, nil) {
						return
					}
				}
			})
			kept, rejected, rows := map[irgdata.Digest]bool{}, 0, 0
			for item, err := range filter.Select(t.Context(), in, filter.SelectOptions{Modes: modes.All(), Rules: tc.rules, Selection: tc.selection, Work: t.TempDir()}) {
				if err != nil {
					t.Fatal(err)
				}
				if item.Reject != nil {
					rejected++
					if item.Reject.Stage != "select" || item.Reject.Reason == "" {
						t.Errorf("%s: got %+v", tc.name, item.Reject)
					}
					continue
				}
				kept[item.Value.Trajectory.Pair.ID] = item.Value.Keeps(full)
				if item.Value.Keeps(full) {
					rows++
				}
			}
			if len(kept) != tc.kept || rejected != 200-tc.kept || rows != tc.full {
				t.Errorf("%s: kept %d with %d rows, rejected %d, want %d with %d", tc.name, len(kept), rows, rejected, tc.kept, tc.full)
			}
			if first == nil {
				first = kept
			} else if fmt.Sprint(first) != fmt.Sprint(kept) {
				t.Errorf("%s: another order selects others", tc.name)
			}
		}
	}
}

// TestDocs: every rule and its parameters' defaults stand in the tables.
func TestDocs(t *testing.T) {
	text := ""
	for _, file := range []string{"filters.md", "filters-images.md", "filters-texts.md", "filters-judge.md"} {
		content, err := os.ReadFile("../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	for _, k := range filter.Kinds() {
		at := strings.Index(text, "| `"+k.Name+"`")
		if at < 0 {
			t.Errorf("rule %s is in no table", k.Name)
			continue
		}
		line, _, _ := strings.Cut(text[at:], "\n")
		for _, p := range k.Parameters {
			if want := fmt.Sprintf("`%s` (%v)", p.Name, p.Default); !p.Texts && k.Name != "word_list" && !strings.Contains(line, want) {
				t.Errorf("rule %s: its line lacks %s: %s", k.Name, want, line)
			}
		}
	}
}
