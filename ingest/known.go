package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// Known calls see for each item of the catalog, whether or not its source is
// still read, and says whether it was removed. What is no pair has no identity.
func Known(ctx context.Context, catalog *manifests.Catalog, all *manifests.Removed, see func(p irgdata.Pair, removed bool)) error {
	return catalog.Each(ctx, func(r manifests.Record) error {
		for _, item := range r.Items {
			var e Entry
			if json.Unmarshal(item, &e) != nil {
				continue // as the scan does, which reads such a unit again
			}
			see(e.pair(r.Source, ""), removalOf(all, r.Source, e) != nil)
		}
		return nil
	})
}

// Purge takes from the catalog what it says of removed items, and returns the
// number of these: it replaces the records that do by such that know of them what
// keeps them out. The ones before are left to gc. A dry run counts.
func Purge(ctx context.Context, catalog *manifests.Catalog, all *manifests.Removed, dry bool) (items int, err error) {
	err = catalog.Each(ctx, func(r manifests.Record) error {
		n := 0
		for i, item := range r.Items {
			var e Entry
			if json.Unmarshal(item, &e) != nil {
				return nil // such a unit is read again
			}
			removal := removalOf(all, r.Source, e)
			if removal == nil || e.Purged != nil || e.unfinished() {
				continue
			}
			purged, err := json.Marshal(e.purge(*removal))
			if err != nil {
				return err
			}
			r.Items[i] = purged
			n++
		}
		items += n
		if n == 0 || dry {
			return nil
		}
		kept, err := catalog.Save(ctx, r.Unit, r)
		if err == nil && !kept {
			err = fmt.Errorf("catalog: another run has written the record of unit %s meanwhile: try again", r.Unit)
		}
		return err
	})
	return items, err
}
