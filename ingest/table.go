package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
)

// TableOptions say how rows are read.
type TableOptions struct {
	Columns Columns
	// Images, unless its FS is nil, is the folder at which the paths of images
	// begin; else they begin at the folder of the table.
	Images File
	// PromptOnly: the rows have no image, or it is not wanted.
	PromptOnly bool
	// Files: images are files that the field file_name names, as in a
	// metadata.jsonl.
	Files bool
}

// Table is a source of rows: .jsonl, .json (an array of objects), .csv, .tsv,
// and for prompts without an image .txt (a line is a prompt); each as it is or
// compressed (.gz, .zst). Images are in the rows (base64), or named by path or
// address.
type Table struct {
	name     string
	location Location
	o        TableOptions
	see      func(names []string) // unless nil, is told the fields of each file
	fits     func()               // unless nil, is told that the fields of a file fit
}

// tableExtensions are those of the files that a folder of tables stands for.
var tableExtensions = []string{".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".json.gz", ".jsonl.zst", ".csv.zst", ".tsv.zst", ".json.zst"}

// NewTable reads the rows of the location's files.
func NewTable(name string, l Location, o TableOptions) *Table {
	if o.Files && o.Columns.Image == "" {
		o.Columns.Image = "file_name"
	}
	return &Table{name: name, location: l, o: o}
}

// Name implements [Source].
func (t *Table) Name() string { return t.name }

// Options implements [Source].
func (t *Table) Options() string {
	return fmt.Sprintf("table/1 %q %q %t %t", t.o.Columns, t.o.Images.Name, t.o.PromptOnly, t.o.Files)
}

// Units implements [Source]: the rows in order, file by file.
func (t *Table) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		extensions := tableExtensions
		if t.o.PromptOnly {
			extensions = append(slices.Clone(extensions), ".txt", ".txt.gz", ".txt.zst")
		}
		files, err := t.location.list(extensions...)
		if err != nil {
			yield(Unit{}, err)
			return
		}
		var fit fitting
		reader := *t
		reader.fits = func() { fit.any = true }
		for _, file := range files {
			err := unitsOf(ctx, file.name, fit.watch(reader.rows(ctx, file)), yield)
			if err != nil {
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

// fitting turns files whose columns do not fit into items with a problem. If
// no file's do, the configuration is wrong, and that is an error.
type fitting struct {
	any    bool
	misfit error
}

func (f *fitting) watch(rows iter.Seq2[identified, error]) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		for row, err := range rows {
			var columns *columnError
			if errors.As(err, &columns) {
				f.misfit = err
				row.raw = row.raw.problem("fields", "%v", columns)
				row.id = irgdata.NewDigester("misfit").Text(row.raw.Key).Text(columns.Error()).Sum()
				yield(row, nil)
				return
			}
			f.any = f.any || err == nil && row.raw.Problem == ""
			if !yield(row, err) {
				return
			}
		}
	}
}

func (f *fitting) err() error {
	if f.any {
		return nil
	}
	return f.misfit
}

// rows yields the rows of a file. A columnError comes with the file's key.
func (t *Table) rows(ctx context.Context, file listed) iter.Seq2[identified, error] {
	return func(yield func(identified, error) bool) {
		reader := tableReader{t: t, file: file, yield: yield}
		file, err := t.location.open(file.name)
		if err != nil {
			reader.broken(err)
			return
		}
		defer file.Close()
		source := &failing{r: contextReader{ctx, file}}
		plain, closePlain, name, err := decompress(source, reader.file.name)
		if err != nil {
			reader.broken(err)
			return
		}
		defer closePlain()
		switch extension := strings.ToLower(path.Ext(name)); extension {
		case ".jsonl", ".ndjson":
			err = reader.jsonLines(plain)
		case ".json":
			err = reader.jsonArray(plain)
		case ".csv":
			err = reader.csv(plain)
		case ".tsv":
			err = reader.tsv(plain)
		case ".txt":
			err = reader.prompts(plain)
		default:
			err = fmt.Errorf("a table's name ends in %s", strings.Join(tableExtensions[:5], ", "))
		}
		switch {
		case errors.Is(err, errStop):
		case source.err != nil: // the file cannot be read, whatever the parser made of it
			yield(identified{raw: Raw{Key: reader.file.name}}, fmt.Errorf("read %s: %w", reader.file.name, source.err))
		case err != nil:
			var columns *columnError
			if errors.As(err, &columns) {
				yield(identified{raw: Raw{Key: reader.file.name}}, err)
			} else {
				reader.broken(err)
			}
		}
	}
}

// failing remembers the error of the reader below, so that a source that
// cannot be read is told from one whose content is damaged.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !isEnd(err) {
		f.err = err
	}
	return n, err
}

