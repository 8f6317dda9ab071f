package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
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
	case o.Root == "":
		return errors.New("no destination is set")
	case o.Work == "":
		return errors.New("no work folder is set")
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
	Modes     []ModeFiles              `json:"modes"`
}

// ModeFiles are the files of one mode.
type ModeFiles struct {
	Mode  string `json:"mode"`
	Rows  int64  `json:"rows"`
	Files []File `json:"files"`
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
	few := &TooFewRowsError{Ranks: o.Ranks, Workers: o.Workers}
	for _, m := range s.Counts.Modes {
		if m.Rows < int64(o.Ranks*o.Workers) {
			few.Modes = append(few.Modes, m)
		}
	}
	if len(few.Modes) > 0 {
		return few
	}
	for _, t := range s.Settings.Templates {
		if o.Prompts.Get(t.Name).Digest() != t.Digest {
			return fmt.Errorf("template %s is not the one (%s %s) with which snapshot %d was built: run `irgdata build`, or set the template back", t.Name, t.Version, t.Digest.Short(), s.Number)
		}
	}
	return nil
}

// WriteIRG writes the snapshot's rows for the official trainer: a folder for
// each mode with Parquet files of one column, `conversation`
// (docs/format.md), the training configuration, and at last export.json. Equal
// snapshots and options give equal bytes. If dest holds exactly this export it
// is left as it is, and written is false.
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
		return there, false, nil
	} else if !errors.Is(err, blob.ErrNotExist) {
		return m, false, err
	}
	wanted, err := modes.Select(s.Settings.Modes)
	if err != nil {
		return m, false, err
	}
	if err := clearModes(ctx, dest, wanted); err != nil {
		return m, false, err
	}
	if m.Modes, err = writeModes(ctx, store, s, dest, wanted, o); err != nil {
		return m, false, err
	}
	if err := writeTraining(ctx, dest, m, wanted, o.Root); err != nil {
		return m, false, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, false, err
	}
	return m, true, blob.PutBytes(ctx, dest, manifestName, append(text, '\n'), blob.PutOptions{})
}

// clearModes removes what an export that was broken off left in the folders of
// the modes: the loader would read it.
func clearModes(ctx context.Context, dest blob.Store, wanted []modes.Mode) error {
	for _, mode := range wanted {
		for o, err := range dest.List(ctx, mode.Name+"/") {
			if err == nil {
				err = dest.Delete(ctx, o.Key)
			}
			if err != nil {
				return fmt.Errorf("remove what a broken export left: %w", err)
			}
		}
	}
	return nil
}

func newManifest(s manifests.Snapshot, o IRGOptions) (Manifest, error) {
	digest, err := s.Digest()
	return Manifest{Format: exportFormat, Snapshot: s.Number, Digest: digest, Ranks: o.Ranks, Workers: o.Workers, Templates: s.Settings.Templates}, err
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

// writeModes reads the snapshot once and deals each row to the modes that keep
// it.
func writeModes(ctx context.Context, store blob.Store, s manifests.Snapshot, dest blob.Store, wanted []modes.Mode, o IRGOptions) ([]ModeFiles, error) {
	writers := make([]*modeWriter, len(wanted))
	turns := make(chan struct{}, max(o.Renderers, 1))
	for i, mode := range wanted {
		for _, count := range s.Counts.Modes {
			if count.Mode == mode.Name {
				writers[i] = newModeWriter(dest, mode.Name, newLayout(count.Rows, count.Bytes, count.MaxBytes, o.Ranks*o.Workers), nil, turns)
				defer writers[i].discard()
			}
		}
		if writers[i] == nil {
			return nil, fmt.Errorf("the manifest does not count mode %s", mode.Name)
		}
	}
	for _, shard := range s.Shards {
		// The rows of a shard are rendered side by side and written in order.
		rendered := flow.Map(ctx, readShard(ctx, store, shard, o.Work), flow.Options{Workers: o.Renderers}, func(_ context.Context, r record) ([]string, error) {
			return render(r, wanted, o.Prompts)
		})
		for rows, err := range rendered {
			if err != nil {
				return nil, err
			}
			for i, row := range rows {
				if row == "" {
					continue // the mode does not keep it
				}
				if err := writers[i].write(ctx, row); err != nil {
					return nil, err
				}
			}
		}
	}
	var done []ModeFiles
	for i, w := range writers {
		files, err := w.close()
		if err != nil {
			return nil, err
		}
		entry := ModeFiles{Mode: wanted[i].Name, Files: files}
		for _, f := range files {
			entry.Rows += f.Rows
		}
		done = append(done, entry)
	}
	return done, nil
}

// render gives the row of each mode that keeps the record, "" for the others.
func render(r record, wanted []modes.Mode, prompts modes.Prompts) ([]string, error) {
	rows := make([]string, len(wanted))
	for i, mode := range wanted {
		if !r.keeps[mode.Name] {
			continue
		}
		row, err := mode.Conversation(r.trajectory, prompts, func(ref irgdata.ImageRef) ([]byte, error) {
			encoded, ok := r.images[ref.Digest]
			if !ok {
				return nil, fmt.Errorf("the shard lacks image %s", ref.Digest)
			}
			return encoded, nil
		})
		if err != nil {
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}
