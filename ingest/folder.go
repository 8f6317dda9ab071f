package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"unicode/utf8"
)

const (
	// maxImageBytes bounds what one image file may cost in memory.
	maxImageBytes = 256 << 20
	// maxCaptionBytes bounds a caption file and a line of metadata.
	maxCaptionBytes = 1 << 20
)

// metadataName is the caption file of Hugging Face's imagefolder form.
const metadataName = "metadata.jsonl"

// Folder is a folder of images, subfolders included. The caption of an image
// is in a text file of the same name (photo.jpg, photo.txt), or in a
// metadata.jsonl with the fields file_name and text, in the image's folder or
// one above it; the nearest one that names the image decides.
type Folder struct {
	name string
	fsys fs.FS
}

// NewFolder reads the pairs of fsys under the given source name.
func NewFolder(name string, fsys fs.FS) *Folder { return &Folder{name: name, fsys: fsys} }

// Name implements [Source].
func (f *Folder) Name() string { return f.name }

// Pairs implements [Source]: the images in lexical order of their paths,
// folder by folder.
func (f *Folder) Pairs(ctx context.Context) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		err := f.walk(ctx, ".", nil, yield)
		if err != nil && !errors.Is(err, errStop) {
			yield(Raw{}, err)
		}
	}
}

// errStop says that the consumer broke off.
var errStop = errors.New("stop")

func (f *Folder) walk(ctx context.Context, dir string, above *metadata, yield func(Raw, error) bool) error {
	entries, err := fs.ReadDir(f.fsys, dir)
	switch {
	case err != nil && dir == ".":
		return fmt.Errorf("read the folder: %w", err)
	case err != nil: // one folder among others
		if !yield(Raw{Key: dir, Rule: "folder", Problem: fmt.Sprintf("the folder cannot be read: %v", err)}, nil) {
			return errStop
		}
		return nil
	}
	rows := f.metadata(dir, above)
	for _, problem := range rows.broken {
		if !yield(problem, nil) {
			return errStop
		}
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			if err := f.walk(ctx, name, rows, yield); err != nil {
				return err
			}
			continue
		}
		if !isImage(name) {
			continue
		}
		if !yield(f.pair(name, rows), nil) {
			return errStop
		}
	}
	return nil
}

func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".webp":
		return true
	}
	return false
}

// metadata is what a folder's metadata.jsonl says, and its lines that say
// nothing.
type metadata struct {
	captions map[string]string // by path
	broken   []Raw
	above    *metadata // of the folder above; nil at the top
}

func (m *metadata) caption(name string) (caption string, ok bool) {
	for ; m != nil && !ok; m = m.above {
		caption, ok = m.captions[name]
	}
	return caption, ok
}

func (f *Folder) metadata(dir string, above *metadata) *metadata {
	m := &metadata{captions: map[string]string{}, above: above}
	name := path.Join(dir, metadataName)
	file, err := f.fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return m
	}
	if err != nil {
		m.broken = append(m.broken, Raw{Key: name, Rule: "metadata", Problem: err.Error()})
		return m
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxCaptionBytes)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var row struct {
			FileName string  `json:"file_name"`
			Text     *string `json:"text"`
		}
		problem := ""
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			problem = fmt.Sprintf("line %d of %s is no JSON object with the strings file_name and text: %v", n, name, err)
		} else if row.FileName == "" || row.Text == nil {
			problem = fmt.Sprintf("line %d of %s lacks file_name or text", n, name)
		} else if target := path.Join(dir, row.FileName); !fs.ValidPath(row.FileName) {
			problem = fmt.Sprintf("line %d of %s names %q, which is no path below its folder", n, name, row.FileName)
		} else if info, err := fs.Stat(f.fsys, target); err != nil || info.IsDir() {
			problem = fmt.Sprintf("line %d of %s names %q, and there is no such image", n, name, row.FileName)
		} else {
			m.captions[target] = *row.Text
		}
		if problem != "" {
			m.broken = append(m.broken, Raw{Key: fmt.Sprintf("%s:%d", name, n), Rule: "metadata", Problem: problem})
		}
	}
	if err := lines.Err(); err != nil {
		m.broken = append(m.broken, Raw{Key: fmt.Sprintf("%s:%d", name, n+1), Rule: "metadata",
			Problem: fmt.Sprintf("%s cannot be read from line %d on: %v", name, n+1, err)})
	}
	return m
}

// pair reads an image and its caption.
func (f *Folder) pair(name string, rows *metadata) Raw {
	raw := Raw{Key: name}
	caption, ok := rows.caption(name)
	if !ok {
		captionName := strings.TrimSuffix(name, path.Ext(name)) + ".txt"
		text, err := readFile(f.fsys, captionName, maxCaptionBytes)
		if errors.Is(err, fs.ErrNotExist) {
			raw.Rule, raw.Problem = "caption", fmt.Sprintf("there is no caption: want %s or a line of %s", captionName, metadataName)
			return raw
		}
		if err != nil {
			raw.Rule, raw.Problem = "caption", err.Error()
			return raw
		}
		caption = string(text)
	}
	if !utf8.ValidString(caption) {
		raw.Rule, raw.Problem = "caption", "the caption is not UTF-8"
		return raw
	}
	raw.Caption = strings.TrimSpace(caption)
	encoded, err := readFile(f.fsys, name, maxImageBytes)
	if err != nil {
		raw.Rule, raw.Problem = "image", err.Error()
		return raw
	}
	raw.Encoded = encoded
	return raw
}

// readFile reads a file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, nil
}
