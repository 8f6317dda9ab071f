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
	"maps"
	"math"
	"os"
	"slices"
	"strings"

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
	// Modes are the wanted ones.
	Modes []modes.Mode
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
// which they come, and returns the shards and the counts for the manifest.
// Nothing of it is visible as a dataset before manifests.Commit.
func WriteShards(ctx context.Context, judged iter.Seq2[irgdata.Item[irgdata.Judged], error], pictures *images.Store, store blob.Store, o ShardOptions) (manifests.Content, error) {
	var content manifests.Content
	if err := o.Validate(); err != nil {
		return content, fmt.Errorf("write shards: %w", err)
	}
	kept := &shards{store: store, prefix: manifests.ShardPrefix, columns: trajectoryColumns(), o: o}
	defer kept.discard()
	left := &shards{store: store, prefix: manifests.RejectPrefix, columns: rejectColumns(), o: o}
	defer left.discard()
	members, err := newMembers(o.Work)
	if err != nil {
		return content, err
	}
	defer members.file.Close() // nameless: nothing is kept
	count := newCounter(o.Modes)

	type loaded struct {
		item irgdata.Item[irgdata.Judged]
		row  parquet.Row
	}
	rows := flow.Map(ctx, judged, flow.Options{Workers: o.Workers}, func(ctx context.Context, item irgdata.Item[irgdata.Judged]) (loaded, error) {
		if item.Reject != nil {
			return loaded{item: item}, nil
		}
		row, err := trajectoryRow(ctx, item.Value, pictures)
		return loaded{item, row}, err
	})
	for l, err := range rows {
		if err != nil {
			return content, err
		}
		if l.item.Reject == nil {
			if err := kept.write(ctx, l.row); err != nil {
				return content, err
			}
			if err := members.add(manifests.Member{ID: l.item.Value.Trajectory.Pair.ID, Row: manifests.RowDigest(l.row)}); err != nil {
				return content, err
			}
		}
		for _, reject := range count.add(l.item) {
			row, err := rejectRow(reject)
			if err == nil {
				err = left.write(ctx, row)
			}
			if err != nil {
				return content, err
			}
		}
	}
	if err := kept.seal(ctx); err != nil {
		return content, err
	}
	if err := left.seal(ctx); err != nil {
		return content, err
	}
	content.Shards, content.Rejects, content.Counts = kept.done, left.done, count.counts()
	content.Members, err = members.put(ctx, store)
	return content, err
}

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

// counter counts what goes into a snapshot.
type counter struct {
	c        manifests.Counts
	modes    []modes.Mode
	reasons  map[manifests.ReasonCount]int64 // Count is zero in the keys
	losses   []manifests.Losses              // of items, then of each mode
	warnings map[string]int64                // by rule
	lengths  map[string]*manifests.Histogram
}

func newCounter(wanted []modes.Mode) *counter {
	c := &counter{
		modes: wanted, reasons: map[manifests.ReasonCount]int64{}, losses: []manifests.Losses{{}},
		warnings: map[string]int64{}, lengths: map[string]*manifests.Histogram{},
	}
	for _, m := range wanted {
		c.losses = append(c.losses, manifests.Losses{})
		c.c.Modes = append(c.c.Modes, manifests.ModeCount{Mode: m.Name})
	}
	return c
}

// add counts an item and returns its rejects: the item itself, or the modes
// that a kept trajectory lost.
func (c *counter) add(item irgdata.Item[irgdata.Judged]) []irgdata.Reject {
	c.c.Items++
	var rejects []irgdata.Reject
	if item.Reject != nil {
		c.c.Rejected++
		rejects = append(rejects, *item.Reject)
		c.losses[0].Add(item.Reject.Stage, item.Reject.Rule)
		for i, m := range c.modes {
			stage, rule := lostAt(*item.Reject, m.Name)
			c.losses[1+i].Add(stage, rule)
		}
	} else {
		c.c.Trajectories++
		rejects = c.judged(item.Value)
	}
	for _, r := range rejects {
		c.reasons[manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule, Mode: r.Mode}]++
	}
	return rejects
}

// lostAt says where a rejected item lost a mode.
func lostAt(r irgdata.Reject, mode string) (stage, rule string) {
	if r.Judged != nil {
		for _, v := range r.Judged.Verdicts {
			if v.Mode == mode {
				return v.Stage, v.Rule
			}
		}
	}
	return r.Stage, r.Rule
}

// lengthRules measure the lengths that a snapshot's manifest sums up, on slots
// and on rows.
var lengthRules = []string{"length/", "row_tokens/"}

func (c *counter) judged(j irgdata.Judged) (lost []irgdata.Reject) {
	warned := map[string]bool{}
	for _, w := range j.Warnings {
		if !warned[w.Rule] {
			warned[w.Rule] = true
			c.warnings[w.Rule]++
		}
	}
	for _, score := range j.Scores {
		of, _, _ := strings.Cut(score.Name, ".")
		if math.IsNaN(score.Value) || !slices.ContainsFunc(lengthRules, func(r string) bool { return strings.HasPrefix(score.Rule, r) }) ||
			slices.Contains(modes.Names(), of) && !j.Keeps(of) {
			continue
		}
		if c.lengths[score.Name] == nil {
			c.lengths[score.Name] = &manifests.Histogram{Name: score.Name}
		}
		c.lengths[score.Name].Add(int64(score.Value))
	}
	for i, m := range c.modes {
		if j.Keeps(m.Name) {
			c.c.Modes[i].Rows++
			size := int64(0)
			for _, s := range m.Needs() {
				f := j.Trajectory.Slots[s]
				size += int64(len(f.Text)) + f.Image.Size
			}
			c.c.Modes[i].Bytes += size
			c.c.Modes[i].MaxBytes = max(c.c.Modes[i].MaxBytes, size)
			continue
		}
		c.c.Modes[i].Rejected++
		reject := irgdata.Reject{Pair: j.Trajectory.Pair, Mode: m.Name, Stage: irgdata.StageFilter, Rule: "unjudged", Reason: "no verdict was given for this mode", Score: math.NaN()}
		for _, v := range j.Verdicts {
			if v.Mode == m.Name {
				reject.Stage, reject.Rule, reject.Reason, reject.Score = v.Stage, v.Rule, v.Reason, v.Score
			}
		}
		c.losses[1+i].Add(reject.Stage, reject.Rule)
		lost = append(lost, reject)
	}
	return lost
}

func (c *counter) counts() manifests.Counts {
	c.c.Reasons = manifests.CountReasons(c.reasons)
	c.c.Funnels = []manifests.Funnel{c.losses[0].Funnel("", c.c.Items)}
	for i, m := range c.modes {
		c.c.Funnels = append(c.c.Funnels, c.losses[1+i].Funnel(m.Name, c.c.Items))
	}
	c.c.Warnings = manifests.CountRules(c.warnings)
	c.c.Lengths = []manifests.Histogram{}
	for _, name := range slices.Sorted(maps.Keys(c.lengths)) {
		c.c.Lengths = append(c.c.Lengths, *c.lengths[name])
	}
	return c.c
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
