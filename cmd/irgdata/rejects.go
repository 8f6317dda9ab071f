package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/manifests"
)

// rejectFilter says which rejects are shown. Empty fields take all.
type rejectFilter struct {
	stage, rule, mode, source string
	show                      int
}

func rejectsCommand() *cobra.Command {
	var f flags
	var ref string
	var want rejectFilter
	cmd := &cobra.Command{
		Use:   "rejects",
		Short: "Show what a snapshot left out, and why",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if want.show < 1 {
				return usagef("--show %d: want a number of rejects, at least 1", want.show)
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				s, err := d.snapshot(ctx, ref)
				if err != nil {
					return err
				}
				return d.rejects(ctx, cmd.OutOrStdout(), s, want)
			})
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	cmd.Flags().StringVar(&want.rule, "rule", "", "those of this rule, such as similar_image")
	cmd.Flags().StringVar(&want.stage, "stage", "", "those of this stage: "+strings.Join(irgdata.Stages(), ", "))
	cmd.Flags().StringVar(&want.mode, "mode", "", "the rows of this mode that kept pairs lost")
	cmd.Flags().StringVar(&want.source, "source", "", "those of this source")
	cmd.Flags().IntVar(&want.show, "show", 20, "at most so many")
	return cmd
}

// check says that the snapshot has nothing of that name, and what it has.
func (want rejectFilter) check(s manifests.Snapshot) error {
	stages := irgdata.Stages()
	var rules, ofMode, sources, wanted []string
	for _, r := range s.Counts.Reasons {
		rules = append(rules, r.Rule)
		if r.Mode == want.mode {
			ofMode = append(ofMode, r.Rule)
		}
	}
	for _, source := range s.Settings.Sources {
		sources = append(sources, source.Name)
	}
	for _, m := range s.Counts.Modes {
		wanted = append(wanted, m.Mode)
	}
	known := slices.Clone(rules)
	for _, k := range filter.Kinds() {
		known = append(known, k.Name)
	}
	for _, name := range []struct {
		flag, what, given string
		known, listed     []string
	}{
		{"stage", "stage", want.stage, stages, stages},
		{"mode", "mode", want.mode, wanted, wanted},
		{"source", "source", want.source, sources, sources},
		{"rule", "rule that rejected anything", want.rule, known, rules},
	} {
		if name.given == "" || slices.Contains(name.known, name.given) {
			continue
		}
		slices.Sort(name.listed)
		return usagef("--%s %q: snapshot %d has no such %s: want one of %s", name.flag, name.given, s.Number, name.what, strings.Join(slices.Compact(name.listed), ", "))
	}
	if want.rule != "" && !slices.Contains(ofMode, want.rule) && slices.Contains(rules, want.rule) && want.mode == "" {
		return usagef("--rule %q: it took no whole item, only modes of kept trajectories: add --mode and the mode's name", want.rule)
	}
	return nil
}

func (d *dataset) rejects(ctx context.Context, w io.Writer, s manifests.Snapshot, want rejectFilter) error {
	if err := want.check(s); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "pair\tsource\tkey\tstage\trule\treason\n")
	n, shown := int64(0), 0
	for r, err := range export.Rejects(ctx, d.store, s, d.config.path(d.config.Work)) {
		if err != nil {
			return err
		}
		if want.stage != "" && r.Stage != want.stage || want.rule != "" && r.Rule != want.rule ||
			want.source != "" && r.Pair.Source != want.source || r.Mode != want.mode {
			continue
		}
		if n++; shown == want.show {
			continue
		}
		shown++
		id := "–"
		if !r.Pair.ID.IsZero() {
			id = r.Pair.ID.Short()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", id, r.Pair.Source, shorten(r.Pair.Key, 60), r.Stage, r.Rule, shorten(r.Reason, 160))
	}
	t.Flush()
	fmt.Fprintf(w, "\n%d of %s. `irgdata why` tells the story of one, by its pair or key.\n", shown, plural(n, "reject"))
	return nil
}
