package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tempPrefix marks temporary files. Those of puts under way lie beside their
// destination, because link(2) does not cross file systems.
const tempPrefix = ".irgdata-tmp-"

// TempFile makes a file in the folder dir that has no name, so that nothing
// is left of it when it is closed or the process ends. The folder is made if
// need be. A process that ends before the name is gone leaves it to
// [SweepTempFiles].
func TempFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := createLocked(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		file.Close()
		return nil, err
	}
	return file, nil
}

// SweepTempFiles removes the files of the folder dir that [TempFile] made and that
// kept their names when their processes ended, and tells how many.
func SweepTempFiles(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	swept := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		removed, err := removeOrphan(filepath.Join(dir, e.Name()))
		if err != nil {
			return swept, fmt.Errorf("sweep %s: %w", dir, err)
		}
		if removed {
			swept++
		}
	}
	return swept, nil
}

// createLocked makes a temporary file under a lock, which tells Sweep that its
// owner lives; the kernel drops it with the process.
func createLocked(dir string) (*os.File, error) {
	for {
		temp, err := os.CreateTemp(dir, tempPrefix+"*")
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(temp.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if _, err = os.Lstat(temp.Name()); err == nil {
				return temp, nil
			}
		}
		temp.Close()
		os.Remove(temp.Name())
		// Another process's Sweep came between: it has the lock, or it had it
		// and the name is gone.
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("lock %s: %w", temp.Name(), err)
		}
	}
}

// removeOrphan removes a temporary file unless its owner lives.
func removeOrphan(path string) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // its owner was faster
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false, nil // its owner lives
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
