package fetch

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestDocumented: docs/ingest.md has a row for each case of TestServers,
// TestTimeouts and TestResume, with what becomes of it and how many requests
// it takes, and no other.
func TestDocumented(t *testing.T) {
	var want []string
	row := func(name string, kind Kind, requests int, test string) {
		want = append(want, fmt.Sprintf("| %s | %s | %d | `%s` |", name, cmp.Or(kind, "an image"), requests, test))
	}
	for _, c := range serverCases() {
		row(c.name, c.kind, c.requests, "Servers")
	}
	for name := range timeoutCases() {
		row(name, Transient, 1, "Timeouts")
	}
	for _, c := range resumeCases() {
		row(c.name, c.kind, len(c.asked), "Resume")
	}
	text, err := os.ReadFile("../../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile("(?m)^\\| .* \\| `(Servers|Timeouts|Resume)` \\|$").FindAllString(string(text), -1)
	for _, r := range want {
		if !slices.Contains(got, r) {
			t.Errorf("docs/ingest.md has no row\n%s", r)
		}
	}
	for _, r := range got {
		if !slices.Contains(want, r) {
			t.Errorf("docs/ingest.md has a row that is no test\n%s", r)
		}
	}
	if len(got) != len(want) {
		t.Errorf("docs/ingest.md has %d rows, want %d", len(got), len(want))
	}
}
