package ingest

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/irgdata/irgdata"
)

// Zip is a source of zip archives: what is in one is read as a folder of images.
type Zip struct {
	name     string
	location Location
	columns  Columns
}

// NewZip reads the location's archives, which must be readable at any offset.
func NewZip(name string, l Location, columns Columns) *Zip {
	return &Zip{name: name, location: l, columns: columns}
}

// Name implements [Source].
func (z *Zip) Name() string { return z.name }

// Options implements [Source].
func (z *Zip) Options() string { return fmt.Sprintf("zip/1 %q", z.columns) }

// Units implements [Source]. The directory of the archive at hand is in
// memory. Nothing is unpacked, so a name that leads out of an archive leads
// nowhere.
func (z *Zip) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		files, err := z.location.list(".zip")
		if err != nil {
			yield(Unit{}, err)
			return
		}
		for _, file := range files {
			if !z.archive(ctx, file, yield) {
				return
			}
		}
	}
}

// archive yields the units of an archive and reports whether to go on.
func (z *Zip) archive(ctx context.Context, file listed, yield func(Unit, error) bool) bool {
	broken := func(err error) bool {
		r := Raw{Key: file.name}.problem("archive", "it cannot be read: %v", err)
		return yield(single(file.name, r), nil)
	}
	problem, err := z.location.opens(file.name)
	if problem != nil {
		return broken(problem)
	}
	var opened fs.File
	if err == nil {
		opened, err = z.location.FS.Open(file.name)
	}
	if err != nil {
		return yield(Unit{}, err)
	}
	defer opened.Close()
	at, ok := opened.(io.ReaderAt)
	if !ok {
		return broken(errors.New("it cannot be read at any offset"))
	}
	archive, err := zip.NewReader(at, file.size)
	if err != nil {
		return broken(err)
	}
	inside := NewFolder(z.name, archive, ".", z.columns)
	for unit, err := range inside.Units(ctx) {
		if err != nil && ctx.Err() == nil {
			return broken(err)
		}
		if !yield(unit.within(file), err) || err != nil {
			return false
		}
	}
	return true
}

// single is a unit of one item.
func single(name string, r Raw) Unit {
	return Unit{
		Name: name, Version: irgdata.NewDigester("single/1").Text(r.Key).Text(r.Problem).Sum(),
		Items: func(yield func(Raw, error) bool) { yield(r, nil) },
	}
}

// within puts the archive's name before those of its unit.
func (u Unit) within(archive listed) Unit {
	items := u.Items
	u.Name = archive.name + ": " + u.Name
	u.Version = irgdata.NewDigester("within/1").Digest(archive.version).Digest(u.Version).Sum()
	u.Items = func(yield func(Raw, error) bool) {
		for r, err := range items {
			r = r.inline()
			r.Key = archive.name + "/" + r.Key
			if !yield(r, err) {
				return
			}
		}
	}
	return u
}

// inline reads the item's files, because the archive is closed when its units
// have been read.
func (r Raw) inline() Raw {
	if r.File.FS != nil {
		encoded, err := readFile(r.File.FS, r.File.Name, maxFileBytes)
		if err != nil {
			return r.problem("archive", "%v", err)
		}
		r.File, r.Encoded = File{}, encoded
	}
	if r.CaptionFile.FS != nil {
		content, err := readFile(r.CaptionFile.FS, r.CaptionFile.Name, maxCaptionFile)
		if err != nil {
			return r.problem("archive", "%v", err)
		}
		name := r.CaptionFile.Name
		r.CaptionFile = File{}
		r = r.caption(member{name: name, content: content}, r.Columns)
	}
	return r
}
