package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime/pool"
)

// summarize tells a person what a build did and what can be done next.
func summarize(w io.Writer, d *dataset, r result) {
	c := r.snapshot.Counts
	state := "published"
	if !r.published {
		state = "already holds exactly this"
	}
	fmt.Fprintf(w, "Snapshot %d %s (%s)\n\n", r.snapshot.Number, state, duration(r.elapsed.Seconds()))
	itemLine(w, c, r.snapshot.Settings)
	funnelTable(w, c)
	modeTable(w, c)
	if r.unchanged {
		reasonTable(w, c, nil)
	} else {
		reasonTable(w, c, r.examples.byReason)
	}
	warningLine(w, c)
	opinionTable(w, r.snapshot.Opinions)
	exampleLines(w, r.examples)
	callLine(w, r)
	doubleLine(w, r.doubles)
	changeLines(w, r)
	endpointLines(w, d.pools)

	var size, shards int64
	for _, s := range r.snapshot.Shards {
		size, shards = size+s.Size, shards+1
	}
	fmt.Fprintf(w, "  snapshot  %s  (%s, %s)\n", here(d.store.URL(manifests.Key(r.snapshot.Number))), plural(shards, "shard"), humanize.Bytes(uint64(size)))
	if len(r.snapshot.Rejects) > 0 {
		fmt.Fprintf(w, "  rejects   %s\n", here(d.store.URL(r.snapshot.Rejects[0].Key)))
	}
	for _, e := range r.exported {
		exportLine(w, d, e)
	}
	next(w, d, r)
	removedLine(w, r.snapshot, r.before)
}

// changeLines tell what became of the pairs since the snapshot before.
func changeLines(w io.Writer, r result) {
	if r.before.Number == 0 || !r.published {
		return
	}
	pairs := pairLine(r.diff)
	if pairs == "" {
		pairs = "the same ones"
	}
	fmt.Fprintf(w, "  pairs     %s since snapshot %d\n", pairs, r.before.Number)
	if before, after := failures(r.before.Counts), failures(r.snapshot.Counts); before > 0 {
		fmt.Fprintf(w, "  retried   %s that lacked an answer or a download; %s still do\n", plural(before, "item"), humanize.Comma(after))
	}
	for _, s := range r.diff.Settings {
		fmt.Fprintf(w, "  setting   %s\n", settingChange(s, 40))
	}
}

// failures counts the items that calls or downloads without an answer kept out,
// or kept out of modes. Those that lost several modes for it count once.
func failures(c manifests.Counts) int64 {
	var items, lost int64
	for _, r := range c.Reasons {
		switch {
		case r.Rule != annotate.Unavailable && r.Rule != "download":
		case r.Mode == "":
			items += r.Count
		default:
			lost = max(lost, r.Count)
		}
	}
	return items + lost
}

// endpointLines tell how the calls went round, where there are several servers
// or one that failed.
func endpointLines(w io.Writer, pools []*pool.Pool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range pools {
		stats := p.Stats()
		for _, s := range stats {
			if len(stats) == 1 && s.Failures == 0 || s.Calls+s.Failures == 0 {
				continue
			}
			note := ""
			if s.State != pool.Up {
				note = fmt.Sprintf("%s: %v", s.State, s.Error)
			}
			fmt.Fprintf(t, "  server\t%s\t%s\t%s tries in vain\tbusy %s\tidle %s\t%s\n", s.Name, plural(int64(s.Calls), "call"), humanize.Comma(int64(s.Failures)),
				duration(s.Busy.Seconds()), duration(s.Idle.Seconds()), shorten(note, 100))
		}
	}
	t.Flush()
}

func itemLine(w io.Writer, c manifests.Counts, s manifests.Settings) {
	fmt.Fprintf(w, "  %s in → %s, %s rejected", plural(c.Items, "item"), plural(c.Trajectories, "trajectory"), humanize.Comma(c.Rejected))
	switch {
	case s.Limit > 0:
		fmt.Fprintf(w, "   (preview: the first %s)", plural(int64(s.Limit), "item"))
	case s.Sample > 0:
		fmt.Fprintf(w, "   (preview: %s%% of the items)", humanize.Ftoa(100*s.Sample))
	}
	fmt.Fprint(w, "\n\n")
}