// isEnd reports whether a file simply ends.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// maxWindow bounds the memory of a zstd decoder.
const maxWindow = 256 << 20

// decompress reads gzip and zstd, told by their first bytes, and returns the
// name without the extension of the compression. The caller closes.
func decompress(r io.Reader, name string) (plain io.Reader, closePlain func(), inner string, err error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, nil, "", err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	inner = name
	for _, extension := range []string{".gz", ".zst", ".tgz"} {
		if hasExtension(inner, []string{extension}) {
			inner = inner[:len(inner)-len(extension)]
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, "", err
		}
		return z, func() { z.Close() }, inner, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, "", err
		}
		return z, z.Close, inner, nil
	}
	return r, func() {}, inner, nil
}

// tableReader yields the rows of one file.
type tableReader struct {
	t     *Table
	file  listed
	yield func(identified, error) bool

	fits    map[string]fitted // by the names of a JSON object
	first   *mapping          // of the first row that fits; nil: none did yet
	waiting []waiting         // rows that do not, before the first that does
}

// fitted is how rows with certain fields are read, or why they cannot be.
type fitted struct {
	mapping
	err error
}

type waiting struct {
	row int
	err error
}

// mostWaiting is how many rows may not fit before the first that does; then
// the file does not.
const mostWaiting = 1000

// emit yields a row that is identified by its bytes and by what was taken of
// them.
func (t *tableReader) emit(r Raw, row []byte) error {
	id := irgdata.NewDigester("row/2").Text(r.Key).Digest(irgdata.DigestOf(row)).Text(r.Caption).Text(r.License).Text(r.URL).Text(r.Name).Text(r.File.Name).Sum()
	if !t.yield(identified{raw: r, id: id, bytes: len(row)}, nil) {
		return errStop
	}
	return nil
}

func (t *tableReader) key(row int) string { return fmt.Sprintf("%s:%d", t.file.name, row) }

// bad yields a row that is no pair.
func (t *tableReader) bad(row int, format string, args ...any) error {
	r := Raw{Key: t.key(row)}.problem("row", format, args...)
	return t.emit(r, []byte(r.Problem))
}

// broken yields a file, or the rest of one, that cannot be read.
func (t *tableReader) broken(err error) {
	r := Raw{Key: t.file.name}.problem("table", "it cannot be read, or not to its end: %v", err)
	_ = t.emit(r, []byte(r.Problem)) // the last item in any case
}

// place is where paths of images begin.
type place struct {
	fs   fs.FS
	dir  string // in fs
	root string // the whole path of fs on this machine, "" if it has none
}

// images is where the paths of images in a table of the folder dir begin.
func (t *Table) images(dir string) place {
	if i := t.o.Images; i.FS != nil {
		return place{i.FS, i.Name, i.Root}
	}
	return place{t.location.FS, dir, t.location.Root}
}

