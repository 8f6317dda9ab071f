package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// partWriter writes one part after another. One goroutine uses it.
type partWriter struct {
	store    blob.Store
	previous *Previous
	o        ShardOptions
	members  *members
	total    *counter
	shards   []manifests.Shard
	rejects  []manifests.Shard
	parts    []manifests.Part

	// Of the part under way:
	kept, left *shards
	count      *counter
	again      bool // another build could give another one
}

func newPartWriter(store blob.Store, previous *Previous, o ShardOptions) (*partWriter, error) {
	w := &partWriter{store: store, previous: previous, o: o, total: newCounter(o)}
	w.begin()
	var err error
	w.members, err = newMembers(o.Work)
	return w, err
}

func (w *partWriter) begin() {
	w.kept = &shards{store: w.store, prefix: manifests.ShardPrefix, columns: trajectoryColumns(), o: w.o}
	w.left = &shards{store: w.store, prefix: manifests.RejectPrefix, columns: rejectColumns(), o: w.o}
	w.count, w.again = newCounter(w.o), false
}

// discard frees what is under way.
func (w *partWriter) discard() {
	w.kept.discard()
	w.left.discard()
	w.members.file.Close() // nameless: nothing is kept
}

// add takes an item, with its row if it is a trajectory.
func (w *partWriter) add(ctx context.Context, item irgdata.Item[irgdata.Judged], row parquet.Row) error {
	switch {
	case item.Cut != nil && item.Cut.Known:
		return w.takeOver(w.previous.parts[item.Cut.Part])
	case item.Cut != nil:
		return w.end(ctx, item.Cut.Part)
	case item.Reject == nil:
		if err := w.kept.write(ctx, row); err != nil {
			return err
		}
		if err := w.members.add(manifests.Member{ID: item.Value.Trajectory.Pair.ID, Row: manifests.RowDigest(row)}); err != nil {
			return err
		}
	}
	w.again = w.again || unanswered(item)
	for _, reject := range w.count.add(item) {
		row, err := rejectRow(reject)
		if err == nil {
			err = w.left.write(ctx, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unanswered reports whether the next build asks for something again.
func unanswered(item irgdata.Item[irgdata.Judged]) bool {
	if r := item.Reject; r != nil {
		return r.Judged != nil && r.Judged.Trajectory.Unanswered
	}
	return item.Value.Trajectory.Unanswered
}

// end ends the part under way.
func (w *partWriter) end(ctx context.Context, key irgdata.Digest) error {
	if err := w.kept.seal(ctx); err != nil {
		return err
	}
	if err := w.left.seal(ctx); err != nil {
		return err
	}
	part := manifests.Part{
		Key: key, First: w.total.c.Trajectories, Calls: w.count.calls, Shards: w.kept.done, Rejects: w.left.done,
		Counts: w.count.counts(), Opinions: w.count.opinions.Counts(),
	}
	if !w.again && !key.IsZero() {
		w.parts = append(w.parts, part)
	}
	w.take(part)
	w.begin()
	return nil
}

// takeOver puts a part of the snapshot before in the place of its items.
func (w *partWriter) takeOver(part manifests.Part) error {
	sameModes := slices.EqualFunc(part.Counts.Modes, w.o.Modes, func(m manifests.ModeCount, wanted modes.Mode) bool { return m.Mode == wanted.Name })
	if !sameModes {
		return errors.New("take over a part: it counts other modes: delete provenance/ of the store")
	}
	n, err := io.Copy(w.members.buffer, w.previous.membersOf(part))
	if want := part.Counts.Trajectories * int64(manifests.MemberBytes); err == nil && n != want {
		err = fmt.Errorf("there are %d bytes of them, want %d: delete provenance/ of the store", n, want)
	}
	if err != nil {
		return fmt.Errorf("take over the members of a part: %w", err)
	}
	part.First = w.total.c.Trajectories
	w.parts = append(w.parts, part)
	w.take(part)
	return nil
}

func (w *partWriter) take(part manifests.Part) {
	w.shards, w.rejects = slices.Concat(w.shards, part.Shards), slices.Concat(w.rejects, part.Rejects)
	w.total.merge(part.Counts, part.Opinions)
}

// close ends what no cut has ended and returns what there is.
func (w *partWriter) close(ctx context.Context) (content manifests.Content, parts []manifests.Part, err error) {
	if w.count.c.Items > 0 {
		if err := w.end(ctx, irgdata.Digest{}); err != nil {
			return content, nil, err
		}
	}
	content.Shards, content.Rejects, content.Counts, content.Opinions = w.shards, w.rejects, w.total.counts(), w.total.opinions.Counts()
	content.Members, err = w.members.put(ctx, w.store)
	return content, w.parts, err
}
