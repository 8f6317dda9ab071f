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

// Problem is damage of one object of the store.
type Problem struct {
	Key string `json:"key"` // of the object, or the folder of one whose name nobody knows
	URL string `json:"url"`
	// Reason says what was found, and what was expected.
	Reason string `json:"reason"`
}

func (p Problem) String() string { return p.URL + ": " + p.Reason }

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
	snapshots []Snapshot // those that can be read
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

// damaged says whether there is a problem with the object.
func (r *Report) damaged(key string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Key == key })
}

// Verify checks a snapshot whose manifest was loaded, and with Full everything
// else in the store as well, the other snapshots included. Damage is in the
// report; an error means that the store could not be read.
//
// A full verification holds 8 bytes for each call and each image.
func Verify(ctx context.Context, store blob.Store, s Snapshot, o VerifyOptions) (Report, error) {
	r := Report{mu: new(sync.Mutex), store: store, shards: map[string]shardFacts{}, lost: map[irgdata.Digest]struct{}{}, missing: map[string]missingCalls{}}
	if !o.Full {
		return r, r.verifySnapshot(ctx, s, o)
	}
	for _, verify := range []func(context.Context, VerifyOptions) error{r.verifyIdentity, r.verifySealed, r.verifyCatalog, r.verifySegments, r.verifyNamed, r.verifySnapshots} {
		if err := verify(ctx, o); err != nil {
			return r, fmt.Errorf("verify: %w", err)
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(r.missing)) {
		m := r.missing[slot]
		r.problem(segmentPrefix, "no segment holds %d calls that filled the slot %s of rows, such as %s", m.count, slot, m.first)
	}
	return r, nil
}

func (r *Report) verifyIdentity(ctx context.Context, _ VerifyOptions) error {
	if _, err := Identity(ctx, r.store); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.problem(identityKey, "%v", err)
	}
	return nil
}

