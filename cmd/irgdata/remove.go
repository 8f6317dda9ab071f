package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

func removeCommand() *cobra.Command {
	var f flags
	var ids, images []string
	var r manifests.Removal
	var recordOnly, dryRun bool
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Take pairs out for good: by identity, image, address or source",
		Long: `Records in the store that pairs must not be in the dataset, and builds a
snapshot without them. Every later build keeps them out, on every machine; a
removal is never taken back.

  --ids ID,…       these pairs, by identity or its beginning, as 'irgdata rejects'
                   and 'irgdata why' print it; --ids @FILE reads one a line
  --image DIGEST   every pair of the image with this SHA-256
  --url URL        every pair of the image that came from there, from wherever
                   else it came too
  --source NAME    all of a source

A pair that looks like a removed one, or says the same, stays out with it; not
where the whole source was removed. The rejects name the place of removed pairs
and nothing of what they say.

The bytes are in earlier snapshots still. 'irgdata gc --removed' expires these
and deletes them, and what models said and painted.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if len(ids)+len(images)+len(r.URLs)+len(r.Sources) == 0 {
				return usagef("want what to remove: --ids, --image, --url or --source")
			}
			for _, text := range images {
				d, err := irgdata.ParseDigest(text)
				if err != nil {
					return usagef("--image: %v", err)
				}
				r.Images = append(r.Images, d)
			}
			for i, address := range r.URLs { // as datasets keep them
				if r.URLs[i] = ingest.WithoutSecrets(address); r.URLs[i] == "" {
					return usagef("--url %q: want the address of an image", address)
				}
			}
			if err := record(cmd.Context(), cmd, c, &r, ids, dryRun); err != nil || dryRun {
				return err
			}
			if recordOnly {
				fmt.Fprintf(cmd.OutOrStdout(), "The next `irgdata build` publishes a snapshot without them.\n")
				return nil
			}
			return build(cmd.Context(), cmd, c)
		},
	}
	f.addBuild(cmd)
	f.addExport(cmd)
	cmd.Flags().StringSliceVar(&ids, "ids", nil, "identities of pairs, or @FILE")
	cmd.Flags().StringSliceVar(&images, "image", nil, "SHA-256 of images")
	cmd.Flags().StringArrayVar(&r.URLs, "url", nil, "addresses of images")
	cmd.Flags().StringSliceVar(&r.Sources, "source", nil, "names of sources")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the record: it is in the rejects")
	cmd.Flags().IntVar(&r.Number, "again", 0, "record it in the place of the removal of this number, which is lost")
	cmd.Flags().BoolVar(&recordOnly, "record-only", false, "record it, and leave the new snapshot to the next build")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be recorded, and record nothing")
	return cmd
}

// record puts the removal into the store and says what it takes out.
func record(ctx context.Context, cmd *cobra.Command, c Config, r *manifests.Removal, ids []string, dryRun bool) (err error) {
	d, err := openDataset(ctx, c, store, newLog(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	if err := d.present(); err != nil {
		return err
	}
	if ids, err = identities(ids); err != nil {
		return err
	}
	if r.IDs, err = d.complete(ctx, ids); err != nil {
		return err
	}
	if err := d.checkSources(ctx, r.Sources); err != nil {
		return err
	}
	// An image that came from the address is known by its digest from now on,
	// wherever it comes from.
	found := map[irgdata.Digest]bool{}
	err = ingest.Known(ctx, manifests.NewCatalog(d.store), nil, func(p irgdata.Pair, _ bool) {
		if p.URL != "" && slices.Contains(r.URLs, p.URL) && !p.Image.IsZero() {
			found[p.Image.Digest] = true
		}
	})
	if err != nil {
		return err
	}
	for image := range found {
		if !slices.Contains(r.Images, image) {
			r.Images = append(r.Images, image)
		}
	}
	slices.SortFunc(r.Images, func(a, b irgdata.Digest) int { return slices.Compare(a[:], b[:]) })
	what := describe(*r)
	if dryRun {
		fmt.Fprintf(cmd.OutOrStdout(), "Would remove %s.\n", what)
		return nil
	}
	if err := d.begin(ctx, "remove"); err != nil {
		return err
	}
	if *r, err = manifests.PutRemoval(ctx, d.store, *r); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Removal %d is recorded: %s.\n", r.Number, what)
	return nil
}

func describe(r manifests.Removal) string {
	var parts []string
	for _, p := range []struct {
		n    int
		noun string
	}{{len(r.IDs), "pair"}, {len(r.Images), "image"}, {len(r.URLs), "address"}, {len(r.Sources), "source"}} {
		switch {
		case p.n == 0:
		case p.noun == "address" && p.n > 1:
			parts = append(parts, fmt.Sprintf("%d addresses", p.n))
		default:
			parts = append(parts, plural(int64(p.n), p.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// identities reads the files that are among the identities.
func identities(ids []string) ([]string, error) {
	var all []string
	for _, id := range ids {
		name, isFile := strings.CutPrefix(id, "@")
		if !isFile {
			all = append(all, strings.TrimSpace(id))
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, usagef("--ids: %v", err)
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" {
				all = append(all, line)
			}
		}
		err = lines.Err()
		file.Close() // it was only read
		if err != nil {
			return nil, usagef("--ids: read %s: %v", name, err)
		}
	}
	return all, nil
}

// complete finds the pairs whose identities begin so, in the snapshots that
// have not expired. A whole identity need not be in one.
func (d *dataset) complete(ctx context.Context, ids []string) ([]irgdata.Digest, error) {
	var whole []irgdata.Digest
	var parts []string
	for _, id := range ids {
		switch digest, err := irgdata.ParseDigest(id); {
		case err == nil:
			whole = append(whole, digest)
		case len(id) < minPrefix || strings.Trim(id, "0123456789abcdef") != "":
			return nil, usagef("--ids: %.80q is no identity of a pair: want %d to 64 hexadecimal digits, or @FILE", id, minPrefix)
		default:
			parts = append(parts, id)
		}
	}
	if len(parts) == 0 {
		return whole, nil
	}
	found := map[string]map[irgdata.Digest]bool{}
	for _, part := range parts {
		found[part] = map[irgdata.Digest]bool{}
	}
	numbers, err := manifests.Numbers(ctx, d.store)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		s, err := manifests.LoadWhole(ctx, d.store, n)
		if errors.Is(err, manifests.ErrExpired) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = s.Members.Each(ctx, d.store, func(m manifests.Member) {
			id := m.ID.String()
			for _, part := range parts {
				if strings.HasPrefix(id, part) {
					found[part][m.ID] = true
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, part := range parts {
		if len(found[part]) != 1 {
			return nil, usagef("--ids: %s is the beginning of %s: want that of one pair in a snapshot", part, plural(int64(len(found[part])), "identity"))
		}
		for id := range found[part] {
			whole = append(whole, id)
		}
	}
	return whole, nil
}

// checkSources refuses a name that no source has or had: a slip would remove
// nothing, for ever.
func (d *dataset) checkSources(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, s := range d.config.Sources {
		known[s.Name] = true
	}
	numbers, err := manifests.Numbers(ctx, d.store)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		s, err := manifests.Load(ctx, d.store, n)
		if err != nil {
			return err
		}
		for _, source := range s.Settings.Sources {
			known[source.Name] = true
		}
	}
	for _, name := range names {
		if !known[name] {
			return usagef("--source %s: no source of the configuration or of a snapshot has that name", name)
		}
	}
	return nil
}

// removedLine tells what is left to do after a removal.
func removedLine(w io.Writer, s manifests.Snapshot, before manifests.Snapshot) {
	if s.Settings.Removals > before.Settings.Removals && before.Number > 0 {
		fmt.Fprintf(w, "\nEarlier snapshots still hold what was removed: `irgdata gc --removed` expires them and deletes the bytes.\n")
	}
}
