package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// stats is what the command prints.
type stats struct {
	Snapshot manifests.Snapshot   `json:"snapshot"`
	Costs    []manifests.StepCost `json:"costs"`
	Account  manifests.Account    `json:"account"`
	examples *examples            // of the rejects
}

func statsCommand() *cobra.Command {
	var f flags
	var ref string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show what a snapshot holds, what was rejected, and what the calls cost",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			d, err := openDataset(ctx, c, ledger, newLog(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.close(ctx)) }()
			s, err := d.stats(ctx, ref)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			s.print(cmd.OutOrStdout())
			return nil
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (d *dataset) stats(ctx context.Context, ref string) (s stats, err error) {
	prices, err := d.config.prices()
	if err != nil {
		return s, usage(err)
	}
	s.Snapshot, err = d.snapshot(ctx, ref)
	unpublished := err
	if err != nil && !(errors.Is(err, manifests.ErrNoSnapshot) && ref == "") {
		return s, err
	}
	if s.Costs, err = d.ledger.Costs(ctx); err != nil {
		return s, err
	}
	if unpublished != nil { // an unfinished build has paid for calls all the same
		if len(s.Costs) == 0 {
			return s, unpublished
		}
		s.Account = manifests.NewAccount(s.Costs, prices, nil)
		return s, nil
	}
	s.examples = newExamples()
	for reject, err := range export.Rejects(ctx, d.store, s.Snapshot, d.config.path(d.config.Work)) {
		if err != nil {
			return s, err
		}
		s.examples.reject(reject)
	}
	wanted, err := modes.Select(s.Snapshot.Settings.Modes)
	if err != nil {
		return s, err
	}
	var needed []manifests.ModeSteps
	for _, m := range wanted {
		n := manifests.ModeSteps{Mode: m.Name}
		for _, step := range modes.StepsFor(s.Snapshot.Settings.Strategy, []modes.Mode{m}, true) {
			n.Steps = append(n.Steps, step.ID())
		}
		needed = append(needed, n)
	}
	s.Account = manifests.NewAccount(s.Costs, prices, needed)
	return s, nil
}

func (s stats) print(w io.Writer) {
	snap := s.Snapshot
	c := snap.Counts
	if snap.Number > 0 {
		fmt.Fprintf(w, "Snapshot %d, strategy %s\n\n", snap.Number, snap.Settings.Strategy)
		itemLine(w, c, snap.Settings)
		modeTable(w, c)
		reasonTable(w, c, s.examples.byReason)
	} else {
		fmt.Fprint(w, "No snapshot is published yet: `irgdata build` goes on from these calls.\n\n")
	}

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  calls in the ledger\tmodel\tcalls\tfailed\tmodel time\ttokens in\tout\tGPU hours\tcost\n")
	for _, u := range s.Account.Steps {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", u.Step, u.Model, usageColumns(u.Usage))
	}
	fmt.Fprintf(t, "  all\t\t%s\n", usageColumns(s.Account.Total))
	t.Flush()
	fmt.Fprintln(w)

	if snap.Number == 0 {
		return
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  calls that a mode rests on\tcalls\tfailed\tmodel time\ttokens in\tout\tGPU hours\tcost\n")
	for _, m := range s.Account.Modes {
		fmt.Fprintf(t, "  %s\t%s\n", m.Mode, usageColumns(m.Usage))
	}
	t.Flush()
	fmt.Fprintln(w, "\n  Modes share calls. The ledger holds the calls of all snapshots of this store.")
}

func usageColumns(u manifests.Usage) string {
	return strings.Join([]string{
		humanize.Comma(int64(u.Calls)), dash(int64(u.Failed)), duration(u.Seconds), dash(int64(u.TokensIn)), dash(int64(u.TokensOut)),
		dashed(round(u.GPUSeconds / 3600)), dashed(round(u.Cost)),
	}, "\t")
}

// round keeps two digits after the point.
func round(x float64) float64 { return math.Round(100*x) / 100 }

// dashed writes a number, and nothing as a dash.
func dashed(x float64) string {
	if x == 0 {
		return "–"
	}
	return humanize.CommafWithDigits(x, 2)
}
