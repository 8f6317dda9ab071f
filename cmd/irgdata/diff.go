package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
)

func diffCommand() *cobra.Command {
	var f flags
	var asJSON bool
	var show int
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two snapshots: pairs, counts, settings",
		Long: `Compares two snapshots, named by number or tag: the pairs that only one of them
keeps, those whose rows differ in anything, the counts of each mode and reason,
and the settings. --json lists the identities of all those pairs.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("want the numbers or tags of two snapshots: irgdata diff 1 v1.0")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if show < 0 {
				return usagef("--show %d: want a number of pairs, or 0 for none", show)
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				var two [2]manifests.Snapshot
				for i, ref := range args {
					if two[i], err = d.snapshot(ctx, ref); err != nil {
						return err
					}
				}
				diff, err := manifests.Compare(ctx, d.store, two[0], two[1])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), diff)
				}
				return d.printDiff(ctx, cmd.OutOrStdout(), two, diff, show)
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().IntVar(&show, "show", 5, "name at most so many pairs of each kind")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the identities of all pairs")
	return cmd
}

// pairLine sums up what became of the pairs, "" if nothing did.
func pairLine(d manifests.Diff) string {
	if len(d.Added)+len(d.Removed)+len(d.Changed) == 0 {
		return ""
	}
	return fmt.Sprintf("%s new, %s changed, %s removed", humanize.Comma(int64(len(d.Added))), humanize.Comma(int64(len(d.Changed))), humanize.Comma(int64(len(d.Removed))))
}

func (d *dataset) printDiff(ctx context.Context, w io.Writer, of [2]manifests.Snapshot, diff manifests.Diff, show int) error {
	line := pairLine(diff)
	if line == "" && len(diff.Counts)+len(diff.Settings) == 0 {
		fmt.Fprintf(w, "Snapshots %d and %d hold the same.\n", diff.From, diff.To)
		return nil
	}
	if line == "" {
		line = "the same ones"
	}
	fmt.Fprintf(w, "Snapshot %d → %d\n\n  pairs     %s\n\n", diff.From, diff.To, line)
	if show > 0 {
		if err := d.namePairs(ctx, w, of, diff, show); err != nil {
			return err
		}
	}
	if len(diff.Counts) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "  count\tbefore\tafter\tchange\n")
		for _, c := range diff.Counts {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%+d\n", c.Name, humanize.Comma(c.Before), humanize.Comma(c.After), c.After-c.Before)
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	settingTable(w, diff.Settings)
	return nil
}

// settingTable lists settings that changed.
func settingTable(w io.Writer, changes []manifests.SettingChange) {
	if len(changes) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  setting\tbefore\tafter\n")
	for _, c := range changes {
		before, after := c.Before, c.After
		if before == "" {
			before = "–"
		}
		if after == "" {
			after = "–"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Name, shorten(before, 60), shorten(after, 60))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// namePairs names the first pairs of each kind by their place in the sources.
func (d *dataset) namePairs(ctx context.Context, w io.Writer, of [2]manifests.Snapshot, diff manifests.Diff, show int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for _, kind := range []struct {
		name string
		ids  []irgdata.Digest
		in   manifests.Snapshot
	}{{"new", diff.Added, of[1]}, {"changed", diff.Changed, of[1]}, {"removed", diff.Removed, of[0]}} {
		wanted := map[string]bool{}
		for _, id := range kind.ids[:min(show, len(kind.ids))] {
			wanted[id.String()] = true
		}
		if len(wanted) == 0 {
			continue
		}
		stories := export.Stories(ctx, d.store, kind.in, d.config.path(d.config.Work), func(id, _, _ string) bool { return wanted[id] })
		for story, err := range stories {
			if err != nil {
				return err
			}
			p := story.Trajectory.Pair
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", kind.name, p.ID.Short(), p.Source, shorten(p.Key, 60), shorten(p.Prompt, 60))
			n++
			if delete(wanted, p.ID.String()); len(wanted) == 0 {
				break
			}
		}
	}
	t.Flush()
	if n > 0 {
		fmt.Fprintln(w)
	}
	return nil
}
