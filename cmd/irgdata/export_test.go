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
		{"a flag of another format", "--quality 10", exitUsage, "--quality is for the format irg alone, and the formats wanted are [jsonl]: leave the flag out, or add irg with --format"},
		{"flags of another format", "--format hf,mds --max-side 32 --ranks 2", exitUsage, "--ranks is for the format irg alone, and the formats wanted are [jsonl hf mds]"},
		{"flags of one format of two", "--format irg --ranks 1 --workers 1 --image-format jpeg --quality 80", exitDone, ""},
		{"a quality of no format", "--format irg --ranks 1 --workers 1 --quality 80", exitUsage, "export.image: quality is 80 and format is \"\": a quality is that of format jpeg, which must be set as well"},
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
