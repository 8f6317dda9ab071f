package lock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/internal/lock"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	unlock, err := lock.File(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock.File(path)
	if !errors.Is(err, lock.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	unlock()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
	// What a dead holder left does not block.
	if err := os.WriteFile(path, []byte("4711\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if unlock, err = lock.File(path); err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := lock.File(filepath.Join(path, "below")); err == nil || errors.Is(err, lock.ErrHeld) {
		t.Errorf("got %v", err)
	}
}

// TestFileExcludes: of many that take and release it, one at a time holds it.
func TestFileExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	var holders, held atomic.Int32
	var wg conc.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				unlock, err := lock.File(path)
				if errors.Is(err, lock.ErrHeld) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) > 1 {
					t.Error("two hold the lock")
				}
				held.Add(1)
				holders.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	if held.Load() == 0 {
		t.Error("nobody had the lock")
	}
}
