package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/irgdata/irgdata"
)

// maxFile bounds a tokenizer's files against damaged ones; the tokenizer.json
// of Qwen2.5 has 7 MB.
const maxFile = 64 << 20

// Open reads the tokenizer of a checkpoint's folder: tokenizer.json, or else
// vocab.json and merges.txt with the added tokens of tokenizer_config.json and
// added_tokens.json where they are there. A tokenizer of another kind is an
// error, for its counts would be wrong.
func Open(folder fs.FS) (*Tokenizer, error) {
	var d definition
	switch whole, err := read(folder, "tokenizer.json"); {
	case err == nil:
		if err := d.whole(whole); err != nil {
			return nil, fmt.Errorf("open tokenizer: tokenizer.json: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open tokenizer: %w", err)
	default:
		if err := d.parts(folder); err != nil {
			return nil, fmt.Errorf("open tokenizer: %w", err)
		}
	}
	t, err := d.tokenizer()
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	t.digest, err = digest(folder)
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	return t, nil
}

// digest is that of the files that Open reads.
func digest(folder fs.FS) (irgdata.Digest, error) {
	d := irgdata.NewDigester("tokenizer/1")
	for _, name := range []string{"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"} {
		content, err := read(folder, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return irgdata.Digest{}, err
		}
		d.Text(string(content))
	}
	return d.Sum(), nil
}

func read(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s has more than %d MiB: want the file of a tokenizer", name, maxFile>>20)
	}
	return content, nil
}

// definition is what the files say.
type definition struct {
	vocab  map[string]int
	merges [][2]string
	added  map[string]int
}

// addedToken is an added token in tokenizer.json and tokenizer_config.json.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
}

func (d *definition) add(a addedToken) error {
	if a.SingleWord || a.LStrip || a.RStrip || a.Normalized {
		return fmt.Errorf("added token %.100q has single_word, lstrip, rstrip or normalized set: want plain added tokens, as Qwen2's are", a.Content)
	}
	if d.added == nil {
		d.added = map[string]int{}
	}
	if id, ok := d.added[a.Content]; ok && id != a.ID {
		return fmt.Errorf("added token %.100q has the ids %d and %d", a.Content, id, a.ID)
	}
	d.added[a.Content] = a.ID
	return nil
}

// mergeRule is "left right", or in newer files ["left", "right"].
type mergeRule [2]string

func (m *mergeRule) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var parts []string
		if err := json.Unmarshal(b, &parts); err != nil {
			return err
		}
		if len(parts) != 2 {
			return fmt.Errorf("a merge has %d parts: want 2", len(parts))
		}
		*m = mergeRule(parts)
		return nil
	}
	var line string
	if err := json.Unmarshal(b, &line); err != nil {
		return err
	}
	return m.parse(line)
}

func (m *mergeRule) parse(line string) error {
	left, right, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("merge %.100q has not two parts", line)
	}
	*m = mergeRule{left, right}
	return nil
}

// whole reads tokenizer.json.
func (d *definition) whole(content []byte) error {
	type step struct {
		Type    string `json:"type"`
		Pattern struct {
			Regex string `json:"Regex"`
		} `json:"pattern"`
		Behavior       string `json:"behavior"`
		Invert         bool   `json:"invert"`
		AddPrefixSpace bool   `json:"add_prefix_space"`
		UseRegex       bool   `json:"use_regex"`
	}
	var file struct {
		AddedTokens  []addedToken `json:"added_tokens"`
		Normalizer   step         `json:"normalizer"`
		PreTokenizer struct {
			Type  string `json:"type"`
			Steps []step `json:"pretokenizers"`
		} `json:"pre_tokenizer"`
		Model struct {
			Type         string         `json:"type"`
			Dropout      float64        `json:"dropout"`
			Prefix       string         `json:"continuing_subword_prefix"`
			Suffix       string         `json:"end_of_word_suffix"`
			IgnoreMerges bool           `json:"ignore_merges"`
			Vocab        map[string]int `json:"vocab"`
			Merges       []mergeRule    `json:"merges"`
		} `json:"model"`
	}
	// The kind before the vocabulary, whose form is the kind's own.
	var kind struct {
		Model struct {
			Type string `json:"type"`
		} `json:"model"`
	}
	if err := json.Unmarshal(content, &kind); err != nil {
		return err
	}
	if kind.Model.Type != "BPE" {
		return fmt.Errorf("its model is %.100q: want BPE, as Qwen2's tokenizer is", kind.Model.Type)
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return err
	}
	m, steps := file.Model, file.PreTokenizer.Steps
	switch {
	case m.Dropout != 0 || m.Prefix != "" || m.Suffix != "" || m.IgnoreMerges:
		return errors.New("its model has a dropout, prefix, suffix or ignore_merges: want plain BPE, as Qwen2's is")
	case file.Normalizer.Type != "NFC":
		return fmt.Errorf("its normalizer is %.100q: want NFC, as Qwen2's is", file.Normalizer.Type)
	case file.PreTokenizer.Type != "Sequence" || len(steps) != 2 ||
		steps[0].Type != "Split" || steps[0].Pattern.Regex != pattern || steps[0].Behavior != "Isolated" || steps[0].Invert ||
		steps[1].Type != "ByteLevel" || steps[1].AddPrefixSpace || steps[1].UseRegex:
		return errors.New("its pre_tokenizer is not that of Qwen2: want a split by Qwen2's pattern, then bytes")
	}
	d.vocab = m.Vocab
	for _, rule := range m.Merges {
		d.merges = append(d.merges, rule)
	}
	for _, a := range file.AddedTokens {
		if err := d.add(a); err != nil {
			return err
		}
	}
	return nil
}

