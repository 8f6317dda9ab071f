package ingest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
)

// Tar is a source of WebDataset archives: .tar files, as they are or
// compressed (.gz, .zst). The files of a sample follow one another and share
// the name up to the first dot; one is the image, another the caption (.txt,
// .caption, or a field of a .json).
type Tar struct {
	name     string
	location Location
	columns  Columns
}

var tarExtensions = []string{".tar", ".tar.gz", ".tgz", ".tar.zst"}

// NewTar reads the samples of the location's archives; columns name fields of
// .json files.
func NewTar(name string, l Location, columns Columns) *Tar {
	return &Tar{name: name, location: l, columns: columns}
}

// Name implements [Source].
func (t *Tar) Name() string { return t.name }

// Options implements [Source].
func (t *Tar) Options() string { return fmt.Sprintf("tar/2 %q", t.columns) }

// Units implements [Source]: a unit is an archive. It holds one sample at a
// time. What is damaged is an item with a Problem: a file that is too large, a
// sample without an image, or the rest of an archive that breaks off.
func (t *Tar) Units(ctx context.Context) iter.Seq2[Unit, error] {
	return func(yield func(Unit, error) bool) {
		files, err := t.location.list(tarExtensions...)
		if err != nil {
			yield(Unit{}, err)
			return
		}
		for _, file := range files {
			unit := Unit{Name: file.name, Version: file.version, Items: t.samples(ctx, file.name)}
			problem, err := t.location.opens(file.name)
			if problem != nil {
				unit = again(file.name, Raw{Key: file.name}.problem("archive", "%v", problem))
			}
			if !yield(unit, err) || err != nil {
				return
			}
		}
	}
}

func (t *Tar) samples(ctx context.Context, name string) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		broken := func(format string, args ...any) { yield(Raw{Key: name}.problem("archive", format, args...), nil) }
		file, err := t.location.FS.Open(name)
		if err != nil { // it could be opened when it was listed
			yield(Raw{Key: name}, fmt.Errorf("read %s: %w", name, err))
			return
		}
		defer file.Close()
		source := &failing{r: contextReader{ctx, file}}
		frames := bufio.NewReader(source)
		err = skipFrames(frames)
		var plain io.Reader
		var closePlain func()
		if err == nil {
			plain, closePlain, _, err = decompress(frames, name)
		}
		if err == nil {
			defer closePlain()
			n := 0
			err = t.read(plain, name, func(r Raw) bool { n++; return yield(r, nil) })
			if err != nil && !errors.Is(err, errStop) && source.err == nil {
				broken("the archive cannot be read after item %d: %v", n, err)
				return
			}
		}
		switch {
		case err == nil || errors.Is(err, errStop):
		case source.err != nil: // the file cannot be read, whatever the parser made of it
			yield(Raw{Key: name}, fmt.Errorf("read %s: %w", name, source.err))
		default:
			broken("it is no archive: %v", err)
		}
	}
}

