package manifests

import (
	"path/filepath"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// TestProvenanceOfItsSnapshot: a provenance is that of one manifest, and of no
// other that has its number later.
func TestProvenanceOfItsSnapshot(t *testing.T) {
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := Snapshot{Number: 1, Checksum: irgdata.DigestOf([]byte("one"))}
	want := irgdata.DigestOf([]byte("inputs"))
	if err := PutProvenance(t.Context(), store, s, Provenance{Inputs: want}); err != nil {
		t.Fatal(err)
	}
	if p, err := LoadProvenance(t.Context(), store, s); err != nil || p.Inputs != want {
		t.Errorf("its own is %+v, %v", p, err)
	}
	s.Checksum = irgdata.DigestOf([]byte("another"))
	if p, err := LoadProvenance(t.Context(), store, s); err != nil || !p.Inputs.IsZero() {
		t.Errorf("that of another snapshot is %+v, %v", p, err)
	}
}

// TestProvenanceIsBounded: one that could not be read again is kept without its
// parts.
func TestProvenanceIsBounded(t *testing.T) {
	part := Part{Counts: Counts{Funnels: []Funnel{Losses{}.Funnel("", 0)}}}
	whole := Provenance{Calls: 3, Parts: []Part{part, part}}
	text, err := whole.encode()
	if err != nil {
		t.Fatal(err)
	}
	for most, parts := range map[int]int{len(text): 2, len(text) - 1: 0} {
		text, err := whole.encodeWithin(most)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decodeProvenance(text); err != nil || len(p.Parts) != parts || p.Calls != 3 {
			t.Errorf("within %d bytes: %d parts, %d calls, %v", most, len(p.Parts), p.Calls, err)
		}
	}
}

// TestRepairDropsProvenance: what a repair leaves to the next build is not taken
// over by it: shards that are damaged, and calls that were forgotten for a lost
// image, also if that was lost once before, so that its mark is there.
func TestRepairDropsProvenance(t *testing.T) {
	ctx, work := t.Context(), t.TempDir()
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := OpenLedger(ctx, filepath.Join(work, "ledger.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	if _, err := Identify(ctx, store); err != nil {
		t.Fatal(err)
	}
	forget := func(r *Report) error {
		image := irgdata.ImageRef{Digest: irgdata.DigestOf([]byte("an image")), Size: 8, Format: irgdata.FormatPNG, Width: 1, Height: 1}
		if _, err := ledger.Record(ctx, Call{Key: irgdata.DigestOf([]byte("a call")), Step: "draft/1", Image: image, Seconds: 1}); err != nil {
			return err
		}
		_, err := r.Forget(ctx, ledger)
		return err
	}
	for _, tc := range []struct {
		name   string
		repair func(*Report) error
		stays  bool
	}{
		{"nothing", func(r *Report) error { return r.Repair(ctx, ledger, RepairOptions{Work: work}) }, true},
		{"a shard", func(r *Report) error {
			r.Problems = append(r.Problems, Problem{Key: ShardPrefix + "one.parquet"})
			return r.Repair(ctx, ledger, RepairOptions{Work: work})
		}, false},
		{"a lost image", forget, false},
		{"it is lost again", forget, false},
	} {
		if err := PutProvenance(ctx, store, Snapshot{Number: 1}, Provenance{Calls: 1}); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(ctx, store, Snapshot{}, VerifyOptions{Full: true, Work: work, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.repair(&report); err != nil {
			t.Fatal(err)
		}
		if p, err := LoadProvenance(ctx, store, Snapshot{Number: 1}); err != nil || (p.Calls == 1) != tc.stays {
			t.Errorf("%s: it is %+v, %v", tc.name, p, err)
		}
	}
}
