package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata/internal/blob"
)

// formats are what outlives a run, each with fixtures testdata/formats/name-N,
// one for every version that an irgdata wrote, kept for ever. Whoever raises a
// version adds a fixture and a line that says what is read of it.
var formats = []struct {
	name    string
	version int            // that is written now
	reads   map[int]string // what read says of the fixture
	read    func(t *testing.T, fixture []byte) (string, error)
	// newer makes of a fixture one of a version that is not known yet, and
	// refuses is what read says then.
	newer   func(fixture []byte) []byte
	refuses string
}{
	{
		name: "ledger", version: ledgerFormat, read: readLedgerFixture,
		reads: map[int]string{
			1: "2 calls, of which 2 do not say what was asked; 0 doubles",
			2: "3 calls, of which 3 do not say what was asked; 0 doubles",
			3: "2 calls, of which 1 do not say what was asked; 1 doubles",
			4: "2 calls, of which 1 do not say what was asked; 1 doubles",
		},
		newer: func(f []byte) []byte { // the user_version of SQLite's header
			f[63]++
			return f
		},
		refuses: "it has format 5 and this irgdata reads format 4: use the irgdata that wrote it",
	},
	{
		name: "ledger-segment", version: segmentFormat,
		reads: map[int]string{1: "24 calls, 0 doubles", 2: "2 calls, 1 doubles"},
		read: func(_ *testing.T, f []byte) (string, error) {
			s, err := decodeSegment(f)
			return fmt.Sprintf("%d calls, %d doubles", len(s.calls), len(s.doubles)), err
		},
		newer: recompress(`{"ledger":2}`, `{"ledger":3}`), refuses: "it has format 3 and this irgdata reads format 2: use the irgdata that wrote it",
	},
	{
		name: "score-segment", version: scoresFormat,
		reads: map[int]string{1: "6 rows"},
		read: func(_ *testing.T, f []byte) (string, error) {
			rows, err := decodeScores(f)
			return fmt.Sprintf("%d rows", len(rows)), err
		},
		newer: recompress(`{"scores":1}`, `{"scores":2}`), refuses: "it has format 2 and this irgdata reads format 1",
	},
	{
		name: "catalog", version: catalogFormat,
		reads: map[int]string{2: "7 items of sample"}, // 1 ended without its digest; the source is read again
		read: func(_ *testing.T, f []byte) (string, error) {
			source, items, err := decodeRecord(f)
			return fmt.Sprintf("%d items of %s", len(items), source), err
		},
		newer: func(f []byte) []byte {
			f = recompress(`{"catalog":2,`, `{"catalog":3,`)(f[:len(f)-len(digestFrame(nil))])
			return append(f, digestFrame(f)...)
		},
		refuses: "it has format 3 and this irgdata reads format 2",
	},
	{
		name: "manifest", version: manifestFormat,
		reads: map[int]string{3: "snapshot 1 of 6 items, 6 trajectories, strategy distill"},
		read: func(_ *testing.T, f []byte) (string, error) {
			s, err := decodeManifest(f, 1)
			return fmt.Sprintf("snapshot %d of %d items, %d trajectories, strategy %s", s.Number, s.Counts.Items, s.Counts.Trajectories, s.Settings.Strategy), err
		},
		newer:   replace(`"format": 3,`, `"format": 4, "unheard_of": true,`),
		refuses: "it has format 4 and this irgdata reads format 3: use the irgdata that wrote it",
	},
	{
		name: "store", version: storeFormat,
		reads: map[int]string{1: "an identity"},
		read: func(t *testing.T, f []byte) (string, error) {
			_, err := Identity(t.Context(), storeWith(t, identityKey, f))
			return "an identity", err
		},
		newer: replace(`"format":1`, `"format":2`), refuses: "the store has format 2 and this irgdata reads format 1: use the irgdata that wrote it",
	},
	{
		name: "sealed", version: sealedFormat,
		reads: map[int]string{1: "v1.0 means 1"},
		read: func(_ *testing.T, f []byte) (string, error) {
			tag, err := unseal[Tag](f)
			return fmt.Sprintf("%s means %d", tag.Name, tag.Snapshot), err
		},
		newer: replace(`"format":1`, `"format":2`), refuses: "it has format 2 and this irgdata reads format 1: use the irgdata that wrote it",
	},
	{
		name: "provenance", version: provenanceFormat,
		reads: map[int]string{1: "1 parts, 368 calls"},
		read: func(t *testing.T, f []byte) (string, error) {
			p, err := decodeProvenance(f)
			return fmt.Sprintf("%d parts, %d calls", len(p.Parts), p.Calls), err
		},
		newer: replace(`"format":1`, `"format":2`), refuses: "it has format 2 and this irgdata reads format 1",
	},
	{
		name: "account", version: 1, // it has no number: fields that are added are left out when empty
		reads: map[int]string{1: "24 calls"},
		read: func(t *testing.T, f []byte) (string, error) {
			a, err := LoadAccount(t.Context(), storeWith(t, AccountKey(1), f), 1)
			return fmt.Sprintf("%d calls", a.Total.Calls), err
		},
		newer: replace(`"steps"`, `"stages"`), refuses: "its checksum does not fit",
	},
}

