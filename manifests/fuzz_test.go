package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
)

// FuzzManifest: whatever a manifest holds, reading it gives a snapshot that
// can be true, or an error.
func FuzzManifest(f *testing.F) {
	var s Snapshot
	s.Format, s.Number = manifestFormat, 1
	s.Settings = Settings{Strategy: irgdata.Distill, Modes: []string{"m"}}
	s.Configuration, _ = s.Settings.Digest()
	s.Counts.Funnels = []Funnel{Losses{}.Funnel("", 0)}
	sound, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeManifest(sound, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeManifest(text, 1)
		if err == nil && s.Counts.Items != s.Counts.Trajectories+s.Counts.Rejected {
			t.Errorf("counts %+v", s.Counts)
		}
	})
}

// FuzzProvenance: whatever a provenance holds, reading it gives parts whose
// counts add up, or an error.
func FuzzProvenance(f *testing.F) {
	part := Part{Counts: Counts{Funnels: []Funnel{Losses{}.Funnel("", 0)}}}
	sound, err := Provenance{Calls: 1, Parts: []Part{part}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeProvenance(sound); err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := decodeProvenance(text)
		for _, part := range p.Parts {
			if c := part.Counts; err == nil && (len(c.Funnels) != 1+len(c.Modes) || c.Items != c.Trajectories+c.Rejected) {
				t.Errorf("counts %+v", c)
			}
		}
	})
}

// FuzzSegment: a segment of any bytes is read or refused, and what is read is
// written and read again as it was.
func FuzzSegment(f *testing.F) {
	asked := Asked{Pair: irgdata.DigestOf([]byte("pair")), Shown: "0123456789abcdef", Recipe: "{}", Inputs: "draft:0"}
	call := Call{Key: irgdata.DigestOf(nil), Step: "draft/1", Text: "a", Seconds: 1, Asked: asked}
	sound, err := encodeSegment(segment{[]Call{call}, []double{call.double()}})
	if err != nil {
		f.Fatal(err)
	}
	if back, err := decodeSegment(sound); err != nil || len(back.doubles) != 1 || back.calls[0].Asked != asked {
		f.Fatalf("got %+v, %v", back, err)
	}
	f.Add(sound)
	f.Add(sound[:len(sound)-3])
	f.Fuzz(func(t *testing.T, encoded []byte) {
		s, err := decodeSegment(encoded)
		if err != nil {
			return
		}
		again, err := encodeSegment(s)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeSegment(again); err != nil || len(back.calls) != len(s.calls) || len(back.doubles) != len(s.doubles) {
			t.Errorf("%d calls became %d (%v)", len(s.calls), len(back.calls), err)
		}
	})
}

// FuzzRecord: whatever a record of the catalog holds, reading it gives the
// items that were written, or an error.
func FuzzRecord(f *testing.F) {
	sound, err := encodeRecord(Record{Source: "a", Items: []json.RawMessage{json.RawMessage(`{"key":"a"}`), json.RawMessage(`{"key":"b"}`)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add(sound[:len(sound)/2])
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		source, items, err := decodeRecord(encoded)
		if err != nil {
			return
		}
		again, err := encodeRecord(Record{Source: source, Items: items})
		if err != nil {
			t.Fatal(err)
		}
		if of, got, err := decodeRecord(again); err != nil || of != source || len(got) != len(items) {
			t.Errorf("%d of %d items, %v", len(got), len(items), err)
		}
	})
}

// FuzzScores: a segment of scores of any bytes is read or refused.
func FuzzScores(f *testing.F) {
	lines := func(text string) []byte {
		var out bytes.Buffer
		z, err := zstd.NewWriter(&out)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := z.Write([]byte(text)); err != nil {
			f.Fatal(err)
		}
		if err := z.Close(); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	key := irgdata.DigestOf(nil).String()
	sound := fmt.Sprintf("{\"scores\":%d}\n{\"names\":[\"size/1 draft.min_side\"]}\n{\"key\":%q,\"numbers\":\"AAAAAAAAcEA=\"}\n", scoresFormat, key)
	if rows, err := decodeScores(lines(sound)); err != nil || len(rows) != 1 || rows[0].scores[0].Value != 256 {
		f.Fatalf("got %+v, %v", rows, err)
	}
	f.Add(lines(sound))
	f.Add(lines(sound[:40]))
	f.Add(lines(strings.Replace(sound, "AAAA", "A", 1)))
	f.Add([]byte("no zstd"))
	f.Fuzz(func(t *testing.T, segment []byte) {
		rows, err := decodeScores(segment)
		for _, r := range rows {
			if err == nil && r.key.IsZero() {
				t.Error("a row has no key")
			}
		}
	})
}

// FuzzSealed: whatever a small object holds, reading it gives what was sealed,
// or an error.
func FuzzSealed(f *testing.F) {
	sound, err := seal(Removal{Number: 1, Reason: "<&>", URLs: []string{"https://a/b"}})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := unseal[Removal](sound); err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := unseal[Removal](text)
		if err != nil {
			return
		}
		if again, err := seal(r); err != nil || string(again) != string(text) {
			t.Errorf("%q gives %q, %v", text, again, err)
		}
	})
}
