package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestMistakesOfUsage: what a mistake on the command line ends with, and what is
// no mistake of it.
func TestMistakesOfUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	if code := run([]string{"build", "--limit", "2"}, &out, &out); code != exitDone {
		t.Fatal(out.String())
	}
	for _, tc := range []struct {
		line string
		code int
		says string
	}{
		{"tag 7", exitUsage, `"7" is no name for a snapshot: want a tag`},
		{"tag ../x", exitUsage, `"../x" is no name for a snapshot: want a tag`},
		{"tag v1 x/y", exitUsage, `"x/y" is no name for a snapshot`},
		{"tag v1 9", exitFailed, "there is no such snapshot"},
		{"rollback 0", exitUsage, `"0" is no name for a snapshot: want a number from 1`},
		{"rollback x/y", exitUsage, `"x/y" is no name for a snapshot`},
		{"rollback 9", exitFailed, "there is no such snapshot"},
		{"diff 0 1", exitUsage, `"0" is no name for a snapshot`},
		{"verify --snapshot x/y", exitUsage, `"x/y" is no name for a snapshot`},
		{"verify --snapshot v9", exitFailed, "there is no such snapshot as v9"},
		{"stats --snapshot 0", exitUsage, `"0" is no name for a snapshot`},
		{"rejects --snapshot x/y", exitUsage, `"x/y" is no name for a snapshot`},
		{"ledger foo", exitUsage, `"foo" is no command: want one of export, gc, stats`},
		{"config foo", exitUsage, `"foo" is no command: want one of check, init, show`},
		{"config check a b", exitUsage, "takes one file"},
		{"foo", exitUsage, `"foo" is no command`},
		{"build --foo", exitUsage, "unknown flag"},
		{"log --show 0", exitUsage, "--show 0: want"},
	} {
		out.Reset()
		if code := run(strings.Fields(tc.line), &out, &out); code != tc.code || !strings.Contains(out.String(), tc.says) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: code %d, want %d with %q:\n%s", tc.line, code, tc.code, tc.says, out.String())
		}
	}
}
