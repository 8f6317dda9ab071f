package manifests

import (
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
)

// TestScoresDoNotWaitLong: what was recorded is on the disk when the next one
// comes, if it has waited for some time.
func TestScoresDoNotWaitLong(t *testing.T) {
	l, err := OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := l.Scores(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	// kept is how many of the first n are on the disk.
	kept := func(n byte) (found int) {
		t.Helper()
		for i := range n {
			scores, err := s.Lookup(t.Context(), irgdata.Digest{i})
			if err != nil {
				t.Fatal(err)
			}
			found += len(scores)
		}
		return found
	}
	record := func(i byte) {
		t.Helper()
		if err := s.Record(t.Context(), irgdata.Digest{i}, []irgdata.Score{{Rule: "a/1", Name: "draft.a", Value: float64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	record(0)
	if n := kept(1); n != 0 {
		t.Fatalf("%d scores are on the disk at once", n)
	}
	s.since = s.since.Add(-2 * batchTime) // as if it had been waiting
	record(1)
	if n := kept(2); n != 2 {
		t.Errorf("%d scores are on the disk, want 2", n)
	}
	record(2)
	if n := kept(3); n != 2 {
		t.Errorf("%d scores are on the disk, want 2", n)
	}
}
