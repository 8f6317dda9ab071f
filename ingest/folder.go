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

// metadataNames are the caption files of Hugging Face's imagefolder form, the
// best first.
var metadataNames = []string{"metadata.jsonl", "metadata.csv"}

// Folder is a source of image files, subfolders included. The caption of an
// image is in a file of the same name (photo.jpg, photo.txt; .caption and
// .json too), or in a metadata.jsonl or metadata.csv with the field file_name,
// in the image's folder or one above it; the nearest one that names the image
// decides.
type Folder struct {
	name    string
	fsys    fs.FS
	root    string
	columns Columns
}

// NewFolder reads the images below the folder root of fsys.
func NewFolder(name string, fsys fs.FS, root string, columns Columns) *Folder {
	return &Folder{name: name, fsys: fsys, root: root, columns: columns}
}

// Name implements [Source].
func (f *Folder) Name() string { return f.name }

// Options implements [Source].
func (f *Folder) Options() string { return fmt.Sprintf("folder/1 %q", f.columns) }

// Units implements [Source]: first what the metadata files name, those of
// deeper folders before those of the folders above, then all other images in
// the order of their paths. It holds 16 bytes for each image that a metadata
// file names.
func (f *Folder) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		named := map[[16]byte]struct{}{}
		metadata, err := f.metadata(ctx)
		if err == nil {
			for _, file := range metadata {
				if err = unitsOf(ctx, file.name, skipNamed(f.rows(ctx, file), named), yield); err != nil {
					break
				}
			}
		}
		if err == nil {
			err = unitsOf(ctx, f.root, f.images(ctx, named), yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Unit{}, err)
		}
	}
}

// metadata lists the metadata files, the deepest first.
func (f *Folder) metadata(ctx context.Context) ([]listed, error) {
	var files []listed
	err := fs.WalkDir(f.fsys, f.root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == f.root:
			return fmt.Errorf("read the folder: %w", err)
		case err != nil:
			return nil // the walk for images tells
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != f.root:
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(metadataNames, d.Name()):
			return nil
		}
		info, err := infoOf(f.fsys, name, d)
		if err == nil {
			files = append(files, newListed(name, info))
		}
		return nil
	})
	depth := func(l listed) int { return strings.Count(l.name, "/") }
	slices.SortStableFunc(files, func(a, b listed) int { return depth(b) - depth(a) })
	return files, err
}

// rows yields the rows of a metadata file. One that is no file, or whose fields
// are of another kind, such as a camera's, is one item with a problem, and the
// images beside it have their captions elsewhere.
func (f *Folder) rows(ctx context.Context, file listed) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		location := Location{FS: f.fsys, Pattern: file.name}
		problem, err := location.opens(file.name)
		var fit fitting
		switch {
		case err != nil:
			yield(identified{}, err)
		case problem != nil:
			_ = f.emit(Raw{Key: file.name}.problem("metadata", "%v", problem), irgdata.Digest{}, yield) // the last item in any case
		default:
			fit.watch(NewTable(f.name, location, TableOptions{Columns: f.columns, Files: true}).rows(ctx, file))(yield)
		}
	}
}

// skipNamed marks the images that rows name, and makes a reject of a row that
// names one a second time.
func skipNamed(rows iter.Seq2[identified, error], named map[[16]byte]struct{}) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		for row, err := range rows {
			if err == nil && row.raw.File.FS != nil {
				key := nameKey(row.raw.File.Name)
				if _, before := named[key]; before {
					row.raw = row.raw.problem("metadata", "%s has a caption from another row or a nearer metadata file", row.raw.File.Name)
					row.id = irgdata.NewDigester("named").Digest(row.id).Sum()
				}
				named[key] = struct{}{}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// nameKey stands for a name in memory.
func nameKey(name string) [16]byte {
	d := irgdata.DigestOf([]byte(name))
	return [16]byte(d[:16])
}

// images yields the image files that no metadata names, and captions that have
// no image.
func (f *Folder) images(ctx context.Context, named map[[16]byte]struct{}) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		if err := f.walk(ctx, f.root, named, yield); err != nil && !errors.Is(err, errStop) {
			yield(identified{}, err)
		}
	}
}

