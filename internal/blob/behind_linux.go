package blob

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriting begins to bring a part of a file to the disk and does not wait
// for it. An error is left to the synchronisation, which decides.
func startWriting(file *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(file.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
