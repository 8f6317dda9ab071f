package manifests

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
)

// VerifyOptions say how closely to look.
type VerifyOptions struct {
	// Full reads every byte and decodes every row; else the manifest and the
	// sizes of its shards are checked.
	Full bool
	// Work is a folder for the copy of one shard at a time.
	Work string
	// Workers read images at one time; less than one means one.
	Workers int
}

// Problem is what is wrong with one object of the store.
type Problem struct {
	Key string `json:"key"` // of the object, or the folder of one whose name nobody knows
	URL string `json:"url"`
	// Reason says what was found, and what was expected.
	Reason string `json:"reason"`
	// Unreadable: the object could not be read, and may be sound. Others are damaged
	// or not there.
	Unreadable bool `json:"unreadable,omitempty"`
}

func (p Problem) String() string {
	if p.Unreadable {
		return p.URL + ": it could not be read: " + p.Reason
	}
	return p.URL + ": " + p.Reason
}

// Report is what a verification found.
type Report struct {
	Shards int
	Rows   int64
	Bytes  int64
	// Objects counts the other objects of the store that were read, which a
	// full verification does.
	Objects int
	// Problems name the object and what is wrong with it; none means that the
	// snapshot is sound.
	Problems []Problem

	mu        *sync.Mutex // of images, while it changes
	store     blob.Store
	snapshots []Snapshot // that can be read, in the end without expired ones
	shards    map[string]shardFacts
	calls     prefixes                    // in sound segments
	images    prefixes                    // that are there and sound
	lost      map[irgdata.Digest]struct{} // images that rows show, and that are not there or damaged
	missing   map[string]missingCalls     // by slot: calls that rows name, and that no sound segment holds
}

// missingCalls are calls that no segment holds.
type missingCalls struct {
	count int
	first irgdata.Digest
}

func (r *Report) problem(key, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{Key: key, URL: r.store.URL(key), Reason: fmt.Sprintf(format, args...)})
}

// failed notes what came of reading an object, if anything is wrong with it: damage,
// or that it could not be read. It returns the end of ctx.
func (r *Report) failed(ctx context.Context, key string, err error) error {
	if err != nil && ctx.Err() == nil {
		r.problem(key, "%v", err)
		r.Problems[len(r.Problems)-1].Unreadable = !isDamage(err) && !errors.Is(err, errNotOurs)
	}
	return ctx.Err()
}

// damaged says whether there is a problem with the object.
func (r *Report) damaged(key string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Key == key })
}

// Unreadable counts the problems with objects that could not be read. With any,
// nothing is known of what is nowhere else, and so nothing may be repaired.
func (r *Report) Unreadable() int { return unreadable(r.Problems) }

func unreadable(problems []Problem) (n int) {
	for _, p := range problems {
		if p.Unreadable {
			n++
		}
	}
	return n
}

// Verify checks a snapshot whose manifest was loaded, and with Full everything
// else in the store as well, the other snapshots included. Damage and objects that
// could not be read are in the report; an error means that the store could not be
// listed.
//
// A full verification holds 8 bytes for each call and each image.
func Verify(ctx context.Context, store blob.Store, s Snapshot, o VerifyOptions) (Report, error) {
	r := Report{mu: new(sync.Mutex), store: store, shards: map[string]shardFacts{}, lost: map[irgdata.Digest]struct{}{}, missing: map[string]missingCalls{}}
	if !o.Full {
		return r, r.verifySnapshot(ctx, s, o)
	}
	for _, verify := range []func(context.Context, VerifyOptions) error{r.loadSnapshots, r.verifyObjects, r.verifyRemovals, r.verifySegments, r.verifySnapshots} {
		if err := verify(ctx, o); err != nil {
			return r, fmt.Errorf("verify: %w", err)
		}
	}
	if unreadable(r.problems(segmentPrefix)) > 0 {
		return r, nil // they may hold the missing calls
	}
	for _, slot := range slices.Sorted(maps.Keys(r.missing)) {
		m := r.missing[slot]
		r.problem(segmentPrefix, "no segment holds %d calls that filled the slot %s of rows, such as %s", m.count, slot, m.first)
	}
	return r, nil
}

// errNotOurs is of an object that no irgdata has put there. Nothing deletes it.
var errNotOurs = errors.New("it has no name of ours: move it elsewhere")

