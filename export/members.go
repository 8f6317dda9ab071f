package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// members lists the pairs that are kept.
type members struct {
	file   *os.File
	sink   *digestSink
	buffer *bufio.Writer
}

func newMembers(work string) (*members, error) {
	file, err := blob.TempFile(work)
	if err != nil {
		return nil, fmt.Errorf("list the members: %w", err)
	}
	sink := &digestSink{w: file, sum: sha256.New()}
	return &members{file, sink, bufio.NewWriter(sink)}, nil
}

func (m *members) add(member manifests.Member) error {
	_, err := m.buffer.Write(append(member.ID[:], member.Row[:]...))
	if err != nil {
		return fmt.Errorf("list the members: %w", err)
	}
	return nil
}

// put puts the list into the store, if there is anything on it.
func (m *members) put(ctx context.Context, store blob.Store) (manifests.Members, error) {
	err := m.buffer.Flush()
	if err == nil {
		_, err = m.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return manifests.Members{}, fmt.Errorf("list the members: %w", err)
	}
	if m.sink.size == 0 {
		return manifests.Members{}, nil
	}
	digest := irgdata.Digest(m.sink.sum.Sum(nil))
	return manifests.PutMembers(ctx, store, m.file, digest, m.sink.size/int64(manifests.MemberBytes))
}
