package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/benchmarks"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/config"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/lock"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/pool"
)

// dataset is an opened configuration: the stores, the ledger and the stages'
// options. One goroutine uses it; it is closed once.
type dataset struct {
	config  Config
	store   blob.Store
	images  *images.Store
	ledger  *manifests.Ledger
	scores  *manifests.Scores  // nil when the ledger is only read
	sharing *manifests.Sharing // nil when the ledger is only read
	mark    *manifests.Run     // marks a run that writes; nil when the store is only read
	log     *slog.Logger

	memory     *images.Memory // of decoded images, in all stages
	feeds      []ingest.Feed
	admission  *ingest.Admission
	benchmarks []benchmarks.Item  // prompts that must not be trained on
	removed    *manifests.Removed // as of when the pairs were read
	catalog    *manifests.Catalog // from which they were read
	unsettled  bool               // another reading of the same sources could give other pairs
	parts      export.PartSizes
	prompts    modes.Prompts
	modes      []modes.Mode
	rules      []filter.Rule
	annotator  *annotate.Annotator
	pools      []*pool.Pool // of models behind servers
	closers    []func()
	// repairing, unless nil, is the damage that is being mended: damaged images
	// are read from the sources again.
	repairing *manifests.Report
	absent    bool // the store's folder is not there, and an empty one stands in

	// openStore and openModel open the configured store and the named model;
	// tests put their own in their place.
	openStore func(ctx context.Context, a access) (blob.Store, error)
	openModel func(ctx context.Context, name string) (runtime.Model, error)
}

// access says what a command needs of the dataset; each includes those before.
type access int

const (
	store  access = iota // the store, read alone; it may not be there yet
	ledger               // and the ledger
	stages               // and sources and models, of which none is called
	write                // and all of it for writing: a dataset is made if there is none
)

func newDataset(c Config, log *slog.Logger) *dataset {
	d := &dataset{config: c, log: log, parts: export.DefaultPartSizes()}
	d.openStore, d.openModel = d.configuredStore, d.configuredModel
	return d
}

// openDataset opens what the configuration names. The caller closes it.
func openDataset(ctx context.Context, c Config, a access, log *slog.Logger) (*dataset, error) {
	d := newDataset(c, log)
	return d, d.open(ctx, a)
}

