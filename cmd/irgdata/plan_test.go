package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/manifests"
)

// TestPlanIsWhatABuildDoes changes one thing after another in a dataset that
// was built. The plan says which calls the build will make, and why; the build
// makes just these.
func TestPlanIsWhatABuildDoes(t *testing.T) {
	pairs := samplePairs(t, 4)
	s := newSite(t, pairs, nil)
	models := s.models
	config, err := os.ReadFile(filepath.Join(s.dir, "irgdata.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(config)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("reflection.txt", "Compare both for {{prompt}}. Give Step-by-Step guidance.")
	for _, step := range []struct {
		name, old, now string
		want           []string
	}{
		{"the first build", "", "", []string{
			"hindsight/1: 4 × new pair", "draft_thinking/1: 4 × new pair", "draft/1: 4 × new pair", "reflection/1: 4 × new pair",
		}},
		{"nothing", "", "", nil},
		{"a filter", "filter: {rules: [{rule: coverage, min: 0}]}", "filter: {rules: [{rule: coverage, min: 0}, {rule: size, min: 16}]}", nil},
		{"settings of export and calls", "calls: {workers: 4, share: 50ms, hold: 1m}\nshards: {size: 16 KiB, row_group: 4 KiB}\nexport: {to: export, ranks: 2", "calls: {workers: 2, share: 50ms, hold: 1m}\nshards: {size: 64 KiB, row_group: 16 KiB}\nexport: {to: export, ranks: 1", nil},
		{"the annotator's revision", `kind: openai, url: "` + models.URL + `/v1", revision: "1"`, `kind: openai, url: "` + models.URL + `/v1", revision: "2"`, []string{
			"hindsight/1: 4 × model annotator vlm revision 1 → 2", "reflection/1: 4 × model annotator vlm revision 1 → 2",
		}},
		{"a template", "ingest:", "prompts: {reflection: reflection.txt}\ningest:", []string{"reflection/1: 4 × template reflection v1 → custom"}},
		{"the size of painted images", "width: 64, height: 64", "width: 96, height: 64", []string{
			"draft/1: 4 × image size 64×64 → 96×64", "reflection/1: 4 × after draft",
		}},
		{"and back again", "width: 96, height: 64", "width: 64, height: 64", nil},
		{"the seed", "store: store", "store: store\nseed: 7", []string{
			"hindsight/1: 4 × seed 1 → 7", "draft_thinking/1: 4 × seed 1 → 7", "draft/1: 4 × seed 1 → 7, after draft_thinking", "reflection/1: 4 × seed 1 → 7, after draft",
		}},
	} {
		if step.old != "" && !strings.Contains(text, step.old) {
			t.Fatalf("%s: the configuration lacks %q", step.name, step.old)
		}
		text = strings.Replace(text, step.old, step.now, 1)
		write("irgdata.yaml", text)
		out, err := s.command(t.Context(), "plan", "--json").Output()
		var plan manifests.Plan
		if err == nil {
			err = json.Unmarshal(out, &plan)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", step.name, err, out)
		}
		var why []string
		for _, c := range plan.Calls {
			for _, r := range c.Reasons {
				why = append(why, fmt.Sprintf("%s: %d × %s", c.Step, r.Calls, r.Reason))
			}
		}
		if diff := cmp.Diff(step.want, why); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		models.forget()
		if out, err := s.command(t.Context(), "build").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step.name, err, out)
		}
		if int64(models.made()) != plan.Make() {
			t.Errorf("%s: the build made %d calls, and the plan said %d", step.name, models.made(), plan.Make())
		}
	}

	// One pair's calls, before and after its caption is another one.
	files, err := filepath.Glob(filepath.Join(pairs, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("a red circle"), 0o644); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSuffix(filepath.Base(files[0]), ".txt")
	out, err := s.command(t.Context(), "plan", "--why", key+".jpg").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "made: new prompt for a known image") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.command(t.Context(), "plan", "--why", "nobody").CombinedOutput(); err == nil || !strings.Contains(string(out), `"nobody"`) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := s.command(t.Context(), "plan").CombinedOutput(); err != nil || !strings.Contains(string(out), "reflection/1      1      new prompt for a known image") {
		t.Errorf("%v\n%s", err, out)
	}
}
