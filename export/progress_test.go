package export

import "testing"

// TestNotesGrowWithTheFiles: all notes together list a file a thousand times at
// the most, and none is many files old.
func TestNotesGrowWithTheFiles(t *testing.T) {
	const files = 50_000
	listed, last := 0, 0
	for n := 1; n <= files; n++ {
		if noted(n-1, n) {
			listed, last = listed+n, n
		}
		if n < 1000 && last != n || n-last > 2*(1+n/1000) {
			t.Fatalf("of %d files %d are noted", n, last)
		}
	}
	if listed > 1100*files {
		t.Errorf("the notes list %d files together", listed)
	}
	if noted(10, 10) || !noted(10, 13) || !noted(30_000, 30_100) {
		t.Error("files that end together are noted wrongly")
	}
}
