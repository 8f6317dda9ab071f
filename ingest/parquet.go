package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/irgdata/irgdata/internal/parquet"
)

// ParquetOptions say which files are read and which columns hold what.
type ParquetOptions struct {
	// Files are names or patterns (path.Match) under the source's folder.
	Files []string
	// Caption, Image, License and URL name columns. Caption and Image are
	// detected when they are empty, the others left out.
	Caption, Image, License, URL string
}

// Parquet is a source of Parquet files with images in them: Hugging Face's
// struct of bytes and path, or bare binary.
type Parquet struct {
	name string
	fsys fs.FS
	o    ParquetOptions
}

// NewParquet reads the files of fsys under the given source name. Its files
// must be readable at any offset, as those of os.DirFS are.
func NewParquet(name string, fsys fs.FS, o ParquetOptions) *Parquet {
	return &Parquet{name: name, fsys: fsys, o: o}
}

// Name implements [Source].
func (p *Parquet) Name() string { return p.name }

// Pairs implements [Source]: the rows of the files in lexical order of their
// names. A few rows are in memory at a time. A file that cannot be read, or
// the rest of one that is damaged midway, is one item with a Problem, and so
// is one whose columns do not fit; if no file's do, the configuration is wrong
// and that is an error.
func (p *Parquet) Pairs(ctx context.Context) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		files, err := p.files()
		if err != nil {
			yield(Raw{}, err)
			return
		}
		fit := false
		var misfit error
		for _, name := range files {
			err := p.file(ctx, name, yield)
			var columns *columnError
			switch {
			case err == nil:
				fit = true
				continue
			case errors.As(err, &columns):
				misfit = fmt.Errorf("read %s: %w", name, err)
				if yield(Raw{Key: name, Rule: "parquet", Problem: err.Error()}, nil) {
					continue
				}
			case !errors.Is(err, errStop):
				yield(Raw{}, fmt.Errorf("read %s: %w", name, err))
			}
			return
		}
		if !fit && misfit != nil {
			yield(Raw{}, misfit)
		}
	}
}

// files lists the files that the patterns name, each once.
func (p *Parquet) files() ([]string, error) {
	var files []string
	for _, pattern := range p.o.Files {
		matches, err := fs.Glob(p.fsys, pattern)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern of file names: %w", pattern, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("no file is named %q: mend the path in the configuration", pattern)
		}
		files = append(files, matches...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// columnError says that the configuration does not fit a file's columns.
type columnError struct{ err error }

func (e *columnError) Error() string { return e.err.Error() }

// file yields a file's rows. It gives errStop when the consumer broke off, the
// context's error, or a columnError.
func (p *Parquet) file(ctx context.Context, name string, yield func(Raw, error) bool) error {
	problem := func(format string, args ...any) error {
		if !yield(Raw{Key: name, Rule: "parquet", Problem: fmt.Sprintf(format, args...)}, nil) {
			return errStop
		}
		return nil
	}
	file, err := p.fsys.Open(name)
	if err != nil {
		return problem("%v", err)
	}
	defer file.Close()
	source, ok := file.(parquet.Source)
	if !ok {
		return problem("it cannot be read at any offset")
	}
	reader, err := parquet.NewReader(source)
	if err != nil {
		return problem("%v", err)
	}
	columns, err := p.columns(reader.Columns())
	if err != nil {
		return &columnError{err}
	}
	names := []string{columns.Caption, columns.Image}
	for _, optional := range []string{columns.License, columns.URL} {
		if optional != "" {
			names = append(names, optional)
		}
	}
	row := int64(0)
	for cells, err := range reader.Rows(ctx, names...) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return problem("the rows from %d on, %d in number, cannot be read: %v", row, reader.NumRows()-row, err)
		}
		if !yield(columns.raw(fmt.Sprintf("%s:%d", name, row), cells), nil) {
			return errStop
		}
		row++
	}
	return nil
}

// raw makes an item of a row's cells.
func (o ParquetOptions) raw(key string, cells parquet.Row) Raw {
	raw := Raw{Key: key}
	caption, ok := cells[0].(string)
	if !ok {
		raw.Rule, raw.Problem = "caption", fmt.Sprintf("column %s is null", o.Caption)
		return raw
	}
	if !utf8.ValidString(caption) {
		raw.Rule, raw.Problem = "caption", "the caption is not UTF-8"
		return raw
	}
	raw.Caption = strings.TrimSpace(caption)
	rest := cells[2:]
	for _, field := range []struct {
		column string
		to     *string
	}{{o.License, &raw.License}, {o.URL, &raw.URL}} {
		if field.column != "" {
			text, _ := rest[0].(string) // null: nothing is said
			*field.to, rest = strings.ToValidUTF8(text, "�"), rest[1:]
		}
	}
	picture, ok := cells[1].(parquet.Image)
	switch {
	case !ok:
		raw.Rule, raw.Problem = "image", fmt.Sprintf("column %s is null", o.Image)
	case len(picture.Bytes) == 0 && picture.Path != "":
		raw.Rule, raw.Problem = "image", fmt.Sprintf("column %s holds the path %.100q and no bytes", o.Image, picture.Path)
	case len(picture.Bytes) > maxImageBytes:
		raw.Rule, raw.Problem = "image", fmt.Sprintf("the image has %d bytes, want at most %d", len(picture.Bytes), maxImageBytes)
	default:
		raw.Encoded = picture.Bytes
	}
	return raw
}

// Names of columns that mean a caption or an image, best first.
var (
	captionNames = []string{"caption", "prompt", "text", "txt", "description"}
	imageNames   = []string{"image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes"}
)

// columns completes the options by a file's columns, or says what is missing.
func (p *Parquet) columns(there []parquet.Column) (ParquetOptions, error) {
	o := p.o
	var err error
	if o.Caption, err = choose("caption", o.Caption, parquet.String, captionNames, there); err != nil {
		return o, err
	}
	if o.Image, err = choose("image", o.Image, parquet.Picture, imageNames, there); err != nil {
		return o, err
	}
	if o.License, err = named("license", o.License, parquet.String, there); err != nil {
		return o, err
	}
	o.URL, err = named("url", o.URL, parquet.String, there)
	return o, err
}

// choose returns the configured column, or one of the known names, or the only
// column of the kind.
func choose(key, configured string, kind parquet.Kind, known []string, there []parquet.Column) (string, error) {
	if configured != "" {
		return named(key, configured, kind, there)
	}
	var fit []string
	for _, c := range there {
		if c.Kind == kind {
			fit = append(fit, c.Name)
		}
	}
	for _, name := range known {
		if i := slices.IndexFunc(fit, func(f string) bool { return strings.EqualFold(f, name) }); i >= 0 {
			return fit[i], nil
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	return "", fmt.Errorf("which column is the %s cannot be told, among %s: set `columns.%s` in the configuration", key, list(there), key)
}

// named checks that a configured column is there.
func named(key, configured string, kind parquet.Kind, there []parquet.Column) (string, error) {
	if configured == "" {
		return "", nil
	}
	i := slices.IndexFunc(there, func(c parquet.Column) bool { return c.Name == configured })
	if i < 0 {
		return "", fmt.Errorf("there is no column %q for the %s, only %s: mend `columns.%s` in the configuration", configured, key, list(there), key)
	}
	if there[i].Kind != kind {
		return "", fmt.Errorf("column %q cannot hold the %s: mend `columns.%s` in the configuration", configured, key, key)
	}
	return configured, nil
}

func list(columns []parquet.Column) string {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return "no columns at all"
	}
	return strings.Join(names, ", ")
}
