package export

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// manifestName is the last object of an export; what lacks it is not whole.
const manifestName = "export.json"

const exportFormat = 1

// IRGOptions shape an export in the trainer's form.
type IRGOptions struct {
	// Ranks is the number of training processes, and Workers the number of
	// data loader workers of each, for which the row groups are laid out.
	Ranks, Workers int
	// Prompts are those of the snapshot.
	Prompts modes.Prompts
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
	// Work is a folder for the copy of one shard at a time.
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
	return nil
}

// Manifest describes an export and lists its files.
type Manifest struct {
	Format    int                      `json:"format"`
	Snapshot  int                      `json:"snapshot"`
	Digest    irgdata.Digest           `json:"snapshot_digest"`
	Ranks     int                      `json:"ranks"`
	Workers   int                      `json:"workers"`
	Templates []manifests.TemplateName `json:"templates"`
	// Images and MaxTokens are the options of those names, and TextTokens says
	// whether the tokens of texts were counted.
	Images     ImageOptions `json:"images,omitzero"`
	MaxTokens  int          `json:"max_tokens,omitempty"`
	TextTokens bool         `json:"text_tokens,omitempty"`
	Modes      []ModeFiles  `json:"modes"`
}

// ModeFiles are the files of one mode.
type ModeFiles struct {
	Mode string `json:"mode"`
	Rows int64  `json:"rows"`
	// Refused counts the rows that the snapshot keeps and the trainer would pass
	// over; rejects.jsonl names them.
	Refused int64  `json:"refused,omitempty"`
	Files   []File `json:"files"`
}

// File is a Parquet file of an export.
type File struct {
	Path      string         `json:"path"` // under the export's root
	Digest    irgdata.Digest `json:"digest"`
	Size      int64          `json:"size"`
	Rows      int64          `json:"rows"`
	RowGroups int            `json:"row_groups"`
}

// Name is the folder of a snapshot's export, under which no other export's
// files lie.
func Name(snapshot, ranks, workers int) string {
	return fmt.Sprintf("snapshot-%06d-%dx%d", snapshot, ranks, workers)
}

// Check reports why the snapshot cannot be exported, in one sentence: too few
// rows for the layout, or templates that are not those of the snapshot.
func (o IRGOptions) Check(s manifests.Snapshot) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if err := o.fits(unrefused(s.Counts.Modes)); err != nil {
		return err
	}
	for _, t := range s.Settings.Templates {
		if o.Prompts.Get(t.Name).Digest() != t.Digest {
			return fmt.Errorf("template %s is not the one (%s %s) with which snapshot %d was built: run `irgdata build`, or set the template back", t.Name, t.Version, t.Digest.Short(), s.Number)
		}
	}
	return nil
}

// unrefused are the counts before anything is refused.
func unrefused(counts []manifests.ModeCount) []manifests.ModeCount {
	counts = slices.Clone(counts)
	for i := range counts {
		counts[i].Rejected = 0 // by filters, which is not what the export refuses
	}
	return counts
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
	if err := o.Check(s); err != nil {
		return m, false, err
	}
	if m, err = newManifest(s, o); err != nil {
		return m, false, err
	}
	if there, err := ReadManifest(ctx, dest); err == nil {
		if !sameExport(there, m) {
			return there, false, fmt.Errorf("%s is another export: remove it or choose another destination", dest.URL(manifestName))
		}
		if err := complete(ctx, dest, there); err != nil {
			return there, false, err
		}
		return there, false, dest.Delete(ctx, progressName) // a kill may have come before
	} else if !errors.Is(err, blob.ErrNotExist) {
		return m, false, err
	}
	wanted, err := modes.Select(s.Settings.Modes)
	if err != nil {
		return m, false, err
	}
	p, err := o.begin(ctx, store, s, dest, m, wanted)
	if err != nil {
		return m, false, err
	}
	if m.Modes, err = writeModes(ctx, inOrder(ctx, store, s, wanted, o.Work), dest, p, o); err != nil {
		return m, false, err
	}
	if err := writeTraining(ctx, dest, m, wanted, o.Root); err != nil {
		return m, false, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, false, err
	}
	if err := blob.PutBytes(ctx, dest, manifestName, append(text, '\n'), blob.PutOptions{}); err != nil {
		return m, false, err
	}
	return m, true, dest.Delete(ctx, progressName)
}

