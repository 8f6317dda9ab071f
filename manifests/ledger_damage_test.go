package manifests

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// TestDamagedLedger flips bits of a local ledger, and cuts it off. Then either it
// is named, or the ledger gives what it gave before; a wrong answer it never gives.
// Mended, it has the calls of segments and those of its own that are sound, these
// in the store too.
func TestDamagedLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := map[irgdata.Digest]Call{}
	l, err := OpenLedger(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		c := Call{Key: irgdata.DigestOf([]byte{byte(i)}), Step: "reflection/1", Model: "m@1", Text: strings.Repeat(fmt.Sprintf("A tower, number %d, stands far behind. ", i), 20), Seconds: 1.5, TokensIn: 7, Attempts: 1}
		if i%3 == 0 {
			c.Asked = Asked{Pair: c.Key, Recipe: "recipe"}
		}
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		want[c.Key] = c
		if i == 39 {
			if _, err := l.Push(t.Context(), store); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil { // which moves all of its log into the file
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := CheckLedger(t.Context(), path); err != nil || len(problems) > 0 {
		t.Fatalf("a sound ledger: %v, %v", problems, err)
	}
	if problems, err := CheckLedger(t.Context(), path+".none"); err != nil || len(problems) > 0 {
		t.Fatalf("no ledger: %v, %v", problems, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	damages := map[string][]byte{"cut off": sound[:100], "half": sound[:len(sound)/2], "no ledger": []byte("no ledger at all, but some text")}
	for range 80 {
		bit := random.IntN(8 * len(sound))
		flipped := append([]byte{}, sound...)
		flipped[bit/8] ^= 1 << (bit % 8)
		damages[fmt.Sprintf("bit %d", bit)] = flipped
	}
	named, unread := 0, 0
	for name, damaged := range damages {
		dir := t.TempDir()
		path, itsStore := filepath.Join(dir, "ledger.sqlite"), copyOf(t, store)
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		problems, err := CheckLedger(t.Context(), path)
		if err != nil {
			problems = append(problems, err.Error()) // such as another format
		}
		if found := answersOf(t, name, path, want); found < len(want) && len(problems) == 0 {
			t.Errorf("%s: %d of %d calls are there and nothing is named", name, found, len(want))
		}
		if len(problems) == 0 {
			continue
		}
		named++
		kept, err := MendLedger(t.Context(), path, itsStore)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l, err := OpenLedger(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Pull(t.Context(), itsStore); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		unshared, err := l.Unshared(t.Context())
		if err := errors.Join(err, l.Close()); err != nil || unshared > 0 {
			t.Errorf("%s: %d calls are in no segment (%v)", name, unshared, err)
		}
		if problems, err := CheckLedger(t.Context(), path); err != nil || len(problems) > 0 {
			t.Errorf("%s: mended, and still %v, %v", name, problems, err)
		}
		if found := answersOf(t, name, path, want); found < max(40, kept) {
			t.Errorf("%s: mended it has %d calls, of which %d were sound and 40 shared", name, found, kept)
		} else if kept > 0 && len(damaged) == len(sound) && found < 50 {
			t.Errorf("%s: a bit cost %d calls, %d were kept: %q", name, len(want)-found, kept, problems)
		}
		if kept == 0 {
			unread++
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.mending*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
	t.Logf("%d of %d damages named; in %d of them nothing could be read", named, len(damages), unread)
	if named < 30 || unread > named/4 {
		t.Error("hardly any damage is named or mended")
	}
}

// answersOf counts the calls that a ledger finds, which must be as they were
// recorded. One that says that it is damaged finds fewer.
func answersOf(t *testing.T, name, path string, want map[irgdata.Digest]Call) (found int) {
	t.Helper()
	l, err := OpenLedger(t.Context(), path)
	if err != nil {
		return 0
	}
	defer l.Close()
	for key, c := range want {
		got, ok, err := l.Lookup(t.Context(), key)
		if err != nil || !ok {
			continue
		}
		found++
		if got.Text != c.Text || got.Key != c.Key || got.Seconds != c.Seconds {
			t.Errorf("%s: looked up %+v, want %+v", name, got, c)
		}
	}
	return found
}

func copyOf(t *testing.T, store *blob.File) *blob.File {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(store.URL(""))); err != nil {
		t.Fatal(err)
	}
	c, err := blob.NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
