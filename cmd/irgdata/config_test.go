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
