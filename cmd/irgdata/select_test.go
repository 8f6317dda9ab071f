package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
)

// readSnapshot reads the newest snapshot of a store and all that it tells of
// trajectories.
func readSnapshot(t *testing.T, config, root string) (s manifests.Snapshot, stories []export.Story) {
	t.Helper()
	c, err := loadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.Store, c.Work = root, t.TempDir()
	d, err := openDataset(t.Context(), c, store, newLog(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close(context.WithoutCancel(t.Context()))
	if s, err = d.snapshot(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for story, err := range export.Stories(t.Context(), d.store, s, c.Work, func(_, _, _ string) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		stories = append(stories, story)
	}
	return s, stories
}

// TestSelectedBuild: builds over some hundred pairs keep what their selection
// bounds, count it, and do not depend on the number of workers.
func TestSelectedBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("it annotates some hundred pairs")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	const each = 90
	for i, name := range []string{"one", "two"} {
		if code := run([]string{"samples", fmt.Sprint(each), name, "--seed", fmt.Sprint(3 + i)}, io.Discard, os.Stderr); code != exitDone {
			t.Fatalf("samples ended with %d", code)
		}
	}
	const full, generation = "initial_full_learning", "initial_thinking_generation_learning"
	root := filepath.Join(dir, "store")
	build := func(selection string, workers int) (string, manifests.Snapshot, []export.Story) {
		t.Helper()
		config := fmt.Sprintf("sources: [{path: one}, {path: two}]\nmodes: [%s, %s]\nexport: {ranks: 1, workers: 1}\nmax_rejects: 1\nworkers: %d\nfilter: {%s}\n", full, generation, workers, selection)
		if err := os.WriteFile("irgdata.yaml", []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if code := run([]string{"build", "--store", root}, &out, os.Stderr); code != exitDone {
			t.Fatalf("build under %s ended with %d: %s", selection, code, out.String())
		}
		s, stories := readSnapshot(t, "irgdata.yaml", root)
		return out.String(), s, stories
	}
	_, everything, all := build("", 3)
	if n := int(everything.Counts.Trajectories); n < 2*each-10 {
		t.Fatalf("%d trajectories of %d pairs", n, 2*each)
	}
	checkLengths(t, everything, all)
	covered := func(s export.Story) float64 {
		for _, score := range s.Scores {
			if score.Name == "thinking.covered" {
				return score.Value
			}
		}
		return math.NaN()
	}

	const shapes = "tags: {round: [circle, circles, disc, discs], angular: [square, squares, triangle, triangles, diamond, diamonds, hexagon, hexagons]}"
	for _, tc := range []struct {
		name, selection string
		check           func(s manifests.Snapshot, kept, rejected []export.Story)
	}{
		{"quotas", "select: {modes: {" + full + ": 50}, sources: {one: 30}}", func(s manifests.Snapshot, kept, rejected []export.Story) {
			sources, rows := map[string]int{}, map[string]int{}
			for _, k := range kept {
				sources[k.Trajectory.Pair.Source]++
				for _, v := range k.Verdicts {
					if v.Keep {
						rows[v.Mode]++
					} else if v.Rule != "quota" || v.Stage != irgdata.StageSelect || !strings.Contains(v.Reason, "its 50 rows") {
						t.Errorf("lost %+v", v)
					}
				}
			}
			if sources["one"] != 30 || sources["two"] < each-10 || rows[full] != 50 || rows[generation] != len(kept) {
				t.Errorf("kept %v, rows %v", sources, rows)
			}
		}},
		{"balance", "select: {balance: {by: tags, max: 15, " + shapes + "}}", func(s manifests.Snapshot, kept, rejected []export.Story) {
			n := map[string]int{}
			for _, k := range kept {
				round := strings.Contains(k.Trajectory.Pair.Prompt, "circle") || strings.Contains(k.Trajectory.Pair.Prompt, "disc")
				angular := slices.ContainsFunc([]string{"square", "triangle", "diamond", "hexagon"}, func(w string) bool { return strings.Contains(k.Trajectory.Pair.Prompt, w) })
				n[fmt.Sprint(round, angular)]++
			}
			for category, count := range n {
				if count > 15 {
					t.Errorf("%d of category %s", count, category)
				}
			}
			if len(n) != 4 || len(kept) < 50 {
				t.Errorf("kept %v", n)
			}
		}},
		{"most", "select: {modes: {" + full + ": 40, " + generation + ": 40}, prefer: most thinking.covered}", func(s manifests.Snapshot, kept, rejected []export.Story) {
			least, most := math.Inf(1), math.Inf(-1)
			for _, k := range kept {
				least = min(least, covered(k))
			}
			for _, r := range rejected {
				most = max(most, covered(r))
			}
			if len(kept) != 40 || least < most {
				t.Errorf("kept %d with at least %v, and rejected one with %v", len(kept), least, most)
			}
		}},
		{"least", "select: {modes: {" + full + ": 40, " + generation + ": 40}, prefer: least thinking.covered}", func(s manifests.Snapshot, kept, rejected []export.Story) {
			most, least := math.Inf(-1), math.Inf(1)
			for _, k := range kept {
				most = max(most, covered(k))
			}
			for _, r := range rejected {
				least = min(least, covered(r))
			}
			if len(kept) != 40 || most > least {
				t.Errorf("kept %d with at most %v, and rejected one with %v", len(kept), most, least)
			}
		}},
		{"spread", "select: {sources: {one: 25, two: 25}, prefer: spread}", func(s manifests.Snapshot, kept, rejected []export.Story) {
			if len(kept) != 50 {
				t.Errorf("kept %d", len(kept))
			}
		}},
		{"templates", "rules: [{rule: templates, max: 0.02}]", func(s manifests.Snapshot, kept, rejected []export.Story) {
			ends := map[string]int{}
			for _, k := range kept {
				words := strings.Fields(strings.ToLower(strings.TrimPrefix(k.Trajectory.Slots[irgdata.SlotThinking].Text, "<think>")))
				ends[strings.Join(words[:5], " ")]++
			}
			if n := slices.Max(slices.Collect(maps.Values(ends))); n > 2*each*2/100+1 {
				t.Errorf("an opening is there %d times", n)
			}
			if len(rejected) == 0 || rejected[0].Reject.Rule != "templates" {
				t.Errorf("rejected %d", len(rejected))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, s, stories := build(tc.selection, 1)
			if !strings.Contains(out, "no model call was made") {
				t.Errorf("another selection made calls: %s", out)
			}
			var kept, rejected []export.Story
			for _, story := range stories {
				if story.Reject == nil {
					kept = append(kept, story)
				} else if story.Reject.Stage == irgdata.StageSelect {
					rejected = append(rejected, story)
				}
			}
			tc.check(s, kept, rejected)
			checkLengths(t, s, stories)
			// What was selected away is counted in the funnel, and printed.
			stages := s.Counts.Funnels[0].Stages
			last := stages[len(stages)-1]
			if last.Stage != irgdata.StageSelect || last.In-last.Out != int64(len(rejected)) || last.Out != int64(len(kept)) || s.Counts.Trajectories != int64(len(kept)) || last.In != everything.Counts.Trajectories {
				t.Errorf("the funnel's last stage is %+v, and %d are kept, %d rejected", last, len(kept), len(rejected))
			}
			if len(rejected) > 0 && !strings.Contains(out, fmt.Sprintf("%s %d", rejected[0].Reject.Rule, len(rejected))) {
				t.Errorf("the summary does not count what was selected away:\n%s", out)
			}
			// Other numbers of workers publish the same.
			again, same, _ := build(tc.selection, 5)
			if same.Number != s.Number || !strings.Contains(again, "already holds exactly this") {
				t.Errorf("five workers publish another snapshot: %s", cmp.Diff(s.Content, same.Content))
			}
		})
	}
}

// checkLengths holds the histograms of the manifest against the scores of what
// was kept.
func checkLengths(t *testing.T, s manifests.Snapshot, stories []export.Story) {
	t.Helper()
	want := map[string]*manifests.Histogram{}
	for _, story := range stories {
		if story.Reject != nil {
			continue
		}
		for _, score := range story.Scores {
			if !strings.HasPrefix(score.Rule, "length/") && !strings.HasPrefix(score.Rule, "row_tokens/") {
				continue
			}
			if mode, _, _ := strings.Cut(score.Name, "."); strings.HasSuffix(mode, "_learning") && !story.Keeps(mode) {
				continue
			}
			if want[score.Name] == nil {
				want[score.Name] = &manifests.Histogram{Name: score.Name, Counts: make([]int64, 20)}
			}
			h := want[score.Name]
			n := int64(score.Value)
			h.Counts[bits.Len64(uint64(n))]++
			h.Sum, h.Most = h.Sum+n, max(h.Most, n)
		}
	}
	if len(want) < 4 || len(s.Counts.Lengths) != len(want) {
		t.Errorf("histograms %+v, want those of %v", s.Counts.Lengths, slices.Sorted(maps.Keys(want)))
	}
	for _, got := range s.Counts.Lengths {
		counts := append(slices.Clone(got.Counts), make([]int64, 20-len(got.Counts))...)
		if w := want[got.Name]; w == nil || !slices.Equal(counts, w.Counts) || got.Sum != w.Sum || got.Most != w.Most {
			t.Errorf("histogram %+v, want %+v", got, w)
		}
	}
}
