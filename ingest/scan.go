package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/manifests"
)

// entryVersion changes when the same item would give another entry.
const entryVersion = "entry/1"

// found is an entry and the feed that it came from.
type found struct {
	feed  int
	entry Entry
}

// scanner makes entries of items.
type scanner struct {
	feeds   []Feed
	o       Options
	admit   *Admission
	catalog *manifests.Catalog // nil: nothing is known, nothing is kept
	keep    Keep
	holds   func() (func(irgdata.Digest) bool, error) // Options.Inventory, asked for once
	changed bool                                      // a unit is not that of Options.Inputs
}

// run is a unit that is being read.
type run struct {
	key    irgdata.Digest
	source string
	after  int // the record that it replaces
	// known are the entries of that record that hold, by key, until they are
	// met; the goroutine that yields jobs has them.
	known   map[string][]*Entry
	entries []json.RawMessage
	fresh   int // entries that are not from the record
}

// take returns the known entry of the next item with that key.
func (r *run) take(key string) *Entry {
	entries := r.known[key]
	if len(entries) == 0 {
		return nil
	}
	r.known[key] = entries[1:]
	return entries[0]
}

// job is a step of the scan: an item to be admitted or known already, or the
// end of a unit.
type job struct {
	feed  int
	raw   Raw
	known *Entry
	run   *run // nil: the unit is not kept
	ends  bool
}

// scan yields the entries of all feeds, in order. Entries of a unit that has
// been read whole go into the catalog.
func (s *scanner) scan(ctx context.Context) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var listing conc.WaitGroup
		defer listing.Wait()
		defer cancel()
		s.holds = sync.OnceValues(func() (func(irgdata.Digest) bool, error) { return s.o.Inventory(ctx) })
		if s.o.Inventory != nil && s.o.Inputs.known {
			listing.Go(func() { _, _ = s.holds() }) // who asks for it gets the error
		}
		under := map[irgdata.Digest]*run{} // units that have not been read whole
		for batch, err := range flow.Map(ctx, gather(s.jobs(ctx)), flow.Options{Workers: max(s.o.Loaders, s.o.Workers)}, s.admitAll) {
			if err != nil {
				yield(found{}, err)
				return
			}
			for _, d := range batch {
				if d.run != nil {
					under[d.run.key] = d.run
					if err := s.note(ctx, d.run, d.entry, d.known != nil, d.ends); err != nil {
						yield(found{}, err)
						return
					}
				}
				if d.ends {
					delete(under, d.run.key)
					continue
				}
				if d.entry.Retry {
					s.unsettled()
				}
				if !yield(found{d.feed, d.entry}, nil) {
					return
				}
			}
		}
		if s.changed { // all goroutines of the jobs have ended
			s.unsettled()
		}
		for _, r := range under {
			if err := s.part(ctx, r); err != nil {
				yield(found{}, err)
				return
			}
		}
	}
}

// done is a job that was done.
type done struct {
	job
	entry Entry
}

// gathered is the most jobs that are passed on together.
const gathered = 64

