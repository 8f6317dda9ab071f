package blob

import "os"

// behind writes a file, and has the system bring it to the disk while it grows,
// so that the synchronisation at its end has little left to wait for.
type behind struct {
	file     *os.File
	from, to int64 // written, and not begun to be brought to the disk
}

// behindBytes are brought to the disk together.
const behindBytes = 8 << 20

// Write implements [io.Writer].
func (b *behind) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	b.to += int64(n)
	if b.to-b.from >= behindBytes {
		startWriting(b.file, b.from, b.to-b.from)
		b.from = b.to
	}
	return n, err
}
