package main

import (
	"path/filepath"
	"testing"
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
