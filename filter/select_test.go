package filter_test

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/modes"
)

// pool are trajectories that all modes keep, with these prompts and scores.
func pool(prompts []string, score func(i int) float64) (all []irgdata.Judged) {
	for i, prompt := range prompts {
		p := irgdata.Pair{Prompt: prompt, Key: fmt.Sprint(i), Language: []string{"en", "de", ""}[i%3], License: []string{"CC0-1.0", ""}[i%2]}
		p.ID = irgdata.PairID(prompt, irgdata.DigestOf([]byte(p.Key)))
		j := irgdata.Judged{Trajectory: irgdata.NewTrajectory(p, irgdata.Distill)}
		if score != nil {
			j.Scores = []irgdata.Score{{Rule: "coverage/1", Name: "reflection.covered", Value: float64(-i)}, {Rule: "coverage/1", Name: "thinking.covered", Value: score(i)}}
		}
		for _, m := range modes.All() {
			j.Verdicts = append(j.Verdicts, irgdata.Verdict{Mode: m.Name, Keep: true})
		}
		all = append(all, j)
	}
	return all
}

// selected are the keys of those that are kept, in order, whatever the order of
// the pool.
func selected(t *testing.T, all []irgdata.Judged, selection filter.Selection) (kept []string) {
	t.Helper()
	for round := range 3 {
		shuffled := slices.Clone(all)
		if round > 0 {
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		}
		in := iter.Seq2[irgdata.Item[irgdata.Judged], error](func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
			for _, j := range shuffled {
				j.Verdicts = slices.Clone(j.Verdicts)
				if !yield(irgdata.Item[irgdata.Judged]{Value: j}, nil) {
					return
				}
			}
		})
		var keys []string
		for item, err := range filter.Select(t.Context(), in, filter.SelectOptions{Modes: modes.All(), Selection: selection, Work: t.TempDir()}) {
			if err != nil {
				t.Fatal(err)
			}
			if item.Reject == nil {
				keys = append(keys, item.Value.Trajectory.Pair.Key)
			}
		}
		slices.Sort(keys)
		if round > 0 && !slices.Equal(keys, kept) {
			t.Errorf("another order selects %v, want %v", keys, kept)
		}
		kept = keys
	}
	return kept
}

// TestPreferences: of what a quota bounds the preferred ones stay.
func TestPreferences(t *testing.T) {
	var prompts []string
	for i := range 12 {
		prompts = append(prompts, fmt.Sprintf("thing number %d", i))
	}
	scored := pool(prompts, func(i int) float64 {
		if i == 3 || i == 8 {
			return math.NaN() // the rule abstained
		}
		return float64(i * 7 % 12) // each number once
	})
	scored[5].Scores = nil // the rule did not measure it
	most := func(n int, prefer filter.Preference) filter.Selection {
		return filter.Selection{Modes: all(n), Prefer: prefer}
	}
	for _, tc := range []struct {
		prefer filter.Preference
		n      int
		want   []string
	}{
		{"most thinking.covered", 3, []string{"1", "10", "6"}},                                // 7, 10 and 6
		{"least thinking.covered", 2, []string{"0", "7"}},                                     // 0 and 1
		{"most thinking.covered", 9, []string{"0", "1", "10", "11", "2", "4", "6", "7", "9"}}, // what has no score comes last
		{"least reflection.covered", 2, []string{"10", "11"}},                                 // another of the rule's scores
	} {
		if diff := cmp.Diff(tc.want, selected(t, scored, most(tc.n, tc.prefer))); diff != "" {
			t.Errorf("%s: %s", tc.prefer, diff)
		}
	}

	// Of near prompts one each, before there is a second of any.
	var near []string
	for i := range 6 {
		for range 5 - i%2 {
			near = append(near, strings.Repeat(fmt.Sprintf("a %d red circle on a green ground in warm light, seen from the left ", i), 1+i))
		}
	}
	clusters := func(keys []string) map[string]int {
		n := map[string]int{}
		for _, key := range keys {
			var i int
			fmt.Sscan(key, &i)
			n[near[i]]++
		}
		return n
	}
	for _, n := range []int{6, 12} {
		for prompt, got := range clusters(selected(t, pool(near, nil), most(n, filter.PreferSpread))) {
			if got != n/6 {
				t.Errorf("spread keeps %d of %d like %.20q, want %d", got, n, prompt, n/6)
			}
		}
	}
	if got := clusters(selected(t, pool(near, nil), most(6, filter.PreferHash))); len(got) == 6 {
		t.Error("without spread each cluster is there once too")
	}
}

// all bounds every mode.
func all(n int) map[string]int {
	bounds := map[string]int{}
	for _, name := range modes.Names() {
		bounds[name] = n
	}
	return bounds
}

// TestBalance: no category has more than its part, and what has none is one.
func TestBalance(t *testing.T) {
	prompts := []string{
		"a dog", "two Dogs", "the dog's ball", "a cat", "a cat and a dog", "a tree", "a hotdog stand", "dog", "cats", "a red tree", "dog, dog", "a stone",
	}
	of := func(by string, max int, tags map[string][]string) filter.Selection {
		return filter.Selection{Balance: filter.Balance{By: by, Max: max, Tags: tags}}
	}
	tags := map[string][]string{"animals": {"dog", "dogs", "cat"}, "cats": {"cat", "cats"}, "plants": {"tree"}}
	category := map[string]string{"0": "animals", "1": "animals", "2": "animals", "3": "animals+cats", "4": "animals+cats", "5": "plants", "6": "no tag", "7": "animals", "8": "cats", "9": "plants", "10": "animals", "11": "no tag"}
	for _, max := range []int{1, 2, 4} {
		n := map[string]int{}
		for _, key := range selected(t, pool(prompts, nil), of(filter.ByTags, max, tags)) {
			n[category[key]]++
		}
		want := map[string]int{"animals": min(5, max), "animals+cats": min(2, max), "plants": min(2, max), "no tag": min(2, max), "cats": 1}
		if diff := cmp.Diff(want, n); diff != "" {
			t.Errorf("%d of each tag: %s", max, diff)
		}
	}
	for by, categories := range map[string]int{filter.ByLanguage: 3, filter.ByLicense: 2, filter.BySource: 1} {
		if got := selected(t, pool(prompts, nil), of(by, 1, nil)); len(got) != categories {
			t.Errorf("by %s: kept %v, want one of each of %d", by, got, categories)
		}
	}
}
