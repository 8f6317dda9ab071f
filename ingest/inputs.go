package ingest

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// Inputs are what [Open] reads, by digests.
type Inputs struct {
	// Units is that of all units of the feeds as they are now; zero if of some
	// it cannot be told whether they have changed.
	Units irgdata.Digest
	// Records is that of the units with the numbers of their records in the
	// catalog. As long as it is the same, and nothing was unsettled, Open with
	// the same options yields the same items, unless an image was lost.
	Records irgdata.Digest
}

// InputsOf lists the units of the feeds and reads none.
func InputsOf(ctx context.Context, feeds []Feed, a *Admission, catalog *manifests.Catalog) (Inputs, error) {
	numbers, err := catalog.Numbers(ctx)
	if err != nil {
		return Inputs{}, err
	}
	s := &scanner{feeds: feeds, admit: a}
	units, records := irgdata.NewDigester("units/1"), irgdata.NewDigester("records/1")
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
			records.Digest(key).Uint(uint64(numbers[key]))
		}
	}
	in := Inputs{Units: units.Sum()}
	in.Records = records.Digest(in.Units).Sum()
	return in, nil
}
