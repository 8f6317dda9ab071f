package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/benchmarks"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/fetch"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// admission, duplicates and download are the options that stages take.
func (c Config) admission() ingest.AdmissionOptions {
	return ingest.AdmissionOptions{Captions: ingest.CaptionOptions(c.Ingest.Captions), Images: ingest.ImageOptions(c.Ingest.Images)}
}

func (c Config) duplicates() ingest.DuplicateOptions {
	return ingest.DuplicateOptions{ImageDistance: c.Ingest.Duplicates.Images, PromptSimilarity: c.Ingest.Duplicates.Prompts}
}

func (c Config) download() fetch.Options {
	d := c.Ingest.Download
	return fetch.Options{
		PerHost: d.PerHost, Total: c.Ingest.Loaders, Attempts: d.Attempts, Timeout: time.Duration(d.Timeout),
		MaxBytes: d.MaxBytes.Int64(), MaxRedirects: d.MaxRedirects, UserAgent: d.UserAgent,
		AllowPrivate: d.AllowPrivate, IgnoreNoAI: d.IgnoreNoAI,
		Accept: []string{"image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/bmp"},
	}
}

// ingestSettings are the keys of ingest that decide which items become pairs.
func (d *dataset) ingestSettings() map[string]string {
	i := d.config.Ingest
	lists := irgdata.NewDigester("benchmarks/1")
	for _, item := range d.benchmarks {
		lists.Text(item.Benchmark).Text(item.Text).Text(item.Place)
	}
	return map[string]string{
		"benchmarks.files":        lists.Sum().String(),
		"benchmarks.geneval":      strconv.FormatBool(i.Benchmarks.GenEval),
		"benchmarks.containment":  fmt.Sprint(i.Benchmarks.Containment),
		"decode_memory":           i.DecodeMemory.String(),
		"captions.max_characters": strconv.Itoa(i.Captions.MaxCharacters),
		"captions.max_words":      strconv.Itoa(i.Captions.MaxWords),
		"images.min_side":         strconv.Itoa(i.Images.MinSide),
		"images.max_aspect":       fmt.Sprint(i.Images.MaxAspect),
		"images.reencode":         string(i.Images.Reencode),
		"images.quality":          strconv.Itoa(i.Images.Quality),
		"images.any_extension":    strconv.FormatBool(i.Images.AnyExtension),
		"duplicates.images":       strconv.Itoa(i.Duplicates.Images),
		"duplicates.prompts":      fmt.Sprint(i.Duplicates.Prompts),
	}
}

// openIngest opens the sources and what makes pairs of their items. A plan
// downloads nothing.
func (d *dataset) openIngest(ctx context.Context, a access) error {
	var err error
	if d.feeds, err = d.config.feeds(ctx); err != nil {
		return err
	}
	var fetcher *fetch.Fetcher
	if a == write {
		if fetcher, err = fetch.New(d.config.download()); err != nil {
			return usage(err)
		}
		d.closers = append(d.closers, fetcher.Close)
	}
	if d.benchmarks, err = d.config.benchmarkItems(); err != nil {
		return err
	}
	d.admission, err = ingest.NewAdmission(d.config.admission(), d.memory, fetcher)
	return err
}

// benchmarkItems are the prompts of the configured benchmarks.
func (c Config) benchmarkItems() ([]benchmarks.Item, error) {
	var items []benchmarks.Item
	files := c.Ingest.Benchmarks.Files
	for _, name := range slices.Sorted(maps.Keys(files)) {
		of, err := benchmarks.Read(name, c.path(files[name]))
		if err != nil {
			return nil, usage(c.document.Errorf("ingest.benchmarks.files."+name, "%v", err))
		}
		items = append(items, of...)
	}
	return items, nil
}

// contaminated is the hook that rejects prompts of benchmarks; nil if none is
// configured.
func (d *dataset) contaminated() (func(string) (string, float64, bool), error) {
	o := benchmarks.Options{GenEval: d.config.Ingest.Benchmarks.GenEval, Containment: d.config.Ingest.Benchmarks.Containment}
	if len(d.benchmarks) == 0 && !o.GenEval {
		return nil, nil
	}
	m, err := benchmarks.NewMatcher(d.benchmarks, o)
	if err != nil {
		return nil, err
	}
	return m.Contaminated, nil
}

// pairs reads the sources. Pairs of the newest snapshot that is no preview are
// preferred to others that are nearly the same. Saw, unless nil, is called for each item read.
// The inputs are those that were listed before, or none.
func (d *dataset) pairs(ctx context.Context, a access, listed ingest.Inputs, saw func()) (iter.Seq2[irgdata.Item[irgdata.Pair], error], error) {
	members := map[irgdata.Digest]struct{}{}
	latest, inventory, keep := manifests.LatestFull, d.images.Inventory, d.keep
	if d.repairing != nil {
		latest, inventory, keep = d.repairing.LatestFull, d.repairing.Inventory, d.repairing.Restore
	}
	parent, err := latest(ctx, d.store)
	if err != nil && !errors.Is(err, manifests.ErrNoSnapshot) {
		return nil, err
	}
	err = parent.Members.Each(ctx, d.store, func(m manifests.Member) { members[m.ID] = struct{}{} })
	switch {
	case errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrDamaged):
		clear(members)
		d.log.Warn("pairs of the newest snapshot are not preferred to others nearly the same: `irgdata verify --repair` may mend its list", "error", err)
	case err != nil:
		return nil, err
	}
	o := ingest.Options{
		Limits: d.config.download().Limits(), Retry: d.config.retryDownloads, Reread: d.config.reread,
		Limit: d.config.limit, Sample: d.config.sample, Workers: d.config.workers(), Loaders: d.config.Ingest.Loaders,
		Work: d.config.path(d.config.Work), Duplicates: d.config.duplicates(),
		Saw: saw, Unsettled: func() { d.unsettled = true }, Inventory: inventory, Inputs: listed,
		Preferred: func(id irgdata.Digest) bool { _, is := members[id]; return is },
	}
	if o.Contaminated, err = d.contaminated(); err != nil {
		return nil, err
	}
	if d.removed, err = manifests.LoadRemoved(ctx, d.store); err != nil {
		return nil, err
	}
	o.Removed = d.removed
	d.catalog = manifests.NewCatalog(d.store)
	if a != write {
		d.catalog = d.catalog.ReadOnly()
		keep = func(context.Context, []byte) error { return nil }
		if o.Work, err = d.temporary(); err != nil {
			return nil, err
		}
	}
	return d.warnOfEmpty(ingest.Open(ctx, d.feeds, d.admission, o, d.catalog, keep)), nil
}

