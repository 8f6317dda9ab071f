package main

import (
	"io"
	"strings"
	"testing"
)

// TestExportMistakes: what is wrong with the command line or the configuration
// ends an export with code 2, also where only the snapshot shows it.
func TestExportMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	if code := run([]string{"build", "--limit", "4"}, io.Discard, io.Discard); code != exitDone {
		t.Fatalf("build ended with %d", code)
	}
	for _, tc := range []struct {
		name, args string
		code       int
		want       string
	}{
		{"syntax", "--where prompt==", exitUsage, "export.where: character 8: unexpected token EOF"},
		{"type", "--where prompt==3", exitUsage, "export.where: character 7: invalid operation"},
		{"unknown score", "--where diference>3", exitUsage, "where: character 1: unknown name diference"},
		{"unknown function", "--where size(prompt)>3", exitUsage, "export.where: character 1: unknown function size"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stderr strings.Builder
			args := append([]string{"export", "--snapshot", "1", "--format", "jsonl", "--to", "out"}, strings.Fields(tc.args)...)
			if code := run(args, io.Discard, &stderr); code != tc.code || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("ended with %d, want %d and %q:\n%s", code, tc.code, tc.want, stderr.String())
			}
		})
	}
}
