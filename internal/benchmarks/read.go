package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// The lists of a benchmark are bounded, and so is what reading them takes. The
// largest that are published have 2 MB and 5,000 prompts.
const (
	maxBytes = 16 << 20
	maxItems = 1 << 18
)

// promptFields are the fields of a list that hold a prompt, in small letters:
// GenEval's and GenAI-Bench's "prompt", WISE's "Prompt", the two descriptions of
// TIIF-Bench, and OneIG-Bench's "prompt_en". An entry may have several.
var promptFields = []string{"prompt", "prompt_en", "prompt_cn", "short_description", "long_description", "caption"}

const wantFields = "want one of prompt, prompt_en, prompt_cn, short_description, long_description, caption"

// extensions are those of the lists in a folder.
var extensions = []string{".txt", ".csv", ".tsv", ".json", ".jsonl"}

// Read reads the prompts of a benchmark from a file, from the lists of a folder,
// not of the folders in it, or from all files that a pattern of
// [filepath.Match] names. A .txt file has a prompt a line; .csv and .tsv have a
// header; .json and .jsonl are an array, values one after another, or an object,
// of texts or of objects with a prompt. Compressed files and Parquet are not
// read.
func Read(benchmark, path string) (items []Item, err error) {
	defer func() {
		if err != nil {
			items, err = nil, fmt.Errorf("read the prompts of benchmark %s: %w", benchmark, err)
		}
	}()
	files, err := list(path)
	if err != nil {
		return nil, err
	}
	left := int64(maxBytes)
	for _, file := range files {
		content, err := readFile(file, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(content))
		more, err := parse(benchmark, file, content)
		if err != nil {
			return nil, err
		}
		if items = append(items, more...); len(items) > maxItems {
			return nil, fmt.Errorf("%s: the lists have more than %d prompts in all: are they a benchmark's?", file, maxItems)
		}
	}
	return items, nil
}

// list returns the files of a path, in the order of their names.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return []string{path}, nil
	case err == nil:
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		var files []string
		for _, e := range entries {
			if slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if files == nil {
			return nil, fmt.Errorf("folder %s has no list of prompts: want files that end in %s", path, strings.Join(extensions, ", "))
		}
		return files, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	files, err := filepath.Glob(path)
	if err != nil {
		return nil, fmt.Errorf("%s is no pattern of file names: %w", path, err)
	}
	if files == nil {
		return nil, fmt.Errorf("there is no file %s: docs/benchmark-prompts.md says where the lists are published", path)
	}
	return files, nil
}

// readFile reads a file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe may never end
		return nil, fmt.Errorf("%s is no file: want a list of prompts", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s: the lists have more than %d MB in all: is it a list of prompts?", name, maxBytes>>20)
	}
	return content, nil
}

// parser parses one list.
type parser struct {
	benchmark, name string
	content         []byte
	offset, line    int // a place and its line, which only go forward
	items           []Item
}

// parse returns the prompts of a list. Its errors begin with the name and, where
// there is one, the line.
func parse(benchmark, name string, content []byte) ([]Item, error) {
	p := &parser{benchmark: benchmark, name: name, content: content, line: 1}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.content = bytes.TrimPrefix(content, []byte("\ufeff"))
	var err error
	switch extension := strings.ToLower(filepath.Ext(name)); extension {
	case ".csv":
		err = p.csv()
	case ".tsv":
		err = p.tsv()
	case ".txt":
		p.text()
	case ".json", ".jsonl":
		err = p.json()
	default:
		return nil, fmt.Errorf("%s: it ends in %q: want a list of prompts, which ends in %s", name, extension, strings.Join(extensions, ", "))
	}
	if err != nil {
		return nil, err
	}
	if len(p.items) == 0 {
		return nil, fmt.Errorf("%s: it holds no prompt", name)
	}
	return p.items, nil
}

// check refuses what is no text.
func (p *parser) check() error {
	if bytes.HasPrefix(p.content, []byte("PAR1")) {
		return fmt.Errorf("%s: it is Parquet: write its prompts to a file of lines, CSV or JSON", p.name)
	}
	for at := 0; at < len(p.content); {
		r, size := utf8.DecodeRune(p.content[at:])
		if r == utf8.RuneError && size == 1 || r == 0 {
			return p.wrong(at, "it is not UTF-8 text: want a list of prompts in that encoding, not compressed")
		}
		at += size
	}
	return nil
}

// lineAt returns the line of an offset, from 1. Offsets do not go back.
func (p *parser) lineAt(offset int) int {
	p.line += bytes.Count(p.content[p.offset:offset], []byte("\n"))
	p.offset = offset
	return p.line
}

// wrong is an error at an offset.
func (p *parser) wrong(offset int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.name, p.lineAt(offset), fmt.Sprintf(format, args...))
}

// add adds a prompt; one without text matches nothing and is passed over, and so
// are those of which Read says that they are too many.
func (p *parser) add(text string, line int) {
	if text = strings.TrimSpace(text); text != "" && len(p.items) <= maxItems {
		p.items = append(p.items, Item{Benchmark: p.benchmark, Text: text, Place: fmt.Sprintf("%s:%d", filepath.Base(p.name), line)})
	}
}

// text reads a list in which each line is a prompt.
func (p *parser) text() {
	number := 0
	for line := range bytes.Lines(p.content) {
		number++
		p.add(string(line), number)
	}
}
