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
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// stats is what the command prints.
type stats struct {
	Snapshot manifests.Snapshot `json:"snapshot"`
	// Account is of all calls of the ledger, and Then, if it is known, of those
	// until the snapshot was published.
	Account  manifests.Account  `json:"account"`
	Then     *manifests.Account `json:"account_then,omitempty"`
	examples *examples          // of the rejects
}

func statsCommand() *cobra.Command {
	var f flags
	var ref string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show what a snapshot holds, what was rejected, and what the calls cost",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, ledger, func(ctx context.Context, d *dataset) error {
				s, err := d.stats(ctx, ref)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				s.print(cmd.OutOrStdout())
				return nil
			})
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (d *dataset) stats(ctx context.Context, ref string) (s stats, err error) {
	s.Snapshot, err = d.snapshot(ctx, ref)
	unpublished := err
	if err != nil && !(errors.Is(err, manifests.ErrNoSnapshot) && ref == "") {
		return s, err
	}
	if s.Account, err = d.account(ctx, s.Snapshot.Settings); err != nil {
		return s, err
	}
	if unpublished != nil { // an unfinished build has paid for calls all the same
		if len(s.Account.Steps) == 0 {
			return s, unpublished
		}
		return s, nil
	}
	then, err := manifests.LoadAccount(ctx, d.store, s.Snapshot.Number)
	switch {
	case err == nil && then.Total.Calls != s.Account.Total.Calls:
		s.Then = &then
	case err != nil && !errors.Is(err, blob.ErrNotExist):
		return s, err
	}
	s.examples = newExamples()
	for reject, err := range export.Rejects(ctx, d.store, s.Snapshot, d.config.path(d.config.Work)) {
		if err != nil {
			return s, err
		}
		s.examples.reject(reject)
	}
	return s, nil
}

// account prices the calls of the ledger by step, model, and the modes of the
// settings.
func (d *dataset) account(ctx context.Context, s manifests.Settings) (manifests.Account, error) {
	prices, err := d.config.prices()
	if err != nil {
		return manifests.Account{}, usage(err)
	}
	costs, err := d.ledger.Costs(ctx)
	if err != nil {
		return manifests.Account{}, err
	}
	servers, err := d.ledger.ServerCosts(ctx)
	if err != nil {
		return manifests.Account{}, err
	}
	doubles, err := d.ledger.Doubles(ctx)
	if err != nil {
		return manifests.Account{}, err
	}
	purged, err := d.ledger.PurgedCosts(ctx)
	if err != nil {
		return manifests.Account{}, err
	}
	var needed []manifests.ModeSteps
	if len(s.Modes) > 0 {
		wanted, err := modes.Select(s.Modes)
		if err != nil {
			return manifests.Account{}, err
		}
		for _, m := range wanted {
			n := manifests.ModeSteps{Mode: m.Name}
			for _, step := range modes.StepsFor(s.Strategy, []modes.Mode{m}, true) {
				n.Steps = append(n.Steps, step.ID())
			}
			needed = append(needed, n)
		}
	}
	return manifests.NewAccount(costs, servers, doubles, purged, prices, needed), nil
}

func (s stats) print(w io.Writer) {
	snap := s.Snapshot
	c := snap.Counts
	if snap.Number > 0 {
		fmt.Fprintf(w, "Snapshot %d, strategy %s\n\n", snap.Number, snap.Settings.Strategy)
		itemLine(w, c, snap.Settings)
		funnelTable(w, c)
		modeFunnels(w, c)
		reasonTable(w, c, s.examples.byReason)
		opinionTable(w, snap.Opinions)
		warningLine(w, c)
		lengthTable(w, c)
	} else {
		fmt.Fprint(w, "No snapshot is published yet: `irgdata build` goes on from these calls.\n\n")
	}

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  calls in the ledger\tmodel\tcalls\tfailed\tmodel time\ttokens in\tout\tGPU hours\tcost\n")
	for _, u := range s.Account.Steps {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", u.Step, u.Model, usageColumns(u.Usage))
	}
	fmt.Fprintf(t, "  all\t\t%s\n", usageColumns(s.Account.Total))
	if s.Account.Doubles.Calls > 0 {
		fmt.Fprintf(t, "  made twice, on top\t\t%s\n", usageColumns(s.Account.Doubles))
	}
	if s.Account.Removed.Calls > 0 {
		fmt.Fprintf(t, "  of removed pairs, on top\t\t%s\n", usageColumns(s.Account.Removed))
	}
	if s.Then != nil {
		fmt.Fprintf(t, "  until snapshot %d\t\t%s\n", snap.Number, usageColumns(s.Then.Total))
	}
	t.Flush()
	fmt.Fprintln(w)

	if len(s.Account.Servers) > 0 {
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "  calls by server\tmodel\tcalls\tfailed\tmodel time\ttokens in\tout\tGPU hours\tcost\n")
		for _, u := range s.Account.Servers {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", u.Server, u.Model, usageColumns(u.Usage))
		}
		t.Flush()
		fmt.Fprintln(w)
	}

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
