package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
)

func tagCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "tag NAME [SNAPSHOT]",
		Short: "Give a snapshot a name, such as v1.0, that stays for ever",
		Long: `Names a snapshot, the newest that is no preview unless a number is given. The
name is then good wherever a snapshot's number is: --snapshot v1.0. A tag never
moves, and gc keeps a tagged snapshot unless it holds pairs that were removed.
'irgdata log' lists the tags.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("want a name and, if it is not the newest, a snapshot: irgdata tag v1.0 3")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				if err := d.present(); err != nil {
					return err
				}
				if err := d.begin(ctx, "tag"); err != nil {
					return err
				}
				s, err := d.snapshot(ctx, append(args, "")[1])
				if err != nil {
					return err
				}
				if err := manifests.PutTag(ctx, d.store, manifests.Tag{Name: args[0], Snapshot: s.Number}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Snapshot %d is %s.\n", s.Number, args[0])
				return nil
			})
		},
	}
	f.addStore(cmd)
	return cmd
}