// row yields the item of a row's cells.
func (t *tableReader) row(number int, m mapping, cells map[string]cell, encoded []byte) error {
	images := t.t.images(path.Dir(t.file.name))
	if t.t.o.Files { // a name below the folder, and nothing else
		name := cells[m.Image].text
		r := Raw{Key: t.key(number), License: cells[m.License].text, URL: cells[m.URL].text, Caption: cells[m.Caption].text, Name: name}
		switch {
		case name == "" || !cells[m.Caption].set:
			r = r.problem("metadata", "the row lacks %s or %s", m.Image, m.Caption)
		case !fs.ValidPath(path.Clean(name)):
			r = r.problem("metadata", "the row names %.200q, which is no path below its folder", name)
		default: // also ./name
			r.File = File{FS: images.fs, Name: path.Join(images.dir, name)}
		}
		return t.emit(r, encoded)
	}
	return t.emit(m.raw(t.key(number), cells, images), encoded)
}

func (t *tableReader) fit(names []string) (mapping, error) {
	if t.t.see != nil {
		t.t.see(names)
	}
	m, err := t.t.o.Columns.fit(names, !t.t.o.PromptOnly)
	if err == nil && t.t.fits != nil {
		t.t.fits()
	}
	return m, err
}

// lines calls each with the lines that are not blank, numbered from 1.
func (t *tableReader) lines(r io.Reader, each func(number int, line []byte) error) error {
	l := newLines(r)
	for {
		line, err := l.next(maxRowBytes)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, errTooLong):
			err = t.bad(l.number, "the line has more than %d bytes", maxRowBytes)
		case err != nil:
			return err
		case len(bytes.TrimSpace(line)) == 0:
			continue
		default:
			err = each(l.number, line)
		}
		if err != nil {
			return err
		}
	}
}

// jsonLines reads a JSON object in each line.
func (t *tableReader) jsonLines(r io.Reader) error {
	if err := t.lines(r, t.object); err != nil {
		return err
	}
	return t.misfit()
}

// jsonArray reads the objects of one array.
func (t *tableReader) jsonArray(r io.Reader) error {
	limited := &perRecord{r: r}
	dec := json.NewDecoder(limited)
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		return fmt.Errorf("want a JSON array of objects: %w", orUnexpected(err))
	}
	for row := 1; dec.More(); row++ {
		limited.n = 0
		var object json.RawMessage
		if err := dec.Decode(&object); err != nil {
			return fmt.Errorf("element %d: %w", row, err)
		}
		if err := t.object(row, object); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the array: want one array in a file")
	}
	return t.misfit()
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("it begins otherwise")
	}
	return err
}

// object yields the row of a JSON object. Which fields hold what is decided for
// each set of names.
func (t *tableReader) object(row int, encoded []byte) error {
	cells, names, err := jsonCells(encoded)
	if err != nil {
		return t.bad(row, "it is no JSON object: %v", err)
	}
	key := strings.Join(names, "\x00")
	f, known := t.fits[key]
	if !known {
		f.mapping, f.err = t.fit(names)
		if t.fits == nil || len(t.fits) >= maxFits {
			t.fits = map[string]fitted{}
		}
		t.fits[key] = f
	}
	switch {
	case f.err != nil && t.first == nil:
		if t.waiting = append(t.waiting, waiting{row, f.err}); len(t.waiting) > mostWaiting {
			return f.err
		}
		return nil
	case f.err != nil:
		return t.row(row, *t.first, cells, encoded) // which says what it lacks
	case t.first == nil:
		t.first = &f.mapping
	}
	for _, w := range t.waiting {
		if err := t.bad(w.row, "%v", w.err); err != nil {
			return err
		}
	}
	t.waiting = nil
	return t.row(row, f.mapping, cells, encoded)
}

// maxFits bounds what is kept of rows of which each has other names.
const maxFits = 1024

// misfit is the error of a file of which no row fits.
func (t *tableReader) misfit() error {
	if len(t.waiting) > 0 {
		return t.waiting[0].err
	}
	return nil
}

