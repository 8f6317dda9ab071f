package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// ShardOptions shape a snapshot's shards. Workers does not change a byte of
// them, the others do.
type ShardOptions struct {
	// Modes are the wanted ones, and Questions those of judge and scorers.
	Modes     []modes.Mode
	Questions []modes.Question
	// Bytes is the size at which a shard ends.
	Bytes int64
	// RowGroupBytes and RowGroupRows end a row group. Two row groups are in
	// memory at a time: one of trajectories, twice as cells and as pages.
	RowGroupBytes int64
	RowGroupRows  int
	// Workers load images.
	Workers int
	// Work is a folder for the shard under way.
	Work string
}

// Validate reports the first mistake.
func (o ShardOptions) Validate() error {
	switch {
	case len(o.Modes) == 0:
		return errors.New("no mode is wanted")
	case o.Bytes < 1 || o.RowGroupBytes < 1 || o.RowGroupRows < 1:
		return fmt.Errorf("shard size %d, row group size %d and row group rows %d: want positive numbers", o.Bytes, o.RowGroupBytes, o.RowGroupRows)
	case o.RowGroupBytes > 1<<30:
		return fmt.Errorf("row group size %d: want at most 1 GiB, because a column of 2 GiB cannot be read", o.RowGroupBytes)
	case o.Work == "":
		return errors.New("no work folder is set")
	}
	return nil
}

// WriteShards writes trajectories and rejects into the store, in the order in
// which they come, and returns the shards and the counts for the manifest, and
// the parts that [Cut] has marked: shards of those that are known are taken over
// from the snapshot before. Nothing of it is visible as a dataset before
// manifests.Commit.
func WriteShards(ctx context.Context, judged iter.Seq2[irgdata.Item[irgdata.Judged], error], pictures *images.Store, store blob.Store, previous *Previous, o ShardOptions) (manifests.Content, []manifests.Part, error) {
	if err := o.Validate(); err != nil {
		return manifests.Content{}, nil, fmt.Errorf("write shards: %w", err)
	}
	w, err := newPartWriter(store, previous, o)
	if err != nil {
		return manifests.Content{}, nil, err
	}
	defer w.discard()

	type loaded struct {
		item irgdata.Item[irgdata.Judged]
		row  parquet.Row
	}
	rows := flow.Map(ctx, judged, flow.Options{Workers: o.Workers}, func(ctx context.Context, item irgdata.Item[irgdata.Judged]) (loaded, error) {
		if item.Reject != nil || item.Cut != nil {
			return loaded{item: item}, nil
		}
		row, err := trajectoryRow(ctx, item.Value, pictures)
		return loaded{item, row}, err
	})
	for l, err := range rows {
		if err == nil {
			err = w.add(ctx, l.item, l.row)
		}
		if err != nil {
			return manifests.Content{}, nil, err
		}
	}
	return w.close(ctx)
}

// shards writes rows into one shard after another.
type shards struct {
	store   blob.Store
	prefix  string
	columns []parquet.Column
	o       ShardOptions

	open *shard
	done []manifests.Shard
}

// shard is the one under way: a nameless file of the work folder.
type shard struct {
	file   *os.File
	sink   *digestSink
	buffer *bufio.Writer
	rows   *parquet.Writer
}

// digestSink digests and counts what goes to the writer below.
type digestSink struct {
	w    io.Writer
	sum  hash.Hash
	size int64
}

func (d *digestSink) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.sum.Write(p[:n])
	d.size += int64(n)
	return n, err
}

func (s *shards) write(ctx context.Context, row parquet.Row) error {
	if s.open == nil {
		opened, err := s.start()
		if err != nil {
			return fmt.Errorf("start a shard: %w", err)
		}
		s.open = opened
	}
	if err := s.open.rows.Write(row); err != nil {
		return fmt.Errorf("write a shard: %w", err)
	}
	// Whole row groups decide, so that the cut is a matter of the rows alone.
	if s.open.rows.Pending() == 0 && s.open.sink.size+int64(s.open.buffer.Buffered()) >= s.o.Bytes {
		return s.seal(ctx)
	}
	return nil
}

func (s *shards) start() (*shard, error) {
	file, err := blob.TempFile(s.o.Work)
	if err != nil {
		return nil, err
	}
	sink := &digestSink{w: file, sum: sha256.New()}
	buffer := bufio.NewWriterSize(sink, 1<<20)
	rows, err := parquet.NewWriter(buffer, s.columns, parquet.WriterOptions{Rows: s.o.RowGroupRows, Bytes: s.o.RowGroupBytes})
	if err != nil {
		file.Close()
		return nil, err
	}
	return &shard{file: file, sink: sink, buffer: buffer, rows: rows}, nil
}

// seal ends the shard under way, if there is one, and puts it into the store.
func (s *shards) seal(ctx context.Context) error {
	if s.open == nil {
		return nil
	}
	defer s.discard()
	w := s.open
	if err := w.rows.Close(); err != nil {
		return fmt.Errorf("end a shard: %w", err)
	}
	if err := w.buffer.Flush(); err != nil {
		return fmt.Errorf("end a shard: %w", err)
	}
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("end a shard: %w", err)
	}
	sealed := manifests.Shard{Digest: irgdata.Digest(w.sink.sum.Sum(nil)), Size: w.sink.size, Rows: w.rows.Rows(), RowGroups: w.rows.RowGroups()}
	var err error
	sealed.Key, err = manifests.PutShard(ctx, s.store, s.prefix, w.file, sealed.Digest, sealed.Size)
	if err != nil {
		return err
	}
	s.done = append(s.done, sealed)
	return nil
}

// discard gives the file of the shard under way back.
func (s *shards) discard() {
	if s.open != nil {
		s.open.file.Close() // nameless: nothing is kept
		s.open = nil
	}
}

// Rejects yields the rejects of a snapshot, in the order of the sources: whole
// items, and the modes that kept trajectories lost. Of the pairs it knows what
// the shards hold.
func Rejects(ctx context.Context, store blob.Store, s manifests.Snapshot, work string) iter.Seq2[irgdata.Reject, error] {
	return func(yield func(irgdata.Reject, error) bool) {
		for _, shard := range openAhead(ctx, store, s.Rejects, work) {
			for row, err := range shard.rows(ctx, rejectColumnNames()) {
				var r irgdata.Reject
				if err == nil {
					r, err = readReject(row)
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}
