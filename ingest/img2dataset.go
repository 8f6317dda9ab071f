package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
)

// Img2dataset is a source of what img2dataset has downloaded, in any of its
// three forms: NNNNN.tar, a folder NNNNN, or NNNNN.parquet with the images in
// it. Beside the first two mostly lies a NNNNN.parquet that tells what could not
// be downloaded; each of those is an item with a Problem.
type Img2dataset struct {
	name    string
	fsys    fs.FS
	root    string
	columns Columns
}

// NewImg2dataset reads the output folder root of fsys.
func NewImg2dataset(name string, fsys fs.FS, root string, columns Columns) *Img2dataset {
	return &Img2dataset{name: name, fsys: fsys, root: root, columns: columns}
}

// Name implements [Source].
func (d *Img2dataset) Name() string { return d.name }

// Options implements [Source].
func (d *Img2dataset) Options() string { return fmt.Sprintf("img2dataset/2 %q", d.columns) }

// IsImg2dataset reports whether the folder is an output of img2dataset, which
// leaves a NNNNN_stats.json for each shard.
func IsImg2dataset(fsys fs.FS, root string) bool {
	found, err := fs.Glob(fsys, path.Join(root, "*_stats.json"))
	return err == nil && len(found) > 0
}

// Units implements [Source], shard by shard.
func (d *Img2dataset) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		shards, err := d.shards()
		if err != nil {
			yield(Unit{}, err)
			return
		}
		for _, shard := range shards {
			for unit, err := range d.shard(ctx, shard) {
				if !yield(unit, err) || err != nil {
					return
				}
			}
		}
	}
}

// shards lists the shards: the paths of their files without extensions. A shard
// whose download was cut off lacks some of the files, and is one all the same.
func (d *Img2dataset) shards() ([]string, error) {
	entries, err := fs.ReadDir(d.fsys, d.root)
	if err != nil {
		return nil, fmt.Errorf("read the folder %s: %w", d.root, err)
	}
	var shards []string
	for _, e := range entries {
		stem, found := e.Name(), e.IsDir() && strings.Trim(e.Name(), "0123456789") == ""
		for _, suffix := range []string{".tar", ".parquet", "_stats.json"} {
			if s, ok := strings.CutSuffix(e.Name(), suffix); ok {
				stem, found = s, true
			}
		}
		if found {
			shards = append(shards, path.Join(d.root, stem))
		}
	}
	if len(shards) == 0 {
		return nil, fmt.Errorf("%s holds no shards, such as 00000.tar, 00000.parquet or a folder 00000: is it the output folder of img2dataset?", d.root)
	}
	slices.Sort(shards)
	return slices.Compact(shards), nil
}

func (d *Img2dataset) shard(ctx context.Context, stem string) iter.Seq2[Unit, error] {
	shard := stem + ".parquet"
	var images Source
	if info, err := fs.Stat(d.fsys, stem+".tar"); err == nil && !info.IsDir() {
		images = NewTar(d.name, Location{FS: d.fsys, Pattern: stem + ".tar"}, d.columns)
	} else if info, err := fs.Stat(d.fsys, stem); err == nil && info.IsDir() {
		images = NewFolder(d.name, d.fsys, stem, d.columns)
	}
	location := Location{FS: d.fsys, Pattern: shard}
	_, err := fs.Stat(d.fsys, shard)
	told := !errors.Is(err, fs.ErrNotExist) // what could not be downloaded
	switch {
	case images == nil && !told:
		return func(yield func(Unit, error) bool) {
			yield(fixed(stem, Raw{Key: stem}.problem("archive", "the shard has neither images nor metadata: was its download cut off?")), nil)
		}
	case images == nil:
		return NewParquet(d.name, location, TableOptions{Columns: d.columns}).Units(ctx)
	}
	return func(yield func(Unit, error) bool) {
		for unit, err := range images.Units(ctx) {
			if !yield(unit, err) || err != nil {
				return
			}
		}
		if !told {
			return
		}
		files, err := location.list()
		if err == nil {
			err = unitsOf(ctx, shard, d.failures(ctx, files[0]), yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Unit{}, err)
		}
	}
}

// failures yields the rows of a shard's metadata that have no image.
func (d *Img2dataset) failures(ctx context.Context, file listed) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		t := tableReader{t: &Table{location: Location{FS: d.fsys}}, file: file, yield: yield}
		p := NewParquet(d.name, Location{FS: d.fsys}, TableOptions{})
		r, closeFile, problem, err := p.open(file.name)
		defer closeFile()
		if err != nil {
			yield(identified{}, fmt.Errorf("read %s: %w", file.name, err))
			return
		}
		if problem != nil {
			t.broken(problem)
			return
		}
		there := columnNames(r)
		field := func(names ...string) string { return firstOf(names, there) }
		status, message := field("status"), field("error_message")
		caption, url := d.columns.Caption, field("url")
		if caption == "" {
			caption = field(captionNames...)
		}
		var names []string
		for _, name := range []string{status, message, caption, url} {
			if name == "" {
				return // not the metadata that img2dataset writes
			}
			names = append(names, name)
		}
		row := 0
		for cells, err := range r.Rows(ctx, names...) {
			if err != nil {
				if ctx.Err() == nil {
					t.broken(err)
				}
				return
			}
			row++
			if text(cells[0]) == "success" {
				continue
			}
			r := Raw{Key: t.key(row), Caption: text(cells[2]), URL: text(cells[3])}
			r = r.problem("download", "img2dataset did not get it: %s: %s", text(cells[0]), text(cells[1]))
			id := irgdata.NewDigester("failure/1").Text(r.Key).Text(r.Problem).Text(r.URL).Sum()
			if !yield(identified{raw: r, id: id, bytes: 500}, nil) {
				return
			}
		}
	}
}

func text(c any) string {
	if s, ok := c.(string); ok {
		return s
	}
	return ""
}
