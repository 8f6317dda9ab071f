package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxRowBytes bounds a line of a table, which may hold an image in base64.
const maxRowBytes = 64 << 20

// errTooLong says that a line was skipped because it is too long.
var errTooLong = errors.New("the line is too long")

// lines reads a text line by line.
type lines struct {
	r      *bufio.Reader
	number int // of the line read last, from 1
	line   []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 1<<16)} }

// next returns the next line without its end; the bytes are valid until the
// next call. io.EOF is the end, errTooLong a line that was skipped.
func (l *lines) next(most int) ([]byte, error) {
	l.line = l.line[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.line)+len(part) > most {
			tooLong, l.line = true, l.line[:0]
		}
		if !tooLong {
			l.line = append(l.line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == io.EOF && len(l.line) == 0 && !tooLong {
			return nil, io.EOF
		}
		l.number++
		if tooLong {
			return nil, errTooLong
		}
		line := l.line
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}
