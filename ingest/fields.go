package ingest

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Columns name the fields of a row: columns of a table, keys of a JSON object.
// Caption and Image are detected when they are empty, the others too where a
// field has one of their usual names.
type Columns struct {
	Caption, Image, License, URL string
}

// Names of fields that mean something, best first. Case does not matter.
var (
	captionNames = []string{"caption", "prompt", "input_prompt", "text", "txt", "description", "long_caption", "top_caption"}
	imageNames   = []string{"image", "img", "output_image", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "image_base64", "file_name", "filename", "file", "image_path", "img_path", "path", "url", "image_url"}
	licenseNames = []string{"license", "licence"}
	urlNames     = []string{"url", "image_url", "source_url"}
	// editingNames are fields of samples that edit an image: their output does
	// not answer the prompt alone.
	editingNames = []string{"input_image", "source_image"}
)

// columnError says that the configuration does not fit what is there.
type columnError struct{ err error }

func (e *columnError) Error() string { return e.err.Error() }

// mapping tells which of the fields that are there hold what. Absent ones are
// empty.
type mapping struct {
	Columns
	editing string
}

// fit completes the columns by the fields that are there, or gives a
// columnError. Without images there is no image field to be found.
func (c Columns) fit(there []string, images bool) (mapping, error) {
	m := mapping{}
	for _, f := range []struct {
		key        string
		configured string
		known      []string
		needed     bool
		to         *string
	}{
		{"caption", c.Caption, captionNames, true, &m.Caption},
		{"image", c.Image, imageNames, images, &m.Image},
		{"license", c.License, licenseNames, false, &m.License},
		{"url", c.URL, urlNames, false, &m.URL},
	} {
		if f.configured != "" {
			if !slices.Contains(there, f.configured) {
				return m, &columnError{fmt.Errorf("there is no field %q for the %s, only %s: mend `columns.%s` in the configuration", f.configured, f.key, listNames(there), f.key)}
			}
			*f.to = f.configured
			continue
		}
		if f.key == "image" && !images {
			continue
		}
		*f.to = firstOf(f.known, there)
		if *f.to == "" && f.needed {
			return m, &columnError{fmt.Errorf("which field is the %s cannot be told, among %s: set `columns.%s` in the configuration", f.key, listNames(there), f.key)}
		}
	}
	m.editing = firstOf(editingNames, there)
	return m, nil
}

// firstOf returns the field that has the best of the known names, or "".
func firstOf(known, there []string) string {
	for _, name := range known {
		if i := slices.IndexFunc(there, func(t string) bool { return strings.EqualFold(t, name) }); i >= 0 {
			return there[i]
		}
	}
	return ""
}

func listNames(names []string) string {
	const most = 30
	switch {
	case len(names) == 0:
		return "no fields at all"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// cell is a field's value: a text, or bytes. A picture of Hugging Face's form
// may have a path besides.
type cell struct {
	text  string
	bytes []byte
	set   bool // false: null or absent
	other bool // neither a text, a number nor an image; the text is its JSON
}

// raw makes an item of a row's cells.
func (m mapping) raw(key string, cells map[string]cell, images place) Raw {
	r := Raw{Key: key, License: cells[m.License].text, URL: cells[m.URL].text}
	caption := cells[m.Caption]
	if !caption.set {
		return r.problem("caption", "the field %s is empty", m.Caption)
	}
	if caption.other {
		return r.problem("caption", "the field %s holds no text, but %.60s", m.Caption, caption.text)
	}
	r.Caption = caption.text
	for _, name := range append(editingNames, m.editing) { // the first row may lack it
		if c := cells[name]; c.set && (c.text != "" || len(c.bytes) > 0) {
			return r.problem("editing", "it has an input image in %s: the output does not answer the prompt alone", name)
		}
	}
	if m.Image == "" {
		r.PromptOnly = true
		return r
	}
	picture := cells[m.Image]
	switch {
	case !picture.set || picture.text == "" && len(picture.bytes) == 0:
		return r.problem("image", "the field %s is empty", m.Image)
	case len(picture.bytes) > maxFileBytes:
		return r.problem("image", "the image has %d bytes, want at most %d", len(picture.bytes), maxFileBytes)
	case len(picture.bytes) > 0:
		r.Encoded, r.Name = picture.bytes, picture.text
		return r
	}
	return r.referTo(picture.text, m.Image, images)
}

// referTo resolves a text that stands for an image: a data URI, an address, a
// path, or base64.
func (r Raw) referTo(text, field string, images place) Raw {
	scheme, _, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "data":
		_, data, ok := strings.Cut(text, ";base64,")
		if !ok {
			return r.problem("image", "the field %s holds a data URI that is not base64", field)
		}
		return r.decode(data, field)
	case "http", "https":
		r.Download = text
		if r.URL == "" {
			r.URL = text
		}
		if u, err := url.Parse(text); err == nil {
			r.Name = path.Base(u.Path)
		}
		return r
	}
	if isImage(text) || len(text) < 256 {
		name := path.Join(images.dir, text)
		if below, ok := strings.CutPrefix(path.Clean(text), strings.TrimSuffix(images.root, "/")+"/"); ok && images.root != "" {
			name, text = below, below
		}
		if path.IsAbs(text) || !fs.ValidPath(name) {
			return r.problem("image", "the field %s names %.200q, which is not below the folder of the images: set `images` in the configuration to the folder at which the paths begin", field, text)
		}
		r.File, r.Name = File{FS: images.fs, Name: name}, name
		return r
	}
	return r.decode(text, field)
}

// decode takes base64, with or without padding and line breaks.
func (r Raw) decode(text, field string) Raw {
	text = strings.TrimRight(strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(text), "=")
	encoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		encoded, err = base64.RawURLEncoding.DecodeString(text)
	}
	if err != nil || len(encoded) == 0 {
		return r.problem("image", "the field %s holds neither a path, an address nor base64: %.60q", field, text)
	}
	r.Encoded = encoded
	return r
}
