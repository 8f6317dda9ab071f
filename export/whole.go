package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// whole is what of an export in any format but [IRG] is whole, and need not be
// written again when it goes on after it was broken off. [progressName] holds
// the manifest with these files until the export's end. It is used by one
// goroutine.
type whole struct {
	dest     blob.Store
	manifest Manifest // its Modes list the files, and count nothing
	images   []string // paths of those that lie beside the rows
}

// readWhole reads how far the very export that m describes has come, and removes
// all else from dest. Images stay: they bear their digest as a name.
func readWhole(ctx context.Context, dest blob.Store, m Manifest) (*whole, error) {
	w := &whole{dest: dest, manifest: m}
	text, err := blob.ReadAll(ctx, dest, progressName, 256<<20)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return nil, err
	}
	var noted Manifest
	goesOn := err == nil && json.Unmarshal(text, &noted) == nil && sameExport(noted, m)
	sizes := map[string]int64{} // of what is there
	for o, err := range dest.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("look for what a broken export left: %w", err)
		}
		if !strings.HasPrefix(o.Key, manifests.RunPrefix) { // the marks of ToBucket
			sizes[o.Key] = o.Size
		}
	}
	files := map[string]bool{progressName: true}
	for _, l := range noted.Modes {
		for _, f := range l.Files {
			size, there := sizes[f.Path]
			goesOn = goesOn && there && size == f.Size
			files[f.Path] = true
		}
	}
	if goesOn {
		w.manifest.Modes = noted.Modes
	}
	for _, key := range slices.Sorted(maps.Keys(sizes)) {
		switch {
		case goesOn && files[key]:
			continue
		case goesOn && (m.Form == LLaVA || m.Form == JSONL) && strings.HasPrefix(key, imagesFolder):
			w.images = append(w.images, key)
			continue
		}
		if err := dest.Delete(ctx, key); err != nil {
			return nil, fmt.Errorf("remove what a broken export left: %w", err)
		}
	}
	if goesOn {
		return w, nil
	}
	return w, w.put(ctx) // before there are images, which only it makes this export's
}

// of lists the files of a mode and split.
func (w *whole) of(mode string, split Split) []File {
	for _, l := range w.manifest.Modes {
		if l.Mode == mode && l.Split == split {
			return slices.Clone(l.Files)
		}
	}
	return nil
}

// add notes one more file.
func (w *whole) add(ctx context.Context, mode string, split Split, f File) error {
	all := &w.manifest.Modes
	i := slices.IndexFunc(*all, func(l ModeFiles) bool { return l.Mode == mode && l.Split == split })
	if i < 0 {
		i = len(*all)
		*all = append(*all, ModeFiles{Mode: mode, Split: split})
	}
	(*all)[i].Files = append((*all)[i].Files, f)
	if n := countFiles(*all); !noted(n-1, n) {
		return nil
	}
	return w.put(ctx)
}

func (w *whole) put(ctx context.Context) error {
	text, err := json.Marshal(w.manifest)
	if err == nil {
		err = blob.PutBytes(ctx, w.dest, progressName, text, blob.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("note how far the export has come: %w", err)
	}
	return nil
}
