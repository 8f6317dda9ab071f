package ingest

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// Inputs are what [Open] reads, by digests.
type Inputs struct {
	// Units is that of all units of the feeds as they were listed; zero if of some
	// it cannot be told whether they have changed.
	Units irgdata.Digest
	// Records is that of the units with the numbers of their records in the
	// catalog. As long as it is the same, and nothing was unsettled, Open with
	// the same options yields the same items, unless an image was lost.
	Records irgdata.Digest

	keys  [][]irgdata.Digest // of the units in the catalog, by feed
	known bool               // the catalog has a record of some
}

// InputsOf lists the units of the feeds and reads none.
func InputsOf(ctx context.Context, feeds []Feed, a *Admission, catalog *manifests.Catalog) (Inputs, error) {
	in := Inputs{keys: make([][]irgdata.Digest, len(feeds))}
	s := &scanner{feeds: feeds, admit: a}
	units := irgdata.NewDigester("units/1")
	for i, f := range feeds {
		units.Uint(uint64(i))
		for unit, err := range f.Source.Units(ctx) {
			if err != nil {
				return Inputs{}, fmt.Errorf("ingest source %s: %w", f.Source.Name(), err)
			}
			if unit.Version.IsZero() {
				return Inputs{}, nil
			}
			key := s.key(i, unit)
			units.Digest(key)
			in.keys[i] = append(in.keys[i], key)
		}
	}
	in.Units = units.Sum()
	return in.Recorded(ctx, catalog)
}

// Recorded are the same units with the records that the catalog has of them now.
func (in Inputs) Recorded(ctx context.Context, catalog *manifests.Catalog) (Inputs, error) {
	if in.Units.IsZero() {
		return in, nil
	}
	numbers, err := catalog.Numbers(ctx)
	if err != nil {
		return Inputs{}, err
	}
	records := irgdata.NewDigester("records/1")
	for _, keys := range in.keys {
		for _, key := range keys {
			records.Digest(key).Uint(uint64(numbers[key]))
			in.known = in.known || numbers[key] > 0
		}
	}
	in.Records = records.Digest(in.Units).Sum()
	return in, nil
}

// of lists the keys of a feed's units; none if they are not known.
func (in Inputs) of(feed int) []irgdata.Digest {
	if in.Units.IsZero() {
		return nil
	}
	return in.keys[feed]
}
