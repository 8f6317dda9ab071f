package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

func planCommand() *cobra.Command {
	var f flags
	var asJSON bool
	var why string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what build would do: the calls of each step and model, why, and what is reused",
		Long: `Reads the pairs and the ledger, and says which model calls a build would make,
why they are not reused ("template reflection v1 → custom"), and which it would
reuse. It calls no model and writes nothing to the store.

With --why it lists the calls of one pair, named by its identity or the
beginning of it (6 characters or more), or by its key, the place in its source.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err == nil {
				err = c.checkMix()
			}
			if err != nil {
				return err
			}
			return withDataset(cmd, c, stages, func(ctx context.Context, d *dataset) error {
				if why != "" {
					return d.planOf(ctx, cmd.OutOrStdout(), why, asJSON)
				}
				plan, err := d.plan(ctx, nil)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), plan)
				}
				printPlan(cmd.OutOrStdout(), plan)
				return nil
			})
		},
	}
	f.addBuild(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&why, "why", "", "list the calls of this pair `ID|KEY`, and why each would be made")
	return cmd
}

// plan goes the way of a build up to the calls, and leaves no trace. It tells
// see, unless nil, of each call.
func (d *dataset) plan(ctx context.Context, see func(annotate.Planned)) (manifests.Plan, error) {
	pairs, err := d.pairs(ctx, stages, ingest.Inputs{}, nil)
	if err != nil {
		return manifests.Plan{}, err
	}
	return d.annotator.Plan(ctx, pairs, see)
}

// plannedCall is a call of one pair, as --why prints it.
type plannedCall struct {
	Pair   irgdata.Digest `json:"pair"`
	Key    string         `json:"key"`
	Step   string         `json:"step"`
	About  string         `json:"about"`
	Reason string         `json:"reason,omitempty"` // empty: it is in the ledger
}

// planOf prints the calls of the pairs of that name.
func (d *dataset) planOf(ctx context.Context, w io.Writer, name string, asJSON bool) error {
	calls := []plannedCall{}
	_, err := d.plan(ctx, func(c annotate.Planned) {
		if named(name, c.Pair.ID.String(), c.Pair.Key) {
			calls = append(calls, plannedCall{c.Pair.ID, c.Pair.Key, c.Step, c.About, c.Reason})
		}
	})
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		return fmt.Errorf("no pair that would be annotated has the identity or the key %q: want a key, or %d characters or more of an identity", name, minPrefix)
	}
	if asJSON {
		return printJSON(w, calls)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, c := range calls {
		if i == 0 || c.Pair != calls[i-1].Pair {
			fmt.Fprintf(t, "pair %s, %s\n  step\tshows\twould be\n", c.Pair.Short(), c.Key)
		}
		what := "reused"
		if c.Reason != "" {
			what = "made: " + c.Reason
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Step, shorten(c.About, 80), what)
	}
	return t.Flush()
}

func printPlan(w io.Writer, plan manifests.Plan) {
	fmt.Fprintf(w, "%s to annotate (%s of images), %s rejected at ingest\n\n", plural(plan.Pairs, "pair"), humanize.Bytes(uint64(plan.Bytes)), humanize.Comma(plan.Rejected))
	if plan.Pending > 0 {
		fmt.Fprintf(w, "%s to download first, counted below as pairs that need all calls\n\n", plural(plan.Pending, "image"))
	}
	reasonTable(w, manifests.Counts{Reasons: plan.Reasons}, nil)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  step\tmodel\tto make\treused\tbytes\testimated time\n")
	for _, c := range plan.Calls {
		bytes, time := "–", "–"
		if c.Images && c.Reuse > 0 {
			bytes = humanize.Bytes(uint64(c.PaintedBytes))
			if c.Make > 0 {
				bytes += fmt.Sprintf(" + about %s", humanize.Bytes(uint64(c.PaintedBytes/c.Reuse*c.Make)))
			}
		}
		if c.Make > 0 {
			time = "unknown"
			if c.Seconds > 0 {
				time = duration(c.Seconds * float64(c.Make))
			}
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", c.Step, c.Model, humanize.Comma(c.Make), humanize.Comma(c.Reuse), bytes, time)
	}
	t.Flush()
	whyTable(w, plan)
	if plan.Make() == 0 {
		fmt.Fprintf(w, "\nA build would make no model call.\n")
	} else {
		fmt.Fprintf(w, "\nA build would make up to %s and reuse %s. Time is that of one call after the other, at the mean of such calls so far.\n", plural(plan.Make(), "model call"), humanize.Comma(plan.Reuse()))
	}
}

// whyTable says why calls would be made.
func whyTable(w io.Writer, plan manifests.Plan) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows := 0
	for _, c := range plan.Calls {
		for _, r := range c.Reasons {
			if rows++; rows == 1 {
				fmt.Fprintf(t, "\n  why\tcalls\treason\n")
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Step, humanize.Comma(r.Calls), r.Reason)
		}
	}
	t.Flush()
}

// duration writes model time for people.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Hour:
		return d.Round(time.Second).String()
	}
	return humanize.Comma(int64(d.Hours())) + " h"
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
