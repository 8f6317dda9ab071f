package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
)

func verifyCommand() *cobra.Command {
	var f flags
	var ref string
	var full, mend bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a snapshot is whole, with --full every byte and row of the store",
		Long: `Checks the manifest of a snapshot, that its counts add up, and the size of each
shard. With --full it reads every byte of the store, compares digests, decodes
every row of every snapshot, compares every image in it with its digest and the
counts with the rows, and looks for each call and image that a row names. The local
ledger, if there is one, it reads too.

With --repair it then makes good what is wrong: images from shards or sources,
shards from ledger and images, segments of the ledger from the local ledger or
shards, the local ledger from what is sound of it and the segments. What is nowhere else it names, with the calls that the next build makes
again for it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if mend {
				r := repair{config: c, out: cmd.OutOrStdout(), open: func(ctx context.Context, a access) (*dataset, error) {
					return openDataset(ctx, c, a, newLog(cmd.ErrOrStderr()))
				}}
				return r.run(cmd.Context())
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				var s manifests.Snapshot
				if !full || ref != "" || d.absent {
					if s, err = d.snapshot(ctx, ref); err != nil {
						return err
					}
				}
				report, err := manifests.Verify(ctx, d.store, s, c.verifyOptions(full))
				if err != nil {
					return err
				}
				for _, problem := range report.Problems {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", problem)
				}
				if full {
					if err := d.checkLedger(ctx, cmd.OutOrStdout()); err != nil {
						return err
					}
				}
				what, depth := fmt.Sprintf("Snapshot %d", s.Number), "the sizes of"
				if full {
					what, depth = "The store", fmt.Sprintf("every byte and row of %s and", plural(int64(report.Objects), "other object"))
				}
				unread := report.Unreadable()
				if n := len(report.Problems) - unread; n > 0 {
					return fmt.Errorf("%s is damaged: %s: `irgdata verify --repair` makes good what can be", strings.ToLower(what[:1])+what[1:], plural(int64(n), "problem"))
				}
				if unread > 0 {
					return fmt.Errorf("%s could not be read: run it again when the store can be read", plural(int64(unread), "object"))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is sound: %s %s with %s, %s.\n",
					what, depth, plural(int64(report.Shards), "shard"), plural(report.Rows, "row"), humanize.Bytes(uint64(report.Bytes)))
				return nil
			})
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	cmd.Flags().BoolVar(&full, "full", false, "read every byte and decode every row")
	cmd.Flags().BoolVar(&mend, "repair", false, "look as --full does, and make good what can be")
	return cmd
}