// parts reads vocab.json, merges.txt and what there is of added tokens.
func (d *definition) parts(folder fs.FS) error {
	vocab, err := read(folder, "vocab.json")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the folder has neither tokenizer.json nor vocab.json: want the folder of a checkpoint with Qwen2's tokenizer")
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(vocab, &d.vocab); err != nil {
		return fmt.Errorf("vocab.json: %w", err)
	}
	merges, err := read(folder, "merges.txt")
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(merges), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || i == 0 && strings.HasPrefix(line, "#version") {
			continue
		}
		var rule mergeRule
		if err := rule.parse(line); err != nil {
			return fmt.Errorf("merges.txt: line %d: %w", i+1, err)
		}
		d.merges = append(d.merges, rule)
	}
	var config struct {
		Added map[string]addedToken `json:"added_tokens_decoder"`
	}
	if err := optional(folder, "tokenizer_config.json", &config); err != nil {
		return err
	}
	for number, a := range config.Added {
		if a.ID, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("tokenizer_config.json: added token %.100q has the id %.100q: want a number", a.Content, number)
		}
		if err := d.add(a); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	var ids map[string]int
	if err := optional(folder, "added_tokens.json", &ids); err != nil {
		return err
	}
	for content, id := range ids {
		if err := d.add(addedToken{Content: content, ID: id}); err != nil {
			return fmt.Errorf("added_tokens.json: %w", err)
		}
	}
	return nil
}

// optional decodes a file of JSON, if it is there.
func optional(folder fs.FS, name string, into any) error {
	content, err := read(folder, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (d *definition) tokenizer() (*Tokenizer, error) {
	t := &Tokenizer{merges: make(map[pair]merging, len(d.merges)), seed: maphash.MakeSeed(), cache: make([]atomic.Pointer[cached], cacheSize)}
	id := func(token string) (int32, error) {
		n, ok := d.vocab[token]
		if !ok || n < 0 || n > math.MaxInt32 {
			return 0, fmt.Errorf("the vocabulary has no token %.100q, or one without a sound id: the files do not belong together, or are cut short", token)
		}
		return int32(n), nil
	}
	var err error
	for b, letter := range byteLetters() {
		if t.bytes[b], err = id(string(letter)); err != nil {
			return nil, err
		}
	}
	for rank, rule := range d.merges {
		var p pair
		m := merging{rank: int32(rank)}
		if p.left, err = id(rule[0]); err != nil {
			return nil, err
		}
		if p.right, err = id(rule[1]); err != nil {
			return nil, err
		}
		if m.id, err = id(rule[0] + rule[1]); err != nil {
			return nil, err
		}
		t.merges[p] = m
	}
	for content, n := range d.added {
		if content == "" || n < 0 || n > math.MaxInt32 {
			return nil, fmt.Errorf("added token %.100q has the id %d: want a text and an id from 0", content, n)
		}
		t.added = append(t.added, added{content, int32(n)})
		t.starts[content[0]] = true
	}
	slices.SortFunc(t.added, func(a, b added) int {
		return cmp.Or(cmp.Compare(len(b.content), len(a.content)), cmp.Compare(a.content, b.content))
	})
	return t, nil
}

// byteLetters is the alphabet of byte-level BPE (GPT-2: bytes_to_unicode): a
// printable byte stands for itself, the others for the letters from U+0100.
func byteLetters() (letters [256]rune) {
	next := rune(0x100)
	for b := range letters {
		switch {
		case '!' <= b && b <= '~', 0xa1 <= b && b <= 0xac, 0xae <= b:
			letters[b] = rune(b)
		default:
			letters[b] = next
			next++
		}
	}
	return letters
}