// withDataset opens what a command needs of the dataset, and closes it when do
// has returned.
func withDataset(cmd *cobra.Command, c Config, a access, do func(context.Context, *dataset) error) (err error) {
	ctx := cmd.Context()
	d, err := openDataset(ctx, c, a, newLog(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	return do(ctx, d)
}

// open opens the parts, or closes them again if one fails.
func (d *dataset) open(ctx context.Context, a access) error {
	if err := d.openParts(ctx, a); err != nil {
		return errors.Join(err, d.close(ctx))
	}
	return nil
}

func (d *dataset) openParts(ctx context.Context, a access) error {
	var err error
	if d.modes, err = modes.Select(d.config.Modes); err != nil {
		return usage(err)
	}
	if d.prompts, err = d.config.prompts(); err != nil {
		return err
	}
	if d.store, err = d.openStore(ctx, a); err != nil {
		return err
	}
	d.images = images.NewStore(d.store)
	if a == write {
		if err = d.begin(ctx, "build"); err != nil {
			return err
		}
	}
	if a < ledger {
		return nil
	}
	if err := d.openLedger(ctx, a); err != nil {
		return err
	}
	if a < stages {
		return nil
	}
	if d.rules, err = d.config.rules(); err != nil {
		return err
	}
	d.memory = images.NewMemory(d.config.Ingest.DecodeMemory.Int64())
	if err := d.openIngest(ctx, a); err != nil {
		return err
	}
	models, err := d.models(ctx)
	if err != nil {
		return err
	}
	prices, err := d.config.prices()
	if err != nil {
		return usage(err)
	}
	d.annotator, err = annotate.New(annotate.Options{
		Strategy: d.config.Strategy, Modes: d.modes, Prompts: d.prompts, Seed: d.config.Seed,
		Width: d.config.Image.Width, Height: d.config.Image.Height, PaintReferences: d.config.paintsReferences(),
		Topics: d.config.Judge.Questions, Scorers: d.config.scorers(),
		Workers: d.config.callWorkers(), Window: d.config.Calls.Window,
		Attempts: d.config.Calls.Attempts, Pause: time.Duration(d.config.Calls.Pause),
		Hold: time.Duration(d.config.Calls.Hold),
		Held: func(err error) {
			d.log.Warn(fmt.Sprintf("answers that are paid for cannot be kept: they are held and tried again for %s, and no new call begins meanwhile", time.Duration(d.config.Calls.Hold)), "error", err)
		},
		Models: models, Prices: prices, Budget: d.config.budget(),
	}, d.images, d.ledger)
	return err
}

// close pushes the ledger's last calls and frees what open took, also when ctx
// is done: what was paid for is kept.
func (d *dataset) close(ctx context.Context) error {
	var failed error
	if d.sharing != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
		defer cancel()
		failed = d.sharing.Close(ctx)
		_, err := d.scores.Push(ctx, d.store)
		failed = errors.Join(failed, err)
	}
	if d.scores != nil {
		failed = errors.Join(failed, d.scores.Close(context.WithoutCancel(ctx)))
	}
	if d.ledger != nil {
		failed = errors.Join(failed, d.ledger.Close())
	}
	if d.mark != nil {
		failed = errors.Join(failed, d.mark.End(ctx))
	}
	for _, c := range d.closers {
		c()
	}
	return failed
}

func (d *dataset) configuredStore(ctx context.Context, a access) (blob.Store, error) {
	c := d.config
	if strings.Contains(c.Store, "://") {
		return openBucket(ctx, c.Store, c.S3)
	}
	root := c.path(c.Store)
	if a != write {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			// Reading makes no folder: an empty store stands in for it.
			if root, err = d.temporary(); err != nil {
				return nil, err
			}
			d.absent = true
		}
	}
	return blob.NewFile(root)
}

// openBucket opens s3://bucket/prefix.
func openBucket(ctx context.Context, address string, o S3) (blob.Store, error) {
	bucket, prefix, err := parseBucket(address)
	if err != nil {
		return nil, usage(err)
	}
	return blob.NewS3(ctx, blob.S3Options{Bucket: bucket, Prefix: prefix, Endpoint: o.Endpoint, Region: o.Region, PathStyle: o.PathStyle})
}

// parseBucket reads s3://bucket/prefix.
func parseBucket(address string) (bucket, prefix string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", fmt.Errorf("is %q: want a folder or s3://bucket/prefix", config.Redact(address))
	}
	return u.Host, strings.Trim(u.Path, "/"), nil
}

// temporary makes a folder that goes away with the dataset, or, if this process is
// killed, with the next one that looks there.
func (d *dataset) temporary() (string, error) {
	sweepTemporary()
	dir, remove, err := blob.TempDir(os.TempDir())
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, remove)
	return dir, nil
}

// sweepTemporary removes what killed processes left in the folder for temporary
// files: copies of the ledger, which may hold what was removed since.
func sweepTemporary() {
	_, _ = blob.SweepTempFiles(os.TempDir()) // what is another user's stays
}

