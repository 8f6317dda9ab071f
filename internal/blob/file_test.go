package blob_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sourcegraph/conc"
	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/blobtest"
)

func TestFile(t *testing.T) {
	blobtest.TestStore(t, func(t testing.TB) blob.Store { return newFile(t, t.TempDir()) })
}

func newFile(t testing.TB, dir string) *blob.File {
	t.Helper()
	s, err := blob.NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFileSweep: the temporary file of a dead put goes, that of a live one
// stays and is not listed.
func TestFileSweep(t *testing.T) {
	dir := t.TempDir()
	s := newFile(t, dir)
	dead, live := filepath.Join(dir, ".irgdata-tmp-dead"), filepath.Join(dir, ".irgdata-tmp-live")
	for _, path := range []string{dead, live} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(dir, ".tmp-notes")
	if err := os.WriteFile(foreign, []byte("of another program"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := os.Stat(foreign); err != nil {
			t.Error(err)
		}
	}()
	owner, err := os.Open(live)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if err := unix.Flock(int(owner.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for o, err := range s.List(t.Context(), "") {
		if err != nil || o.Key != ".tmp-notes" {
			t.Errorf("listed %+v, %v", o, err)
		}
	}
	if n, err := s.Sweep(t.Context(), 0); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want 1", n, err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the dead put's file is still there: %v", err)
	}
	if _, err := os.Stat(live); err != nil {
		t.Error(err)
	}
}

// TestTempFiles: nothing of them is seen, and one that kept its name goes unless
// its owner lives.
func TestTempFiles(t *testing.T) {
	dir := t.TempDir()
	file, err := blob.TempFile(filepath.Join(dir, "work"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir = filepath.Join(dir, "work")
	dead, other := filepath.Join(dir, ".irgdata-tmp-dead"), filepath.Join(dir, "ledger.sqlite")
	for _, path := range []string{dead, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := blob.SweepTempFiles(dir); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want 1", n, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "ledger.sqlite" {
		t.Errorf("left %v, %v", left, err)
	}
	if n, err := blob.SweepTempFiles(filepath.Join(dir, "none")); n != 0 || err != nil {
		t.Errorf("swept %d, %v of no folder", n, err)
	}
}

// TestTempDirs: a folder whose owner lives stays, one that its owner left goes with
// all that is in it, and what cannot be swept keeps nothing else.
func TestTempDirs(t *testing.T) {
	dir := t.TempDir()
	live, remove, err := blob.TempDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string) {
		t.Helper()
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(live, "ledger.sqlite"))
	write(filepath.Join(dir, ".irgdata-tmp-dead", "below", "ledger.sqlite"))
	write(filepath.Join(dir, "irgdata-of-a-user", "x"))
	if err := unix.Mkfifo(filepath.Join(dir, ".irgdata-tmp-a-pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := blob.SweepTempFiles(dir); n != 2 || err != nil {
		t.Errorf("swept %d, %v, want the dead one and the pipe", n, err)
	}
	if _, err := os.Stat(filepath.Join(live, "ledger.sqlite")); err != nil {
		t.Error(err)
	}
	remove()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "irgdata-of-a-user" {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestFileSweepSparesPutsUnderWay sweeps without a pause while objects are put.
func TestFileSweepSparesPutsUnderWay(t *testing.T) {
	s := newFile(t, t.TempDir())
	done := make(chan struct{})
	var sweeper conc.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if _, err := s.Sweep(t.Context(), 0); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 300 {
		if err := blob.PutBytes(t.Context(), s, fmt.Sprint(i), []byte("x"), blob.PutOptions{CreateOnly: i%2 == 0}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	sweeper.Wait()
}

func TestFileErrorsNameThePath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := newFile(t, dir)
	err := blob.PutBytes(t.Context(), s, "file/below", []byte("x"), blob.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "file")+" is a file where a folder is needed") {
		t.Errorf("got %v", err)
	}
	if _, err := blob.NewFile(filepath.Join(dir, "file")); err == nil {
		t.Error("a file was opened as a store")
	}
}

func TestReadVerifiedFindsDamage(t *testing.T) {
	s := newFile(t, t.TempDir())
	if err := blob.PutBytes(t.Context(), s, "k", []byte("content"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	want := irgdata.DigestOf([]byte("content"))
	if err := os.WriteFile(s.URL("k"), []byte("c0ntent"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{6, 7, 8} {
		if _, err := blob.ReadVerified(t.Context(), s, "k", size, want); err == nil || !strings.Contains(err.Error(), s.URL("k")) {
			t.Errorf("size %d: got %v, want an error that names the object", size, err)
		}
	}
	if _, err := blob.ReadVerified(t.Context(), s, "absent", 1, want); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkFilePut is to be held against BenchmarkPlainWrite: the same bytes
// written and synchronised, without atomicity, size or digest.
func BenchmarkFilePut(b *testing.B) {
	s := newFile(b, b.TempDir())
	body := make([]byte, 1<<20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := blob.PutBytes(b.Context(), s, "object", body, blob.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlainWrite(b *testing.B) {
	dir := b.TempDir()
	body := make([]byte, 1<<20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		f, err := os.Create(filepath.Join(dir, "object"))
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(f, strings.NewReader(string(body)))
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
