package manifests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
)

// CollectOptions say what may be deleted.
type CollectOptions struct {
	// Grace spares objects that are younger, by the clock of the store: what a
	// build that was broken off has left is found there by the next one.
	Grace time.Duration
	// Keep is the number of newest snapshots that stay; the older ones expire,
	// but for tagged ones. 0: none expires for its age.
	Keep int
	// Removed expires the snapshots, tagged or not, that were published before
	// the newest removal, and deletes what they hold without grace, and so with
	// records of the catalog that newer ones replace.
	Removed bool
	// DryRun deletes nothing.
	DryRun bool
}

// Validate reports the first mistake.
func (o CollectOptions) Validate() error {
	if o.Grace < 0 || o.Keep < 0 {
		return fmt.Errorf("grace %s and keep %d: want no negative ones", o.Grace, o.Keep)
	}
	return nil
}

// Needs says what the store is needed for beside its snapshots, once pairs were removed.
type Needs struct {
	// Image reports whether the answer of a call in the ledger, or an item of
	// the catalog that was not removed, is this image.
	Image func(irgdata.Digest) bool
	// RemovedImage reports whether it is the image of a removed pair, and of no
	// other.
	RemovedImage func(irgdata.Digest) bool
}

// Collected says what was deleted, or would be.
type Collected struct {
	// Expired are the snapshots that expired now.
	Expired []int `json:"expired"`
	// Kinds are the deleted objects by the folder of the store.
	Kinds []CollectedKind `json:"kinds"`
	// Purged is what was deleted from objects that stay, in other words.
	Purged CollectedPurge `json:"purged,omitzero"`
	// Spared objects are needed by nobody and too young.
	Spared int64 `json:"spared"`
}

// CollectedPurge counts what of removed pairs was deleted from the ledger and the
// catalog.
type CollectedPurge struct {
	// Calls are those whose answers were deleted, and Items those of the catalog
	// that say nothing any more.
	Calls int `json:"calls"`
	Items int `json:"items"`
	// Unread are shards of expired snapshots that could not be read. Calls of an
	// older irgdata that only they name may be left.
	Unread []string `json:"unread,omitempty"`
	// Exports that are known hold removed pairs, or may: of their snapshots the
	// lists of members are gone.
	Exports []string `json:"exports,omitempty"`
}

