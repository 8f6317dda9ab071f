package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/irgdata/irgdata"
)

// maxFileBytes bounds what one image file may cost in memory.
const maxFileBytes = 256 << 20

// Location is a file, a folder or a pattern of file names in a file system.
type Location struct {
	FS fs.FS
	// Pattern is a path below FS. Wildcards (path.Match) stand for parts of a
	// name, {000..123} for numbers, {a,b} for alternatives; a folder stands for
	// all files below it.
	Pattern string
	// Root is the whole path of FS on this machine, "" if it has none: absolute
	// paths in tables are taken for what is below it.
	Root string
}

// listed is a file of a location.
type listed struct {
	name    string
	size    int64
	version irgdata.Digest // of name, size and time of change
}

func newListed(name string, info fs.FileInfo) listed {
	return listed{name, info.Size(), irgdata.NewDigester("file/1").Text(name).Uint(uint64(info.Size())).Uint(uint64(info.ModTime().UnixNano())).Sum()}
}

// list lists the location's files that have one of the extensions, each once,
// in the order of their names. A file that the pattern names itself may have
// any. It is an error if there is none.
func (l Location) list(extensions ...string) ([]listed, error) {
	found := map[string]listed{}
	patterns, err := expandBraces(l.Pattern)
	if _, literal := fs.Stat(l.FS, l.Pattern); literal == nil { // also if it is named x[1].tar
		patterns, err = nil, l.add(found, l.Pattern, extensions)
	}
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		names, err := fs.Glob(l.FS, pattern)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern of file names: %w", pattern, err)
		}
		if len(names) == 0 && len(patterns) > 1 {
			return nil, fmt.Errorf("no file is named %q, which %q stands for: mend the path in the configuration", pattern, l.Pattern)
		}
		for _, name := range names {
			if err := l.add(found, name, extensions); err != nil {
				return nil, err
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no file is named %q: mend the path in the configuration", l.Pattern)
	}
	var files []listed
	for _, f := range found {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// Exists gives the sentence for what is not there.
func (l Location) Exists() error {
	if _, err := fs.Stat(l.FS, l.Pattern); err == nil {
		return nil
	}
	_, err := l.list()
	return err
}

// opens tries to open a file. The problem is that of a file that is gone, is no
// regular one or may not be read; the error is that of its place, such as a
// bucket out of reach, and ends the run.
func (l Location) opens(name string) (problem, err error) {
	file, err := l.open(name)
	if err == nil {
		return nil, file.Close()
	}
	local := false
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		_, local = at.Err.(syscall.Errno) // that of a network is wrapped
	}
	if local || errors.Is(err, errIrregular) || errors.Is(err, fs.ErrNotExist) {
		return err, nil
	}
	return nil, err
}

var errIrregular = errors.New("is no regular file")

// open opens a regular file; opening a pipe would hang.
func (l Location) open(name string) (fs.File, error) {
	info, err := fs.Stat(l.FS, name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w", name, errIrregular)
	}
	if err != nil {
		return nil, err
	}
	return l.FS.Open(name)
}

// again is a unit of one item that is read each time.
func again(name string, r Raw) Unit {
	return Unit{Name: name, Items: func(yield func(Raw, error) bool) { yield(r, nil) }}
}

// add adds the file, or the files below the folder.
func (l Location) add(found map[string]listed, name string, extensions []string) error {
	info, err := fs.Stat(l.FS, name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		found[name] = newListed(name, info)
		return nil
	}
	return fs.WalkDir(l.FS, name, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !hasExtension(name, extensions) {
			return err
		}
		info, err := infoOf(l.FS, name, d)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went away meanwhile
		}
		if err == nil {
			found[name] = newListed(name, info)
		}
		return err
	})
}

// infoOf tells of an entry of a folder; of a link, it tells of what it leads to.
func infoOf(fsys fs.FS, name string, d fs.DirEntry) (fs.FileInfo, error) {
	if d.Type()&fs.ModeSymlink != 0 {
		if info, err := fs.Stat(fsys, name); err == nil {
			return info, nil
		}
	}
	return d.Info() // also of a link that leads nowhere: opening it tells
}

func hasExtension(name string, extensions []string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(extensions, func(e string) bool { return strings.HasSuffix(name, e) })
}

// maxPatterns bounds what braces may stand for.
const maxPatterns = 100_000

// expandBraces expands {a,b} and {000..123}, from left to right.
func expandBraces(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		return []string{pattern}, nil
	}
	length := strings.IndexByte(pattern[open:], '}')
	if length < 0 {
		return nil, fmt.Errorf("%q is no pattern of file names: a brace is not closed", pattern)
	}
	inner := pattern[open+1 : open+length]
	var choices []string
	if first, last, ok := strings.Cut(inner, ".."); ok {
		a, errA := strconv.ParseUint(first, 10, 32)
		b, errB := strconv.ParseUint(last, 10, 32)
		if errA != nil || errB != nil || b < a || b-a >= maxPatterns {
			return nil, fmt.Errorf("%q is no pattern of file names: want {FIRST..LAST} with at most %d numbers", pattern, maxPatterns)
		}
		for n := a; n <= b; n++ {
			choices = append(choices, fmt.Sprintf("%0*d", len(first), n))
		}
	} else {
		choices = strings.Split(inner, ",")
	}
	rest, err := expandBraces(pattern[open+length+1:])
	if err != nil {
		return nil, err
	}
	if len(choices)*len(rest) > maxPatterns {
		return nil, fmt.Errorf("%q stands for more than %d names", pattern, maxPatterns)
	}
	var out []string
	for _, choice := range choices {
		for _, r := range rest {
			out = append(out, pattern[:open]+choice+r)
		}
	}
	return out, nil
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
		return nil, fmt.Errorf("%s %w: want at most %d bytes", name, errTooLarge, limit)
	}
	return b, nil
}

var errTooLarge = errors.New("is too large")

// imageExtensions are those of files that are taken for images, whether they
// can be read or not: none is passed over in silence.
var imageExtensions = []string{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".jxl", ".jp2"}

func isImage(name string) bool { return hasExtension(path.Base(name), imageExtensions) }

// captionExtensions are those of a caption in a file of its own, the best
// first; of a .json file, a field is the caption.
var captionExtensions = []string{".txt", ".caption", ".json"}

// withoutExtension is the name up to its last dot.
func withoutExtension(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }
