package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Kind is a form in which people hold pairs.
type Kind string

// The kinds of source.
const (
	KindFolder      Kind = "folder"      // images with captions beside them
	KindWebDataset  Kind = "webdataset"  // .tar, also compressed
	KindParquet     Kind = "parquet"     // with images in it, or their paths or addresses
	KindZip         Kind = "zip"         // a folder in an archive
	KindTable       Kind = "table"       // .jsonl, .json, .csv, .tsv
	KindImg2dataset Kind = "img2dataset" // what img2dataset downloaded
	KindPrompts     Kind = "prompts"     // prompts alone, of a .txt or a table
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{KindFolder, KindWebDataset, KindParquet, KindZip, KindTable, KindImg2dataset, KindPrompts}
}

type kindExtensions struct {
	kind       Kind
	extensions []string
}

// byExtension are the kinds that a file's name tells, the likeliest first.
var byExtension = []kindExtensions{
	{KindWebDataset, tarExtensions},
	{KindParquet, []string{".parquet"}},
	{KindZip, []string{".zip"}},
	{KindTable, tableExtensions},
	{KindPrompts, []string{".txt", ".txt.gz", ".txt.zst"}},
}

func kindByExtension(name string) (Kind, bool) {
	for _, k := range byExtension {
		if hasExtension(name, k.extensions) {
			return k.kind, true
		}
	}
	return "", false
}

// Detect tells the kind of what is at the location, by names alone.
func Detect(l Location) (Kind, error) {
	info, err := fs.Stat(l.FS, l.Pattern)
	if err != nil || !info.IsDir() {
		if kind, ok := kindByExtension(l.Pattern); ok {
			return kind, nil
		}
		if err != nil && !strings.ContainsAny(l.Pattern, "*?[{") {
			return "", fmt.Errorf("there is no file or folder %s: mend the path, which begins at the configuration file", l.Pattern)
		}
		files, err := l.list()
		if err != nil {
			return "", err
		}
		if kind, ok := kindByExtension(files[0].name); ok {
			return kind, nil
		}
		return "", fmt.Errorf("what %s holds cannot be told from its name: set `kind` to one of %s", l.Pattern, kindList())
	}
	if IsImg2dataset(l.FS, l.Pattern) {
		return KindImg2dataset, nil
	}
	seen, err := look(l)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(seen, func(name string) bool { return slices.Contains(metadataNames, path.Base(name)) }) {
		return KindFolder, nil
	}
	archive := slices.IndexFunc(seen, func(name string) bool {
		return slices.ContainsFunc(byExtension[:3], func(k kindExtensions) bool { return hasExtension(name, k.extensions) })
	})
	if picture := slices.IndexFunc(seen, isImage); picture >= 0 && archive >= 0 {
		return "", fmt.Errorf("the folder holds images, such as %s, and archives, such as %s: set `kind` to the one that is wanted, folder, webdataset, parquet or zip", seen[picture], seen[archive])
	}
	for _, k := range byExtension[:3] { // captions are .txt and .json too
		if slices.ContainsFunc(seen, func(name string) bool { return hasExtension(name, k.extensions) }) {
			return k.kind, nil
		}
	}
	if !slices.ContainsFunc(seen, isImage) && slices.ContainsFunc(seen, func(name string) bool { return hasExtension(name, tableExtensions) }) {
		return KindTable, nil
	}
	return KindFolder, nil
}

// mostLooked is how many files tell the kind of a folder.
const mostLooked = 1000

var errEnough = errors.New("enough")

func look(l Location) (names []string, err error) {
	err = fs.WalkDir(l.FS, l.Pattern, func(name string, d fs.DirEntry, err error) error {
		if err != nil && name == l.Pattern {
			return fmt.Errorf("read the folder: %w", err)
		}
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		if len(names) == mostLooked {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return names, err
}

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// New returns the source of the given kind at the location. Images is the
// folder at which the paths of images in tables begin; it may be zero.
func New(k Kind, name string, l Location, c Columns, images File) (Source, error) {
	o := TableOptions{Columns: c, Images: images}
	switch k {
	case KindFolder:
		return NewFolder(name, l.FS, l.Pattern, c), nil
	case KindWebDataset:
		return NewTar(name, l, c), nil
	case KindParquet:
		return NewParquet(name, l, o), nil
	case KindZip:
		return NewZip(name, l, c), nil
	case KindTable:
		return NewTable(name, l, o), nil
	case KindImg2dataset:
		return NewImg2dataset(name, l.FS, l.Pattern, c), nil
	case KindPrompts:
		o.PromptOnly = true
		files, err := l.list(append([]string{".parquet"}, tableExtensions...)...)
		if err == nil && hasExtension(files[0].name, []string{".parquet"}) {
			return NewParquet(name, l, o), nil
		}
		return NewTable(name, l, o), nil
	}
	return nil, fmt.Errorf("kind %q is unknown: want one of %s", k, kindList())
}

// KindOf tells the kind of a source.
func KindOf(s Source) Kind {
	switch s := s.(type) {
	case *Folder:
		return KindFolder
	case *Tar:
		return KindWebDataset
	case *Zip:
		return KindZip
	case *Img2dataset:
		return KindImg2dataset
	case *Parquet:
		if !s.o.PromptOnly {
			return KindParquet
		}
	case *Table:
		if !s.o.PromptOnly {
			return KindTable
		}
	}
	return KindPrompts
}