// TestFormats: what any irgdata wrote can be read, or is refused in a clear
// sentence.
func TestFormats(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			fixtures := fixturesOf(t, f.name)
			for version, want := range f.reads {
				if fixtures[version] == nil {
					t.Errorf("there is no fixture of version %d", version)
					continue
				}
				if got, err := f.read(t, fixtures[version]); err != nil || got != want {
					t.Errorf("version %d: got %q, %v; want %q", version, got, err, want)
				}
			}
			if f.reads[f.version] == "" {
				t.Fatalf("version %d is written and has no fixture: add testdata/formats/%s-%d", f.version, f.name, f.version)
			}
			if _, err := f.read(t, f.newer(bytes.Clone(fixtures[f.version]))); err == nil || !strings.Contains(err.Error(), f.refuses) {
				t.Errorf("of a version that is not known yet: got %v, want %q", err, f.refuses)
			}
		})
	}
}

func fixturesOf(t *testing.T, name string) map[int][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/formats/" + name + "-*")
	if err != nil {
		t.Fatal(err)
	}
	fixtures := map[int][]byte{}
	of := regexp.MustCompile(`^` + name + `-([0-9]+)\.`)
	for _, file := range files {
		match := of.FindStringSubmatch(filepath.Base(file))
		if match == nil {
			continue // of another format
		}
		version, err := strconv.Atoi(match[1])
		if err == nil {
			fixtures[version], err = os.ReadFile(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fixtures
}

func readLedgerFixture(t *testing.T, fixture []byte) (string, error) {
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	if err := os.WriteFile(path, fixture, 0o644); err != nil {
		t.Fatal(err)
	}
	var said string
	for range 2 { // brought up to date, and then as it is
		l, err := OpenLedger(t.Context(), path)
		if err != nil {
			return "", err
		}
		calls, untold := 0, 0
		for c, err := range l.Calls(t.Context()) {
			if err != nil {
				return "", errors.Join(err, l.Close())
			}
			calls++
			if c.Asked.IsZero() {
				untold++
			}
		}
		doubles := 0
		costs, err := l.Doubles(t.Context())
		for _, c := range costs {
			doubles += c.Calls
		}
		if err := errors.Join(err, l.Close()); err != nil {
			return "", err
		}
		said = fmt.Sprintf("%d calls, of which %d do not say what was asked; %d doubles", calls, untold, doubles)
	}
	return said, nil
}

func storeWith(t *testing.T, key string, content []byte) blob.Store {
	t.Helper()
	store, err := blob.NewFile(t.TempDir())
	if err == nil {
		err = blob.PutBytes(context.Background(), store, key, content, blob.PutOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func replace(old, now string) func([]byte) []byte {
	return func(f []byte) []byte { return bytes.Replace(f, []byte(old), []byte(now), 1) }
}

// recompress changes what is compressed.
func recompress(old, now string) func([]byte) []byte {
	return func(f []byte) []byte {
		dec, err := zstd.NewReader(nil)
		if err != nil {
			panic(err) // no option that can be wrong
		}
		defer dec.Close()
		text, err := dec.DecodeAll(f, nil)
		if err != nil {
			panic(err) // a fixture
		}
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			panic(err)
		}
		defer enc.Close()
		return enc.EncodeAll(slices.Clip(replace(old, now)(text)), nil)
	}
}
