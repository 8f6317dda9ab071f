package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/internal/tokenizer"
)

// TestExamples: the configurations that people start from are right.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		if _, err := loadConfig(file); err != nil {
			t.Error(err)
		}
	}
}

func TestSourcesAreNamedByTheirPaths(t *testing.T) {
	for _, tc := range []struct{ paths, names []string }{
		{[]string{"photos"}, []string{"photos"}},
		{[]string{"a/pairs.jsonl", "b/pairs.jsonl", "c.tar"}, []string{"a/pairs", "b/pairs", "c"}},
		{[]string{"s3://one/data/*.parquet", "s3://two/data/*.parquet"}, []string{"one/data", "two/data"}},
		{[]string{"*.tar"}, []string{"pairs"}},
		{[]string{"same", "same"}, []string{"same", "same"}}, // which validate refuses
	} {
		c := Config{}
		for _, p := range tc.paths {
			c.Sources = append(c.Sources, Source{Path: p})
		}
		c.nameSources()
		for i, s := range c.Sources {
			if s.Name != tc.names[i] {
				t.Errorf("%v: source %d is named %q, want %q", tc.paths, i, s.Name, tc.names[i])
			}
		}
	}
}

// TestLengthsByTokenizer: lengths are counted in tokens of the base model's
// tokenizer, and another tokenizer measures anew.
func TestLengthsByTokenizer(t *testing.T) {
	small, err := filepath.Abs("../../internal/tokenizer/testdata/small")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Open(os.DirFS(small))
	if err != nil {
		t.Fatal(err)
	}
	rules := func(setting string) map[string]filter.Rule {
		t.Helper()
		path := filepath.Join(t.TempDir(), "irgdata.yaml")
		text := fmt.Sprintf("sources: [{bundled: sample}]\nmodels: {m: {kind: omni, url: \"http://127.0.0.1:1/v1\", model: m, revision: \"1\"%s}}\nmodes: [initial_thinking_generation_learning]\n", setting)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.rules()
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]filter.Rule{}
		for _, r := range list {
			byName[r.Name] = r
		}
		return byName
	}
	words, tokens := rules(""), rules(fmt.Sprintf(", tokenizer: %q", small))
	s := &filter.Subject{}
	s.Trajectory.Slots[irgdata.SlotThinking].Text = "<think>Three small circles beneath a striped triangle, 红色的立方体.</think>"
	for unit, r := range map[string]filter.Rule{"words": words["length"], "tokens": tokens["length"]} {
		value, err := r.Measure(t.Context(), s, irgdata.SlotThinking)
		if err != nil {
			t.Fatal(err)
		}
		want := tok.Count(s.Trajectory.Slots[irgdata.SlotThinking].Text)
		if unit == "words" {
			want = 15 // the two tags are words, and each Chinese character
		}
		if r.Unit != unit || value != float64(want) {
			t.Errorf("measured %v %s, want %d %s", value, r.Unit, want, unit)
		}
	}
	for _, name := range []string{"length", "row_tokens"} {
		if words[name].ID() == tokens[name].ID() {
			t.Errorf("rule %s has one version, %s, for both", name, tokens[name].ID())
		}
	}
	if !strings.HasSuffix(tokens["length"].Version, tok.Digest().String()[:8]) {
		t.Errorf("rule length has version %s", tokens["length"].Version)
	}
}