// skipFrames skips the frames of a zstd file that hold no content (RFC 8878,
// section 3.1.2), with which pzstd begins.
func skipFrames(r *bufio.Reader) error {
	for {
		head, err := r.Peek(8)
		if err != nil || binary.LittleEndian.Uint32(head)&^0xf != 0x184d2a50 {
			return nil // reading on tells of the error
		}
		if _, err := io.CopyN(io.Discard, r, 8+int64(binary.LittleEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}

// sample is what an archive says of one sample.
type sample struct {
	key    string // the common part of the names
	images []member
	texts  []member
	names  map[string]struct{} // of both
	byName map[string]int      // of texts, by captionKey
	bytes  int64
	beyond int // files that are more than a sample may have
}

func newSample(key string) sample {
	return sample{key: key, names: map[string]struct{}{}, byName: map[string]int{}}
}

// member is a file of a sample.
type member struct {
	name    string
	content []byte
	problem string
}

// The bounds of a sample's files together.
const (
	maxSampleBytes = 2 * maxFileBytes
	maxSampleFiles = 4096
)

// read reads an archive's samples.
func (t *Tar) read(r io.Reader, archive string, yield func(Raw) bool) error {
	ending := &zeros{r: r}
	archiveReader := tar.NewReader(ending)
	s := newSample("")
	flush := func() error {
		for _, raw := range t.raws(archive, s) {
			if !yield(raw) {
				return errStop
			}
		}
		s = newSample("")
		return nil
	}
	for {
		header, err := archiveReader.Next()
		if err == io.EOF {
			if err := flush(); err != nil {
				return err
			}
			return ending.check()
		}
		if err != nil {
			return errors.Join(flush(), err)
		}
		if header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader || strings.HasPrefix(path.Base(header.Name), ".") {
			continue
		}
		key := sampleKey(header.Name)
		_, twice := s.names[header.Name] // two samples of one key follow one another
		if key != s.key || twice {
			if err := flush(); err != nil {
				return err
			}
			s.key = key
		}
		if err := s.add(header, archiveReader); err != nil {
			return errors.Join(flush(), err)
		}
	}
}

// zeros counts the zero bytes read last: an archive ends with two blocks of
// them, and one that was cut off between two files does not.
type zeros struct {
	r io.Reader
	n int
}

func (z *zeros) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	trailing := len(p[:n]) - len(bytes.TrimRight(p[:n], "\x00"))
	if trailing == n {
		z.n += n
	} else {
		z.n = trailing
	}
	return n, err
}

// check says whether the archive is whole: after its end, only zeros follow.
func (z *zeros) check() error {
	if z.n < 512 {
		return errors.New("it has no end: it was cut off")
	}
	n := z.n
	rest, err := io.Copy(io.Discard, z)
	if err == nil && int64(z.n) != int64(n)+rest {
		err = errors.New("something follows its end, such as a second archive")
	}
	return err
}

// sampleKey is the name up to the first dot of its last part, as WebDataset
// has it.
func sampleKey(name string) string {
	dir, base := path.Split(name)
	stem, _, _ := strings.Cut(base, ".")
	return dir + stem
}

// add reads a file if it is an image or a caption.
func (s *sample) add(header *tar.Header, r io.Reader) error {
	picture := isImage(header.Name)
	if !picture && !hasExtension(header.Name, captionExtensions) {
		return nil // a feature of the sample that is not ours
	}
	if len(s.names) == maxSampleFiles || s.bytes+int64(len(header.Name)) > maxSampleBytes {
		s.beyond++
		return nil
	}
	s.names[header.Name] = struct{}{}
	s.bytes += int64(len(header.Name))
	m := member{name: header.Name}
	limit := int64(maxFileBytes)
	if !picture {
		limit = maxCaptionFile
	}
	switch {
	case header.Typeflag == tar.TypeLink || header.Typeflag == tar.TypeSymlink:
		m.problem = fmt.Sprintf("%s is a link in the archive, which is not followed", header.Name)
	case header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeGNUSparse:
		m.problem = fmt.Sprintf("%s is no regular file", header.Name)
	case header.Size > limit || s.bytes+header.Size > maxSampleBytes:
		m.problem = fmt.Sprintf("%s has %d bytes, want at most %d in a sample's file and %d in a sample", header.Name, header.Size, limit, int64(maxSampleBytes))
	default:
		content, err := io.ReadAll(io.LimitReader(r, limit+1))
		if err != nil {
			return fmt.Errorf("read %s: %w", header.Name, err)
		}
		m.content = content
		s.bytes += int64(len(content))
	}
	if picture {
		s.images = append(s.images, m)
		return nil
	}
	if _, before := s.byName[captionKey(m.name)]; !before {
		s.byName[captionKey(m.name)] = len(s.texts)
	}
	s.texts = append(s.texts, m)
	return nil
}

// captionKey is the name of a caption's file whatever the case of its
// extension.
func captionKey(name string) string {
	return withoutExtension(name) + strings.ToLower(path.Ext(name))
}

// raws makes items of a sample: one for each image, or a problem.
func (t *Tar) raws(archive string, s sample) []Raw {
	var raws []Raw
	if len(s.images) == 0 && len(s.texts) > 0 {
		raws = append(raws, Raw{Key: archive + "/" + s.key}.problem("image", "the sample has no image, only %s", path.Base(s.texts[0].name)))
	}
	for _, picture := range s.images {
		r := Raw{Key: archive + "/" + picture.name, Name: picture.name, Encoded: picture.content}
		caption, ok := s.captionOf(picture.name)
		switch {
		case picture.problem != "":
			r = r.problem("image", "%s", picture.problem)
		case !ok:
			r = r.problem("caption", "the sample has no caption: want %s with .txt, .caption or .json", s.key)
		case caption.problem != "":
			r = r.problem("caption", "%s", caption.problem)
		default:
			r = r.caption(caption, t.columns)
			if details, ok := s.detailsOf(picture.name, caption); ok && r.Problem == "" {
				r = r.details(details, t.columns)
			}
		}
		raws = append(raws, r)
	}
	if s.beyond > 0 {
		raws = append(raws, Raw{Key: archive + "/" + s.key}.problem("sample", "%d files of the sample were left out, want at most %d with the same name up to the first dot", s.beyond, maxSampleFiles))
	}
	return raws
}

// text finds a caption's file by its name.
func (s sample) text(name string) (member, bool) {
	i, ok := s.byName[name]
	if !ok {
		return member{}, false
	}
	return s.texts[i], true
}

// captionOf finds an image's caption: a file of the same name, else the one
// that bears the sample's key alone, or the only image's only one.
func (s sample) captionOf(picture string) (member, bool) {
	for _, stem := range []string{withoutExtension(picture), s.key} {
		for _, extension := range captionExtensions {
			if t, ok := s.text(stem + extension); ok {
				return t, true
			}
		}
	}
	if len(s.images) > 1 {
		return member{}, false
	}
	for _, extension := range captionExtensions {
		for _, t := range s.texts {
			if hasExtension(t.name, []string{extension}) {
				return t, true
			}
		}
	}
	return member{}, false
}

// detailsOf finds the .json that says more of an image whose caption is in
// another file.
func (s sample) detailsOf(picture string, caption member) (member, bool) {
	for _, stem := range []string{withoutExtension(picture), s.key} {
		if t, ok := s.text(stem + ".json"); ok && t.name != caption.name && t.problem == "" {
			return t, true
		}
	}
	return member{}, false
}

// maxCaptionFile bounds a caption's file.
const maxCaptionFile = 1 << 20

// caption takes the caption of a file: its text, or a field of a .json.
func (r Raw) caption(m member, columns Columns) Raw {
	if !hasExtension(m.name, []string{".json"}) {
		r.Caption = string(m.content)
		return r
	}
	fields, names, err := jsonCells(m.content)
	if err != nil {
		return r.problem("caption", "%s is no JSON object: %v", m.name, err)
	}
	fit, err := columns.fit(names, false)
	if err != nil {
		return r.problem("caption", "%s: %v", m.name, err)
	}
	if !fields[fit.Caption].set {
		return r.problem("caption", "%s: the field %s is empty", m.name, fit.Caption)
	}
	r.Caption = fields[fit.Caption].text
	return r.take(fields, fit)
}

// details takes licence and address from a .json beside the caption.
func (r Raw) details(m member, columns Columns) Raw {
	if !json.Valid(m.content) {
		return r
	}
	fields, names, err := jsonCells(m.content)
	if err != nil {
		return r
	}
	fit, _ := Columns{License: columns.License, URL: columns.URL}.fit(append(names, captionNames[0]), false) // the caption is found already
	return r.take(fields, fit)
}

func (r Raw) take(fields map[string]cell, m mapping) Raw {
	if text := fields[m.License].text; m.License != "" && text != "" {
		r.License = text
	}
	if text := fields[m.URL].text; m.URL != "" && text != "" {
		r.URL = text
	}
	return r
}
