package filter

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// spool keeps items in a nameless file, to be read once they are all there. One
// goroutine uses it and closes it.
type spool struct {
	file   *os.File
	buffer *bufio.Writer
	encode *gob.Encoder
}

func newSpool(work string) (*spool, error) {
	file, err := blob.TempFile(work)
	if err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	return &spool{file, buffer, gob.NewEncoder(buffer)}, nil
}

func (s *spool) add(item irgdata.Item[irgdata.Judged]) error {
	if err := s.encode.Encode(item); err != nil {
		return fmt.Errorf("select: keep what was judged: %w", err)
	}
	return nil
}

// items yields what was added, in order; nothing may be added any more.
func (s *spool) items() iter.Seq2[irgdata.Item[irgdata.Judged], error] {
	return func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		err := s.buffer.Flush()
		if err == nil {
			_, err = s.file.Seek(0, io.SeekStart)
		}
		decode := gob.NewDecoder(bufio.NewReaderSize(s.file, 1<<20))
		for {
			var item irgdata.Item[irgdata.Judged]
			if err == nil {
				err = decode.Decode(&item)
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				err = fmt.Errorf("select: read what was judged: %w", err)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func (s *spool) close() { s.file.Close() } // nameless: nothing is kept
