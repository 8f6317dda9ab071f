package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/irgdata/irgdata/manifests"
)

// topReasons is how many reasons a line of a funnel names.
const topReasons = 4

// funnelTable shows how the items came through the stages.
func funnelTable(w io.Writer, c manifests.Counts) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  stage\tin\tout\tshare\trejected by\n")
	funnelLines(t, "", c.Funnels[0])
	t.Flush()
	fmt.Fprintln(w)
}

// modeFunnels show where each mode was lost after ingest, which is the same for
// all.
func modeFunnels(w io.Writer, c manifests.Counts) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  mode\tstage\tin\tout\tshare\tlost by\n")
	for _, f := range c.Funnels[1:] {
		f.Stages = f.Stages[1:]
		funnelLines(t, f.Mode+"\t", f)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// funnelLines write the stages; that of selection only where it took something.
func funnelLines(w io.Writer, before string, f manifests.Funnel) {
	for i, s := range f.Stages {
		if i == len(f.Stages)-1 && s.In == s.Out {
			continue
		}
		fmt.Fprintf(w, "  %s%s\t%s\t%s\t%s\t%s\n", before, s.Stage, humanize.Comma(s.In), humanize.Comma(s.Out), share(s.Out, s.In), ruleList(s.Reasons))
		if before != "" {
			before = "\t" // the name stands once
		}
	}
}

// share is a part in percent, one that is not all or nothing as neither.
func share(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	percent := 100 * float64(part) / float64(whole)
	switch {
	case part > 0 && percent < 0.1:
		return "<0.1%"
	case part < whole && percent > 99.9:
		return ">99.9%"
	}
	return fmt.Sprintf("%.1f%%", percent)
}

// ruleList names the most frequent rules with their counts.
func ruleList(rules []manifests.RuleCount) string {
	var list []string
	for i, r := range rules {
		if i == topReasons {
			var others int64
			for _, r := range rules[i:] {
				others += r.Count
			}
			list = append(list, fmt.Sprintf("others %s", humanize.Comma(others)))
			break
		}
		list = append(list, fmt.Sprintf("%s %s", r.Rule, humanize.Comma(r.Count)))
	}
	return strings.Join(list, ", ")
}

// warningLine tells what was warned of, if anything.
func warningLine(w io.Writer, c manifests.Counts) {
	if len(c.Warnings) > 0 {
		fmt.Fprintf(w, "  warnings on kept trajectories, by rule: %s\n\n", ruleList(c.Warnings))
	}
}

// lengthTable shows histograms, from the shortest to the longest class that
// holds anything.
func lengthTable(w io.Writer, c manifests.Counts) {
	if len(c.Lengths) == 0 {
		return
	}
	first, last := -1, 0
	for _, h := range c.Lengths {
		for i, n := range h.Counts {
			if n > 0 && (first < 0 || i < first) {
				first = i
			}
		}
		last = max(last, len(h.Counts)-1)
	}
	first = max(first, 0)
	widest := 0
	for _, h := range c.Lengths {
		widest = max(widest, len(h.Name))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "  %-*s\tmean\tmost\t", widest, "lengths")
	for i := first; i <= last; i++ {
		fmt.Fprintf(t, "<%d\t", 1<<i)
	}
	fmt.Fprintln(t)
	for _, h := range c.Lengths {
		var n int64
		for _, c := range h.Counts {
			n += c
		}
		fmt.Fprintf(t, "  %-*s\t%s\t%s\t", widest, h.Name, humanize.Comma(h.Sum/max(n, 1)), humanize.Comma(h.Most))
		for i := first; i <= last; i++ {
			count := int64(0)
			if i < len(h.Counts) {
				count = h.Counts[i]
			}
			fmt.Fprintf(t, "%s\t", dash(count))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Fprintln(w)
}
