package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

func gcCommand() *cobra.Command {
	var f flags
	var o manifests.CollectOptions
	var grace string
	var tagged, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete what no snapshot, no recorded call and no source needs",
		Long: `Deletes objects of the store that nobody needs and that are older than the grace
period: shards of builds that were broken off or of expired snapshots, and
records of sources that newer ones replace. Images stay, but for removed ones.

It needs the store for itself: while a build or another run is at it, gc ends
with code 75 and deletes nothing. A run that was killed on another machine counts
as dead after ten minutes.

Snapshots are only given up when that is asked for. --keep N expires all but the
N newest and the tagged ones, --keep-tagged all but the newest and the tagged
ones. Their numbers and counts stay in 'irgdata log'; their rows are gone.

--removed makes 'irgdata remove' final: it expires every snapshot from before the
newest removal, tagged or not, and deletes what they alone hold at once, without a
grace period; and of removed pairs their images, what models said and painted for
them, and their texts and addresses in the catalog. It names the exports in
export.to that hold some.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if o.Grace, err = parseAge(grace); err != nil {
				return err
			}
			given := cmd.Flags().Changed
			switch {
			case given("keep") && o.Keep < 1:
				return usagef("--keep %d: want a number of snapshots, at least 1", o.Keep)
			case given("keep") && tagged:
				return usagef("--keep and --keep-tagged: want one of them")
			case tagged:
				o.Keep = 1
			}
			return withDataset(cmd, c, ledger, func(ctx context.Context, d *dataset) error {
				done, err := d.collect(ctx, o)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), done)
				}
				d.printCollected(ctx, cmd.OutOrStdout(), done, o)
				return nil
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().StringVar(&grace, "grace", "7d", "spare what is younger: 7d, 12h, 0 (only if no broken-off build is to go on)")
	cmd.Flags().IntVar(&o.Keep, "keep", 0, "expire all snapshots but so many of the newest, and tagged ones")
	cmd.Flags().BoolVar(&tagged, "keep-tagged", false, "expire all snapshots but the newest and tagged ones")
	cmd.Flags().BoolVar(&o.Removed, "removed", false, "expire the snapshots from before the newest removal, and delete what was removed")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be deleted, and delete nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// parseAge reads 7d, 12h or 0.
func parseAge(text string) (time.Duration, error) {
	var days float64
	if number, is := strings.CutSuffix(text, "d"); is {
		if _, err := fmt.Sscanf(number, "%g", &days); err != nil || !(days >= 0 && days < 36500) || strings.TrimLeft(number, "0123456789.") != "" {
			return 0, usagef("--grace %q: want an age such as 7d or 12h", text)
		}
		return time.Duration(days * 24 * float64(time.Hour)), nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < 0 {
		return 0, usagef("--grace %q: want an age such as 7d or 12h", text)
	}
	return age, nil
}

// collect deletes what nobody needs.
func (d *dataset) collect(ctx context.Context, o manifests.CollectOptions) (done manifests.Collected, err error) {
	if err := d.present(); err != nil {
		return done, err
	}
	var run *manifests.Run
	if !o.DryRun {
		// A build of this work folder has calls that no other machine knows of.
		if err := d.lockWork(ctx); err != nil {
			return done, err
		}
		sweepTemporary()
		if run, err = manifests.BeginAlone(ctx, d.store, "gc"); err != nil {
			return done, tryAgain(err)
		}
		defer func() { err = errors.Join(err, run.End(ctx)) }()
		// Calls that were recorded since the ledger was opened.
		if _, err := d.ledger.Pull(ctx, d.store); err != nil {
			return done, err
		}
	}
	done, err = manifests.Collect(ctx, d.store, run, o, func(ctx context.Context, before []manifests.Snapshot, going []manifests.Shard) (manifests.Needs, manifests.CollectedPurge, error) {
		return d.purge(ctx, before, going, o.DryRun)
	})
	return done, tryAgain(err)
}

// tryAgain gives errors that pass by the exit code that says so.
func tryAgain(err error) error {
	for _, passes := range []error{manifests.ErrRunning, manifests.ErrTakenForDead, manifests.ErrRemovedMeanwhile} {
		if errors.Is(err, passes) {
			return &exitError{exitTryAgain, err}
		}
	}
	return err
}

// purge takes out of the ledger and the catalog what they say of removed pairs, of
// which some have rows in shards that are going, and says which images are needed:
// the answers of calls, and those of items in the catalog that were not removed.
func (d *dataset) purge(ctx context.Context, before []manifests.Snapshot, going []manifests.Shard, dry bool) (needs manifests.Needs, done manifests.CollectedPurge, err error) {
	removed, err := manifests.LoadRemoved(ctx, d.store)
	if err != nil {
		return needs, done, err
	}
	catalog := manifests.NewCatalog(d.store)
	pairs, images := newRemains(), newRemains()
	err = ingest.Known(ctx, catalog, removed, func(p irgdata.Pair, gone bool) {
		pairs.see(p.ID, gone)
		images.see(p.Image.Digest, gone)
	})
	if err != nil {
		return needs, done, err
	}
	// A source that the catalog does not keep may have a pair, too.
	newest, err := manifests.Latest(ctx, d.store)
	if err == nil {
		err = newest.Members.Each(ctx, d.store, func(m manifests.Member) { pairs.see(m.ID, false) })
	}
	if err != nil && !errors.Is(err, manifests.ErrNoSnapshot) {
		return needs, done, err
	}
	ids, calls, unread, err := manifests.RemovedRows(ctx, d.store, going, func(p irgdata.Pair) bool {
		removal, _ := removed.Pair(p)
		return removal != nil && !pairs.stays[p.ID]
	})
	if err != nil {
		return needs, done, err
	}
	done.Unread = unread
	for _, id := range slices.Concat(ids, removed.IDs()) {
		pairs.see(id, true)
	}
	for _, image := range removed.Images() {
		images.see(image, true)
	}
	purged, err := manifests.Purge(ctx, d.store, d.ledger, manifests.PurgeOptions{Pairs: pairs.removed(), Calls: calls, DryRun: dry})
	if err != nil {
		return needs, done, err
	}
	done.Calls = purged.Calls
	if done.Items, err = ingest.Purge(ctx, catalog, removed, dry); err != nil {
		return needs, done, err
	}
	if err := d.ledger.Painted(ctx, purged, func(ref irgdata.ImageRef) { images.see(ref.Digest, false) }); err != nil {
		return needs, done, err
	}
	exports := d.listExports(ctx)
	for _, s := range before {
		if len(exports[s.Number]) == 0 {
			continue
		}
		holds := false
		err := s.Members.Each(ctx, d.store, func(m manifests.Member) { holds = holds || pairs.gone[m.ID] && !pairs.stays[m.ID] })
		if ctx.Err() != nil {
			return needs, done, ctx.Err()
		}
		if holds || err != nil {
			done.Exports = append(done.Exports, exports[s.Number]...)
		}
	}
	needs.RemovedImage = func(image irgdata.Digest) bool { return images.gone[image] || purged.Image(image) }
	needs.Image = func(image irgdata.Digest) bool { return images.stays[image] }
	return needs, done, nil
}

// remains are digests of pairs or images that were removed, and of those that stay:
// what is both stays.
type remains struct{ gone, stays map[irgdata.Digest]bool }

func newRemains() remains {
	return remains{map[irgdata.Digest]bool{}, map[irgdata.Digest]bool{}}
}

func (r remains) see(d irgdata.Digest, gone bool) {
	switch {
	case d.IsZero():
	case gone:
		r.gone[d] = true
	default:
		r.stays[d] = true
	}
}

// removed lists what does not stay.
func (r remains) removed() (list []irgdata.Digest) {
	for d := range r.gone {
		if !r.stays[d] {
			list = append(list, d)
		}
	}
	return list
}

func (d *dataset) printCollected(ctx context.Context, w io.Writer, done manifests.Collected, o manifests.CollectOptions) {
	verb := "Deleted"
	if o.DryRun {
		verb = "Would delete"
	}
	if len(done.Expired) > 0 {
		var names []string
		for _, n := range done.Expired {
			names = append(names, fmt.Sprint(n))
		}
		state := "Expired"
		if o.DryRun {
			state = "Would expire"
		}
		fmt.Fprintf(w, "%s: snapshot %s. Numbers and counts stay in the log.\n", state, strings.Join(names, ", "))
		if !o.Removed {
			exports := d.listExports(ctx)
			for _, n := range done.Expired {
				for _, e := range exports[n] {
					fmt.Fprintf(w, "Its export is a copy that gc leaves: delete %s yourself.\n", here(e))
				}
			}
		}
	}
	p := done.Purged
	for _, e := range p.Exports {
		fmt.Fprintf(w, "An export may hold what was removed, and is a copy that gc leaves: delete %s yourself.\n", here(e))
	}
	for _, key := range p.Unread {
		fmt.Fprintf(w, "%s could not be read: calls of an older irgdata that only it names may be left.\n", d.store.URL(key))
	}
	if p.Calls+p.Items > 0 {
		fmt.Fprintf(w, "%s of removed pairs: %s in the ledger, and texts and addresses of %s in the catalog.\n", verb, plural(int64(p.Calls), "answer"), plural(int64(p.Items), "item"))
	}
	var objects, size int64
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, k := range done.Kinds {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", k.Folder, plural(k.Objects, "object"), humanize.Bytes(uint64(k.Bytes)))
		objects, size = objects+k.Objects, size+k.Bytes
	}
	t.Flush()
	if objects == 0 {
		what := "Nothing"
		if p.Calls+p.Items > 0 {
			what = "No object"
		}
		fmt.Fprint(w, what+" is to be deleted")
	} else {
		fmt.Fprintf(w, "%s %s with %s", verb, plural(objects, "object"), humanize.Bytes(uint64(size)))
	}
	if done.Spared > 0 {
		fmt.Fprintf(w, "; spared as too young: %s that nobody needs", plural(done.Spared, "object"))
	}
	fmt.Fprintln(w, ".")
}

// listExports lists what is in export.to, by snapshot. Exports are copies, so gc goes on
// where they cannot be listed, and a warning says that nobody has looked at them.
func (d *dataset) listExports(ctx context.Context) map[int][]string {
	to := d.config.Export.To
	names, err := exportNames(ctx, d.config)
	if err != nil {
		d.log.Warn("exports were not looked at, and may hold what was deleted from the store: look there yourself", "at", to, "error", err)
	}
	found := map[int][]string{}
	for _, name := range names {
		number := 0
		if _, err := fmt.Sscanf(name, "snapshot-%d-", &number); err != nil {
			continue // none of ours
		}
		at := strings.TrimSuffix(to, "/") + "/" + name
		if !strings.Contains(to, "://") {
			at = filepath.Join(d.config.path(to), name)
		}
		found[number] = append(found[number], at)
	}
	return found
}

// exportNames are the folders in export.to, whole or not.
func exportNames(ctx context.Context, c Config) (names []string, err error) {
	if !strings.Contains(c.Export.To, "://") {
		entries, err := os.ReadDir(c.path(c.Export.To))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names, err
	}
	store, err := openBucket(ctx, c.Export.To, c.S3)
	if err != nil {
		return nil, err
	}
	for o, err := range store.List(ctx, "snapshot-") {
		if err != nil {
			return names, err
		}
		if name, _, _ := strings.Cut(o.Key, "/"); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names, nil
}
