package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
)

func verifyCommand() *cobra.Command {
	var f flags
	var ref string
	var full bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a snapshot is whole, with --full every byte and row of it",
		Long: `Checks the manifest of a snapshot, that its counts add up, and the size of each
shard. With --full it reads every byte of the store, compares digests, decodes
every row and compares every image in it with its digest.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			d, err := openDataset(ctx, c, store, newLog(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.close(ctx)) }()
			s, err := d.snapshot(ctx, ref)
			if err != nil {
				return err
			}
			report, err := manifests.Verify(ctx, d.store, s, manifests.VerifyOptions{Full: full, Work: c.path(c.Work)})
			if err != nil {
				return err
			}
			for _, problem := range report.Problems {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", problem)
			}
			if n := len(report.Problems); n > 0 {
				return fmt.Errorf("snapshot %d is damaged: %s", s.Number, plural(int64(n), "problem"))
			}
			depth := "the sizes of"
			if full {
				depth = fmt.Sprintf("every byte and row of %s and", plural(int64(report.Objects), "other object"))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Snapshot %d is sound: %s %s with %s, %s.\n",
				s.Number, depth, plural(int64(report.Shards), "shard"), plural(report.Rows, "row"), humanize.Bytes(uint64(report.Bytes)))
			return nil
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	cmd.Flags().BoolVar(&full, "full", false, "read every byte and decode every row")
	return cmd
}