// CollectedKind counts the deleted objects of a folder.
type CollectedKind struct {
	Folder  string `json:"folder"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// ErrHoldsRemoved says that the newest snapshot was published before a removal.
var ErrHoldsRemoved = errors.New("the newest snapshot was published before the newest removal")

// collectors delete objects at one time.
const collectors = 16

// Collect deletes the objects that nobody needs. The caller has begun a run
// that is alone, or asks for a dry run.
//
// Needed are the shards, rejects, members and provenance of all snapshots that have not
// expired, the newest record of each unit of the catalog, and all images but
// those of removed pairs: a source may no longer have what came from it. Nothing
// else of the store is ever deleted: not the newest snapshot, not the newest that is
// no preview, no manifest, tag or removal.
//
// If what was removed is to go, purge is called when the snapshots from before have
// expired, with these and with their shards that no other snapshot has, before
// anything is deleted.
func Collect(ctx context.Context, store blob.Store, run *Run, o CollectOptions, purge func(ctx context.Context, before []Snapshot, going []Shard) (Needs, CollectedPurge, error)) (Collected, error) {
	c := collector{store: store, run: run, o: o}
	if err := o.Validate(); err != nil {
		return c.done, fmt.Errorf("gc: %w", err)
	}
	if err := c.expire(ctx); err != nil {
		return c.done, fmt.Errorf("gc: %w", err)
	}
	var err error
	if o.Removed {
		if c.run != nil {
			if err := c.run.Held(ctx); err != nil {
				return c.done, fmt.Errorf("gc: %w", err)
			}
		}
		var going []Shard
		for _, key := range slices.Sorted(maps.Keys(c.going)) {
			if !c.needed[key] {
				going = append(going, c.going[key])
			}
		}
		if c.needs, c.done.Purged, err = purge(ctx, c.before, going); err != nil {
			return c.done, fmt.Errorf("gc: %w", err)
		}
	}
	if c.now, err = c.clock(ctx); err != nil {
		return c.done, fmt.Errorf("gc: %w", err)
	}
	for _, folder := range []string{ShardPrefix, RejectPrefix, memberPrefix, provenancePrefix, "images/", catalogPrefix, RunPrefix} {
		if err := c.sweep(ctx, folder); err != nil {
			return c.done, fmt.Errorf("gc: %w", err)
		}
	}
	return c.done, nil
}

type collector struct {
	store blob.Store
	run   *Run // nil for a dry run
	needs Needs
	o     CollectOptions
	now   time.Time
	done  Collected

	needed  map[string]bool // keys of shards, rejects, members and provenance of the kept snapshots
	removed map[string]bool // those of snapshots that expired for a removal, unless needed
	before  []Snapshot      // from before the newest removal
	going   map[string]Shard
}

// expire decides which snapshots stay, and marks those that do not.
func (c *collector) expire(ctx context.Context) error {
	numbers, err := Numbers(ctx, c.store)
	if err != nil {
		return err
	}
	expired, err := Expired(ctx, c.store)
	if err != nil {
		return err
	}
	tags, err := Tags(ctx, c.store)
	if err != nil {
		return err
	}
	removed, err := LoadRemoved(ctx, c.store)
	if err != nil {
		return err
	}
	stays := map[int]bool{}
	for _, t := range tags {
		stays[t.Snapshot] = true
	}
	live := slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { _, is := expired[n]; return is })
	for i, n := range live {
		stays[n] = stays[n] || c.o.Keep == 0 || len(live)-i <= c.o.Keep
	}
	newest, err := LatestFull(ctx, c.store)
	if err != nil && !errors.Is(err, ErrNoSnapshot) {
		return err
	}
	full := newest.Number
	last := max(newest.Number, slices.Max(append(live, 0)))
	stays[full], stays[last] = true, true

	c.needed, c.removed, c.going = map[string]bool{}, map[string]bool{}, map[string]Shard{}
	for _, n := range numbers {
		s, err := Load(ctx, c.store, n)
		if err != nil {
			return err
		}
		before := s.Settings.Removals < removed.Newest
		_, gone := expired[n]
		reason := ""
		switch {
		case gone:
		case c.o.Removed && before && (n == last || n == full):
			return fmt.Errorf("%w: `irgdata refresh` publishes one without the removed pairs, then run this again", ErrHoldsRemoved)
		case c.o.Removed && before:
			reason = fmt.Sprintf("published before removal %d", removed.Newest)
		case !stays[n]:
			reason = fmt.Sprintf("not among the %d newest and not tagged", c.o.Keep)
		}
		if reason != "" {
			c.done.Expired = append(c.done.Expired, n)
			if !c.o.DryRun {
				if err := expire(ctx, c.store, n, reason); err != nil {
					return err
				}
			}
		}
		for _, key := range append(slices.Collect(s.objects()), ProvenanceKey(n)) {
			switch {
			case !gone && reason == "":
				c.needed[key] = true
			case c.o.Removed && before:
				c.removed[key] = true
			}
		}
		if c.o.Removed && before {
			c.before = append(c.before, s)
			for _, shard := range slices.Concat(s.Shards, s.Rejects) {
				c.going[shard.Key] = shard
			}
		}
	}
	return nil
}

// objects yields the keys of the objects that a snapshot's rows and rejects are
// in.
func (s Snapshot) objects() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, shard := range slices.Concat(s.Shards, s.Rejects) {
			if !yield(shard.Key) {
				return
			}
		}
		if s.Members.Count > 0 {
			yield(s.Members.Key)
		}
	}
}

// clock is the time of the store, which tells the ages of objects. A dry run,
// which leaves no mark, goes by this machine's.
func (c *collector) clock(ctx context.Context) (time.Time, error) {
	if c.run == nil {
		return time.Now(), nil
	}
	o, err := c.store.Stat(ctx, c.run.key)
	return o.ModTime, err
}

// verdict says of an object whether it is garbage, and whether its age matters.
type verdict int

const (
	needed verdict = iota
	garbage
	garbageAtOnce
)

// judge says what becomes of an object, given the one after it in the list.
func (c *collector) judge(folder string, o, next blob.Object) verdict {
	switch folder {
	case ShardPrefix, RejectPrefix, memberPrefix, provenancePrefix:
		switch {
		case c.needed[o.Key]:
			return needed
		case c.removed[o.Key]:
			return garbageAtOnce
		}
		return garbage
	case "images/":
		d, err := irgdata.ParseDigest(path.Base(o.Key))
		switch {
		case err != nil: // no object of ours
			return needed
		case c.o.Removed && c.needs.RemovedImage(d) && !c.needs.Image(d):
			return garbageAtOnce
		}
	case catalogPrefix: // of the records of a unit the last in the list is the newest
		if path.Dir(o.Key) == path.Dir(next.Key) && len(o.Key) == len(next.Key) {
			if c.o.Removed {
				return garbageAtOnce
			}
			return garbage
		}
	case RunPrefix:
		if strings.HasSuffix(o.Key, deadSuffix) && c.now.Sub(o.ModTime) > deadMarksStay {
			return garbage
		}
	}
	return needed
}

// deadMarksStay is how long it is remembered that a run was taken for dead.
const deadMarksStay = 90 * 24 * time.Hour

// sweep deletes the garbage of a folder.
func (c *collector) sweep(ctx context.Context, folder string) error {
	kind := CollectedKind{Folder: strings.TrimSuffix(folder, "/")}
	deleted := flow.Map(ctx, c.garbage(ctx, folder), flow.Options{Workers: collectors}, func(ctx context.Context, o blob.Object) (blob.Object, error) {
		if c.o.DryRun {
			return o, nil
		}
		return o, c.store.Delete(ctx, o.Key)
	})
	for o, err := range deleted {
		if err != nil {
			return err
		}
		kind.Objects++
		kind.Bytes += o.Size
	}
	if kind.Objects > 0 {
		c.done.Kinds = append(c.done.Kinds, kind)
		slices.SortFunc(c.done.Kinds, func(a, b CollectedKind) int { return cmp.Compare(a.Folder, b.Folder) })
	}
	return nil
}

// heldEvery is the number of deletions after which a run asks whether it may
// still delete.
const heldEvery = 1000

// garbage yields the objects of a folder that are to be deleted.
func (c *collector) garbage(ctx context.Context, folder string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		var before blob.Object
		n := 0
		see := func(o, next blob.Object) bool {
			v := c.judge(folder, o, next)
			switch {
			case v == needed:
				return true
			case v == garbage && c.now.Sub(o.ModTime) < c.o.Grace:
				c.done.Spared++
				return true
			}
			if n%heldEvery == 0 && c.run != nil {
				if err := c.run.Held(ctx); err != nil {
					yield(blob.Object{}, err)
					return false
				}
			}
			n++
			return yield(o, nil)
		}
		for o, err := range c.store.List(ctx, folder) {
			if err != nil {
				yield(blob.Object{}, err)
				return
			}
			if before.Key != "" && !see(before, o) {
				return
			}
			before = o
		}
		if before.Key != "" {
			see(before, blob.Object{})
		}
	}
}
