package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Ranges reads an object in place, one range for each ReadAt, and keeps nothing
// of it. The bytes are not checked against a digest: who needs that spools the
// object ([Spool]). It holds no resource.
type Ranges struct {
	ctx   context.Context
	store Store
	key   string
	size  int64
	at    int64
}

// NewRanges reads the object of the given size under key, for as long as ctx
// lasts.
func NewRanges(ctx context.Context, s Store, key string, size int64) *Ranges {
	return &Ranges{ctx: ctx, store: s, key: key, size: size}
}

// ReadAt implements [io.ReaderAt].
func (r *Ranges) ReadAt(p []byte, offset int64) (int, error) {
	want := min(int64(len(p)), r.size-offset)
	if offset < 0 || want <= 0 {
		return 0, io.EOF
	}
	body, err := r.store.Open(r.ctx, r.key, offset, want)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:want])
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		err = fmt.Errorf("read %s: it ends at byte %d, want %d: the object is damaged", r.store.URL(r.key), offset+int64(n), r.size)
	case err != nil:
		err = fmt.Errorf("read %s: %w", r.store.URL(r.key), err)
	case n < len(p):
		err = io.EOF
	}
	return n, err
}

// Seek implements [io.Seeker].
func (r *Ranges) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in %s: position %d is before its beginning", r.store.URL(r.key), offset)
	}
	r.at = offset
	return offset, nil
}
