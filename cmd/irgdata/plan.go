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

	"github.com/irgdata/irgdata/manifests"
)

func planCommand() *cobra.Command {
	var f flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what build would do: the calls of each step and model, and what is reused",
		Long: `Reads the pairs and the ledger, and says which model calls a build would make
and which it would reuse. It calls no model and writes nothing to the store.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, stages, func(ctx context.Context, d *dataset) error {
				plan, err := d.plan(ctx)
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
	return cmd
}

// plan goes the way of a build up to the calls, and leaves no trace.
func (d *dataset) plan(ctx context.Context) (manifests.Plan, error) {
	pairs, err := d.pairs(ctx, stages, nil)
	if err != nil {
		return manifests.Plan{}, err
	}
	return d.annotator.Plan(ctx, pairs)
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
	if plan.Make() == 0 {
		fmt.Fprintf(w, "\nA build would make no model call.\n")
	} else {
		fmt.Fprintf(w, "\nA build would make up to %s and reuse %s. Time is that of one call after the other, at the mean of such calls so far.\n", plural(plan.Make(), "model call"), humanize.Comma(plan.Reuse()))
	}
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
