package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

func filterCommand() *cobra.Command {
	var f flags
	var o dryRun
	var dry bool
	cmd := &cobra.Command{
		Use:   "filter",
		Short: "Show what other thresholds would change, without a model call or an image",
		Long: `Judges a snapshot's trajectories, kept and rejected, anew from their stored
scores: by the filters of the configuration, with the given values over them.
It changes nothing. To apply a value, write it under filter.rules of the
configuration and run 'irgdata build', which makes no model call for it.

    irgdata filter rules
    irgdata filter --dry-run --set blur.max=6 --set chatter.action=warn`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is no command: want rules, or --dry-run", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			switch {
			case !dry:
				return usagef("filters are part of the configuration: write the values under `filter.rules` and run `irgdata build`, which makes no model call for them; `irgdata filter --dry-run` shows before what they would change")
			case o.show < 0:
				return usagef("--show %d: want a number of trajectories", o.show)
			}
			for _, assignment := range o.set {
				if c.Filter, err = c.Filter.Set(assignment); err != nil {
					return usagef("--set %v", err)
				}
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				moved, err := d.dryRun(ctx, o)
				if err != nil {
					return err
				}
				if o.json {
					return printJSON(cmd.OutOrStdout(), moved)
				}
				moved.print(cmd.OutOrStdout(), o.show)
				return nil
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show how the funnel would move")
	cmd.Flags().StringArrayVar(&o.set, "set", nil, "rule.parameter=value or rule.action=reject|warn|score; may be given several times")
	cmd.Flags().IntVar(&o.show, "show", 5, "at most so many trajectories that would change")
	addSnapshot(cmd, &o.ref)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.AddCommand(&cobra.Command{
		Use: "rules", Short: "Print every rule, its parameters and their defaults", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printRules(cmd.OutOrStdout())
			return nil
		},
	})
	return cmd
}

// printRules prints the table of rules.
func printRules(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "rule\tversion\tparameter\tdefault\trange\tmeaning\n")
	for _, k := range filter.Kinds() {
		version := "–" // of a rule whose version depends on its parameters
		if r, err := k.New(filter.Values{}, filter.Environment{Prompts: modes.DefaultPrompts()}); err == nil {
			version, _, _ = strings.Cut(r.Version, "-")
		}
		on := ""
		if k.Optional {
			on = " (only if listed)"
		}
		fmt.Fprintf(t, "%s\t%s\t\t\t\tagainst %s%s\n", k.Name, version, k.Doc, on)
		for _, p := range k.Parameters {
			if p.Texts {
				fmt.Fprintf(t, "\t\t%s\t[]\t\t%s\n", p.Name, p.Doc)
				continue
			}
			fmt.Fprintf(t, "\t\t%s\t%v\t%s\t%s\n", p.Name, p.Default, p.Range(), p.Doc)
		}
	}
	t.Flush()
	fmt.Fprint(w, "\nIn the configuration: filter: {rules: [{rule: blur, max: 6, action: warn}]}. Actions: reject (the default), warn, score.\n")
}

// dryRun says what to try.
type dryRun struct {
	set  []string
	show int
	ref  string
	json bool
}

// moved is what the filters would change.
type moved struct {
	Snapshot int                `json:"snapshot"`
	Before   []manifests.Funnel `json:"before"`
	After    []manifests.Funnel `json:"after"`
	Changed  int64              `json:"changed"` // trajectories that gain or lose a mode
	Lacking  map[string]int64   `json:"lacking"` // trajectories without a score, by rule
	Warnings movedWarnings      `json:"warnings"`
	examples []string
}

type movedWarnings struct {
	Before []manifests.RuleCount `json:"before"`
	After  []manifests.RuleCount `json:"after"`
}

// dryRun judges the snapshot's trajectories anew, from what its shards tell.
func (d *dataset) dryRun(ctx context.Context, o dryRun) (moved, error) {
	s, err := d.snapshot(ctx, o.ref)
	if err != nil {
		return moved{}, err
	}
	rules, err := d.config.rules()
	if err != nil {
		return moved{}, err
	}
	wanted, err := modes.Select(s.Settings.Modes)
	if err != nil {
		return moved{}, err
	}
	m := moved{Snapshot: s.Number, Before: s.Counts.Funnels, Lacking: map[string]int64{}}
	m.Warnings.Before = s.Counts.Warnings
	panel := filter.NewPanel(wanted, rules)
	kept := map[irgdata.Digest]uint8{} // the modes that a trajectory has now
	work := d.config.path(d.config.Work)
	judged := iter.Seq2[irgdata.Item[irgdata.Judged], error](func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for story, err := range export.Stories(ctx, d.store, s, work, func(_, _, _ string) bool { return true }) {
			if err != nil {
				yield(irgdata.Item[irgdata.Judged]{}, err)
				return
			}
			kept[story.Trajectory.Pair.ID] = keeps(story.Judged, wanted)
			again, lacking := panel.Again(story.Judged, story.Filled)
			for _, rule := range lacking {
				m.Lacking[rule]++
			}
			if !yield(again, nil) {
				return
			}
		}
	})
	losses := make([]manifests.Losses, 1+len(wanted))
	for i := range losses {
		losses[i] = manifests.Losses{}
		for _, r := range s.Counts.Funnels[i].Stages[0].Reasons { // of ingest, which stay
			losses[i][irgdata.StageIngest] = add(losses[i][irgdata.StageIngest], r)
		}
	}
	warnings := map[string]int64{}
	selection := filter.SelectOptions{Modes: wanted, Rules: rules, Selection: d.config.Filter.Select, Work: work}
	for item, err := range filter.Select(ctx, judged, selection) {
		if err != nil {
			return m, err
		}
		j := item.Value
		if item.Reject != nil {
			j = *item.Reject.Judged
			losses[0].Add(item.Reject.Stage, item.Reject.Rule)
		} else {
			warned := map[string]bool{}
			for _, w := range j.Warnings {
				warned[w.Rule] = true
			}
			for rule := range warned {
				warnings[rule]++
			}
		}
		for i, v := range j.Verdicts {
			if !v.Keep {
				losses[1+i].Add(v.Stage, v.Rule)
			}
		}
		before, after := kept[j.Trajectory.Pair.ID], keeps(j, wanted)
		if before == after {
			continue
		}
		if m.Changed++; len(m.examples) < o.show {
			m.examples = append(m.examples, flip(j, wanted, before, after))
		}
	}
	m.Warnings.After = manifests.CountRules(warnings)
	m.After = append(m.After, losses[0].Funnel("", s.Counts.Items))
	for i, mode := range wanted {
		m.After = append(m.After, losses[1+i].Funnel(mode.Name, s.Counts.Items))
	}
	return m, nil
}

