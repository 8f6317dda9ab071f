package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/export"
)

func exportCommand() *cobra.Command {
	var f flags
	var ref string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a snapshot in the forms that trainers read",
		Long: `Writes the six mode folders of the official IRG training code, laid out so that
every rank and every data loader worker reads its part and no row is left out;
fewer rows than readers are refused. With --format, or export.formats in the
configuration, it writes other forms as well: hf (Hugging Face datasets, with a
dataset card), webdataset, mds (MosaicML Streaming), llava (ShareGPT's JSON of
the understanding modes), jsonl, and parquet (trajectories, for DuckDB and
pandas). docs/export.md describes them, and the columns that --where knows.

--where, --split, --stage and --shuffle say which examples are written, in every
format. --ranks, --workers, --max-tokens, --image-format, --quality and --max-side
shape irg alone, and are refused where it is not wanted: in the others images are
as they were.

An export that is there already is left as it is.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				s, err := d.snapshot(ctx, ref)
				if err != nil {
					return err
				}
				all, err := d.exports(ctx, s)
				for _, e := range all {
					if e.refused != nil {
						err = errors.Join(err, e.refused)
						continue
					}
					printExport(cmd.OutOrStdout(), e)
				}
				return err
			})
		},
	}
	f.addStore(cmd)
	f.addExport(cmd)
	addSnapshot(cmd, &ref)
	f.addSelection(cmd)
	cmd.AddCommand(exportCheckCommand())
	return cmd
}

func printExport(w io.Writer, e exported) {
	state := "Exported snapshot"
	if !e.written {
		state = "There already is the export of snapshot"
	}
	fmt.Fprintf(w, "%s %d %s: %s\n\n", state, e.m.Snapshot, e.purpose(), here(e.at))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	groups := "row groups"
	if e.m.Form != export.IRG {
		groups = "split"
	}
	fmt.Fprintf(t, "  mode\trows\t%s\tfiles\tsize\n", groups)
	var refused, leftOut int64
	for _, m := range e.m.Modes {
		groups, size := 0, int64(0)
		for _, f := range m.Files {
			groups, size = groups+f.RowGroups, size+f.Size
		}
		refused, leftOut = refused+m.Refused, leftOut+m.LeftOut
		third := string(m.Split)
		if e.m.Form == export.IRG {
			third = fmt.Sprint(groups)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\n", m.Mode, humanize.Comma(m.Rows), third, len(m.Files), humanize.Bytes(uint64(size)))
	}
	t.Flush()
	printMix(w, e.m.Mix)
	if refused > 0 {
		fmt.Fprintf(w, "\n  %s refused, which the trainer would pass over: rejects.jsonl names them\n", plural(refused, "row"))
	}
	if leftOut > 0 {
		fmt.Fprintf(w, "\n  %s left out, whose texts hold the mark of an image\n", plural(leftOut, "row"))
	}
	fmt.Fprintln(w)
}

// printMix says what came of the shares of a mix.
func printMix(w io.Writer, mix []export.ShareCount) {
	if len(mix) == 0 {
		return
	}
	held := slices.ContainsFunc(mix, func(s export.ShareCount) bool { return s.Validation > 0 })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\n  mix\tto train on\ttaken")
	if held {
		fmt.Fprint(t, "\theld back")
	}
	fmt.Fprintln(t)
	for _, s := range mix {
		fmt.Fprintf(t, "  %s\t%s\t%s", shareName(s.Share), humanize.Comma(s.Available), humanize.Comma(s.Taken))
		if held {
			fmt.Fprintf(t, "\t%s", humanize.Comma(s.Validation))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

// shareName is a share as the configuration has it.
func shareName(s export.Share) string {
	var parts []string
	if s.Mode != "" {
		parts = append(parts, "mode: "+s.Mode)
	}
	if s.Source != "" {
		parts = append(parts, "source: "+s.Source)
	}
	if s.Weight != nil {
		parts = append(parts, "weight: "+humanize.Ftoa(*s.Weight))
	}
	if s.Count != nil {
		parts = append(parts, fmt.Sprintf("count: %d", *s.Count))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// purpose is what the export is for.
func (e exported) purpose() string {
	if e.m.Form == export.IRG {
		return fmt.Sprintf("for %d × %d readers", e.m.Ranks, e.m.Workers)
	}
	return "as " + string(e.m.Form)
}
