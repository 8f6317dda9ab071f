package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
)

func whyCommand() *cobra.Command {
	var f flags
	var ref string
	cmd := &cobra.Command{
		Use:   "why ID|KEY",
		Short: "Tell the whole story of a pair: texts, calls, scores, verdicts, shard",
		Long: `Tells all that a snapshot knows of a pair, kept or rejected. The pair is named
by its identity or the beginning of it (6 characters or more), or by its key,
the place in its source, as 'irgdata rejects' prints both.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want the identity or the key of a pair: irgdata why 000001.jpg")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, ledger, func(ctx context.Context, d *dataset) error {
				return d.why(ctx, cmd.OutOrStdout(), ref, args[0])
			})
		},
	}
	f.addStore(cmd)
	addSnapshot(cmd, &ref)
	return cmd
}

// minPrefix is the shortest beginning of an identity that names a pair.
const minPrefix = 6

// named reports whether a name of the command line means a pair.
func named(name, id, key string) bool {
	return key == name || len(name) >= minPrefix && strings.HasPrefix(id, name)
}

func (d *dataset) why(ctx context.Context, w io.Writer, ref, name string) error {
	s, err := d.snapshot(ctx, ref)
	if err != nil {
		return err
	}
	work := d.config.path(d.config.Work)
	found := 0
	told := map[irgdata.Digest]bool{}
	for story, err := range export.Stories(ctx, d.store, s, work, func(id, _, key string) bool { return named(name, id, key) }) {
		if err != nil {
			return err
		}
		found++
		if err := d.tell(ctx, w, story, s.Settings.Rules); err != nil {
			return err
		}
		told[story.Trajectory.Pair.ID] = true
	}
	for r, err := range export.Rejects(ctx, d.store, s, work) {
		if err != nil {
			return err
		}
		id := ""
		if !r.Pair.ID.IsZero() {
			id = r.Pair.ID.String()
		}
		if r.Mode != "" || !named(name, id, r.Pair.Key) || r.Stage != irgdata.StageIngest && told[r.Pair.ID] {
			continue // the story of a trajectory has that it was rejected, and the modes that it lost
		}
		found++
		fmt.Fprintf(w, "rejected at %s by %s: %s\n", r.Stage, r.Rule, r.Reason)
		pairLines(w, r.Pair)
		fmt.Fprintln(w)
	}
	if found == 0 {
		return fmt.Errorf("snapshot %d has no pair with the identity or the key %q: want a key, or %d characters or more of an identity, as `irgdata rejects` and the shards have them", s.Number, name, minPrefix)
	}
	return nil
}

func pairLines(w io.Writer, p irgdata.Pair) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "  %s\t%s\n", name, value)
		}
	}
	if !p.ID.IsZero() {
		line("identity", p.ID.String())
	}
	line("source", p.Source)
	line("key", p.Key)
	line("prompt", shorten(p.Prompt, 300))
	line("language", p.Language)
	line("license", p.License)
	line("url", p.URL)
	line("notes", strings.Join(p.Notes, "; "))
	t.Flush()
}

// tell prints the story of a trajectory, by the rules of its snapshot.
func (d *dataset) tell(ctx context.Context, w io.Writer, s export.Story, rules []manifests.RuleSetting) error {
	if r := s.Reject; r != nil {
		fmt.Fprintf(w, "rejected at %s by %s: %s\n", r.Stage, r.Rule, r.Reason)
	}
	fmt.Fprintf(w, "in %s, row %d\n", here(d.store.URL(s.Shard)), s.Row)
	pairLines(w, s.Trajectory.Pair)

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n  slot\tstep\tmodel\ttook\ttokens\tattempts\tanswer\n")
	for slot, f := range s.Trajectory.Slots {
		if f.Call.IsZero() {
			continue
		}
		c, there, err := d.ledger.Lookup(ctx, f.Call)
		if err != nil {
			return err
		}
		if !there {
			fmt.Fprintf(t, "  %s\tcall %s is not in the ledger\n", irgdata.Slot(slot), f.Call.Short())
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%d → %d\t%d\t%s\n", irgdata.Slot(slot), c.Step, c.Model, duration(c.Seconds), c.TokensIn, c.TokensOut, c.Attempts, answerOf(c))
	}
	for _, f := range s.Trajectory.Failures {
		fmt.Fprintf(t, "  %s\t%s\tFAILED %s: %s\n", f.Slot, f.Step, f.Rule, shorten(f.Reason, 120))
	}
	t.Flush()

	judgementLines(w, s.Trajectory.Judgements)

	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n  mode\tverdict\n")
	for _, v := range s.Verdicts {
		verdict := "kept"
		if !v.Keep {
			verdict = fmt.Sprintf("lost at %s by %s: %s", v.Stage, v.Rule, v.Reason)
		}
		fmt.Fprintf(t, "  %s\t%s\n", v.Mode, verdict)
	}
	t.Flush()

	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, warning := range s.Warnings {
		if i == 0 {
			fmt.Fprintf(t, "\n  warning\trule\treason\n")
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", warning.Name, warning.Rule, warning.Reason)
	}
	t.Flush()

	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n  score\trule\tvalue\theld against\taction\n")
	for _, score := range s.Scores {
		value := "–"
		if !math.IsNaN(score.Value) {
			value = humanize.FtoaWithDigits(score.Value, 3)
		}
		bounds, action := "", ""
		if at := slices.IndexFunc(rules, func(r manifests.RuleSetting) bool { return r.Rule == score.Rule }); at >= 0 {
			bounds, action = showParameters(rules[at].Parameters), rules[at].Action
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", score.Name, score.Rule, value, bounds, action)
	}
	t.Flush()
	fmt.Fprintln(w)
	return nil
}

// showParameters writes a rule's numbers: "max 8".
func showParameters(parameters map[string]float64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		list = append(list, name+" "+humanize.Ftoa(parameters[name]))
	}
	return strings.Join(list, ", ")
}

// judgementLines print what judge and scorers said.
func judgementLines(w io.Writer, judgements []irgdata.Judgement) {
	if len(judgements) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n  judged\tof\tvalue\tcall\tabout\n")
	for _, j := range judgements {
		value := humanize.FtoaWithDigits(j.Value, 3)
		if j.Abstained != "" {
			value = "ABSTAINED " + shorten(j.Abstained, 80)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", j.Question, j.Subject, value, j.Call.Short(), shorten(j.About, 80))
	}
	t.Flush()
}

func answerOf(c manifests.Call) string {
	if !c.Image.IsZero() {
		return fmt.Sprintf("image %s, %d×%d %s", c.Image.Digest.Short(), c.Image.Width, c.Image.Height, c.Image.Format)
	}
	return shorten(c.Text, 80)
}
