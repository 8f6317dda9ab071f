package images

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/irgdata/irgdata"
)

// Memory bounds what decoded images take together. It is safe for concurrent
// use. A nil Memory bounds nothing.
type Memory struct {
	free  *semaphore.Weighted
	bytes int64
}

// NewMemory allows so many bytes of pixels at one time.
func NewMemory(bytes int64) *Memory {
	return &Memory{free: semaphore.NewWeighted(bytes), bytes: bytes}
}

// pixelBytes is the most that a decoded pixel takes: four samples of 16 bits.
const pixelBytes = 8

// Bytes is the bound; 0 for a nil Memory.
func (m *Memory) Bytes() int64 {
	if m == nil {
		return 0
	}
	return m.bytes
}

// Fits says why these images may not be decoded at one time, or nil.
func (m *Memory) Fits(refs ...irgdata.ImageRef) error {
	if need := needs(refs); m != nil && need > m.bytes {
		return fmt.Errorf("decoding its %d×%d pixels takes up to %d MB, more than `decode_memory` allows, %d MB", refs[0].Width, refs[0].Height, need/1e6, m.bytes/1e6)
	}
	return nil
}

func needs(refs []irgdata.ImageRef) (bytes int64) {
	for _, r := range refs {
		bytes += int64(r.Width) * int64(r.Height) * pixelBytes
	}
	return bytes
}

// Take waits until all of the images may be decoded, and release gives their
// memory back. Images that together need more than there is get all of it.
func (m *Memory) Take(ctx context.Context, refs ...irgdata.ImageRef) (release func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	need := min(needs(refs), m.bytes)
	if err := m.free.Acquire(ctx, need); err != nil {
		return nil, err
	}
	return func() { m.free.Release(need) }, nil
}