// gather puts jobs together that only pass on what is known: for each alone,
// goroutines would switch.
func gather(jobs iter.Seq2[job, error]) iter.Seq2[[]job, error] {
	return func(yield func([]job, error) bool) {
		var batch []job
		for j, err := range jobs {
			passes := err == nil && j.known != nil && j.run == nil
			if len(batch) > 0 && (!passes || len(batch) == gathered) {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
			if passes {
				batch = append(batch, j)
			} else if !yield([]job{j}, err) || err != nil {
				return
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

func (s *scanner) admitAll(ctx context.Context, jobs []job) ([]done, error) {
	all := make([]done, len(jobs))
	for i, j := range jobs {
		all[i].job = j
		switch {
		case j.ends:
		case j.known != nil:
			all[i].entry = *j.known
		default:
			var err error
			if all[i].entry, err = s.admitOne(ctx, j); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (s *scanner) admitOne(ctx context.Context, j job) (Entry, error) {
	entry, err := s.admit.admit(ctx, j.raw, func(ctx context.Context, e Entry, encoded []byte) error {
		if s.removed(j.feed, e) {
			return nil // its bytes must not come back
		}
		return s.keep(ctx, encoded)
	})
	if err != nil {
		return Entry{}, fmt.Errorf("ingest %s of source %s: %w", j.raw.Key, s.feeds[j.feed].Source.Name(), err)
	}
	if entry.Rule == ruleDownload && !entry.Retry {
		entry.Limits = s.o.Limits
	}
	return entry, nil
}

// unsettled says that the next run may find something else.
func (s *scanner) unsettled() {
	if s.o.Unsettled != nil {
		s.o.Unsettled()
	}
}

// removed reports whether a removal takes the entry out.
func (s *scanner) removed(feed int, e Entry) bool {
	return removalOf(s.o.Removed, s.feeds[feed].Source.Name(), e) != nil
}

// note collects the entries of a unit and keeps them when it ends.
func (s *scanner) note(ctx context.Context, r *run, e Entry, known, ends bool) error {
	if ends {
		return s.save(ctx, r)
	}
	if !known {
		r.fresh++
	}
	return r.add(s.o.Removed, e)
}

// add adds an entry to those of the unit. What was removed comes into the catalog
// without its texts.
func (r *run) add(all *manifests.Removed, e Entry) error {
	if removal := removalOf(all, r.source, e); removal != nil {
		e = e.purge(*removal)
	}
	encoded, err := json.Marshal(e)
	r.entries = append(r.entries, encoded)
	return err
}

// part keeps what was read of a unit that was not read whole, because of a
// limit or a sample: it would be downloaded again.
func (s *scanner) part(ctx context.Context, r *run) error {
	if r.fresh == 0 {
		return nil
	}
	unfinished, err := json.Marshal(Entry{Retry: true}) // so that it does not count as whole
	if err != nil {
		return err
	}
	r.entries = append(r.entries, unfinished)
	for _, key := range slices.Sorted(maps.Keys(r.known)) {
		for _, e := range r.known[key] {
			if err := r.add(s.o.Removed, *e); err != nil {
				return err
			}
		}
	}
	return s.save(ctx, r)
}

func (s *scanner) save(ctx context.Context, r *run) error {
	kept, err := s.catalog.Save(ctx, r.key, manifests.Record{Number: r.after, Source: r.source, Items: r.entries})
	if err == nil && !kept {
		s.unsettled()
	}
	return err
}

// jobs mixes the jobs of the feeds, up to the limit.
func (s *scanner) jobs(ctx context.Context) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		var weights []float64
		var sequences []iter.Seq2[job, error]
		for i, f := range s.feeds {
			weights = append(weights, f.Weight)
			sequences = append(sequences, s.feed(ctx, i))
		}
		n := 0
		for j, err := range mix(sequences, weights, func(j job) bool { return !j.ends }) {
			if !yield(j, err) || err != nil {
				return
			}
			if !j.ends {
				if n++; n == s.o.Limit {
					return
				}
			}
		}
	}
}

// feed yields the jobs of a feed.
func (s *scanner) feed(ctx context.Context, i int) iter.Seq2[job, error] {
	f := s.feeds[i]
	return func(yield func(job, error) bool) {
		ahead := s.readAhead(ctx, i)
		defer ahead.stop()
		n := 0
		for unit, err := range f.Source.Units(ctx) {
			if err != nil {
				yield(job{}, fmt.Errorf("ingest source %s: %w", f.Source.Name(), err))
				return
			}
			known, r, err := s.lookUp(ctx, i, unit, ahead)
			if err != nil {
				yield(job{}, err)
				return
			}
			whole := true
			for j, err := range s.unit(unit, known, r) {
				if err != nil {
					yield(job{}, fmt.Errorf("ingest source %s: %s: %w", f.Source.Name(), unit.Name, err))
					return
				}
				if j.feed = i; !s.o.draws(f.Source.Name(), j.key()) {
					whole = false
					j.putBack()
					continue
				}
				if s.o.Reread {
					j.known = nil // it may say what was there before
				}
				if !yield(j, nil) {
					return
				}
				if n++; n == f.Limit {
					return
				}
			}
			if r != nil && whole && !yield(job{feed: i, run: r, ends: true}, nil) {
				return
			}
		}
		s.changed = s.changed || len(ahead.keys) > 0
	}
}

// putBack keeps what is known of an item that is passed over.
func (j job) putBack() {
	if j.run != nil && j.known != nil {
		j.run.known[j.known.Key] = append(j.run.known[j.known.Key], j.known)
	}
}

func (j job) key() string {
	if j.known != nil {
		return j.known.Key
	}
	return j.raw.Key
}

// lookUp asks the catalog for a unit: its entries, and whether it is to be
// read and kept again.
func (s *scanner) lookUp(ctx context.Context, feed int, unit Unit, ahead *readAhead) (known []Entry, r *run, err error) {
	source := s.feeds[feed].Source
	listed := !s.o.Inputs.Units.IsZero()
	if s.catalog == nil || unit.Version.IsZero() {
		s.changed = s.changed || listed // of none it could not be told
		return nil, nil, nil
	}
	key := s.key(feed, unit)
	record, met, err := ahead.next(key)
	if err == nil && !met {
		s.changed = s.changed || listed
		record, err = s.load(ctx, key)
	}
	if err != nil {
		return nil, nil, err
	}
	r = &run{key: key, source: source.Name(), after: record.number, known: map[string][]*Entry{}}
	known, whole := record.entries, record.entries != nil
	for i := range known {
		e := &known[i]
		there := s.removed(feed, *e)
		if !there {
			there, err = s.there(e.Image)
		}
		if err != nil {
			return nil, nil, err
		}
		if e.Retry || !there || s.again(*e) {
			whole = false
			continue
		}
		r.known[e.Key] = append(r.known[e.Key], e)
	}
	if whole && !s.o.Reread {
		return known, nil, nil
	}
	return nil, r, nil
}

// key is that of a unit in the catalog.
func (s *scanner) key(feed int, unit Unit) irgdata.Digest {
	f := s.feeds[feed]
	return irgdata.NewDigester(entryVersion).Text(f.Place).Text(f.Source.Options()).Text(s.admit.identity()).Digest(unit.Version).Sum()
}

// again reports whether a download that was refused for good is tried again.
func (s *scanner) again(e Entry) bool {
	return e.Rule == ruleDownload && (s.o.Retry || e.Limits != s.o.Limits)
}

// there reports whether a known image is still in the store. One that was lost
// is read again.
func (s *scanner) there(image irgdata.ImageRef) (bool, error) {
	if image.IsZero() || s.o.Inventory == nil {
		return true, nil
	}
	holds, err := s.holds()
	if err != nil {
		return false, err
	}
	return holds(image.Digest), nil
}

// unit yields the jobs of a unit: from the catalog alone where all is known,
// else by reading it.
func (s *scanner) unit(unit Unit, known []Entry, r *run) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		if known != nil {
			for i := range known {
				if !yield(job{known: &known[i]}, nil) {
					return
				}
			}
			return
		}
		for raw, err := range unit.Items {
			j := job{raw: raw, run: r}
			if r != nil && err == nil {
				j.known = r.take(raw.Key)
			}
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}
