package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// summarize tells a person what a build did and what can be done next.
func summarize(w io.Writer, d *dataset, r result) {
	c := r.snapshot.Counts
	state := "published"
	if !r.published {
		state = "already holds exactly this"
	}
	fmt.Fprintf(w, "Snapshot %d %s (%s)\n\n", r.snapshot.Number, state, duration(r.elapsed.Seconds()))
	fmt.Fprintf(w, "  %s in → %s, %s rejected", plural(c.Items, "item"), plural(c.Trajectories, "trajectory"), humanize.Comma(c.Rejected))
	switch {
	case d.config.limit > 0:
		fmt.Fprintf(w, "   (preview: the first %s)", plural(int64(d.config.limit), "item"))
	case d.config.sample > 0:
		fmt.Fprintf(w, "   (preview: %s%% of the items)", humanize.Ftoa(100*d.config.sample))
	}
	fmt.Fprint(w, "\n\n")
	modeTable(w, c)
	reasonTable(w, c, r.examples.byReason)
	exampleLines(w, r.examples)
	callLine(w, r)

	var size, shards int64
	for _, s := range r.snapshot.Shards {
		size, shards = size+s.Size, shards+1
	}
	fmt.Fprintf(w, "  snapshot  %s  (%s, %s)\n", here(d.store.URL(manifests.Key(r.snapshot.Number))), plural(shards, "shard"), humanize.Bytes(uint64(size)))
	exportLine(w, d, r.exported)
	next(w, d, r)
}

func modeTable(w io.Writer, c manifests.Counts) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  mode\trows\twithout\n")
	for _, m := range c.Modes {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", m.Mode, humanize.Comma(m.Rows), dash(m.Rejected))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// reasonTable lists the rejected items, with an example of each reason where
// one is known, and then the rows that kept trajectories lost.
func reasonTable(w io.Writer, c manifests.Counts, examples map[manifests.ReasonCount]string) {
	for _, table := range []struct {
		title   string
		ofModes bool
	}{{"rejected items", false}, {"modes lost by kept trajectories", true}} {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		rows := 0
		for _, reason := range c.Reasons {
			if (reason.Mode != "") != table.ofModes {
				continue
			}
			if rows++; rows == 1 {
				fmt.Fprintf(t, "  %s\n", table.title)
			}
			what := reason.Mode
			if what == "" {
				what = shorten(examples[manifests.ReasonCount{Stage: reason.Stage, Rule: reason.Rule}], 90)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", humanize.Comma(reason.Count), reason.Stage, reason.Rule, what)
		}
		t.Flush()
		if rows > 0 {
			fmt.Fprintln(w)
		}
	}
}

// exampleLines show what a trajectory is.
func exampleLines(w io.Writer, e *examples) {
	if e.trajectory == nil {
		return
	}
	slots := e.trajectory.Slots
	fmt.Fprintf(w, "  one of them, %s\n", e.trajectory.Pair.Key)
	for _, line := range []struct{ name, text string }{
		{"asked", slots[irgdata.SlotPrompt].Text},
		{"thought", slots[irgdata.SlotDraftThinking].Text},
		{"drew, and saw", slots[irgdata.SlotReflection].Text},
	} {
		text := strings.TrimPrefix(strings.TrimSpace(line.text), "<think>")
		fmt.Fprintf(w, "    %-14s %s\n", line.name, shorten(text, 110))
	}
	fmt.Fprintln(w)
}

func callLine(w io.Writer, r result) {
	calls := r.calls
	switch {
	case calls.Made == 0 && calls.Failed == 0 && calls.Invalid == 0:
		fmt.Fprintf(w, "  calls     no model call was made: all %s are in the ledger\n", humanize.Comma(int64(calls.Reused)))
	default:
		fmt.Fprintf(w, "  calls     %s made, %s reused", humanize.Comma(int64(calls.Made)), humanize.Comma(int64(calls.Reused)))
		if calls.Failed > 0 {
			fmt.Fprintf(w, ", %s without an answer", humanize.Comma(int64(calls.Failed)))
		}
		if calls.Invalid > 0 {
			fmt.Fprintf(w, ", %s not taken by the server", humanize.Comma(int64(calls.Invalid)))
		}
		fmt.Fprintln(w)
	}
}

func exportLine(w io.Writer, d *dataset, e exported) {
	if e.refused != nil {
		fmt.Fprintf(w, "  export    none: %v\n", e.refused)
		return
	}
	state := ""
	if !e.written {
		state = ", as it was"
	}
	fmt.Fprintf(w, "  export    %s  (for %d × %d readers%s)\n", here(e.at), d.config.Export.Ranks, d.config.Export.Workers, state)
}

func next(w io.Writer, d *dataset, r result) {
	fmt.Fprintf(w, "\nNext: `irgdata stats` shows what it holds and cost, `irgdata verify --full` reads every byte.\n")
	for _, s := range d.config.Sources {
		if s.Bundled != "" {
			fmt.Fprintf(w, "This was the bundled sample and the model in the box, which draws shapes and is no neural network.\nFor your own pairs and models: `irgdata config init`.\n")
			return
		}
	}
	if r.exported.refused == nil {
		fmt.Fprintf(w, "To train: copy %s and dataset_info.json into the IRG code's data/configs and data/dataset_info.py.\n", "train_stage1.yaml, train_stage2.yaml")
	}
}

// plural counts things: "1 pair", "1,200 pairs".
func plural(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return humanize.Comma(n) + " " + noun
}

func dash(n int64) string {
	if n == 0 {
		return "–"
	}
	return humanize.Comma(n)
}

// shorten keeps one line of at most n characters.
func shorten(text string, n int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return string(runes)
}

// here is a path as it looks from the current folder, if it is below it.
func here(path string) string {
	dir, err := os.Getwd()
	if err != nil || strings.Contains(path, "://") {
		return path
	}
	if relative, err := filepath.Rel(dir, absolute(path)); err == nil && filepath.IsLocal(relative) {
		return "." + string(filepath.Separator) + relative
	}
	return path
}
