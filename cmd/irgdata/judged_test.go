package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
)

// TestJudgedBuild: judge and scorer are asked once; what their rules object to is
// rejected, noted or just measured, as the configuration says, and is told by
// every command.
func TestJudgedBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("it annotates some pairs five times")
	}
	var scored atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/scorer" {
			io.WriteString(w, `{"protocol": 1, "revision": "r1"}`)
			return
		}
		var body struct{ Image []byte }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		scored.Add(1)
		d := irgdata.DigestOf(body.Image)
		fmt.Fprintf(w, `{"scores": {"half": %v, "quarter": %v}}`, float64(d[0]&1), float64(d[1]&3))
	}))
	defer server.Close()
	dir := t.TempDir()
	t.Chdir(dir)
	if code := run([]string{"samples", "24", "pairs", "--seed", "8"}, io.Discard, os.Stderr); code != exitDone {
		t.Fatalf("samples ended with %d", code)
	}
	root := filepath.Join(dir, "store")
	command := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if code := run(append(args, "--store", root), &out, os.Stderr); code != exitDone {
			t.Fatalf("%v ended with %d: %s", args, code, out.String())
		}
		return out.String()
	}
	build := func(filter, action string) (string, manifests.Snapshot, []export.Story) {
		t.Helper()
		config := fmt.Sprintf(`sources: [{path: pairs}]
models: {scenes: {kind: scenes}, onnx: {kind: scorer, url: %q, revision: r1}}
roles: {base: scenes, annotator: scenes, painter: scenes, judge: scenes}
judge: {questions: [alignment, preference, preservation, faithfulness, invention]}
scorers:
  - {name: half, model: onnx, min: 0.5, images: [improved], action: %s}
  - {name: quarter, model: onnx, max: 2, images: [draft], action: %[2]s}
filter: {%s}
export: {formats: [jsonl]}
max_rejects: 1
`, server.URL, action, filter)
		if err := os.WriteFile("irgdata.yaml", []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		out := command("build")
		s, stories := readSnapshot(t, "irgdata.yaml", root)
		return out, s, stories
	}

	out, s, stories := build("", "reject")
	// The judge in the box finds its own trajectories sound, but for improvements
	// that the prompt does not ask for.
	lost, low, high := map[string]int64{}, int64(0), int64(0) // trajectories by the rule that took a mode, and by their scores
	for _, story := range stories {
		rules := map[string]bool{}
		for _, v := range story.Verdicts {
			if !v.Keep && !rules[v.Rule] {
				rules[v.Rule] = true
				lost[v.Rule]++
			}
		}
		for _, score := range story.Scores {
			if score.Name == "improved.half" && score.Value < .5 {
				low++
			}
			if score.Name == "draft.quarter" && score.Value > 2 {
				high++
			}
		}
	}
	if low == 0 || high == 0 || lost["scorer.quarter"] != high || lost["scorer.half"] == 0 || lost["scorer.half"] > low ||
		lost["alignment"]+lost["preservation"]+lost["faithfulness"]+lost["invention"]+lost["draft_alignment"] > 0 {
		t.Errorf("lost %v, and %d and %d are beyond the scorers' limits", lost, low, high)
	}
	first, decided := manifests.PositionBias(s.Opinions)
	if decided == 0 || 2*first != decided {
		t.Errorf("the first image was preferred in %d of %d answers", first, decided)
	}
	for _, want := range []string{`preference/1 +both orders`, `preferred the one shown first in 50\.0% of`, `score\.onnx/1 +improved\.half +24`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the summary has no %s:\n%s", want, out)
		}
	}
	calls := scored.Load()
	if calls != 48 { // two images of each pair
		t.Errorf("the scorer was asked %d times", calls)
	}
	why := command("why", "000003.jpg")
	for _, want := range []string{`alignment/1 +improved +`, `defect/1 +draft +`, `score\.onnx/1 +draft +[0-3] +[0-9a-f]+ +(half|quarter)`, `improved\.p_yes +alignment/1 +1`, `draft\.p_yes +draft_alignment/1`} {
		if !regexp.MustCompile(want).MatchString(why) {
			t.Errorf("why has no %s:\n%s", want, why)
		}
	}

	// A stricter threshold and other actions ask nobody.
	strict := "rules: [{rule: preference, min: 1, action: %s}, {rule: draft_alignment, action: %[1]s}]"
	outs := map[string]string{}
	snapshots := map[string]manifests.Snapshot{}
	for _, action := range []string{"reject", "warn", "score"} {
		outs[action], snapshots[action], stories = build(fmt.Sprintf(strict, action), action)
		if !strings.Contains(outs[action], "no model call was made") || scored.Load() != calls {
			t.Errorf("%s: calls were made: %s", action, outs[action])
		}
		measured := 0
		for _, story := range stories {
			for _, score := range story.Scores {
				if score.Name == "improved.p_preferred" || score.Name == "draft.p_yes" || score.Name == "improved.half" || score.Name == "draft.quarter" {
					measured++
				}
			}
			if len(story.Trajectory.Judgements) < 10 {
				t.Errorf("%s: the shards have %d judgements of %s", action, len(story.Trajectory.Judgements), story.Trajectory.Pair.Key)
			}
		}
		if measured != 4*24 {
			t.Errorf("%s: %d scores of 24 trajectories", action, measured)
		}
	}
	// What is rejected under one action is warned of under the other, and is in
	// the dataset under the third without a word.
	if n := len(snapshots["score"].Counts.Warnings); n != 0 || snapshots["score"].Counts.Trajectories != 24 || snapshots["score"].Counts.Modes[5].Rows != 24 {
		t.Errorf("score: %+v", snapshots["score"].Counts)
	}
	if snapshots["warn"].Counts.Modes[5].Rows != 24 || snapshots["reject"].Counts.Modes[5].Rows != 0 {
		t.Errorf("warn keeps %d rows and reject %d", snapshots["warn"].Counts.Modes[5].Rows, snapshots["reject"].Counts.Modes[5].Rows)
	}
	warned := map[string]int64{}
	for _, w := range snapshots["warn"].Counts.Warnings {
		warned[w.Rule] = w.Count
	}
	if warned["preference"] != 24 || warned["scorer.half"] != low || warned["scorer.quarter"] != high || warned["draft_alignment"] != 0 {
		t.Errorf("warned of %v, want %d and %d by the scorers", warned, low, high)
	}
	if !strings.Contains(outs["warn"], "preference 24") {
		t.Errorf("the summary counts no warnings:\n%s", outs["warn"])
	}
	// A scorer's number can decide what is selected.
	_, _, stories = build("rules: [{rule: preference, action: score}], select: {modes: {improving_full_learning: 5}, prefer: most improved.half}", "score")
	chosen := 0
	for _, story := range stories {
		for _, score := range story.Scores {
			if story.Keeps("improving_full_learning") && score.Name == "improved.half" && score.Value == 1 {
				chosen++
			}
		}
	}
	if chosen != 5 {
		t.Errorf("of 5 that are selected %d have the preferred score", chosen)
	}
	build(fmt.Sprintf(strict, "warn"), "warn")

	// The dry run says so before, from the shards alone.
	if dry := command("filter", "--dry-run", "--set", "preference.action=reject"); !regexp.MustCompile(`filter +preference +improving_full_learning +0 +24`).MatchString(dry) {
		t.Errorf("the dry run says: %s", dry)
	}
}
