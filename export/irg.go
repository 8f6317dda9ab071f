package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// IRGOptions shape an export in the trainer's form.
type IRGOptions struct {
	// Ranks is the number of training processes, and Workers the number of
	// data loader workers of each, for which the row groups are laid out.
	Ranks, Workers int
	// Prompts are those of the snapshot.
	Prompts modes.Prompts
	// Selection says which examples are laid out. Splits are not kept apart: all
	// are, unless one is selected.
	Selection Selection
	// Images says which images are encoded anew.
	Images ImageOptions
	// MaxTokens is the trainer's max_num_tokens_per_sample: longer rows are
	// refused. 0 means no limit.
	MaxTokens int
	// Tokenizer is that of the checkpoint that is trained. Without one the
	// tokens of texts are not counted.
	Tokenizer *tokenizer.Tokenizer
	// FileBytes is about the size of a file; 0 means 512 MiB.
	FileBytes int64
	// Root is where the export will be read from: a path or an URL. It goes
	// into the training configuration.
	Root string
	// Work is a folder for copies of two shards of a bucket at a time.
	Work string
	// Renderers render rows at one time.
	Renderers int
}

// Validate reports the first mistake.
func (o IRGOptions) Validate() error {
	switch {
	case o.Ranks < 1 || o.Workers < 1:
		return fmt.Errorf("ranks is %d and workers is %d: want at least 1", o.Ranks, o.Workers)
	case o.Ranks > 1<<16 || o.Workers > 1<<10:
		return fmt.Errorf("ranks is %d and workers is %d: want at most 65536 and 1024", o.Ranks, o.Workers)
	case o.MaxTokens < 0:
		return fmt.Errorf("max_tokens is %d: want at least 1, or 0 for no limit", o.MaxTokens)
	case o.Root == "":
		return errors.New("no destination is set")
	case o.Work == "":
		return errors.New("no work folder is set")
	}
	if err := o.Images.Validate(); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	return o.Selection.Validate()
}

// Name is the folder of a snapshot's export, under which no other export's
// files lie.
func Name(snapshot, ranks, workers int) string {
	return fmt.Sprintf("snapshot-%06d-%dx%d", snapshot, ranks, workers)
}

// check reports why what is selected cannot be exported, in one sentence: too
// few rows for the layout, before any is refused, or templates that are not
// those of the snapshot.
func (o IRGOptions) check(p *plan) error {
	counts := slices.Clone(p.counts)
	for i := range counts {
		counts[i].Rejected = 0 // by filters, which is not what the export refuses
	}
	if err := o.fits(counts); err != nil {
		return err
	}
	return checkTemplates(p.snapshot, o.Prompts)
}

// fits refuses modes with fewer rows than readers.
func (o IRGOptions) fits(counts []manifests.ModeCount) error {
	few := &TooFewRowsError{Ranks: o.Ranks, Workers: o.Workers}
	for _, m := range counts {
		if m.Rows < int64(o.Ranks*o.Workers) {
			few.Modes = append(few.Modes, m)
		}
	}
	if len(few.Modes) > 0 {
		return few
	}
	return nil
}

// WriteIRG writes the snapshot's rows for the official trainer: a folder for
// each mode with Parquet files of one column, `conversation`
// (docs/format.md), the training configuration, and at last export.json. Equal
// snapshots and options give equal bytes. If dest holds exactly this export it
// is left as it is, and written is false; if it holds a part of it, the files
// that are whole stay. Rows that the trainer would pass over are refused and
// named in rejects.jsonl.
func WriteIRG(ctx context.Context, store blob.Store, s manifests.Snapshot, dest blob.Store, o IRGOptions) (m Manifest, written bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export snapshot %d: %w", s.Number, err)
		}
	}()
	if err := o.Validate(); err != nil {
		return m, false, err
	}
	p, err := newPlan(ctx, store, s, o.Selection, false, o.Work)
	if err != nil {
		return m, false, err
	}
	if err := o.check(p); err != nil {
		return m, false, err
	}
	if m, err = newManifest(IRG, p); err != nil {
		return m, false, err
	}
	m.Ranks, m.Workers, m.Images, m.MaxTokens, m.TextTokens = o.Ranks, o.Workers, o.Images, o.MaxTokens, o.Tokenizer != nil
	if there, err := exportThere(ctx, dest, m); err != nil {
		return m, false, err
	} else if there != nil {
		return *there, false, dest.Delete(ctx, progressName) // a kill may have come before
	}
	done, err := o.begin(ctx, p, dest, m)
	if err != nil {
		return m, false, err
	}
	if m.Modes, err = writeModes(ctx, p.trajectories(ctx), dest, done, o); err != nil {
		return m, false, err
	}
	if err := writeTraining(ctx, dest, m, p.modes, o.Root); err != nil {
		return m, false, err
	}
	if err := putManifest(ctx, dest, m); err != nil {
		return m, false, err
	}
	return m, true, dest.Delete(ctx, progressName)
}

