package manifests

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
)

// RepairOptions say what a repair may use besides the store.
type RepairOptions struct {
	// Work is a folder for temporary files.
	Work string
	// Filled names the step, "draft/1", and the model, "name@revision", whose
	// call filled a slot of a snapshot with the given settings; ok is false if
	// no step did.
	Filled func(s Settings, slot string) (step, model string, ok bool)
	// Mended, unless nil, is told of each object that was made good.
	Mended func(key, from string)
}

// remove deletes an object if it is still damaged, read once more: whatever kept it
// from being read when it was verified may have passed.
func (r *Report) remove(ctx context.Context, key string) (removed bool, err error) {
	switch err := inspect(ctx, r.store, key); {
	case err == nil || errors.Is(err, errNotOurs):
		return false, nil
	case !isDamage(err):
		return false, err
	}
	return true, r.store.Delete(ctx, key)
}

// Repair makes good what the store itself and the local ledger allow, after a
// full verification in which everything could be read: images and lists of members from the rows of sound
// shards, and segments from the local ledger, which it fills with the calls of
// sound segments and of rows. Damaged records of the catalog and damaged
// segments are deleted, the latter when all calls that are known elsewhere are
// in other segments. Damaged shards, manifests, and images that no row shows
// are left to a build.
//
// The ledger is open and no build uses it.
func (r *Report) Repair(ctx context.Context, ledger *Ledger, o RepairOptions) error {
	for _, repair := range []func(context.Context, *Ledger, RepairOptions) error{r.repairByDeleting, r.repairFromRows, r.repairSegments} {
		if err := repair(ctx, ledger, o); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	return nil
}

func (o RepairOptions) mended(key, format string, args ...any) {
	if o.Mended != nil {
		o.Mended(key, fmt.Sprintf(format, args...))
	}
}

// problems are those with objects of a folder.
func (r *Report) problems(prefix string) []Problem {
	return slices.DeleteFunc(slices.Clone(r.Problems), func(p Problem) bool { return !strings.HasPrefix(p.Key, prefix) || p.Key == prefix })
}

// expendable are the folders whose damaged objects are deleted, and what makes
// good what they held.
var expendable = []struct{ prefix, then string }{
	{catalogPrefix, "the next build reads its part of the source again"},
	{scorePrefix, "the next build measures anew what it held"},
	{purgedPrefix, "`irgdata gc --removed` notes anew what was purged"},
	{accountPrefix, "the ledger has what it summed up"},
	{provenancePrefix, "the next build goes through all pairs"},
}

// repairByDeleting deletes what is damaged and can be done without.
func (r *Report) repairByDeleting(ctx context.Context, _ *Ledger, o RepairOptions) error {
	for _, e := range expendable {
		for _, p := range r.problems(e.prefix) {
			removed, err := r.remove(ctx, p.Key)
			if err != nil {
				return err
			}
			if removed {
				o.mended(p.Key, "deleted: %s", e.then)
			}
		}
	}
	if len(r.problems(ShardPrefix))+len(r.problems(RejectPrefix)) == 0 {
		return nil
	}
	dropped, err := dropProvenance(ctx, r.store) // else a build would take damaged shards over
	if dropped > 0 {
		o.mended(provenancePrefix, "deleted: the next build goes through all pairs, and makes damaged shards anew")
	}
	return err
}

// repairFromRows goes once through the rows of all sound shards, if anything is
// amiss that they can mend.
func (r *Report) repairFromRows(ctx context.Context, ledger *Ledger, o RepairOptions) error {
	if err := ledger.pullSound(ctx, r); err != nil {
		return err
	}
	wanted := maps.Clone(r.lost)
	for _, p := range r.problems(images.Prefix) {
		if d, err := irgdata.ParseDigest(path.Base(p.Key)); err == nil {
			wanted[d] = struct{}{}
		}
	}
	if len(wanted)+len(r.missing)+len(r.problems(memberPrefix))+len(r.problems(segmentPrefix)) == 0 {
		return nil
	}
	for _, s := range r.snapshots {
		members := &memberList{}
		for _, shard := range s.Shards {
			if !r.shards[shard.Key].sound {
				members = nil
				continue
			}
			var calls []Call
			for row, err := range shardRows(ctx, r.store, shard, o.Work) {
				if err != nil {
					return fmt.Errorf("%s: %w", r.store.URL(shard.Key), err)
				}
				for _, cell := range row.cells() {
					picture, ok := cell.(parquet.Image)
					if !ok {
						continue
					}
					digest := irgdata.DigestOf(picture.Bytes) // that of its path, as was verified
					if _, want := wanted[digest]; !want {
						continue
					}
					if err := r.Restore(ctx, picture.Bytes); err != nil {
						return err
					}
					delete(wanted, digest)
					o.mended(images.Key(digest), "from a row of %s", shard.Key)
				}
				calls = append(calls, row.calls(s.Settings, o.Filled)...)
				members.add(row)
			}
			added, err := ledger.add(ctx, calls)
			if err != nil {
				return err
			}
			if added > 0 {
				o.mended(segmentPrefix, "%d calls from the rows of %s, without what they cost", added, shard.Key)
			}
		}
		if err := members.put(ctx, r, s, o); err != nil {
			return err
		}
	}
	return nil
}

// calls makes the calls that filled the row's slots, without what they cost.
func (r shardRow) calls(s Settings, filled func(s Settings, slot string) (step, model string, ok bool)) []Call {
	var calls []Call
	cells := maps.Collect(r.cells())
	for name, cell := range cells {
		slot, is := strings.CutSuffix(name, "_call")
		key, err := irgdata.ParseDigest(fmt.Sprint(cell))
		if !is || err != nil {
			continue
		}
		step, model, ok := filled(s, slot)
		if !ok {
			continue
		}
		c := Call{Key: key, Step: step, Model: model, Finish: "stop", Attempts: 1}
		switch answer := cells[slot].(type) {
		case string:
			c.Text = answer
		case parquet.Image:
			if c.Image, err = images.Probe(answer.Bytes); err != nil {
				continue
			}
		default:
			continue
		}
		calls = append(calls, c)
	}
	return calls
}

// memberList collects the members of a snapshot; nil collects none.
type memberList struct{ list []byte }

func (m *memberList) add(row shardRow) {
	if m == nil {
		return
	}
	m.list = append(m.list, row.member().bytes()...)
}

// put mends the snapshot's list of members, if it needs that.
func (m *memberList) put(ctx context.Context, r *Report, s Snapshot, o RepairOptions) error {
	if m == nil || s.Members.Count == 0 || !r.damaged(s.Members.Key) || irgdata.DigestOf(m.list) != s.Members.Digest {
		return nil
	}
	if err := blob.PutContent(ctx, r.store, s.Members.Key, bytes.NewReader(m.list), int64(len(m.list)), s.Members.Digest); err != nil {
		return err
	}
	o.mended(s.Members.Key, "from the rows of snapshot %d", s.Number)
	return nil
}

// pullSound reads the segments that the verification found whole.
func (l *Ledger) pullSound(ctx context.Context, r *Report) error {
	lost, err := lostImages(ctx, r.store)
	if err != nil {
		return err
	}
	if err := l.purge(ctx, r.store); err != nil {
		return err
	}
	for object, err := range r.store.List(ctx, segmentPrefix) {
		if err != nil {
			return err
		}
		digest, ok := segmentDigest(object.Key)
		if !ok || r.damaged(object.Key) {
			continue
		}
		if _, err := l.pullSegment(ctx, r.store, object, digest, lost, false); err != nil {
			return err
		}
	}
	return nil
}

// add records calls that were found elsewhere, if they are new, and returns
// the number of those.
func (l *Ledger) add(ctx context.Context, calls []Call) (int, error) {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	var added []Call
	for _, c := range calls {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE key = ?)`, c.Key[:]).Scan(&there); err != nil {
			return 0, fmt.Errorf("ledger: %w", err)
		}
		if !there {
			added = append(added, c)
		}
	}
	if _, err := insertCalls(tx, added, insertion{}); err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	return len(added), tx.Commit()
}

// repairSegments puts the local ledger's calls that no sound segment holds into
// new segments, and then deletes the damaged ones.
func (r *Report) repairSegments(ctx context.Context, ledger *Ledger, o RepairOptions) error {
	var unshared []int64
	rows, err := ledger.db.QueryContext(ctx, `SELECT rowid, key FROM calls WHERE shared = 1`)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var key []byte
		if err := rows.Scan(&row, &key); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if len(key) != len(irgdata.Digest{}) || !r.calls.has(irgdata.Digest(key)) {
			unshared = append(unshared, row)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	rows.Close()
	if err := ledger.eachRow(ctx, unshared, func(tx *sql.Tx, row int64) error {
		_, err := tx.ExecContext(ctx, `UPDATE calls SET shared = 0 WHERE rowid = ?`, row)
		return err
	}); err != nil {
		return err
	}
	pushed, err := ledger.Push(ctx, r.store)
	if err != nil {
		return err
	}
	if pushed > 0 {
		o.mended(segmentPrefix, "%d calls from the local ledger are in a new segment", pushed)
	}
	for _, p := range r.problems(segmentPrefix) {
		removed, err := r.remove(ctx, p.Key)
		if err != nil {
			return err
		}
		if removed {
			o.mended(p.Key, "deleted: what the local ledger and the rows know of its calls is in another segment, the others will be made again")
		}
	}
	return nil
}

// Unpainted is what [Report.Forget] did.
type Unpainted struct {
	Images int
	// Calls counts the forgotten calls by step.
	Calls map[string]int
}

// Forget gives up the painted images that are damaged or not there, looked at once
// more: others may have been painted since the verification. It deletes
// and marks them, and the ledger forgets the calls that painted them, here and
// on every machine, so that the next build makes these again. The report is of
// a full verification after all that can be repaired was.
func (r *Report) Forget(ctx context.Context, ledger *Ledger) (Unpainted, error) {
	u := Unpainted{Calls: map[string]int{}}
	steps := map[irgdata.Digest][]string{} // that painted an image
	err := ledger.painted(ctx, func(_ int64, step string, image irgdata.Digest) {
		if !r.images.has(image) {
			steps[image] = append(steps[image], step)
		}
	})
	if err != nil {
		return u, err
	}
	lost := map[irgdata.Digest]bool{}
	for image := range steps {
		switch err := inspect(ctx, r.store, images.Key(image)); {
		case err == nil:
			continue
		case !isDamage(err):
			return u, fmt.Errorf("repair: %w", err)
		}
		lost[image] = true
		for _, step := range steps[image] {
			u.Calls[step]++
		}
	}
	if len(lost) > 0 { // some may have been lost before, so that the marks do not change
		if _, err := dropProvenance(ctx, r.store); err != nil {
			return u, fmt.Errorf("repair: %w", err)
		}
	}
	for image := range lost {
		if err := markLost(ctx, r.store, image); err != nil {
			return u, fmt.Errorf("repair: %w", err)
		}
		if err := r.store.Delete(ctx, images.Key(image)); err != nil {
			return u, fmt.Errorf("repair: %w", err)
		}
		u.Images++
	}
	return u, ledger.forget(ctx, lost)
}

// Inventory returns whether an image is in the store and was found whole.
func (r *Report) Inventory(context.Context) (holds func(irgdata.Digest) bool, err error) {
	return func(d irgdata.Digest) bool {
		r.mu.Lock() // Restore adds some meanwhile
		defer r.mu.Unlock()
		return r.images.has(d)
	}, nil
}

// Restore puts an image that came from elsewhere into the store.
func (r *Report) Restore(ctx context.Context, encoded []byte) error {
	if err := images.NewStore(r.store).Restore(ctx, encoded); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images.insert(irgdata.DigestOf(encoded))
	return nil
}

// RemovalsWhole reports whether all removals are there and sound. Without one a build
// would bring back what it took out.
func (r *Report) RemovalsWhole() bool { return len(r.problems(removalPrefix)) == 0 }

// LatestFull is like the function of that name, of the snapshots whose manifest
// and members were found whole.
func (r *Report) LatestFull(context.Context, blob.Store) (Snapshot, error) {
	latest, err := Snapshot{}, ErrNoSnapshot
	for _, s := range slices.Backward(r.snapshots) {
		if r.damaged(s.Members.Key) {
			continue
		}
		if !s.Settings.Preview() {
			return s, nil
		}
		if err != nil {
			latest, err = s, nil
		}
	}
	return latest, err
}

// insert adds a digest to a sorted set.
func (p *prefixes) insert(d irgdata.Digest) {
	x := binary.BigEndian.Uint64(d[:])
	if i, found := slices.BinarySearch(p.sorted, x); !found {
		p.sorted = slices.Insert(p.sorted, i, x)
	}
}

// RepairManifests puts back the damaged manifests of which the content is
// known: that of a build with the same sources and settings. A manifest says
// itself whether it is meant: its checksum, or all but its checksum, is still
// to be read.
func (r *Report) RepairManifests(ctx context.Context, content Content, o RepairOptions) error {
	for _, p := range r.problems(manifestPrefix) {
		damaged, err := blob.ReadAll(ctx, r.store, p.Key, maxManifest)
		if errors.Is(err, blob.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		var number int
		if _, err := fmt.Sscanf(p.Key, manifestPrefix+"%d"+manifestSuffix, &number); err != nil || p.Key != Key(number) {
			continue
		}
		s := Snapshot{Format: manifestFormat, Number: number, Parent: number - 1, Content: content}
		text, err := s.encode()
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		s, err = decodeManifest(text, number)
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		checksum := []byte(s.Checksum.String())
		body, _, _ := bytes.Cut(text, checksum)
		if !bytes.Contains(damaged, checksum) && !bytes.HasPrefix(damaged, body) {
			continue
		}
		if err := r.store.Put(ctx, p.Key, bytes.NewReader(text), blob.PutOptions{Size: int64(len(text))}); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		o.mended(p.Key, "from the sources, the ledger and the configuration")
	}
	return nil
}

// DamagedSnapshots are those whose manifests are there and damaged, and the newest
// number that there is.
func (r *Report) DamagedSnapshots() (numbers []int, newest int) {
	for _, s := range r.snapshots {
		newest = max(newest, s.Number)
	}
	for _, p := range r.problems(manifestPrefix) {
		var number int
		if _, err := fmt.Sscanf(p.Key, manifestPrefix+"%d"+manifestSuffix, &number); err == nil && p.Key == Key(number) && !p.Unreadable {
			numbers, newest = append(numbers, number), max(newest, number)
		}
	}
	return numbers, newest
}

// RepairIdentity mends an identity of which one byte is wrong: its checksum
// tells which. If there is none a new one is made.
func RepairIdentity(ctx context.Context, store blob.Store) (mended bool, err error) {
	if _, err = Identity(ctx, store); err == nil {
		return false, nil
	}
	if errors.Is(err, blob.ErrNotExist) {
		_, err = Identify(ctx, store)
		return err == nil, err
	}
	text, readErr := blob.ReadAll(ctx, store, identityKey, 4096)
	if readErr != nil {
		return false, readErr
	}
	sound, ok := mendIdentity(text)
	if !ok {
		return false, err
	}
	return true, store.Put(ctx, identityKey, bytes.NewReader(sound), blob.PutOptions{Size: int64(len(sound))})
}

// mendIdentity returns the identity that differs from the text in one byte.
func mendIdentity(text []byte) ([]byte, bool) {
	whole, err := newIdentity(irgdata.Digest{1}).encode()
	if err != nil || len(text) != len(whole) {
		return nil, false
	}
	at := bytes.Index(whole, []byte(irgdata.Digest{1}.String()))
	id := slices.Clone(text[at : at+2*len(irgdata.Digest{})])
	for i, was := range id {
		for _, digit := range []byte("0123456789abcdef") {
			id[i] = digit
			d, err := irgdata.ParseDigest(string(id))
			if err != nil {
				continue
			}
			sound, err := newIdentity(d).encode()
			if err == nil && different(sound, text) == 1 {
				return sound, true
			}
		}
		id[i] = was
	}
	return nil, false
}

// different counts the bytes in which texts of one length differ.
func different(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