func add(counts map[string]int64, r manifests.RuleCount) map[string]int64 {
	if counts == nil {
		counts = map[string]int64{}
	}
	counts[r.Rule] += r.Count
	return counts
}

// keeps are the wanted modes that a trajectory serves, a bit each.
func keeps(j irgdata.Judged, wanted []modes.Mode) (bits uint8) {
	for i, m := range wanted {
		if j.Keeps(m.Name) {
			bits |= 1 << i
		}
	}
	return bits
}

// flip tells how a trajectory changes.
func flip(j irgdata.Judged, wanted []modes.Mode, before, after uint8) string {
	name := func(bits uint8) string {
		var names []string
		for i, m := range wanted {
			if bits&(1<<i) != 0 {
				names = append(names, m.Name)
			}
		}
		switch {
		case len(names) == len(wanted):
			return "all modes"
		case len(names) > 1:
			return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
		}
		return strings.Join(names, "")
	}
	p := j.Trajectory.Pair
	line := fmt.Sprintf("%s\t%s", p.ID.Short(), shorten(p.Key, 40))
	if gained := after &^ before; gained != 0 {
		line += "\tgains " + name(gained)
	}
	if lost := before &^ after; lost != 0 {
		line += "\tloses " + name(lost)
		for i, v := range j.Verdicts {
			if lost&(1<<i) != 0 {
				line += "\t" + v.Rule + ": " + shorten(v.Reason, 110)
				break
			}
		}
	}
	return line
}

func (m moved) print(w io.Writer, show int) {
	fmt.Fprintf(w, "Snapshot %d, judged anew from its scores\n\n", m.Snapshot)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  \tnow\tthen\tchange\n")
	for i, after := range m.After {
		name := after.Mode
		if i == 0 {
			name = "trajectories"
		}
		before := m.Before[i].Stages[len(m.Before[i].Stages)-1].Out
		then := after.Stages[len(after.Stages)-1].Out
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", name, humanize.Comma(before), humanize.Comma(then), change(then-before))
	}
	t.Flush()
	fmt.Fprintln(w)

	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lines := 0
	for i, after := range m.After {
		name := after.Mode
		if i == 0 {
			name = "whole items"
		}
		for k, stage := range after.Stages {
			before := m.Before[i].Stages[k]
			for _, rule := range rulesOf(before.Reasons, stage.Reasons) {
				a, b := countOf(before.Reasons, rule), countOf(stage.Reasons, rule)
				if a == b {
					continue
				}
				if lines++; lines == 1 {
					fmt.Fprintf(t, "  lost at\tby\tmode\tnow\tthen\tchange\n")
				}
				fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", stage.Stage, rule, name, humanize.Comma(a), humanize.Comma(b), change(b-a))
			}
		}
	}
	t.Flush()
	if lines == 0 {
		fmt.Fprintln(w, "  Nothing would change.")
	}
	fmt.Fprintln(w)
	for _, rule := range rulesOf(m.Warnings.Before, m.Warnings.After) {
		if a, b := countOf(m.Warnings.Before, rule), countOf(m.Warnings.After, rule); a != b {
			fmt.Fprintf(w, "  warnings by %s: %s now, %s then\n\n", rule, humanize.Comma(a), humanize.Comma(b))
		}
	}
	if len(m.examples) > 0 {
		fmt.Fprintf(w, "  %s would change", plural(m.Changed, "trajectory"))
		if int64(len(m.examples)) < m.Changed {
			fmt.Fprintf(w, "; the first %d", len(m.examples))
		}
		fmt.Fprintln(w)
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, line := range m.examples {
			fmt.Fprintf(t, "  %s\n", line)
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	rules := make([]string, 0, len(m.Lacking))
	for rule := range m.Lacking {
		rules = append(rules, rule)
	}
	slices.Sort(rules)
	for _, rule := range rules {
		fmt.Fprintf(w, "  Rule %s has no scores in %s of this snapshot and takes nothing here: the next build measures them.\n", rule, plural(m.Lacking[rule], "trajectory"))
	}
	fmt.Fprintln(w, "Nothing was changed. To apply it, write the values under `filter.rules` of the configuration and run `irgdata build`.")
}

// rulesOf are the rules of both lists, in alphabetical order.
func rulesOf(a, b []manifests.RuleCount) []string {
	var names []string
	for _, r := range slices.Concat(a, b) {
		names = append(names, r.Rule)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func countOf(counts []manifests.RuleCount, rule string) int64 {
	for _, r := range counts {
		if r.Rule == rule {
			return r.Count
		}
	}
	return 0
}

// change writes a difference with its sign.
func change(n int64) string {
	switch {
	case n > 0:
		return "+" + humanize.Comma(n)
	case n < 0:
		return "−" + humanize.Comma(-n)
	}
	return "–"
}
