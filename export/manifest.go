package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// manifestName is the last object of an export; what lacks it is not whole.
const manifestName = "export.json"

// exportFormat goes up when equal snapshots and options give other bytes than
// before: an export that an older irgdata left whole stays as it is, and one that
// it left half is begun anew. 2: the conversations are compressed with zstd. 3: base64
// of images that are compressed well has codes of six bits.
const exportFormat = 3

// Manifest describes an export and lists its files.
type Manifest struct {
	Format   int            `json:"format"`
	Form     Format         `json:"form"`
	Snapshot int            `json:"snapshot"`
	Digest   irgdata.Digest `json:"snapshot_digest"`
	// Ranks and Workers are those of an export for the official trainer.
	Ranks     int                      `json:"ranks,omitempty"`
	Workers   int                      `json:"workers,omitempty"`
	Templates []manifests.TemplateName `json:"templates"`
	// Images and MaxTokens are the options of those names of an export for the
	// official trainer, and TextTokens says whether the tokens of texts were
	// counted.
	Images     ImageOptions `json:"images,omitzero"`
	MaxTokens  int          `json:"max_tokens,omitempty"`
	TextTokens bool         `json:"text_tokens,omitempty"`

	Selection Selection    `json:"selection,omitzero"`
	Mix       []ShareCount `json:"mix,omitempty"` // what came of its shares
	Modes     []ModeFiles  `json:"modes"`
}

// ModeFiles are the files of one mode, or of one of its splits.
type ModeFiles struct {
	Mode  string `json:"mode"`
	Split Split  `json:"split,omitempty"`
	Rows  int64  `json:"rows"`
	// Refused counts the rows that the snapshot keeps and the trainer would pass
	// over; rejects.jsonl names them.
	Refused int64 `json:"refused,omitempty"`
	// LeftOut counts examples that the form cannot hold (docs/export.md).
	LeftOut int64  `json:"left_out,omitempty"`
	Files   []File `json:"files"`
}

// File is a file of an export with rows of the dataset. Images that lie beside
// it bear their digest as a name and are not listed.
type File struct {
	Path      string         `json:"path"` // under the export's root
	Digest    irgdata.Digest `json:"digest"`
	Size      int64          `json:"size"`
	Rows      int64          `json:"rows"`
	RowGroups int            `json:"row_groups,omitempty"` // of Parquet
}

// newManifest is the manifest of an export before its files are written.
func newManifest(f Format, p *plan) (Manifest, error) {
	digest, err := p.snapshot.Digest()
	m := Manifest{
		Format: exportFormat, Form: f, Snapshot: p.snapshot.Number, Digest: digest, Templates: p.snapshot.Settings.Templates,
		Selection: p.selection, Mix: p.shares,
	}
	return m, err
}

// exportThere returns the manifest of the export that lies at dest, or nil if
// there is none. Another one than m, or one that lacks files, is an error.
func exportThere(ctx context.Context, dest blob.Store, m Manifest) (*Manifest, error) {
	there, err := ReadManifest(ctx, dest)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !sameExport(there, withFormat(m, there.Format)):
		return &there, anotherExport(dest)
	}
	return &there, complete(ctx, dest, there)
}

func anotherExport(dest blob.Store) error {
	return fmt.Errorf("%s is another export: remove it or choose another destination", dest.URL(manifestName))
}

func withFormat(m Manifest, format int) Manifest {
	m.Format = format
	return m
}

// sameExport reports whether an export that is there would be written again. What
// came of a mix is decided by the rest.
func sameExport(there, m Manifest) bool {
	there.Modes, m.Modes, there.Mix, m.Mix = nil, nil, nil, nil
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
	if m.Format < 1 || m.Format > exportFormat {
		return m, fmt.Errorf("read %s: it has format %d and this irgdata reads formats 1 to %d", dest.URL(manifestName), m.Format, exportFormat)
	}
	return m, nil
}

// putManifest makes an export whole. One that is there already stays: it may be this
// very one, put by a try whose answer was lost.
func putManifest(ctx context.Context, dest blob.Store, m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	err = blob.PutBytes(ctx, dest, manifestName, text, blob.PutOptions{CreateOnly: true})
	if !errors.Is(err, blob.ErrExists) {
		return err
	}
	there, err := blob.ReadAll(ctx, dest, manifestName, 256<<20)
	if err == nil && !bytes.Equal(there, text) {
		err = anotherExport(dest)
	}
	return err
}

// checkTemplates refuses to render with other templates than those with which
// the snapshot was built.
func checkTemplates(s manifests.Snapshot, prompts modes.Prompts) error {
	for _, t := range s.Settings.Templates {
		if prompts.Get(t.Name).Digest() != t.Digest {
			return fmt.Errorf("template %s is not the one (%s %s) with which snapshot %d was built: run `irgdata build`, or set the template back", t.Name, t.Version, t.Digest.Short(), s.Number)
		}
	}
	return nil
}