// verifySealed reads each tag, removal and mark of an expired snapshot.
func (r *Report) verifySealed(ctx context.Context, o VerifyOptions) error {
	for _, prefix := range []string{tagPrefix, removalPrefix, expiredPrefix} {
		err := r.each(ctx, prefix, o, func(ctx context.Context, object blob.Object) (string, error) {
			_, err := loadSealed[json.RawMessage](ctx, r.store, object.Key)
			return found(ctx, err)
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyCatalog decodes each record of the catalog.
func (r *Report) verifyCatalog(ctx context.Context, o VerifyOptions) error {
	return r.each(ctx, catalogPrefix, o, func(ctx context.Context, object blob.Object) (string, error) {
		encoded, err := blob.ReadAll(ctx, r.store, object.Key, maxRecord)
		if err == nil {
			_, _, err = decodeRecord(encoded)
		}
		return found(ctx, err)
	}, nil)
}

// verifySegments decodes each segment of the ledger and notes its calls.
func (r *Report) verifySegments(ctx context.Context, _ VerifyOptions) error {
	err := eachSegment(ctx, r.store, func(object blob.Object) error {
		digest, ok := segmentDigest(object.Key)
		var s segment
		if ok {
			var err error
			s, err = readSegment(ctx, r.store, object, digest)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, blob.ErrNotExist): // compacted meanwhile
				return err
			case err != nil:
				r.problem(object.Key, "%v", err)
			}
		} else {
			r.problem(object.Key, "it has no name of ours")
		}
		r.Objects++
		r.Bytes += object.Size
		for _, c := range s.calls {
			r.calls.add(c.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.calls.sort()
	return nil
}

// verifyNamed compares images, lists of members, scores and what was purged with
// the digests that name them.
func (r *Report) verifyNamed(ctx context.Context, o VerifyOptions) error {
	for _, prefix := range []string{images.Prefix, memberPrefix, scorePrefix, purgedPrefix} {
		err := r.each(ctx, prefix, o, func(ctx context.Context, object blob.Object) (string, error) {
			digest, err := irgdata.ParseDigest(strings.TrimSuffix(path.Base(object.Key), scoreSuffix))
			if err != nil {
				return "it has no name of ours", nil
			}
			return found(ctx, blob.Verify(ctx, r.store, object.Key, digest))
		}, func(object blob.Object) {
			if digest, err := irgdata.ParseDigest(path.Base(object.Key)); err == nil && object.Key == images.Key(digest) {
				r.images.add(digest)
			}
		})
		if err != nil {
			return err
		}
	}
	r.images.sort()
	return nil
}

// found splits damage from the end of the verification.
func found(ctx context.Context, err error) (string, error) {
	if err == nil || ctx.Err() != nil {
		return "", ctx.Err()
	}
	return err.Error(), nil
}

// each looks at the objects of a folder, several at one time, and notes what
// is wrong with them. Sound, unless nil, is called for those that are whole.
func (r *Report) each(ctx context.Context, prefix string, o VerifyOptions, look func(context.Context, blob.Object) (string, error), sound func(blob.Object)) error {
	type looked struct {
		object  blob.Object
		problem string
	}
	all := flow.Map(ctx, r.store.List(ctx, prefix), flow.Options{Workers: o.Workers}, func(ctx context.Context, object blob.Object) (looked, error) {
		problem, err := look(ctx, object)
		return looked{object, problem}, err
	})
	for l, err := range all {
		if err != nil {
			return fmt.Errorf("%s: %w", r.store.URL(prefix), err)
		}
		r.Objects++
		r.Bytes += l.object.Size
		switch {
		case l.problem != "":
			r.problem(l.object.Key, "%s", l.problem)
		case sound != nil:
			sound(l.object)
		}
	}
	return nil
}

// verifySnapshots checks all snapshots with their shards.
func (r *Report) verifySnapshots(ctx context.Context, o VerifyOptions) error {
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
	expired, err := Expired(ctx, r.store)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		s, err := Load(ctx, r.store, number)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem(Key(number), "%v", err)
			continue
		}
		r.Objects++
		if _, gone := expired[number]; gone {
			continue // its shards may be gone
		}
		r.snapshots = append(r.snapshots, s)
		if err := r.verifySnapshot(ctx, s, o); err != nil {
			return err
		}
		if _, err := LoadAccount(ctx, r.store, number); err != nil && !errors.Is(err, blob.ErrNotExist) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem(AccountKey(number), "%v", err)
		}
		if _, err := readProvenance(ctx, r.store, number); err != nil && !errors.Is(err, blob.ErrNotExist) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem(ProvenanceKey(number), "%v", err)
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
		case err != nil:
			return fmt.Errorf("verify snapshot %d: %w", s.Number, err)
		case object.Size != s.Members.size() && !r.damaged(s.Members.Key):
			r.problem(s.Members.Key, "it has %d bytes, want %d", object.Size, s.Members.size())
		}
	}
	for _, shard := range slices.Concat(s.Shards, s.Rejects) {
		if _, seen := r.shards[shard.Key]; seen {
			continue
		}
		facts, problem, err := r.verifyShard(ctx, shard, o)
		if err != nil {
			return fmt.Errorf("verify snapshot %d: %w", s.Number, err)
		}
		facts.sound = problem == ""
		r.shards[shard.Key] = facts
		r.Shards++
		r.Rows += shard.Rows
		r.Bytes += shard.Size
		if problem != "" {
			r.problem(shard.Key, "%s", problem)
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
			return fmt.Errorf("read %s: %w", r.store.URL(s.Members.Key), err)
		}
		if irgdata.Digest(sum.Sum(nil)) != r.shards[shard.Key].members {
			r.problem(s.Members.Key, "it does not list the rows of shard %s", shard.Key)
		}
		offset += n
	}
	return nil
}

// verifyShard returns what is in a shard and what is wrong with it, or "".
func (r *Report) verifyShard(ctx context.Context, shard Shard, o VerifyOptions) (facts shardFacts, problem string, err error) {
	object, err := r.store.Stat(ctx, shard.Key)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return facts, "it is not there", nil
	case err != nil:
		return facts, "", err
	case object.Size != shard.Size:
		return facts, fmt.Sprintf("it has %d bytes, want %d", object.Size, shard.Size), nil
	case !o.Full:
		return facts, "", nil
	}
	facts.modes, facts.reasons = map[string]int64{}, map[ReasonCount]int64{}
	sum, rows := sha256.New(), int64(0)
	for row, err := range shardRows(ctx, r.store, shard, o.Work) {
		if err != nil {
			return facts, err.Error(), ctx.Err()
		}
		if problem := r.verifyRow(row, shard); problem != "" {
			return facts, fmt.Sprintf("row %d: %s", rows, problem), nil
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
		return facts, fmt.Sprintf("%d rows can be read, want %d", rows, shard.Rows), nil
	}
	return facts, "", nil
}

// verifyRow compares each image of a trajectory with the digest that is its
// path, and looks its calls and images up in the ledger and among the images.
func (r *Report) verifyRow(row shardRow, shard Shard) string {
	if strings.HasPrefix(shard.Key, RejectPrefix) {
		return ""
	}
	if _, err := irgdata.ParseDigest(row.text("id")); err != nil {
		return err.Error()
	}
	for name, cell := range row.cells() {
		switch cell := cell.(type) {
		case parquet.Image:
			digest, err := irgdata.ParseDigest(strings.TrimSuffix(path.Base(cell.Path), path.Ext(cell.Path)))
			if got := irgdata.DigestOf(cell.Bytes); err != nil || got != digest {
				return fmt.Sprintf("the image %s has digest %s", cell.Path, got)
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
				return fmt.Sprintf("column %s: %v", name, err)
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
	return ""
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
			err = fmt.Errorf("it has %d rows in %d row groups, want %d in %d", reader.NumRows(), len(reader.RowGroups()), shard.Rows, shard.RowGroups)
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
