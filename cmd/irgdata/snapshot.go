package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
)

// addSnapshot adds the flag that names a snapshot.
func addSnapshot(cmd *cobra.Command, ref *string) {
	cmd.Flags().StringVar(ref, "snapshot", "", "number or tag of the snapshot (default: the newest that is no preview)")
}

// snapshot loads the snapshot of that number or tag, whose rows are to be read;
// for "" the newest that is no preview, if there is one.
func (d *dataset) snapshot(ctx context.Context, ref string) (manifests.Snapshot, error) {
	if err := d.present(); err != nil {
		return manifests.Snapshot{}, err
	}
	if ref == "" {
		return manifests.LatestFull(ctx, d.store)
	}
	number, err := manifests.Resolve(ctx, d.store, ref)
	if err != nil {
		return manifests.Snapshot{}, err
	}
	return manifests.LoadWhole(ctx, d.store, number)
}

// present gives an error where there is no dataset.
func (d *dataset) present() error {
	if d.absent {
		return fmt.Errorf("there is no dataset in %s: run `irgdata build` first", here(d.config.path(d.config.Store)))
	}
	return nil
}
