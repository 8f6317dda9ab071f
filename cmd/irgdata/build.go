package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

func buildCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:     "build",
		Aliases: []string{"refresh"},
		Short:   "Read pairs, annotate, filter, publish a snapshot and export it",
		Long: `Reads the configured pairs, makes the model calls that are not in the ledger
yet, filters, publishes a snapshot, and exports it for the trainer.

With nothing configured it takes the bundled sample and the model in the box,
and writes to ./irgl-out. It can be stopped at any time; the same command goes
on where it was and repeats no finished call.

Over a dataset that is there already it is a refresh, which is another name of
this command: new and changed pairs are annotated, calls and downloads that
failed are tried again, and the summary says what became of the pairs. A file
whose name, size and time of change are what they were is taken to be unchanged;
--reread reads everything again, and makes no call again whose inputs are the same.

Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 done,
with more rejects than max_rejects; 75 done, but some calls got no answer: run
it again; 130 interrupted.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err == nil {
				err = c.checkMix()
			}
			if err != nil {
				return err
			}
			return build(cmd.Context(), cmd, c)
		},
	}
	f.addBuild(cmd)
	f.addAgain(cmd)
	f.addExport(cmd)
	return cmd
}

// result is what a build did.
type result struct {
	snapshot  manifests.Snapshot
	published bool
	exported  []exported
	calls     annotate.Count
	doubles   int                // calls of the dataset that two machines made at once, so far
	before    manifests.Snapshot // the snapshot that was built upon; number 0 for none
	diff      manifests.Diff     // from before to snapshot, if one was published
	examples  *examples
	unchanged bool  // nothing had changed, and nothing was made
	takenOver int64 // items of parts that had not changed
	elapsed   time.Duration
}

// build runs the pipeline and says what came of it.
func build(ctx context.Context, cmd *cobra.Command, c Config) (err error) {
	d, err := openDataset(ctx, c, write, newLog(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, d.close(ctx))
		}
	}()
	progress := newProgress(cmd.ErrOrStderr())
	defer progress.end()
	defer context.AfterFunc(ctx, func() {
		if len(d.pools) > 0 {
			progress.end()
			d.log.Warn("model calls under way are waited for, since they are paid for: interrupt again to stop at once")
		}
	})()
	start := time.Now()

	r, err := d.run(ctx, progress)
	if errors.Is(err, manifests.ErrBudget) {
		progress.end()
		u := d.annotator.Used()
		return &exitError{exitTryAgain, fmt.Errorf("%w. It made %s (%s GPU hours, cost %s); they are kept, and the same command goes on from here",
			err, plural(int64(u.Calls), "call"), humanize.Ftoa(round(u.GPUSeconds/3600)), humanize.Ftoa(round(u.Cost)))}
	}
	if err != nil {
		return err
	}
	// All is put in order before a word is said: whoever reads the summary may be
	// gone.
	closed = true
	if err := d.close(ctx); err != nil {
		return err
	}
	progress.end()
	r.elapsed = time.Since(start)
	summarize(cmd.OutOrStdout(), d, r)
	return verdict(c, r)
}

// run is the way of a pair from its source to the export.
func (d *dataset) run(ctx context.Context, p *progress) (r result, err error) {
	r.before, err = manifests.LatestFull(ctx, d.store)
	if err != nil && !errors.Is(err, manifests.ErrNoSnapshot) {
		return r, err
	}
	if err := manifests.CheckRemovals(ctx, d.store); err != nil { // before anything is paid for
		return r, err
	}
	b, err := d.openBase(ctx, r.before)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.previous.Close()) }()
	content, parts := b.snapshot.Content, b.from.Parts
	r.examples = newExamples()
	if r.unchanged = d.unchanged(b); !r.unchanged {
		if content, parts, err = d.content(ctx, p, r.examples, b); err != nil {
			return r, err
		}
	}
	// A lost machine must not lose what a snapshot was made of.
	if err := d.sharing.Push(ctx); err != nil {
		return r, err
	}
	// What this run found in the store is there only as long as no other run
	// took it for dead.
	if err := d.mark.Held(ctx); err != nil {
		return r, tryAgain(err)
	}
	r.snapshot, r.published, err = manifests.Commit(ctx, d.store, content)
	if errors.Is(err, manifests.ErrRemovedMeanwhile) {
		return r, &exitError{exitTryAgain, fmt.Errorf("%w: run the same command again, its calls are kept", err)}
	}
	if err != nil {
		return r, err
	}
	if err := d.count(ctx, &r, b, parts); err != nil {
		return r, err
	}
	if r.published || !r.unchanged {
		if err := d.keepAccount(ctx, r.snapshot); err != nil {
			return r, err
		}
		if err := d.keepProvenance(ctx, b, r, parts); err != nil {
			return r, err
		}
	}
	if r.published && r.before.Number > 0 {
		if r.diff, err = manifests.Compare(ctx, d.store, r.before, r.snapshot); err != nil {
			return r, err
		}
	}
	p.phase("exporting")
	r.exported, err = d.exports(ctx, r.snapshot)
	return r, err
}

// count counts the calls of a run, and what it did not look at again.
func (d *dataset) count(ctx context.Context, r *result, b base, parts []manifests.Part) error {
	r.calls = d.annotator.Tally().Total()
	if r.unchanged {
		r.calls.Reused = int(b.from.Calls)
	} else {
		for _, part := range parts {
			if b.previous.Knows(part.Key) {
				r.takenOver += part.Counts.Items
				r.calls.Reused += int(part.Calls)
			}
		}
	}
	doubles, err := d.ledger.Doubles(ctx)
	for _, of := range doubles {
		r.doubles += of.Calls
	}
	return err
}

// content goes that way up to the shards, of which nothing is published yet. It
// takes over what is known of the snapshot before.
func (d *dataset) content(ctx context.Context, p *progress, examples *examples, b base) (content manifests.Content, parts []manifests.Part, err error) {
	pairs, err := d.pairs(ctx, write, b.inputs, p.read)
	if err != nil {
		return content, nil, err
	}
	if d.inParts() {
		pairs = export.Cut(pairs, b.partKey, d.parts, b.previous.Knows)
	}
	trajectories := d.annotator.Run(ctx, pairs)
	judged := filter.Run(ctx, trajectories, filter.Options{Modes: d.modes, Rules: d.rules, Workers: d.config.workers(), Memory: d.memory, Scores: d.scores}, d.images)
	judged = filter.Select(ctx, judged, d.selectOptions())
	content, parts, err = export.WriteShards(ctx, watch(judged, p.judged(d.annotator.Tally(), examples)), d.images, d.store, b.previous, d.shardOptions())
	if err != nil {
		return content, nil, err
	}
	if content.Counts.Items == 0 {
		return content, nil, errors.New("build: the sources hold no images: check the paths in the configuration")
	}
	content.Settings = d.settings()
	content.Configuration, err = content.Settings.Digest()
	return content, parts, err
}

// keepAccount puts beside a snapshot what the dataset has cost until now.
func (d *dataset) keepAccount(ctx context.Context, s manifests.Snapshot) error {
	account, err := d.account(ctx, s.Settings)
	if err != nil {
		return err
	}
	return manifests.PutAccount(ctx, d.store, s.Number, account)
}

// keep puts the image of a pair into the store.
func (d *dataset) keep(ctx context.Context, encoded []byte) error {
	_, err := d.images.Put(ctx, encoded)
	return err
}

// exported says where an export is, or why there is none.
type exported struct {
	at      string
	written bool
	m       export.Manifest
	refused error // the layout cannot be: too few rows
}

// exports writes the snapshot in each format that is wanted.
func (d *dataset) exports(ctx context.Context, s manifests.Snapshot) (all []exported, err error) {
	for _, format := range d.config.Export.Formats {
		e, err := d.export(ctx, s, format)
		if err != nil {
			return all, err
		}
		all = append(all, e)
		if lacks := e.lacks(); lacks != "" {
			d.log.Warn("training fails on this export alone, unless it is mixed with other data: " + lacks)
		}
	}
	return all, nil
}

// lacks says what every pack of the trainer needs and no exported mode brings, ""
// for none.
func (e exported) lacks() string {
	if e.refused != nil || e.m.Form != export.IRG {
		return ""
	}
	var details []string
	for _, l := range loader.Lacks(slices.DeleteFunc(modes.All(), func(m modes.Mode) bool {
		return !slices.ContainsFunc(e.m.Modes, func(f export.ModeFiles) bool { return f.Mode == m.Name })
	})) {
		details = append(details, l.Detail)
	}
	return strings.Join(details, "; ")
}

// export writes the snapshot in a format. Too few rows for the trainer's are no
// error of the build: the snapshot is published, and the summary says what to
// do.
func (d *dataset) export(ctx context.Context, s manifests.Snapshot, format export.Format) (e exported, err error) {
	to, remote := d.config.Export.To, strings.Contains(d.config.Export.To, "://")
	name := format.Folder(s.Number)
	if format == export.IRG {
		name = export.Name(s.Number, d.config.Export.Ranks, d.config.Export.Workers)
	}
	e.at = filepath.Join(d.config.path(to), name)
	root := absolute(e.at)
	if remote {
		e.at = strings.TrimSuffix(to, "/") + "/" + name
		root = e.at
	}
	write, err := d.exporter(s, format, root)
	if err != nil {
		return e, err
	}
	fill := func(ctx context.Context, dest blob.Store) (err error) {
		e.m, e.written, err = write(ctx, dest)
		return err
	}
	if remote {
		var dest blob.Store
		if dest, err = openBucket(ctx, e.at, d.config.S3); err != nil {
			return e, err
		}
		if _, err := dest.Sweep(ctx, 24*time.Hour); err != nil {
			d.log.Warn("what interrupted exports left could not be removed", "error", err)
		}
		err = export.ToBucket(ctx, dest, fill)
	} else {
		err = export.ToFolder(ctx, e.at, fill)
	}
	if errors.Is(err, export.ErrBusy) {
		err = &exitError{exitTryAgain, err}
	}
	return e.unless(err)
}

// exporter is what writes the snapshot in a format, to be read from root.
func (d *dataset) exporter(s manifests.Snapshot, format export.Format, root string) (func(context.Context, blob.Store) (export.Manifest, bool, error), error) {
	if format == export.IRG {
		o, err := d.irgOptions(root)
		return func(ctx context.Context, dest blob.Store) (export.Manifest, bool, error) {
			return export.WriteIRG(ctx, d.store, s, dest, o)
		}, err
	}
	c := d.config
	o := export.Options{Format: format, Selection: c.Export.selection(), Prompts: d.prompts, Work: c.path(c.Work), Renderers: c.workers()}
	return func(ctx context.Context, dest blob.Store) (export.Manifest, bool, error) {
		return export.Write(ctx, d.store, s, dest, o)
	}, nil
}

// unless keeps an error that says that there are too few rows. A selection that
// does not fit the snapshot is a mistake of the user.
func (e exported) unless(err error) (exported, error) {
	var few *export.TooFewRowsError
	var mistake *export.SelectionError
	switch {
	case errors.As(err, &few):
		e.refused, err = few, nil
	case errors.As(err, &mistake):
		err = usage(err)
	}
	return e, err
}

// unasked counts the rejected items that nobody asked to remove.
func unasked(c manifests.Counts) int64 {
	n := c.Rejected
	for _, r := range c.Reasons {
		if r.Stage == "ingest" && r.Rule == "removed" {
			n -= r.Count
		}
	}
	return n
}

// verdict turns what a finished build found into its exit code.
func verdict(c Config, r result) error {
	counts := r.snapshot.Counts
	switch {
	case r.calls.Failed > 0:
		return &exitError{exitTryAgain, fmt.Errorf("%s got no answer from their model: run the same command again, it asks just those again", plural(int64(r.calls.Failed), "call"))}
	case float64(unasked(counts)) > c.MaxRejects*float64(counts.Items):
		return &exitError{exitRejects, fmt.Errorf("%d of %d items were rejected, more than max_rejects %v allows: see the reasons above, and `irgdata stats`", unasked(counts), counts.Items, c.MaxRejects)}
	}
	for _, e := range r.exported {
		if e.refused != nil {
			return fmt.Errorf("the snapshot is published and nothing was exported for the trainer: %w", e.refused)
		}
	}
	return nil
}