// inspect reads an object whole, other than a manifest or a shard, and returns what
// is wrong with it.
func inspect(ctx context.Context, store blob.Store, key string) error {
	name := path.Base(key)
	switch folder, _, _ := strings.Cut(key, "/"); folder + "/" {
	case tagPrefix, removalPrefix, expiredPrefix:
		_, err := loadSealed[json.RawMessage](ctx, store, key)
		return err
	case catalogPrefix:
		encoded, err := blob.ReadAll(ctx, store, key, maxRecord)
		if err != nil {
			return err
		}
		_, _, err = decodeRecord(encoded)
		return damage(err)
	case accountPrefix, provenancePrefix:
		number, err := strconv.Atoi(strings.TrimSuffix(name, manifestSuffix))
		switch {
		case err == nil && key == AccountKey(number):
			_, err = LoadAccount(ctx, store, number)
		case err == nil && key == ProvenanceKey(number):
			_, err = readProvenance(ctx, store, number)
		default:
			err = errNotOurs
		}
		return err
	case segmentPrefix:
		digest, ours := segmentDigest(key)
		if !ours {
			return errNotOurs
		}
		object, err := store.Stat(ctx, key)
		if err == nil {
			_, err = readSegment(ctx, store, object, digest)
		}
		return err
	}
	digest, err := irgdata.ParseDigest(strings.TrimSuffix(name, scoreSuffix))
	if err != nil {
		return errNotOurs
	}
	return blob.Verify(ctx, store, key, digest)
}

// verifyObjects inspects the objects of those folders that are each whole by
// themselves, several at one time, and notes the images that are.
func (r *Report) verifyObjects(ctx context.Context, o VerifyOptions) error {
	_, err := Identity(ctx, r.store)
	if err := r.failed(ctx, identityKey, err); err != nil {
		return err
	}
	type inspected struct {
		object blob.Object
		err    error
	}
	for _, prefix := range []string{tagPrefix, removalPrefix, expiredPrefix, catalogPrefix, images.Prefix, memberPrefix, scorePrefix, purgedPrefix, accountPrefix, provenancePrefix} {
		all := flow.Map(ctx, r.store.List(ctx, prefix), flow.Options{Workers: o.Workers}, func(ctx context.Context, object blob.Object) (inspected, error) {
			return inspected{object, inspect(ctx, r.store, object.Key)}, ctx.Err()
		})
		for i, err := range all {
			if err != nil {
				return fmt.Errorf("%s: %w", r.store.URL(prefix), err)
			}
			if errors.Is(i.err, blob.ErrNotExist) {
				continue // deleted since it was listed; who needs it notices
			}
			r.Objects++
			r.Bytes += i.object.Size
			if err := r.failed(ctx, i.object.Key, i.err); err != nil {
				return err
			}
			digest, err := irgdata.ParseDigest(path.Base(i.object.Key))
			if i.err == nil && err == nil && i.object.Key == images.Key(digest) {
				r.images.add(digest)
			}
		}
	}
	r.images.sort()
	return nil
}

// verifyRemovals looks for one that is lost.
func (r *Report) verifyRemovals(ctx context.Context, _ VerifyOptions) error {
	removed, err := LoadRemoved(ctx, r.store)
	for _, s := range r.snapshots {
		if err == nil {
			err = removed.checkLost(r.store, s)
		}
	}
	var lost *LostRemovalError
	switch {
	case errors.As(err, &lost):
		r.problem(removalKey(lost.Number), "%v", err)
	case len(r.problems(removalPrefix)) == 0: // else that is what kept them from being read
		return r.failed(ctx, removalPrefix, err)
	}
	return ctx.Err()
}

// verifySegments decodes each segment of the ledger and notes its calls.
func (r *Report) verifySegments(ctx context.Context, _ VerifyOptions) error {
	err := eachSegment(ctx, r.store, func(object blob.Object) error {
		var s segment
		err := errNotOurs
		if digest, ours := segmentDigest(object.Key); ours {
			s, err = readSegment(ctx, r.store, object, digest)
		}
		if errors.Is(err, blob.ErrNotExist) { // compacted meanwhile
			return err
		}
		r.Objects++
		r.Bytes += object.Size
		for _, c := range s.calls {
			r.calls.add(c.Key)
		}
		return r.failed(ctx, object.Key, err)
	})
	r.calls.sort()
	return err
}

// loadSnapshots reads the manifests. It comes before all else: what a snapshot rests on
// is in the store before it is published, so that one which is published meanwhile
// rests on nothing that was not seen.
func (r *Report) loadSnapshots(ctx context.Context, _ VerifyOptions) error {
	numbers, err := Numbers(ctx, r.store)
	if err != nil {
		return err
	}
	for i, number := range numbers {
		if number != i+1 {
			r.problem(Key(i+1), "it is not there, and a later snapshot is")
			break
		}
	}
	for _, number := range numbers {
		s, err := Load(ctx, r.store, number)
		if err == nil {
			r.Objects++
			r.snapshots = append(r.snapshots, s)
		}
		if err := r.failed(ctx, Key(number), err); err != nil {
			return err
		}
	}
	return nil
}