// modeTable shows the rows of each mode, and what the stages after ingest took.
func modeTable(w io.Writer, c manifests.Counts) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "  mode\trows\tof items")
	for _, s := range c.Funnels[0].Stages[1:] {
		fmt.Fprintf(t, "\tlost by %s", s.Stage)
	}
	fmt.Fprintln(t)
	for i, m := range c.Modes {
		fmt.Fprintf(t, "  %s\t%s\t%s", m.Mode, humanize.Comma(m.Rows), share(m.Rows, c.Items))
		for _, s := range c.Funnels[1+i].Stages[1:] {
			fmt.Fprintf(t, "\t%s", dash(s.In-s.Out))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// reasonTable lists the rejected items, with one of each reason as an example
// where one is known, as none is of what was taken over, and then the rows that
// kept trajectories lost.
func reasonTable(w io.Writer, c manifests.Counts, examples map[manifests.ReasonCount]string) {
	lacks := func(r manifests.ReasonCount) bool {
		r.Count = 0
		_, seen := examples[r]
		return r.Mode == "" && !seen
	}
	title := "rejected items"
	if examples != nil {
		title += ", and one of each kind"
		if slices.ContainsFunc(c.Reasons, lacks) {
			title += " that is not taken over"
		}
	}
	for _, table := range []struct {
		title   string
		ofModes bool
	}{{title, false}, {"modes lost by kept trajectories", true}} {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		rows := 0
		for _, reason := range c.Reasons {
			if (reason.Mode != "") != table.ofModes {
				continue
			}
			if rows++; rows == 1 {
				fmt.Fprintf(t, "  %s\n", table.title)
			}
			what := examples[manifests.ReasonCount{Stage: reason.Stage, Rule: reason.Rule, Mode: reason.Mode}]
			if reason.Mode != "" {
				what = strings.TrimSuffix(reason.Mode+": "+what, ": ")
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", humanize.Comma(reason.Count), reason.Stage, reason.Rule, shorten(what, 120))
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
		text := strings.NewReplacer("<think>", "", "</think>", "").Replace(line.text)
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
	if r.unchanged {
		fmt.Fprintf(w, "  taken     all as it is in snapshot %d: neither pairs nor settings have changed\n", r.before.Number)
	} else if r.takenOver > 0 {
		fmt.Fprintf(w, "  taken     %s of %s as they are in snapshot %d\n", humanize.Comma(r.takenOver), plural(r.snapshot.Counts.Items, "item"), r.before.Number)
	}
}

// doubleLine tells what it cost that machines work side by side.
func doubleLine(w io.Writer, doubles int) {
	if doubles > 0 {
		fmt.Fprintf(w, "  doubles   %s of this dataset so far made by two machines at once: `irgdata stats` has what it cost\n", plural(int64(doubles), "call"))
	}
}

func exportLine(w io.Writer, d *dataset, e exported) {
	if e.refused != nil {
		fmt.Fprintf(w, "  export    none: too few rows for %d × %d readers\n", d.config.Export.Ranks, d.config.Export.Workers)
		return
	}
	state := ""
	if !e.written {
		state = ", as it was"
	}
	fmt.Fprintf(w, "  export    %s  (%s%s)\n", here(e.at), e.purpose(), state)
}

func next(w io.Writer, d *dataset, r result) {
	if d.config.scenesOnOwn() && 2*unasked(r.snapshot.Counts) > r.snapshot.Counts.Items {
		fmt.Fprintf(w, "\nThe model in the box knows coloured shapes and refuses everything else: for your own pairs set `models` in the configuration.\n")
	}
	fmt.Fprintf(w, "\nNext: `irgdata stats` shows what it holds and cost, `irgdata verify --full` reads every byte.\n")
	for _, s := range d.config.Sources {
		if s.Bundled != "" {
			fmt.Fprintf(w, "This was the bundled sample and the model in the box, which draws shapes and is no neural network.\nFor your own pairs and models: `irgdata config init`.\n")
			return
		}
	}
	if r.trainable() && !d.config.preview() {
		fmt.Fprintf(w, "To train: the README.md of the export says how.\n")
	}
}

// trainable reports whether the official trainer's form was written.
func (r result) trainable() bool {
	return slices.ContainsFunc(r.exported, func(e exported) bool { return e.refused == nil && e.m.Form == export.IRG })
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

// shorten keeps one line of at most n characters that a terminal can show.
func shorten(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
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
