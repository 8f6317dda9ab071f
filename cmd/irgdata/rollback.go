package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
)

func rollbackCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "rollback SNAPSHOT",
		Short: "Publish an earlier snapshot again, as the newest",
		Long: `Publishes the content of an earlier snapshot, named by number or tag, as the
next one. History is never rewritten: the snapshots between stay as they are.

The next build goes by the configuration, as always. It publishes what that
gives, unless it is what was rolled back to; so mend the configuration as well.
A snapshot from before a removal does not come back.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want the number or the tag of a snapshot: irgdata rollback 3")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				return d.rollback(ctx, cmd.OutOrStdout(), args[0])
			})
		},
	}
	f.addStore(cmd)
	return cmd
}

// rollback publishes the content of the snapshot of that number or tag again.
func (d *dataset) rollback(ctx context.Context, w io.Writer, ref string) error {
	if err := d.present(); err != nil {
		return err
	}
	if err := d.begin(ctx, "rollback"); err != nil {
		return err
	}
	number, err := manifests.Resolve(ctx, d.store, ref)
	if err != nil {
		return err
	}
	before, err := manifests.Latest(ctx, d.store)
	if err != nil {
		return err
	}
	// A gc that took this run for dead may have deleted what the snapshot holds.
	if err := d.mark.Held(ctx); err != nil {
		return tryAgain(err)
	}
	s, published, err := manifests.Rollback(ctx, d.store, number)
	switch {
	case errors.Is(err, manifests.ErrRemovedMeanwhile):
		return fmt.Errorf("snapshot %d may hold pairs that were removed since, so it does not come back: build again with its settings, which `irgdata diff %d %d` shows", number, number, before.Number)
	case err != nil:
		return err
	case !published:
		fmt.Fprintf(w, "The newest snapshot, %d, already holds exactly what snapshot %d holds.\n", s.Number, number)
		return nil
	}
	fmt.Fprintf(w, "Snapshot %d published: it holds exactly what snapshot %d holds.\n", s.Number, number)
	changes, err := manifests.CompareSettings(s.Settings, before.Settings)
	if err == nil && len(changes) > 0 {
		fmt.Fprintf(w, "The next build goes by the configuration. To stay here, undo what changed in it since:\n\n")
		settingTable(w, changes)
	}
	return err
}
