package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func exportCommand() *cobra.Command {
	var f flags
	var ref string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a snapshot in the form that the official trainer reads",
		Long: `Writes the six mode folders of the official IRG training code, laid out so that
every rank and every data loader worker reads its part and no row is left out.
Fewer rows than readers are refused. An export that is there already is left as
it is.`,
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
			e, err := d.export(ctx, s)
			if err != nil {
				return err
			}
			if e.refused != nil {
				return e.refused
			}
			printExport(cmd.OutOrStdout(), d, e)
			return nil
		},
	}
	f.addStore(cmd)
	f.addExport(cmd)
	addSnapshot(cmd, &ref)
	return cmd
}

func printExport(w io.Writer, d *dataset, e exported) {
	state := "Exported snapshot"
	if !e.written {
		state = "There already is the export of snapshot"
	}
	fmt.Fprintf(w, "%s %d for %d × %d readers: %s\n\n", state, e.m.Snapshot, e.m.Ranks, e.m.Workers, here(e.at))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  mode\trows\trow groups\tfiles\tsize\n")
	for _, m := range e.m.Modes {
		groups, size := 0, int64(0)
		for _, f := range m.Files {
			groups, size = groups+f.RowGroups, size+f.Size
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%d\t%s\n", m.Mode, humanize.Comma(m.Rows), groups, len(m.Files), humanize.Bytes(uint64(size)))
	}
	t.Flush()
}
