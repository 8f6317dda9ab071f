package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

func modesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "modes",
		Short: "Print the six learning modes and the model calls that they need",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printModes(cmd.OutOrStdout())
			return nil
		},
	}
}

func printModes(w io.Writer) {
	for _, m := range modes.All() {
		stages := "stage 1"
		if m.Stage2 {
			stages = "stages 1 and 2"
		}
		mandatory := ""
		if m.Mandatory {
			mandatory = ", mandatory"
		}
		fmt.Fprintf(w, "%s   (weight %.1f%s, %s)\n", m.Name, m.Weight, mandatory, stages)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, p := range m.Layout {
			what := p.Slot.String()
			if p.Template != "" {
				what = "template " + p.Template
			}
			fmt.Fprintf(t, "    %s\t%s\t%s\n", p.Speaker, what, partFlags(p))
		}
		t.Flush()
		for _, strategy := range []irgdata.Strategy{irgdata.Distill, irgdata.Self} {
			var steps []string
			for _, s := range modes.StepsFor(strategy, []modes.Mode{m}, false) {
				steps = append(steps, fmt.Sprintf("%s (%s)", s.Name, s.Role))
			}
			fmt.Fprintf(w, "    calls, %s: %s\n", strategy, strings.Join(steps, ", "))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "loss: a training target; vae, vit: how an image enters the context.\nIn brackets: the role of the model that a call is made to.")
}

func partFlags(p modes.Part) string {
	var flags []string
	for _, f := range []struct {
		on   bool
		name string
	}{{p.Loss, "loss"}, {p.VAE, "vae"}, {p.ViT, "vit"}} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	return strings.Join(flags, " ")
}
