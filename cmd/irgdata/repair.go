package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// repair makes good what is wrong with a store. It opens the dataset for each step
// anew.
type repair struct {
	config Config
	open   func(ctx context.Context, a access) (*dataset, error)
	out    io.Writer
	mended bool // something was
}

func (r *repair) options() manifests.RepairOptions {
	return manifests.RepairOptions{Work: r.config.path(r.config.Work), Filled: filled, Mended: func(key, how string) {
		r.mended = true
		fmt.Fprintf(r.out, "mended %s: %s\n", key, how)
	}}
}

// run makes good what can be, and then says what is still wrong and what it takes to
// make it again.
func (r *repair) run(ctx context.Context) error {
	report, err := r.fromStore(ctx)
	if err != nil {
		return err
	}
	again := ""
	if len(report.Problems) > 0 {
		if again, err = r.byBuild(ctx, &report); err != nil {
			if ctx.Err() != nil {
				return err
			}
			again = fmt.Sprintf("What a build makes anew could not be made: %v\n", err)
		}
		d, err := r.open(ctx, store)
		if err != nil {
			return err
		}
		defer d.close(ctx) // a store alone has nothing to lose
		if report, err = r.verify(ctx, d); err != nil {
			return err
		}
	}
	r.print(report)
	fmt.Fprint(r.out, again)
	damaged, newest := report.DamagedSnapshots()
	for _, n := range damaged {
		otherwise := "or delete it to give the snapshot up"
		if n == newest {
			otherwise = "or delete it: the next build publishes it again, the same if sources and settings are those of that time, and makes no call that the ledger has"
		}
		fmt.Fprintf(r.out, "The manifest of snapshot %d cannot be made good from what is there: restore %s from a backup, %s.\n", n, manifests.Key(n), otherwise)
	}
	if n := len(report.Problems); n > 0 {
		return fmt.Errorf("the store is still damaged: %s", plural(int64(n), "problem"))
	}
	fmt.Fprintf(r.out, "The store is sound: %s, %s with %s.\n", plural(int64(report.Objects), "object"), plural(int64(report.Shards), "shard"), plural(report.Rows, "row"))
	return nil
}

func (r *repair) print(report manifests.Report) {
	for _, problem := range report.Problems {
		fmt.Fprintln(r.out, problem)
	}
}

// verify looks at everything. An object that cannot be read ends the repair: it may be
// sound, and may be all that is left of another one.
func (r *repair) verify(ctx context.Context, d *dataset) (manifests.Report, error) {
	report, err := manifests.Verify(ctx, d.store, manifests.Snapshot{}, r.config.verifyOptions(true))
	if n := report.Unreadable(); err == nil && n > 0 {
		r.print(report)
		nothing := "nothing was changed"
		if r.mended {
			nothing = "nothing more was changed"
		}
		err = fmt.Errorf("%s could not be read, so %s: run it again when the store can be read", plural(int64(n), "object"), nothing)
	}
	return report, err
}

// fromStore mends from what the store and the local ledger hold, and verifies again.
func (r *repair) fromStore(ctx context.Context) (report manifests.Report, err error) {
	d, err := r.open(ctx, store)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	o := r.options()
	mended, err := manifests.RepairIdentity(ctx, d.store)
	if err != nil {
		return report, err
	}
	if mended {
		o.Mended("dataset.json", "the identity of the dataset")
	}
	id, err := manifests.Identity(ctx, d.store)
	if err != nil {
		return report, err
	}
	path := d.ledgerPath(id)
	if err := d.lockLedger(path, write); err != nil {
		return report, err
	}
	if err = d.begin(ctx, "verify --repair"); err != nil {
		return report, err
	}
	if err := d.mendLedger(ctx, path, r.out, o.Mended); err != nil {
		return report, err
	}
	if d.ledger, err = manifests.OpenLedger(ctx, path); err != nil {
		return report, err
	}
	if report, err = r.verify(ctx, d); err != nil || len(report.Problems) == 0 {
		return report, err
	}
	r.print(report)
	if err := report.Repair(ctx, d.ledger, o); err != nil {
		return report, err
	}
	return r.verify(ctx, d)
}

// byBuild reads lost images from the sources again, gives up those that
// were painted and are nowhere else, and makes shards anew if that takes no
// model call. It returns what the next build will make again.
func (r *repair) byBuild(ctx context.Context, report *manifests.Report) (again string, err error) {
	if !report.RemovalsWhole() {
		return "", errors.New("a removal is lost or damaged, and what it took out must not come back: restore it first")
	}
	d, err := r.open(ctx, write)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	d.repairing = report
	pairs, err := d.pairs(ctx, write, ingest.Inputs{}, nil)
	if err != nil {
		return "", err
	}
	for _, err := range pairs {
		if err != nil {
			return "", err
		}
	}
	forgotten, err := report.Forget(ctx, d.ledger)
	if err != nil {
		return "", err
	}
	if forgotten.Images > 0 {
		var steps []string
		for _, step := range slices.Sorted(maps.Keys(forgotten.Calls)) {
			steps = append(steps, fmt.Sprintf("%d of %s", forgotten.Calls[step], step))
		}
		again = fmt.Sprintf("%s nowhere else to be found: forgot the calls that painted them, %s.\n", plural(int64(forgotten.Images), "lost image"), strings.Join(steps, ", "))
	}
	plan, err := d.plan(ctx, nil)
	if err != nil {
		return again, err
	}
	if plan.Make() > 0 {
		var steps []string
		for _, calls := range plan.Calls {
			if calls.Make == 0 {
				continue
			}
			cost := fmt.Sprintf("%d of %s", calls.Make, calls.Step)
			if calls.Seconds > 0 {
				cost += ", about " + duration(calls.Seconds*float64(calls.Make))
			}
			steps = append(steps, cost)
		}
		return again + fmt.Sprintf("The next build makes what is still damaged anew, with up to these calls: %s.\n", strings.Join(steps, "; ")), nil
	}
	content, _, err := d.content(ctx, newProgress(io.Discard), newExamples(), base{previous: new(export.Previous)})
	if err != nil {
		return again, err
	}
	return again, report.RepairManifests(ctx, content, r.options())
}

// filled names the step and the model that filled a slot of a snapshot.
func filled(s manifests.Settings, slot string) (step, model string, ok bool) {
	for _, candidate := range modes.Steps(s.Strategy) {
		if candidate.Fills.String() != slot {
			continue
		}
		for _, name := range s.Steps { // in the version of that time
			if before, _, _ := strings.Cut(name, "/"); before == candidate.Name {
				step = name
			}
		}
		for _, binding := range s.Models {
			if binding.Role == string(candidate.Role) {
				model = binding.Model
			}
		}
	}
	return step, model, step != "" && model != ""
}

func (c Config) verifyOptions(full bool) manifests.VerifyOptions {
	return manifests.VerifyOptions{Full: full, Work: c.path(c.Work), Workers: max(c.workers(), c.Ingest.Loaders)}
}
