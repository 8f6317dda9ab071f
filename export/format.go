package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// Format is a form in which trainers and people read a dataset.
type Format string

// The formats. docs/export.md describes each.
const (
	IRG        Format = "irg"        // the official trainer's mode folders ([WriteIRG])
	HF         Format = "hf"         // Parquet for Hugging Face's datasets, with a dataset card
	WebDataset Format = "webdataset" // tar archives
	MDS        Format = "mds"        // MosaicML Streaming
	LLaVA      Format = "llava"      // ShareGPT's JSON with images, of the understanding modes
	JSONL      Format = "jsonl"      // a line per example, with images by digest
	Parquet    Format = "parquet"    // trajectories, for DuckDB and pandas
)

// Formats lists the formats.
func Formats() []Format { return []Format{IRG, HF, WebDataset, MDS, LLaVA, JSONL, Parquet} }

// Folder is the folder of a snapshot's export, but for [IRG] ([Name]).
func (f Format) Folder(snapshot int) string { return fmt.Sprintf("snapshot-%06d-%s", snapshot, f) }

// Options shape an export in any format but [IRG].
type Options struct {
	Format    Format
	Selection Selection
	// Prompts are those of the snapshot.
	Prompts modes.Prompts
	// Work is a folder for copies of two shards of a bucket at a time, for files
	// that cannot be streamed, and for the trajectories that are shuffled.
	Work string
	// Renderers render examples at one time.
	Renderers int
	// FileBytes is about the size of a file; 0 means 500 MB, and 64 MiB for [MDS].
	// [LLaVA] and [JSONL] have one file for each mode and split.
	FileBytes int64
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	switch {
	case o.Format == IRG || !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("format is %q: want one of %v", o.Format, Formats()[1:])
	case o.Work == "":
		return errors.New("no work folder is set")
	case o.FileBytes < 0:
		return fmt.Errorf("file size is %d: want a positive number, or 0 for the format's own", o.FileBytes)
	}
	return o.Selection.Validate()
}

// example is a trajectory as one of its modes shows it.
type example struct {
	selected
	mode  modes.Mode
	first bool // of the examples of the trajectory
}

// sample is an example in the bytes or cells of a format.
type sample any

// format lays examples out as its readers want them. encode is called from
// several goroutines; the other methods are called from one, write in the order
// of the examples, and at last either finish or discard.
type format interface {
	// encode makes a sample of an example; nil if the format has no place for it.
	encode(ctx context.Context, x example) (sample, error)
	// write adds a sample to the files.
	write(ctx context.Context, x example, s sample) error
	// finish ends the files, writes what describes them, and lists them.
	finish(ctx context.Context) ([]ModeFiles, error)
	// discard breaks off what is not finished.
	discard()
}

// newFormat starts an export.
func newFormat(ctx context.Context, p *plan, dest blob.Store, o Options, there *whole) (format, error) {
	switch o.Format {
	case HF:
		return newHF(ctx, p, dest, o, there)
	case WebDataset:
		return newWebDataset(dest, o, there), nil
	case MDS:
		return newMDS(dest, o, there), nil
	case LLaVA:
		return newLLaVA(dest, o, there), nil
	case JSONL:
		return newJSONL(dest, o, there), nil
	}
	return newTrajectories(ctx, p, dest, o, there)
}

// Write writes what is selected of the snapshot in a format, and at last
// export.json. Equal snapshots and options give equal bytes. If dest holds
// exactly this export it is left as it is, and written is false; if it holds a
// part of it, the files that are whole stay. All else is removed first, so dest is
// for this export alone.
func Write(ctx context.Context, store blob.Store, s manifests.Snapshot, dest blob.Store, o Options) (m Manifest, written bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export snapshot %d as %s: %w", s.Number, o.Format, err)
		}
	}()
	if err := o.Validate(); err != nil {
		return m, false, err
	}
	if err := checkTemplates(s, o.Prompts); err != nil {
		return m, false, err
	}
	p, err := newPlan(ctx, store, s, o.Selection, true, o.Work)
	if err != nil {
		return m, false, err
	}
	if m, err = newManifest(o.Format, p); err != nil {
		return m, false, err
	}
	if there, err := exportThere(ctx, dest, m); err != nil {
		return *cmp.Or(there, &m), false, err
	} else if there != nil {
		return *there, false, dest.Delete(ctx, progressName) // a kill may have come before
	}
	there, err := readWhole(ctx, dest, m)
	if err != nil {
		return m, false, err
	}
	f, err := newFormat(ctx, p, dest, o, there)
	if err != nil {
		return m, false, err
	}
	if m.Modes, err = fill(ctx, f, p, o.Renderers); err != nil {
		f.discard()
		return m, false, err
	}
	if err := putManifest(ctx, dest, m); err != nil {
		return m, false, err
	}
	return m, true, dest.Delete(ctx, progressName)
}

// fill gives a format its examples. They are encoded side by side and written
// in order.
func fill(ctx context.Context, f format, p *plan, renderers int) ([]ModeFiles, error) {
	type encoded struct {
		example
		sample
	}
	samples := flow.Map(ctx, p.trajectories(ctx), flow.Options{Workers: renderers}, func(ctx context.Context, s selected) (all []encoded, err error) {
		for i, under := range s.under {
			if !under {
				continue
			}
			x := example{selected: s, mode: p.modes[i], first: s.turn == 0 && len(all) == 0}
			made, err := f.encode(ctx, x)
			if err != nil {
				return nil, fmt.Errorf("pair %s: mode %s: %w", s.trajectory.Pair.ID, x.mode.Name, err)
			}
			all = append(all, encoded{x, made})
		}
		return all, nil
	})
	for all, err := range samples {
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if err := f.write(ctx, e.example, e.sample); err != nil {
				return nil, err
			}
		}
	}
	return f.finish(ctx)
}
