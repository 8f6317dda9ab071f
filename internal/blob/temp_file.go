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
	file, err := createLocked(dir, newFile)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		file.Close()
		return nil, err
	}
	return file, nil
}

// TempDir makes a folder in the folder dir, as for a file that a library opens by
// its name. The caller calls remove; if its process ends before, [SweepTempFiles] does.
func TempDir(dir string) (path string, remove func(), err error) {
	folder, err := createLocked(dir, newFolder)
	if err != nil {
		return "", nil, err
	}
	return folder.Name(), func() {
		os.RemoveAll(folder.Name())
		folder.Close()
	}, nil
}

// SweepTempFiles removes what [TempFile] and [TempDir] made in the folder dir and
// what kept its name when its process ended, and tells how many. The error is of those
// that could not be removed; all others are gone.
func SweepTempFiles(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	swept := 0
	var failed error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		removed, err := removeOrphan(filepath.Join(dir, e.Name()))
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("sweep %s: %w", dir, err))
		}
		if removed {
			swept++
		}
	}
	return swept, failed
}

func newFile(dir string) (*os.File, error) { return os.CreateTemp(dir, tempPrefix+"*") }

func newFolder(dir string) (*os.File, error) {
	for {
		path, err := os.MkdirTemp(dir, tempPrefix+"*")
		if err != nil {
			return nil, err
		}
		folder, err := os.Open(path)
		if !errors.Is(err, fs.ErrNotExist) { // a Sweep came between
			return folder, err
		}
	}
}

// createLocked makes a temporary file or folder under a lock, which tells Sweep
// that its owner lives; the kernel drops it with the process.
func createLocked(dir string, create func(dir string) (*os.File, error)) (*os.File, error) {
	for {
		temp, err := create(dir)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(temp.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if _, err = os.Lstat(temp.Name()); err == nil {
				return temp, nil
			}
		}
		if errors.Is(err, unix.EBADF) { // NFS locks no folder, so no Sweep takes it
			return temp, nil
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

// removeOrphan removes a temporary file or folder unless its owner lives. In a
// folder that all users have, a pipe of that name must not halt it.
func removeOrphan(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
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
	err = os.RemoveAll(path)
	return err == nil, err
}
