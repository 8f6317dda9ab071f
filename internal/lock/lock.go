// Package lock keeps two processes of this machine from doing the same work.
package lock

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrHeld says that another process holds the lock.
var ErrHeld = errors.New("another process is at it")

// File takes the lock that the file at path stands for; the file is made, and
// removed by unlock. The kernel drops the lock with the process, so a dead
// holder blocks nobody. ErrHeld, with the holder's process number, if the lock
// is taken.
func File(path string) (unlock func(), err error) {
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder := make([]byte, 20)
			n, _ := file.Read(holder) // it may not have written its number yet
			file.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			return nil, fmt.Errorf("%w: process %s holds %s", ErrHeld, strings.TrimSpace(string(holder[:n])), path)
		}
		// The last holder may have removed the name after it was opened here:
		// a lock on a nameless file excludes nobody.
		mine, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, err
		}
		if named, err := os.Stat(path); err != nil || !os.SameFile(mine, named) {
			file.Close()
			continue
		}
		if err := file.Truncate(0); err == nil {
			_, _ = fmt.Fprintf(file, "%d\n", os.Getpid()) // for people
		}
		return func() {
			os.Remove(path)
			file.Close()
		}, nil
	}
}
