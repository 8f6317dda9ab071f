package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// progressName is the object from which an export goes on after it was broken
// off: equal snapshots and options give equal bytes, so that files which are
// whole need not be written again. It goes when the export is whole.
const progressName = "progress.json"

// noted reports whether the progress is put when files are whole that were not
// before: at each, and from a thousand on at ever fewer, so that the notes grow
// with the files and not with their square. What was not noted is written again.
func noted(before, files int) bool {
	step := 1 + files/1000
	return before/step < files/step
}

// countFiles counts the files that modes list.
func countFiles(modes []ModeFiles) (n int) {
	for _, m := range modes {
		n += len(m.Files)
	}
	return n
}

// progress is what is done of an [IRG] export. Modes of the manifest lists the files
// that are whole.
type progress struct {
	Manifest
	survey
}

// readProgress reads how far the very export that m describes has come; nil if
// nothing of it is there.
func readProgress(ctx context.Context, dest blob.Store, m Manifest, wanted []modes.Mode) (*progress, error) {
	text, err := blob.ReadAll(ctx, dest, progressName, 256<<20)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var p progress
	if err := json.Unmarshal(text, &p); err != nil || !sameExport(p.Manifest, m) || len(p.Counts) != len(wanted) || len(p.Modes) != len(wanted) {
		return nil, nil // another export's, or another irgdata's
	}
	for i, mode := range wanted {
		if p.Modes[i].Mode != mode.Name || p.Counts[i].Mode != mode.Name {
			return nil, nil
		}
	}
	if complete(ctx, dest, p.Manifest) != nil {
		return nil, nil // files went away
	}
	p.survey.modes = wanted
	return &p, p.readRefused(ctx, dest)
}

func (p progress) put(ctx context.Context, dest blob.Store) error {
	text, err := json.Marshal(p)
	if err == nil {
		err = blob.PutBytes(ctx, dest, progressName, text, blob.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("note how far the export has come: %w", err)
	}
	return nil
}

// there is how many rows of each mode are in files that are whole.
func (p progress) there() []int64 {
	rows := make([]int64, len(p.Modes))
	for i, m := range p.Modes {
		for _, f := range m.Files {
			rows[i] += f.Rows
		}
	}
	return rows
}

// clear removes what a broken export left in dest but for the files that are
// whole: the loader would read it. A nil progress has none, and what is there
// may be another export's: of other modes, with files that this one does not write.
// Names that no export has are left alone.
func (p *progress) clear(ctx context.Context, dest blob.Store) error {
	keep := map[string]bool{}
	if p != nil {
		for _, name := range append([]string{progressName, rejectsName}, trainingNames()...) {
			keep[name] = true
		}
		for _, m := range p.Modes {
			for _, f := range m.Files {
				keep[f.Path] = true
			}
		}
	}
	var left []string
	for o, err := range dest.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("look for what a broken export left: %w", err)
		}
		switch {
		case keep[o.Key] || !ofIRG(o.Key):
		case o.Key == progressName: // first: it no longer tells what is there
			left = append([]string{o.Key}, left...)
		default:
			left = append(left, o.Key)
		}
	}
	for _, key := range left {
		if err := dest.Delete(ctx, key); err != nil {
			return fmt.Errorf("remove what a broken export left: %w", err)
		}
	}
	return nil
}

// ofIRG reports whether an [IRG] export may have an object of this name.
func ofIRG(key string) bool {
	folder, _, inFolder := strings.Cut(key, "/")
	if inFolder {
		return slices.Contains(modes.Names(), folder)
	}
	return key == progressName || key == rejectsName || slices.Contains(trainingNames(), key)
}