// verifySnapshots checks the shards of all snapshots but the expired ones, whose
// shards may be gone.
func (r *Report) verifySnapshots(ctx context.Context, o VerifyOptions) error {
	expired, err := Expired(ctx, r.store)
	if err != nil {
		return err
	}
	r.snapshots = slices.DeleteFunc(r.snapshots, func(s Snapshot) bool { _, gone := expired[s.Number]; return gone })
	for _, s := range r.snapshots {
		if err := r.verifySnapshot(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

// shardFacts is what was found out of a shard, to be compared with the
// manifests that list it.
type shardFacts struct {
	sound   bool
	members irgdata.Digest        // of the members that its rows are, one after another
	modes   map[string]int64      // rows that serve a mode
	reasons map[ReasonCount]int64 // of its rejects; Count is zero in the keys
}

// verifySnapshot checks a snapshot's shards that were not seen before, its
// members, and with Full that its counts are those of the rows.
func (r *Report) verifySnapshot(ctx context.Context, s Snapshot, o VerifyOptions) error {
	if s.Members.Count > 0 {
		object, err := r.store.Stat(ctx, s.Members.Key)
		switch {
		case errors.Is(err, blob.ErrNotExist):
			r.problem(s.Members.Key, "it is not there, and snapshot %d lists it", s.Number)
		case r.damaged(s.Members.Key):
		case err != nil:
			if err := r.failed(ctx, s.Members.Key, err); err != nil {
				return err
			}
		case object.Size != s.Members.size():
			r.problem(s.Members.Key, "it has %d bytes, want %d", object.Size, s.Members.size())
		}
	}
	for _, shard := range slices.Concat(s.Shards, s.Rejects) {
		if _, seen := r.shards[shard.Key]; seen {
			continue
		}
		facts, err := r.verifyShard(ctx, shard, o)
		facts.sound = err == nil
		r.shards[shard.Key] = facts
		r.Shards++
		r.Rows += shard.Rows
		r.Bytes += shard.Size
		if err := r.failed(ctx, shard.Key, err); err != nil {
			return err
		}
	}
	if !o.Full {
		return nil
	}
	return r.verifyCounts(ctx, s)
}

// verifyCounts compares a manifest's counts and members with the rows of its
// shards, if all of them can be read.
func (r *Report) verifyCounts(ctx context.Context, s Snapshot) error {
	modes, reasons := map[string]int64{}, map[ReasonCount]int64{}
	for _, shard := range slices.Concat(s.Shards, s.Rejects) {
		facts := r.shards[shard.Key]
		if !facts.sound {
			return nil
		}
		for mode, n := range facts.modes {
			modes[mode] += n
		}
		for reason, n := range facts.reasons {
			reasons[reason] += n
		}
	}
	for _, m := range s.Counts.Modes {
		if modes[m.Mode] != m.Rows {
			r.problem(Key(s.Number), "it counts %d rows of mode %s, and its shards hold %d", m.Rows, m.Mode, modes[m.Mode])
		}
	}
	if got := CountReasons(reasons); len(got) != len(s.Counts.Reasons) || len(got) > 0 && !slices.Equal(got, s.Counts.Reasons) {
		r.problem(Key(s.Number), "its counts of the rejects are not those of its shards: it has %+v, and they have %+v", s.Counts.Reasons, got)
	}
	if s.Members.Count == 0 || r.damaged(s.Members.Key) {
		return nil
	}
	err := r.verifyMembers(ctx, s)
	return r.failed(ctx, s.Members.Key, err)
}

// verifyMembers compares the list of members with the rows of the shards.
func (r *Report) verifyMembers(ctx context.Context, s Snapshot) error {
	offset := int64(0)
	for _, shard := range s.Shards {
		sum := sha256.New()
		list, err := r.store.Open(ctx, s.Members.Key, offset, shard.Rows*int64(MemberBytes))
		if err != nil {
			return err
		}
		n, err := io.Copy(sum, list)
		list.Close()
		if err != nil {
			return err
		}
		if irgdata.Digest(sum.Sum(nil)) != r.shards[shard.Key].members {
			return damage(fmt.Errorf("it does not list the rows of shard %s", shard.Key))
		}
		offset += n
	}
	return nil
}

// verifyShard returns what is in a shard, and what is wrong with it.
func (r *Report) verifyShard(ctx context.Context, shard Shard, o VerifyOptions) (facts shardFacts, err error) {
	object, err := r.store.Stat(ctx, shard.Key)
	switch {
	case err != nil:
		return facts, err
	case object.Size != shard.Size:
		return facts, damage(fmt.Errorf("it has %d bytes, want %d", object.Size, shard.Size))
	case !o.Full:
		return facts, nil
	}
	facts.modes, facts.reasons = map[string]int64{}, map[ReasonCount]int64{}
	sum, rows := sha256.New(), int64(0)
	for row, err := range shardRows(ctx, r.store, shard, o.Work) {
		if err != nil {
			return facts, err
		}
		if err := r.verifyRow(row, shard); err != nil {
			return facts, damage(fmt.Errorf("row %d: %w", rows, err))
		}
		rows++
		if strings.HasPrefix(shard.Key, RejectPrefix) {
			facts.reasons[ReasonCount{Stage: row.text("stage"), Rule: row.text("rule"), Mode: row.text("mode")}]++
			continue
		}
		sum.Write(row.member().bytes())
		for name, cell := range row.cells() {
			if serves, ok := cell.(bool); ok && serves {
				facts.modes[name]++
			}
		}
	}
	facts.members = irgdata.Digest(sum.Sum(nil))
	if rows != shard.Rows {
		return facts, damage(fmt.Errorf("%d rows can be read, want %d", rows, shard.Rows))
	}
	return facts, nil
}

// verifyRow compares each image of a trajectory with the digest that is its
// path, and looks its calls and images up in the ledger and among the images.
func (r *Report) verifyRow(row shardRow, shard Shard) error {
	if strings.HasPrefix(shard.Key, RejectPrefix) {
		return nil
	}
	if _, err := irgdata.ParseDigest(row.text("id")); err != nil {
		return err
	}
	for name, cell := range row.cells() {
		switch cell := cell.(type) {
		case parquet.Image:
			digest, err := irgdata.ParseDigest(strings.TrimSuffix(path.Base(cell.Path), path.Ext(cell.Path)))
			if got := irgdata.DigestOf(cell.Bytes); err != nil || got != digest {
				return fmt.Errorf("the image %s has digest %s", cell.Path, got)
			}
			if _, known := r.lost[digest]; r.images.has(digest) || known {
				continue
			}
			r.lost[digest] = struct{}{}
			if key := images.Key(digest); !r.damaged(key) {
				r.problem(key, "it is not there, and %s shows it", shard.Key)
			}
		case string:
			slot, is := strings.CutSuffix(name, "_call")
			if !is || cell == "" {
				continue
			}
			key, err := irgdata.ParseDigest(cell)
			if err != nil {
				return fmt.Errorf("column %s: %v", name, err)
			}
			if !r.calls.has(key) {
				m := r.missing[slot]
				if m.count++; m.first.IsZero() {
					m.first = key
				}
				r.missing[slot] = m
			}
		}
	}
	return nil
}

// shardRow is a row with the names of its columns.
type shardRow struct {
	names []string
	row   parquet.Row
}

// cells yields the cells by name.
func (r shardRow) cells() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i, name := range r.names {
			if !yield(name, r.row[i]) {
				return
			}
		}
	}
}

// text is the named column's text, empty if there is none.
func (r shardRow) text(name string) string {
	if i := slices.Index(r.names, name); i >= 0 {
		s, _ := r.row[i].(string)
		return s
	}
	return ""
}

// member is what the list of members has of a row that was verified.
func (r shardRow) member() Member {
	id, _ := irgdata.ParseDigest(r.text("id"))
	return Member{ID: id, Row: RowDigest(r.row)}
}

// shardRows yields all columns of a shard's rows. The errors do not name the
// shard.
func shardRows(ctx context.Context, store blob.Store, shard Shard, work string) iter.Seq2[shardRow, error] {
	return func(yield func(shardRow, error) bool) {
		file, err := blob.Spool(ctx, store, shard.Key, shard.Size, shard.Digest, work)
		if err != nil {
			yield(shardRow{}, err)
			return
		}
		defer file.Close()
		reader, err := parquet.NewReader(file)
		if err == nil && (reader.NumRows() != shard.Rows || len(reader.RowGroups()) != shard.RowGroups) {
			err = damage(fmt.Errorf("it has %d rows in %d row groups, want %d in %d", reader.NumRows(), len(reader.RowGroups()), shard.Rows, shard.RowGroups))
		}
		if err != nil {
			yield(shardRow{}, err)
			return
		}
		var names []string
		for _, c := range reader.Columns() {
			names = append(names, c.Name)
		}
		for row, err := range reader.Rows(ctx, names...) {
			if !yield(shardRow{names, row}, err) || err != nil {
				return
			}
		}
	}
}

// prefixes is a set of digests that holds 8 bytes of each: of two that begin
// alike, which chance does not bring about, one would stand for both.
type prefixes struct{ sorted []uint64 }

func (p *prefixes) add(d irgdata.Digest) {
	p.sorted = append(p.sorted, binary.BigEndian.Uint64(d[:]))
}

// sort ends the adding.
func (p *prefixes) sort() {
	slices.Sort(p.sorted)
	p.sorted = slices.Compact(p.sorted)
}

func (p *prefixes) has(d irgdata.Digest) bool {
	_, found := slices.BinarySearch(p.sorted, binary.BigEndian.Uint64(d[:]))
	return found
}
