package ingest

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

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
func (z *Zip) Options() string { return fmt.Sprintf("zip/2 %q", z.columns) }

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
		return yield(fixed(file.name, r), nil)
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
	if refused := refuseEntries(archive); len(refused) > 0 && !yield(fixed(file.name, refused...).within(file), nil) {
		return false
	}
	if !slices.ContainsFunc(archive.File, isOurs) {
		return broken(errors.New("it holds no image, no caption and no metadata file"))
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

// isOurs reports whether a folder's items are made of the file.
func isOurs(f *zip.File) bool {
	base := path.Base(inZip(f.Name))
	return !strings.HasPrefix(base, ".") && (isImage(base) || hasExtension(base, captionExtensions[:2]) || slices.Contains(metadataNames, base))
}

// inZip is the name that a file of an archive has in it, as archive/zip reads
// it: nothing is outside.
func inZip(name string) string {
	name = strings.TrimPrefix(path.Clean(strings.ReplaceAll(name, `\`, "/")), "/")
	for strings.HasPrefix(name, "../") {
		name = name[len("../"):]
	}
	return name
}

// refuseEntries takes those entries out of the archive, which has not been read
// from yet, that would make it unreadable as a file system: a name that comes
// again, and a file with the name of a folder. Each is an item with a problem.
func refuseEntries(archive *zip.Reader) (refused []Raw) {
	plain, folders := map[string]bool{}, map[string]bool{}
	for _, f := range archive.File {
		name := inZip(f.Name)
		plain[f.Name] = true
		if strings.HasSuffix(f.Name, "/") {
			folders[name] = true
		}
		for dir := path.Dir(name); dir != "." && dir != "/" && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	seen := map[string]bool{}
	archive.File = slices.DeleteFunc(archive.File, func(f *zip.File) bool {
		name := inZip(f.Name)
		if strings.HasSuffix(f.Name, "/") { // once is enough
			again := seen[name+"/"]
			seen[name+"/"] = true
			return again || !fs.ValidPath(name) || name == "."
		}
		r := Raw{Key: f.Name}
		switch {
		case !fs.ValidPath(name) || name == ".":
			r = r.problem("archive", "the entry %.200q has no name that a file can have", f.Name)
		case folders[name]:
			r = r.problem("archive", "%s is a file in the archive, and a folder too", name)
		case seen[name] || name != f.Name && plain[name]: // the plain name stays
			r = r.problem("archive", "the archive has another file named %s", name)
		default:
			seen[name] = true
			f.Name = name // archive/zip leaves backslashes in it
			return false
		}
		refused = append(refused, r)
		return true
	})
	return refused
}

// fixed is a unit of these items.
func fixed(name string, raws ...Raw) Unit {
	version := irgdata.NewDigester("single/1")
	for _, r := range raws {
		version.Text(r.Key).Text(r.Problem)
	}
	return Unit{
		Name: name, Version: version.Sum(),
		Items: func(yield func(Raw, error) bool) {
			for _, r := range raws {
				if !yield(r, nil) {
					return
				}
			}
		},
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
