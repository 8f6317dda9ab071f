package ingest

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/flow"
)

// recorded is what the catalog knows of a unit.
type recorded struct {
	number  int     // of the record, 0 if there is none
	entries []Entry // nil if there is none that is whole
}

// load reads the unit's record. It is safe for concurrent use.
func (s *scanner) load(ctx context.Context, unit irgdata.Digest) (recorded, error) {
	record, err := s.catalog.Load(ctx, unit)
	if err != nil || record.Items == nil {
		return recorded{number: record.Number}, err
	}
	entries := make([]Entry, len(record.Items))
	for i, item := range record.Items {
		if json.Unmarshal(item, &entries[i]) != nil {
			return recorded{number: record.Number}, nil // as if nothing were known
		}
	}
	return recorded{record.Number, entries}, nil
}

// readAhead reads the records of a feed's units before they are asked for, as far
// as they are those of [Options.Inputs]. One goroutine uses it.
type readAhead struct {
	keys []irgdata.Digest // of the units that are still to come
	pull func() (recorded, error, bool)
	stop func() // frees it, and may be called again
}

// recordsAhead are read at one time.
const recordsAhead = 2

func (s *scanner) readAhead(ctx context.Context, feed int) *readAhead {
	keys := s.o.Inputs.of(feed)
	records := flow.Map(ctx, func(yield func(irgdata.Digest, error) bool) {
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
	}, flow.Options{Workers: recordsAhead}, s.load)
	a := &readAhead{keys: keys}
	a.pull, a.stop = iter.Pull2(records)
	return a
}

// next is the record of the next unit, unless another one was to come.
func (a *readAhead) next(unit irgdata.Digest) (r recorded, met bool, err error) {
	if len(a.keys) == 0 || a.keys[0] != unit {
		a.keys = nil // what follows is another one as well, or comes by chance
		a.stop()
		return r, false, nil
	}
	a.keys = a.keys[1:]
	r, err, _ = a.pull()
	return r, true, err
}