// openLedger opens the local ledger of this very dataset and brings it and the
// store's segments together.
func (d *dataset) openLedger(ctx context.Context, a access) error {
	var id irgdata.Digest
	var err error
	path := ""
	mine := a == write // nobody else uses the file
	if a == write {
		if id, err = manifests.Identify(ctx, d.store); err != nil {
			return err
		}
		d.sweep(ctx)
	} else {
		id, err = manifests.Identity(ctx, d.store)
	}
	switch {
	case errors.Is(err, blob.ErrNotExist): // no dataset yet, so nothing paid for
		dir, err := d.temporary()
		if err != nil {
			return err
		}
		path = filepath.Join(dir, "ledger.sqlite")
	case err != nil:
		return err
	default:
		path = d.ledgerPath(id)
		if err := d.lockLedger(path, a); err != nil {
			return err
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && a != write {
			dir, err := d.temporary()
			if err != nil {
				return err
			}
			path, mine = filepath.Join(dir, "ledger.sqlite"), true
		}
	}
	pull := (*manifests.Ledger).PullNew // a build may be at it
	if mine {
		pull = (*manifests.Ledger).Pull
		if err := manifests.FillLedger(ctx, path, d.store); err != nil {
			return err
		}
	}
	if d.ledger, err = manifests.OpenLedger(ctx, path); err != nil {
		return err
	}
	if _, err := pull(d.ledger, ctx, d.store); err != nil {
		return err
	}
	if a == write {
		if d.scores, err = d.ledger.Scores(ctx); err != nil {
			return err
		}
		if _, err := d.scores.Pull(ctx, d.store); err != nil {
			return err
		}
		d.sharing = d.ledger.Share(ctx, d.store, time.Duration(d.config.Calls.Share), d.log)
	}
	return nil
}

// sweep removes what interrupted runs left in the store and the work folder.
func (d *dataset) sweep(ctx context.Context) {
	sweepTemporary()
	objects, err := d.store.Sweep(ctx, 24*time.Hour)
	files, filesErr := blob.SweepTempFiles(d.config.path(d.config.Work))
	if err := errors.Join(err, filesErr); err != nil {
		d.log.Warn("what interrupted runs left could not be removed", "error", err)
	}
	if objects+files > 0 {
		d.log.Info("removed what interrupted runs left", "objects", objects, "files", files)
	}
}

// begin marks a run that adds to the store, until the dataset is closed; it waits
// while gc is at it.
func (d *dataset) begin(ctx context.Context, command string) (err error) {
	d.mark, err = manifests.BeginRun(ctx, d.store, command, func(who string) {
		d.log.Warn("waiting for a run that needs the store for itself", "run", who)
	})
	return err
}

// lockWork keeps builds out of the work folder.
func (d *dataset) lockWork(ctx context.Context) error {
	id, err := manifests.Identity(ctx, d.store)
	if err != nil {
		return err
	}
	return d.lockLedger(d.ledgerPath(id), write)
}

// ledgerPath is where the local ledger of this very dataset is.
func (d *dataset) ledgerPath(id irgdata.Digest) string {
	return filepath.Join(d.config.path(d.config.Work), "ledger-"+id.Short()+".sqlite")
}

// lockLedger keeps a second build out of the work folder: it would make the
// calls that this one is about to make.
func (d *dataset) lockLedger(path string, a access) error {
	if a != write {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("open the work folder: %w", err)
	}
	unlock, err := lock.File(path + ".lock")
	if errors.Is(err, lock.ErrHeld) {
		return &exitError{exitTryAgain, fmt.Errorf("a build of this dataset is under way (%w): wait for it", err)}
	}
	if err != nil {
		return err
	}
	d.closers = append(d.closers, unlock)
	return nil
}

// prompts are the embedded templates with those of the configuration over
// them.
func (c Config) prompts() (modes.Prompts, error) {
	prompts := modes.DefaultPrompts()
	for _, name := range prompts.Names() {
		file := c.Prompts[name]
		if file == "" {
			continue
		}
		text, err := os.ReadFile(c.path(file))
		if err == nil {
			prompts, err = prompts.With(name, string(text))
		}
		if err != nil {
			return prompts, usage(c.document.Errorf("prompts."+name, "%v", err))
		}
	}
	return prompts, nil
}

// rules are the configured filters.
func (c Config) rules() ([]filter.Rule, error) {
	e, err := c.ruleEnvironment()
	if err != nil {
		return nil, err
	}
	rules, key, err := c.Filter.New(e)
	if err != nil {
		return nil, usage(c.document.Errorf("filter."+key, "%v", err))
	}
	wanted, err := modes.Select(c.Modes)
	if err != nil {
		return nil, usage(err)
	}
	for _, s := range c.Scorers {
		rules = append(rules, s.rule())
	}
	if err := c.Filter.Select.CheckScore(wanted, rules); err != nil {
		return nil, usage(c.document.Errorf("filter.select.prefer", "%v", err))
	}
	return rules, nil
}

// ruleEnvironment is what rules need besides their parameters. Tokens are those
// of the base model, the one that will be trained.
func (c Config) ruleEnvironment() (e filter.Environment, err error) {
	if e.Prompts, err = c.prompts(); err != nil {
		return e, err
	}
	t, err := c.tokenizer(c.Roles[string(modes.RoleBase)])
	if err != nil {
		return e, err
	}
	if t != nil {
		e.Count, e.Tokenizer = t.Count, t.Digest().String()[:8]
	}
	e.Topics = c.Judge.Questions
	e.Read = func(path string) (string, error) {
		text, err := os.ReadFile(c.path(path))
		return string(text), err
	}
	return e, nil
}

// workers is the number of goroutines for work on this machine's processors.
func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return goruntime.GOMAXPROCS(0)
}