func (f *Folder) walk(ctx context.Context, dir string, named map[[16]byte]struct{}, yield func(identified, error) bool) error {
	entries, err := fs.ReadDir(f.fsys, dir)
	if err != nil {
		if ctx.Err() != nil || dir == f.root {
			return fmt.Errorf("read the folder %s: %w", dir, err)
		}
		r := Raw{Key: dir}.problem("folder", "the folder cannot be read: %v", err)
		return f.emit(r, irgdata.Digest{}, yield)
	}
	files := map[string]fs.DirEntry{}
	stems := map[string]bool{} // of images
	for _, e := range entries {
		if _, before := files[captionKey(e.Name())]; !before || captionKey(e.Name()) == e.Name() {
			files[captionKey(e.Name())] = e
		}
		if isImage(e.Name()) {
			stems[withoutExtension(e.Name())] = true
		}
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
			continue // .git, .DS_Store, and the resource forks that macOS leaves
		case e.Type()&fs.ModeSymlink != 0 && !isImage(e.Name()):
			// Links to folders could lead in a circle, so they are not followed.
			if info, err := fs.Stat(f.fsys, name); err == nil && info.IsDir() {
				r := Raw{Key: name}.problem("folder", "links to folders are not followed: list %s as a source of its own", name)
				if err := f.emit(r, irgdata.Digest{}, yield); err != nil {
					return err
				}
			}
		case e.IsDir():
			if err := f.walk(ctx, name, named, yield); err != nil {
				return err
			}
		case isImage(e.Name()):
			if _, has := named[nameKey(name)]; has {
				continue
			}
			raw, id := f.image(name, e, files)
			if err := f.emit(raw, id, yield); err != nil {
				return err
			}
		case hasExtension(e.Name(), captionExtensions[:2]) && !stems[withoutExtension(e.Name())]:
			r := Raw{Key: name}.problem("image", "there is no image beside this caption")
			if err := f.emit(r, irgdata.Digest{}, yield); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit yields an item.
func (f *Folder) emit(r Raw, state irgdata.Digest, yield func(identified, error) bool) error {
	id := irgdata.NewDigester("folder/1").Text(r.Key).Text(r.Rule).Text(r.Problem).Digest(state).Sum()
	if !yield(identified{raw: r, id: id, bytes: 1000}, nil) {
		return errStop
	}
	return nil
}

// image is an image file with its caption file, and the state of both. The files
// of its folder are by captionKey.
func (f *Folder) image(name string, entry fs.DirEntry, files map[string]fs.DirEntry) (Raw, irgdata.Digest) {
	state := irgdata.NewDigester("image/1")
	// look gives the file of an entry. What is no plain file has no version of
	// its own: whoever reads it has to look first.
	look := func(e fs.DirEntry) File {
		file := File{FS: f.fsys, Name: path.Join(path.Dir(name), e.Name())}
		if info, err := e.Info(); err == nil && e.Type().IsRegular() {
			file.version = newListed(e.Name(), info).version
			state.Text(e.Name()).Digest(file.version)
		} else {
			state.Text(e.Name()).Digest(file.state())
		}
		return file
	}
	r := Raw{Key: name, Name: name, Columns: f.columns, File: look(entry)}
	stem := withoutExtension(path.Base(name))
	for _, extension := range captionExtensions {
		if e, ok := files[stem+extension]; ok {
			r.CaptionFile = look(e)
			return r, state.Sum()
		}
	}
	return r.problem("caption", "there is no caption: want %s.txt, or a line of a %s", path.Join(path.Dir(name), stem), metadataNames[0]), state.Sum()
}