// begin goes on with what is there of the export, or surveys the rows anew.
func (o IRGOptions) begin(ctx context.Context, store blob.Store, s manifests.Snapshot, dest blob.Store, m Manifest, wanted []modes.Mode) (progress, error) {
	p, err := readProgress(ctx, dest, m, wanted)
	if err != nil {
		return progress{}, err
	}
	if err := p.clear(ctx, dest, wanted); err != nil {
		return progress{}, err
	}
	if p != nil {
		return *p, nil
	}
	fresh := progress{Manifest: m}
	for _, mode := range wanted {
		fresh.Modes = append(fresh.Modes, ModeFiles{Mode: mode.Name})
	}
	rows := inOrder(ctx, store, s, wanted, o.Work)
	if fresh.survey, err = newSurvey(ctx, rows, wanted, o.screen(), dest, o.Renderers); err != nil {
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

func newManifest(s manifests.Snapshot, o IRGOptions) (Manifest, error) {
	digest, err := s.Digest()
	return Manifest{Format: exportFormat, Snapshot: s.Number, Digest: digest, Ranks: o.Ranks, Workers: o.Workers, Templates: s.Settings.Templates,
		Images: o.Images, MaxTokens: o.MaxTokens, TextTokens: o.Tokenizer != nil}, err
}

// sameExport reports whether an export that is there would be written again.
func sameExport(there, m Manifest) bool {
	there.Modes, m.Modes = nil, nil
	a, errA := json.Marshal(there)
	b, errB := json.Marshal(m)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// complete checks that the files of an export are there.
func complete(ctx context.Context, dest blob.Store, m Manifest) error {
	for _, mode := range m.Modes {
		for _, f := range mode.Files {
			object, err := dest.Stat(ctx, f.Path)
			if err != nil {
				return fmt.Errorf("the export is damaged: %w: remove it and export again", err)
			}
			if object.Size != f.Size {
				return fmt.Errorf("the export is damaged: %s has %d bytes, want %d: remove it and export again", dest.URL(f.Path), object.Size, f.Size)
			}
		}
	}
	return nil
}

// ReadManifest reads the manifest of an export; blob.ErrNotExist if there is
// no whole one.
func ReadManifest(ctx context.Context, dest blob.Store) (Manifest, error) {
	var m Manifest
	text, err := blob.ReadAll(ctx, dest, manifestName, 256<<20)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read %s: it is no export manifest: %w", dest.URL(manifestName), err)
	}
	if m.Format != exportFormat {
		return m, fmt.Errorf("read %s: it has format %d and this irgdata reads format %d", dest.URL(manifestName), m.Format, exportFormat)
	}
	return m, nil
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
	rendered := flow.Map(ctx, p.remaining(rows, p.there()), flow.Options{Workers: o.Renderers}, func(_ context.Context, r selected) ([]string, error) {
		return render(r, p.modes, o)
	})
	for rows, err := range rendered {
		if err != nil {
			return nil, err
		}
		news := false
		for i, row := range rows {
			if row == "" {
				continue // it is not taken under the mode
			}
			if err := writers[i].write(ctx, row); err != nil {
				return nil, err
			}
			if n := writers[i].whole; len(n) > len(p.Modes[i].Files) {
				p.Modes[i].Files, news = n, true
			}
		}
		if news {
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

// render gives the row of each mode that the record is taken under, "" for the
// others.
func render(r selected, wanted []modes.Mode, o IRGOptions) ([]string, error) {
	rows := make([]string, len(wanted))
	encoded := map[irgdata.Digest][]byte{} // an image is in up to four rows
	for i, mode := range wanted {
		if !r.under[i] {
			continue
		}
		row, err := mode.Conversation(r.trajectory, o.Prompts, func(ref irgdata.ImageRef) ([]byte, error) {
			if there, ok := encoded[ref.Digest]; ok {
				return there, nil
			}
			original, ok := r.images[ref.Digest]
			if !ok {
				return nil, fmt.Errorf("the shard lacks image %s", ref.Digest)
			}
			out, err := o.Images.encode(original)
			encoded[ref.Digest] = out
			return out, err
		})
		if err != nil {
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}