// settings are those that a snapshot's manifest records.
func (d *dataset) settings() manifests.Settings {
	c := d.config
	s := manifests.Settings{
		Strategy: c.Strategy, Seed: c.Seed, Width: c.Image.Width, Height: c.Image.Height,
		Limit: c.limit, Sample: c.sample, Ingest: d.ingestSettings(), Models: d.annotator.Bindings(), Steps: d.annotator.StepNames(),
		Removals: d.removed.Newest,
	}
	for _, m := range d.modes {
		s.Modes = append(s.Modes, m.Name)
	}
	for _, source := range c.Sources {
		s.Sources = append(s.Sources, manifests.SourceName{Name: source.Name, License: source.License, Limit: source.Limit, Weight: source.Weight})
	}
	for _, name := range d.prompts.Names() {
		t := d.prompts.Get(name)
		s.Templates = append(s.Templates, manifests.TemplateName{Name: name, Version: t.Version, Digest: t.Digest()})
	}
	for _, rule := range d.rules {
		s.Rules = append(s.Rules, manifests.RuleSetting{Rule: rule.ID(), Action: string(rule.Action), Parameters: rule.Parameters})
	}
	s.Select = c.Filter.Select.Settings()
	return s
}

// selectOptions are those of package filter.
func (d *dataset) selectOptions() filter.SelectOptions {
	return filter.SelectOptions{Modes: d.modes, Rules: d.rules, Selection: d.config.Filter.Select, Work: d.config.path(d.config.Work)}
}

// shardOptions and irgOptions are those of package export.
func (d *dataset) shardOptions() export.ShardOptions {
	s := d.config.Shards
	return export.ShardOptions{
		Modes: d.modes, Questions: d.annotator.Questions(), Bytes: s.Size.Int64(), RowGroupBytes: s.RowGroup.Int64(), RowGroupRows: s.RowGroupRows,
		Workers: d.config.workers(), Work: d.config.path(d.config.Work),
	}
}

func (d *dataset) irgOptions(root string) (export.IRGOptions, error) {
	c := d.config
	o := export.IRGOptions{
		Ranks: c.Export.Ranks, Workers: c.Export.Workers, Prompts: d.prompts, Root: root,
		Images: c.Export.Image, MaxTokens: c.Export.MaxTokens, Selection: c.Export.selection(),
		Work: c.path(c.Work), Renderers: c.workers(),
	}
	var err error
	o.Tokenizer, err = c.tokenizer(c.Roles[string(modes.RoleBase)])
	return o, err
}

// absolute is the path as other programs need it.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// newLog writes warnings for people.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