// warnOfEmpty says which sources gave nothing, when all of them were read.
func (d *dataset) warnOfEmpty(items iter.Seq2[irgdata.Item[irgdata.Pair], error]) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		seen := map[string]bool{}
		for item, err := range items {
			if r := item.Reject; r != nil {
				seen[r.Pair.Source] = true
			} else {
				seen[item.Value.Source] = true
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
		for _, s := range d.config.Sources {
			if !seen[s.Name] && !d.config.preview() {
				d.log.Warn("a source gave nothing: look at it with `irgdata ingest --peek`", "source", s.Name, "path", s.Path+s.Bundled)
			}
		}
	}
}

// feeds opens the configured sources.
func (c Config) feeds(ctx context.Context) ([]ingest.Feed, error) {
	var feeds []ingest.Feed
	for i, s := range c.Sources {
		source, err := c.source(ctx, s)
		if err != nil {
			return nil, usage(c.document.Errorf(fmt.Sprintf("sources[%d]", i), "%v", err))
		}
		feeds = append(feeds, ingest.Feed{Source: source, Place: c.place(s.Path) + "\n" + c.place(s.Images), License: s.License, Limit: s.Limit, Weight: s.Weight})
	}
	return feeds, nil
}

func (c Config) source(ctx context.Context, s Source) (ingest.Source, error) {
	if s.Bundled != "" {
		return ingest.NewFolder(s.Name, scenes.SampleFS(), ".", ingest.Columns{}), nil
	}
	location, err := c.location(ctx, s.Path)
	if err != nil {
		return nil, err
	}
	if err := location.Exists(); err != nil {
		return nil, err
	}
	kind := s.Kind
	if kind == "" {
		if kind, err = ingest.Detect(location); err != nil {
			return nil, err
		}
	}
	var images ingest.File
	if s.Images != "" {
		folder, err := c.location(ctx, s.Images)
		if err != nil {
			return nil, err
		}
		images = ingest.File{FS: folder.FS, Name: folder.Pattern, Root: folder.Root}
	}
	columns := ingest.Columns(s.Columns)
	return ingest.New(kind, s.Name, location, columns, images)
}

// place is the whole address of a source.
func (c Config) place(address string) string {
	if address == "" || strings.HasPrefix(address, "s3://") {
		return strings.TrimSuffix(c.S3.Endpoint+" "+address, "/")
	}
	return filepath.ToSlash(absolute(c.path(strings.TrimPrefix(address, "file://"))))
}

// location opens the file system of an address: the folder above its first
// wildcard, or the folder itself.
func (c Config) location(ctx context.Context, address string) (ingest.Location, error) {
	bucket := strings.HasPrefix(address, "s3://")
	if !bucket {
		address = filepath.ToSlash(c.path(strings.TrimPrefix(address, "file://")))
	}
	base, pattern := splitPattern(address)
	root := base
	var fsys fs.FS
	if bucket {
		store, err := openBucket(ctx, base, c.S3)
		if err != nil {
			return ingest.Location{}, err
		}
		fsys = blob.FS(ctx, store)
	} else {
		fsys = os.DirFS(base)
	}
	if info, err := fs.Stat(fsys, pattern); err == nil && info.IsDir() {
		if fsys, err = fs.Sub(fsys, pattern); err != nil {
			return ingest.Location{}, err
		}
		root, pattern = path.Join(base, pattern), "."
	} else if !strings.ContainsAny(pattern, "*?[{") && err != nil {
		return ingest.Location{}, fmt.Errorf("there is no file or folder %s: mend the path, which begins at the configuration file", address)
	}
	if bucket {
		return ingest.Location{FS: fsys, Pattern: pattern}, nil
	}
	return ingest.Location{FS: fsys, Pattern: pattern, Root: filepath.ToSlash(absolute(root))}, nil
}

// splitPattern parts an address before its last element, or before its first
// one with a wildcard.
func splitPattern(address string) (base, pattern string) {
	if address == "/" {
		return "/", "."
	}
	address = strings.TrimSuffix(address, "/")
	scheme := ""
	if at := strings.Index(address, "://"); at >= 0 {
		scheme, address = address[:at+3], address[at+3:]
	}
	parts := strings.Split(address, "/")
	n := len(parts) - 1
	for i, part := range parts {
		if strings.ContainsAny(part, "*?[{") {
			n = i
			break
		}
	}
	if scheme != "" && n == 0 { // a bucket alone
		return scheme + address, "."
	}
	base = strings.Join(parts[:n], "/")
	if base == "" && scheme == "" {
		base = "."
		if strings.HasPrefix(address, "/") {
			base = "/"
		}
	}
	return scheme + base, path.Join(parts[n:]...)
}