// begin goes on with what is there of the export, or surveys the rows anew.
func (o IRGOptions) begin(ctx context.Context, p *plan, dest blob.Store, m Manifest) (progress, error) {
	there, err := readProgress(ctx, dest, m, p.modes)
	if err != nil {
		return progress{}, err
	}
	if err := there.clear(ctx, dest); err != nil {
		return progress{}, err
	}
	if there != nil {
		return *there, nil
	}
	fresh := progress{Manifest: m}
	for _, mode := range p.modes {
		fresh.Modes = append(fresh.Modes, ModeFiles{Mode: mode.Name})
	}
	if fresh.survey, err = newSurvey(ctx, p.inOrder(ctx), p.modes, o.screen(), dest, o.Renderers); err != nil {
		return fresh, err
	}
	if err := o.fits(fresh.Counts); err != nil {
		return fresh, errors.Join(err, dest.Delete(ctx, rejectsName))
	}
	return fresh, fresh.put(ctx, dest)
}

func (o IRGOptions) screen() screen {
	return screen{prompts: o.Prompts, images: o.Images, limit: o.MaxTokens, tokenizer: o.Tokenizer}
}

// writeModes reads the rows once and deals each to the modes that it is taken
// under, after those that are there already.
func writeModes(ctx context.Context, rows iter.Seq2[selected, error], dest blob.Store, p progress, o IRGOptions) ([]ModeFiles, error) {
	writers := make([]*modeWriter, len(p.modes))
	turns := make(chan struct{}, max(o.Renderers, 1))
	for i, mode := range p.modes {
		count := p.Counts[i]
		writers[i] = newModeWriter(dest, mode.Name, newLayout(count.Rows, count.Bytes, count.MaxBytes, o.Ranks*o.Workers, cmp.Or(o.FileBytes, fileBytes)), p.Modes[i].Files, turns)
		defer writers[i].discard()
	}
	// Rows are rendered side by side and written in order.
	rendered := flow.Map(ctx, p.remaining(rows, p.there()), flow.Options{Workers: o.Renderers}, func(_ context.Context, r selected) ([]parquet.Text, error) {
		return render(r, p.modes, o)
	})
	for rows, err := range rendered {
		if err != nil {
			return nil, err
		}
		before := countFiles(p.Modes)
		for i, row := range rows {
			if row == nil {
				continue // it is not taken under the mode
			}
			if err := writers[i].write(ctx, row); err != nil {
				return nil, err
			}
			if n := writers[i].whole; len(n) > len(p.Modes[i].Files) {
				p.Modes[i].Files = n
			}
		}
		if noted(before, countFiles(p.Modes)) {
			if err := p.put(ctx, dest); err != nil {
				return nil, err
			}
		}
	}
	var done []ModeFiles
	for i, w := range writers {
		files, err := w.close()
		if err != nil {
			return nil, err
		}
		done = append(done, ModeFiles{Mode: p.modes[i].Name, Rows: p.Counts[i].Rows, Refused: p.Counts[i].Rejected, Files: files})
	}
	return done, nil
}

// render gives the row of each mode that the record is taken under, nil for the
// others. An image is in up to four rows, and encoded and packed once for them.
func render(r selected, wanted []modes.Mode, o IRGOptions) ([]parquet.Text, error) {
	rows := make([]parquet.Text, len(wanted))
	packed := map[irgdata.Digest]parquet.Packed{}
	for i, mode := range wanted {
		if !r.under[i] {
			continue
		}
		fragments, err := mode.Conversation(r.trajectory, o.Prompts)
		if err != nil {
			return nil, err
		}
		for _, f := range fragments {
			part := parquet.Part{Plain: []byte(f.JSON)}
			if digest := f.Image.Digest; !digest.IsZero() {
				var there bool
				if part.Packed, there = packed[digest]; !there {
					if part.Packed, err = pack(r, digest, o.Images); err != nil {
						return nil, err
					}
					packed[digest] = part.Packed
				}
			}
			rows[i] = append(rows[i], part)
		}
	}
	return rows, nil
}

// pack makes packed base64 of an image as the export has it.
func pack(r selected, digest irgdata.Digest, o ImageOptions) (parquet.Packed, error) {
	original, ok := r.images[digest]
	if !ok {
		return parquet.Packed{}, fmt.Errorf("pair %s: the shard lacks image %s", r.trajectory.Pair.ID, digest)
	}
	encoded, err := o.encode(original)
	if err != nil {
		return parquet.Packed{}, fmt.Errorf("pair %s: image %s: %w", r.trajectory.Pair.ID, digest, err)
	}
	return parquet.PackBase64(encoded), nil
}
