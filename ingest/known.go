package ingest

import (
	"context"
	"encoding/json"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// Known calls see for each item of the catalog, whether or not its source is
// still read. What is no pair has no identity.
func Known(ctx context.Context, catalog *manifests.Catalog, see func(irgdata.Pair)) error {
	return catalog.Each(ctx, func(r manifests.Record) error {
		for _, item := range r.Items {
			var e Entry
			if json.Unmarshal(item, &e) != nil {
				continue // as the scan does, which reads such a unit again
			}
			see(e.pair(r.Source, ""))
		}
		return nil
	})
}
