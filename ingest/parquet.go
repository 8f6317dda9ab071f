package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"

	"github.com/irgdata/irgdata/internal/parquet"
)

// Parquet is a source of Parquet files. Images are in them, as Hugging Face's
// struct of bytes and path or as bare binary, or named by path or address.
type Parquet struct {
	name     string
	location Location
	o        TableOptions
}

// NewParquet reads the rows of the location's files, which must be readable at
// any offset (io.ReaderAt, io.Seeker).
func NewParquet(name string, l Location, o TableOptions) *Parquet {
	return &Parquet{name: name, location: l, o: o}
}

// Name implements [Source].
func (p *Parquet) Name() string { return p.name }

// Options implements [Source].
func (p *Parquet) Options() string {
	return fmt.Sprintf("parquet/2 %q %q %t", p.o.Columns, p.o.Images.Name, p.o.PromptOnly)
}

// Units implements [Source]: a unit is a file whose images are in it; rows that
// name their images are cut into units as those of tables are. A file that
// cannot be read, or the rest of one that is damaged midway, is one item with a
// Problem.
func (p *Parquet) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		files, err := p.location.list(".parquet")
		if err != nil {
			yield(Unit{}, err)
			return
		}
		var fit fitting
		for _, file := range files {
			if err := p.units(ctx, file, &fit, yield); err != nil {
				if !errors.Is(err, errStop) {
					yield(Unit{}, err)
				}
				return
			}
		}
		if err := fit.err(); err != nil {
			yield(Unit{}, err)
		}
	}
}

func (p *Parquet) units(ctx context.Context, file listed, fit *fitting, yield func(Unit, error) bool) error {
	inside, err := p.imagesInside(file)
	if err != nil {
		return err
	}
	rows := fit.watch(p.rows(ctx, file))
	if !inside {
		return unitsOf(ctx, file.name, rows, yield)
	}
	fit.any = true
	unit := Unit{Name: file.name, Version: file.version, Items: func(yield func(Raw, error) bool) {
		for row, err := range rows {
			if !yield(row.raw, err) {
				return
			}
		}
	}}
	if !yield(unit, nil) {
		return errStop
	}
	return nil
}

// open opens a file. problem says why it is no Parquet file; the error is that
// of reading it at all. The caller closes, also when there is a problem.
func (p *Parquet) open(name string) (r *parquet.Reader, closeFile func(), problem, err error) {
	problem, err = p.location.opens(name)
	if err != nil || problem != nil {
		return nil, func() {}, problem, err
	}
	file, err := p.location.FS.Open(name)
	if err != nil {
		return nil, func() {}, nil, err
	}
	closeFile = func() { file.Close() }
	at, ok := file.(parquet.Source)
	if !ok {
		return nil, closeFile, errors.New("it cannot be read at any offset"), nil
	}
	source := &failingAt{Source: at}
	r, problem = parquet.NewReader(source)
	return r, closeFile, problem, source.err
}

// failingAt remembers the error of the file below, as failing does.
type failingAt struct {
	parquet.Source
	err error
}

func (f *failingAt) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.Source.ReadAt(p, offset)
	if err != nil && n < len(p) && !isEnd(err) {
		f.err = err
	}
	return n, err
}

// imagesInside reports whether the file's images are in it, as far as its
// columns tell.
func (p *Parquet) imagesInside(file listed) (bool, error) {
	r, closeFile, problem, err := p.open(file.name)
	defer closeFile()
	if err != nil || problem != nil {
		return false, err
	}
	m, err := p.o.Columns.fit(columnNames(r), !p.o.PromptOnly)
	if err != nil {
		return false, nil // reading the rows tells
	}
	i := slices.IndexFunc(r.Columns(), func(c parquet.Column) bool { return c.Name == m.Image })
	return i >= 0 && r.Columns()[i].Kind == parquet.Picture, nil
}

func columnNames(r *parquet.Reader) []string {
	var names []string
	for _, c := range r.Columns() {
		names = append(names, c.Name)
	}
	return names
}

// rows yields a file's rows. A columnError comes with the file's key.
func (p *Parquet) rows(ctx context.Context, file listed) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		t := tableReader{t: &Table{location: p.location, o: p.o}, file: file, yield: yield}
		r, closeFile, problem, err := p.open(file.name)
		defer closeFile()
		if err != nil {
			yield(identified{raw: Raw{Key: file.name}}, fmt.Errorf("read %s: %w", file.name, err))
			return
		}
		if problem != nil {
			t.broken(problem)
			return
		}
		m, err := p.o.Columns.fit(columnNames(r), !p.o.PromptOnly)
		if err != nil {
			yield(identified{raw: Raw{Key: file.name}}, err)
			return
		}
		names := wanted(m)
		row := 0
		for cells, err := range r.Rows(ctx, names...) {
			if ctx.Err() != nil {
				yield(identified{raw: Raw{Key: file.name}}, ctx.Err())
				return
			}
			if err != nil {
				t.unread(row, r.NumRows(), err)
				return
			}
			if t.parquetRow(row, m, names, cells) != nil {
				return
			}
			row++
		}
	}
}

// mostUnread bounds the rejects of one file, whose number of rows may be a lie.
const mostUnread = 1_000_000

// unread yields each row from the given one on as an item with a problem, so
// that the counts tell how many were lost.
func (t *tableReader) unread(row int, rows int64, why error) {
	for ; int64(row) < rows; row++ {
		if row == mostUnread {
			t.broken(fmt.Errorf("the rows from %d on, %d in number: %w", row, rows-int64(row), why))
			return
		}
		if t.bad(row, "the row cannot be read: %v", why) != nil {
			return
		}
	}
}

// wanted lists the columns of a mapping that are to be read, each once.
func wanted(m mapping) []string {
	var names []string
	for _, name := range []string{m.Caption, m.Image, m.License, m.URL, m.editing} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (t *tableReader) parquetRow(row int, m mapping, names []string, values parquet.Row) error {
	cells := map[string]cell{}
	var encoded []byte
	for i, name := range names {
		switch v := values[i].(type) {
		case nil:
		case string:
			cells[name] = cell{text: v, set: true}
			encoded = append(append(encoded, v...), 0)
		case parquet.Image:
			cells[name] = cell{text: v.Path, bytes: v.Bytes, set: true}
			if name != m.Image && slices.Contains([]string{m.Caption, m.License, m.URL}, name) { // text that the schema does not call so
				cells[name] = cell{text: string(v.Bytes), set: true}
				encoded = append(append(encoded, v.Bytes...), 0)
			}
		default:
			cells[name] = cell{text: fmt.Sprint(v), set: true}
		}
	}
	r := m.raw(t.key(row), cells, t.t.images(path.Dir(t.file.name)))
	return t.emit(r, encoded)
}
