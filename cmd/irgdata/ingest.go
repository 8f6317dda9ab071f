package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
)

func ingestCommand() *cobra.Command {
	var f flags
	var peek int
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Read the sources without calling a model; --peek shows their first items",
		Long: `Reads the configured sources, downloads what they name, keeps the images and
remembers what it saw, so that a build begins with the models. It calls none.

With --peek it shows the first items of each source and keeps nothing: the kind
and the fields that were detected, sizes, what was done to captions and images,
and problems.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if _, err := strconv.Atoi(strings.Join(args, " ")); err == nil && cmd.Flags().Changed("peek") {
				return usagef("write --peek=%s", args[0])
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			d := newDataset(c, newLog(cmd.ErrOrStderr()))
			defer func() { err = errors.Join(err, d.close(ctx)) }()
			if cmd.Flags().Changed("peek") {
				return d.peek(ctx, cmd.OutOrStdout(), peek)
			}
			return d.ingest(ctx, cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr()))
		},
	}
	f.addStore(cmd)
	f.addAgain(cmd)
	cmd.Flags().IntVar(&peek, "peek", 5, "show this many items of each source, and keep nothing")
	cmd.Flags().Lookup("peek").NoOptDefVal = "5"
	cmd.Flags().IntVar(&f.limit, "limit", 0, "preview: read at most this many items")
	return cmd
}

// peek shows the first n items of each source. A source that does not fit its
// configuration does not hide the others.
func (d *dataset) peek(ctx context.Context, w io.Writer, n int) error {
	if n < 1 {
		return usagef("--peek %d: want a number of items, at least 1", n)
	}
	d.memory = images.NewMemory(d.config.Ingest.DecodeMemory.Int64())
	if err := d.openIngest(ctx, write); err != nil {
		return err
	}
	var mistakes []error
	for i, feed := range d.feeds {
		s := d.config.Sources[i]
		fmt.Fprintf(w, "%s: %s %s\n", s.Name, ingest.KindOf(feed.Source), s.Path+s.Bundled)
		p, err := ingest.PeekAt(ctx, feed.Source, d.admission, n)
		if err != nil {
			fmt.Fprintf(w, "  PROBLEM %v\n\n", err)
			mistakes = append(mistakes, usage(fmt.Errorf("source %s: %w", s.Name, err)))
			continue
		}
		if p.Fields != "" {
			fmt.Fprintf(w, "  %s\n", p.Fields)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, e := range p.Entries {
			size, what := "–", shorten(e.Prompt, 70)
			if !e.Image.IsZero() {
				size = fmt.Sprintf("%d×%d %s %s", e.Image.Width, e.Image.Height, e.Image.Format, humanize.Bytes(uint64(e.Image.Size)))
			}
			if e.Rule != "" {
				what = fmt.Sprintf("PROBLEM %s: %s", e.Rule, shorten(e.Reason, 120))
			}
			if len(e.Notes) > 0 {
				what += "  [" + shorten(strings.Join(e.Notes, "; "), 60) + "]"
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", shorten(e.Key, 40), size, e.Language, what)
		}
		t.Flush()
		if len(p.Entries) == 0 {
			fmt.Fprintln(w, "  there is nothing in it")
		}
		fmt.Fprintln(w)
	}
	return errors.Join(mistakes...)
}

// ingest reads all sources into the store and says what came of it.
func (d *dataset) ingest(ctx context.Context, w io.Writer, p *progress) error {
	var err error
	if d.store, err = d.openStore(ctx, write); err != nil {
		return err
	}
	if err = d.begin(ctx, "ingest"); err != nil {
		return err
	}
	if _, err := manifests.Identify(ctx, d.store); err != nil {
		return err
	}
	d.images, d.memory = images.NewStore(d.store), images.NewMemory(d.config.Ingest.DecodeMemory.Int64())
	if err := d.openIngest(ctx, write); err != nil {
		return err
	}
	pairs, err := d.pairs(ctx, write, ingest.Inputs{}, p.read)
	if err != nil {
		return err
	}
	var counts manifests.Counts
	reasons := map[manifests.ReasonCount]int64{}
	examples := newExamples()
	size := int64(0)
	for item, err := range pairs {
		if err != nil {
			return err
		}
		counts.Items++
		if r := item.Reject; r != nil {
			reasons[manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule}]++
			examples.reject(*r)
			continue
		}
		counts.Trajectories++
		size += item.Value.Image.Size
	}
	p.end()
	counts.Reasons = manifests.CountReasons(reasons)
	fmt.Fprintf(w, "%s in → %s with %s of images, %s rejected\n\n", plural(counts.Items, "item"), plural(counts.Trajectories, "pair"),
		humanize.Bytes(uint64(size)), humanize.Comma(counts.Items-counts.Trajectories))
	reasonTable(w, counts, examples.byReason)
	fmt.Fprintf(w, "They are in %s: `irgdata build` begins with the models.\n", here(d.store.URL("images")))
	return nil
}