// jsonCells are the fields of an object that hold a text, a number or an image
// ({"bytes": base64, "path": …} or {"url": …}), and the names of all fields.
func jsonCells(encoded []byte) (map[string]cell, []string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, nil, err
	}
	cells := map[string]cell{}
	var names []string
	for name, value := range fields {
		names = append(names, name)
		var text string
		var picture struct {
			Bytes []byte `json:"bytes"`
			Path  string `json:"path"`
			URL   string `json:"url"`
		}
		switch {
		case string(value) == "null":
		case json.Unmarshal(value, &text) == nil:
			cells[name] = cell{text: text, set: true}
		case value[0] == '{' && json.Unmarshal(value, &picture) == nil:
			cells[name] = cell{text: picture.Path + picture.URL, bytes: picture.Bytes, set: true}
		case value[0] == '[' && string(bytes.TrimSpace(value[1:])) == "]":
			// an empty list, such as that of a sample's input images
		default:
			cells[name] = cell{text: string(value), set: true, other: strings.IndexByte("[{tf", value[0]) >= 0}
		}
	}
	slices.Sort(names)
	return cells, names, nil
}

// csv reads rows under a header.
func (t *tableReader) csv(r io.Reader) error {
	limited := &perRecord{r: r}
	text := bufio.NewReader(limited)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(3)
	}
	reader := csv.NewReader(text)
	reader.ReuseRecord = true
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	names := slices.Clone(header)
	m, err := t.fit(names)
	if err != nil {
		return err
	}
	for row := 2; ; row++ {
		limited.n = 0
		record, err := reader.Read()
		var parse *csv.ParseError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &parse) && !errors.Is(err, errTooLong):
			rest := ""
			if parse.Line > parse.StartLine {
				rest = fmt.Sprintf("; lines %d to %d are lost with it", parse.StartLine, parse.Line)
			}
			err = t.bad(row, "the row is no row of a table: %v%s", err, rest)
		case err != nil:
			return err
		default:
			err = t.record(row, m, names, record)
		}
		if err != nil {
			return err
		}
	}
}

// tsv reads rows under a header, one in each line. Quotes mean something only
// around a whole field: captions begin with quoted words.
func (t *tableReader) tsv(r io.Reader) error {
	var names []string
	var m mapping
	return t.lines(r, func(number int, line []byte) error {
		record := strings.Split(string(line), "\t")
		for i, field := range record {
			record[i] = unquote(field)
		}
		if names == nil {
			names = record
			var err error
			m, err = t.fit(names)
			return err
		}
		return t.record(number, m, names, record)
	})
}

// unquote takes the quotes off a field that is quoted as a whole.
func unquote(field string) string {
	if len(field) < 2 || field[0] != '"' || field[len(field)-1] != '"' {
		return field
	}
	inner := strings.ReplaceAll(field[1:len(field)-1], `""`, "\x00")
	if strings.Contains(inner, `"`) {
		return field
	}
	return strings.ReplaceAll(inner, "\x00", `"`)
}

// record yields a row of CSV or TSV.
func (t *tableReader) record(row int, m mapping, names, record []string) error {
	if len(record) != len(names) {
		return t.bad(row, "the row has %d fields and the header has %d", len(record), len(names))
	}
	cells := map[string]cell{}
	var encoded []byte
	for i, name := range names {
		cells[name] = cell{text: record[i], set: record[i] != ""}
		encoded = append(append(encoded, record[i]...), 0)
	}
	return t.row(row, m, cells, encoded)
}

// perRecord bounds the bytes between two resets of n: a quote that is never
// closed would make one record of the whole file.
type perRecord struct {
	r io.Reader
	n int
}

func (p *perRecord) Read(b []byte) (int, error) {
	if p.n > maxRowBytes {
		return 0, fmt.Errorf("%w: more than %d bytes without an end: is a quote not closed?", errTooLong, maxRowBytes)
	}
	n, err := p.r.Read(b)
	p.n += n
	return n, err
}

// prompts reads a prompt in each line.
func (t *tableReader) prompts(r io.Reader) error {
	return t.lines(r, func(number int, line []byte) error {
		return t.emit(Raw{Key: t.key(number), Caption: string(line), PromptOnly: true}, line)
	})
}
