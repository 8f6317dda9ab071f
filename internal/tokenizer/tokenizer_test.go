package tokenizer

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"
)

// open opens the small tokenizer of testdata, of tokenizer.json or of parts.
func open(t testing.TB, without ...string) *Tokenizer {
	t.Helper()
	tok, err := Open(small(t, without...))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// small is the folder of the small tokenizer, without some of its files.
func small(t testing.TB, without ...string) fstest.MapFS {
	t.Helper()
	folder := fstest.MapFS{}
	for _, name := range []string{"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"} {
		content, err := os.ReadFile(filepath.Join("testdata", "small", name))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(without, name) {
			folder[name] = &fstest.MapFile{Data: content}
		}
	}
	return folder
}

// vector is a text with its ids by Hugging Face's tokenizers, of testdata/make.py.
type vector struct {
	Text string `json:"text"`
	IDs  []int  `json:"ids"`
}

func vectors(t testing.TB, path string) []vector {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil || len(out) < 1000 {
		t.Fatalf("%d vectors, %v", len(out), err)
	}
	return out
}

func check(t *testing.T, tok *Tokenizer, vectors []vector) {
	t.Helper()
	for _, v := range vectors {
		if got := tok.Encode(v.Text); !slices.Equal(got, v.IDs) {
			t.Errorf("%+q: got %d, want %d", v.Text, got, v.IDs)
		}
		if got := tok.Count(v.Text); got != len(v.IDs) {
			t.Errorf("%+q: counted %d, want %d", v.Text, got, len(v.IDs))
		}
	}
}

func TestEncodeAsHuggingFace(t *testing.T) {
	want := vectors(t, "testdata/vectors.jsonl")
	t.Run("tokenizer.json", func(t *testing.T) { check(t, open(t, "vocab.json"), want) })
	t.Run("vocab.json and merges.txt", func(t *testing.T) { check(t, open(t, "tokenizer.json"), want) })
}

// TestEncodeQwen checks the real vocabulary, in a folder that testdata/make.py
// --qwen made.
func TestEncodeQwen(t *testing.T) {
	folder := os.Getenv("IRGDATA_QWEN_TOKENIZER")
	if folder == "" {
		t.Skip("IRGDATA_QWEN_TOKENIZER names no folder with Qwen's tokenizer")
	}
	tok, err := Open(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	check(t, tok, vectors(t, filepath.Join(folder, "vectors.jsonl")))
}

// TestClasses compares every code point that Go's tables know with Oniguruma,
// the regular expressions of Hugging Face's tokenizers, whose Unicode is newer.
func TestClasses(t *testing.T) {
	content, err := os.ReadFile("testdata/classes.json")
	if err != nil {
		t.Fatal(err)
	}
	var ranges map[string][][2]rune
	if err := json.Unmarshal(content, &ranges); err != nil {
		t.Fatal(err)
	}
	want := make([]class, utf8.MaxRune+1)
	for name, c := range map[string]class{"L": letter, "N": number, "s": space} {
		if len(ranges[name]) == 0 {
			t.Fatalf("classes.json has no class %q", name)
		}
		for _, r := range ranges[name] {
			for i := r[0]; i <= r[1]; i++ {
				want[i] = c
			}
		}
	}
	want['\r'], want['\n'] = newline, newline
	for r, want := range want {
		known := !unicode.Is(unicode.Cn, rune(r))
		if got := classOf(rune(r)); got != want && known {
			t.Errorf("%U: got class %d, want %d", r, got, want)
		}
	}
	for name, tail := range map[string]string{"fold s": "", "fold t": "", "fold v": "e"} {
		for r := range rune(utf8.MaxRune + 1) {
			want := slices.ContainsFunc(ranges[name], func(b [2]rune) bool { return b[0] <= r && r <= b[1] })
			if want && contraction("'"+string(r)+tail) == 0 {
				t.Errorf("'%c%s is no contraction", r, tail)
			}
		}
	}
}

func TestInvalidUTF8(t *testing.T) {
	tok := open(t)
	for text, as := range map[string]string{"a\xffb": "a\ufffdb", "\xe2\x82": "\ufffd\ufffd", "\xed\xa0\x80": "\ufffd\ufffd\ufffd"} {
		if got, want := tok.Encode(text), tok.Encode(as); !slices.Equal(got, want) {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	tok, want := open(t), vectors(t, "testdata/vectors.jsonl")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { check(t, tok, want[:500]) })
	}
	wg.Wait()
}

func TestOpenErrors(t *testing.T) {
	edit := func(name, from, to string) func(fstest.MapFS) {
		return func(f fstest.MapFS) {
			old := string(f[name].Data)
			if !strings.Contains(old, from) {
				t.Fatalf("%s has no %s", name, from)
			}
			f[name] = &fstest.MapFile{Data: []byte(strings.Replace(old, from, to, 1))}
		}
	}
	parts := func(next func(fstest.MapFS)) func(fstest.MapFS) {
		return func(f fstest.MapFS) { delete(f, "tokenizer.json"); next(f) }
	}
	for want, change := range map[string]func(fstest.MapFS){
		"neither tokenizer.json nor vocab.json": func(f fstest.MapFS) { maps.DeleteFunc(f, func(string, *fstest.MapFile) bool { return true }) },
		"its model is \"Unigram\"":              edit("tokenizer.json", `"type":"BPE"`, `"type":"Unigram"`),
		"its normalizer is \"NFKC\"":            edit("tokenizer.json", `"type":"NFC"`, `"type":"NFKC"`),
		"its pre_tokenizer":                     edit("tokenizer.json", `\\p{N}|`, `\\p{N}{1,3}|`),
		"plain BPE":                             edit("tokenizer.json", `"ignore_merges":false`, `"ignore_merges":true`),
		"plain added tokens":                    edit("tokenizer.json", `"lstrip":false`, `"lstrip":true`),
		"tokenizer.json: unexpected end":        func(f fstest.MapFS) { f["tokenizer.json"].Data = f["tokenizer.json"].Data[:5000] },
		"merges.txt: file does not exist":       parts(func(f fstest.MapFS) { delete(f, "merges.txt") }),
		"line 3: merge \"onlyone\"":             parts(func(f fstest.MapFS) { f["merges.txt"].Data = []byte("#version: 0.2\nt h\nonlyone\n") }),
		"no token \"qq\"":                       parts(func(f fstest.MapFS) { f["merges.txt"].Data = []byte("qq qq\n") }),
		"the vocabulary has no token \"Ā\"":     parts(func(f fstest.MapFS) { f["vocab.json"].Data = []byte("{}") }),
		"the id \"x\"": parts(func(f fstest.MapFS) {
			f["tokenizer_config.json"].Data = []byte(`{"added_tokens_decoder":{"x":{"content":"<a>"}}}`)
		}),
		"has the ids": parts(func(f fstest.MapFS) { f["added_tokens.json"] = &fstest.MapFile{Data: []byte(`{"<|im_end|>":1}`)} }),
	} {
		folder := small(t)
		change(folder)
		if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// FuzzEncode: the ids spell the normalised text, and the slow composition is
// that of the library where the library's is NFC.
func FuzzEncode(f *testing.F) {
	for _, v := range vectors(f, "testdata/vectors.jsonl")[:200] {
		f.Add(v.Text)
	}
	tok := open(f)
	var definition definition
	if err := definition.parts(small(f)); err != nil {
		f.Fatal(err)
	}
	spelled := map[int]string{}
	bytes := map[rune]byte{}
	for b, letter := range byteLetters() {
		bytes[letter] = byte(b)
	}
	for token, id := range definition.vocab {
		var raw []byte
		for _, letter := range token {
			raw = append(raw, bytes[letter])
		}
		spelled[id] = string(raw)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got strings.Builder
		ids := tok.Encode(text)
		control := false
		for _, id := range ids {
			s, ok := spelled[id]
			control = control || !ok
			got.WriteString(s)
		}
		if want := normalize(string([]rune(text))); !control && got.String() != want {
			t.Errorf("%+q: the ids spell %+q, want %+q", text, got.String(), want)
		}
		if n := tok.Count(text); n != len(ids) {
			t.Errorf("%+q: counted %d, encoded %d", text, n, len(ids))
		}
		if text := string([]rune(text)); text != "" {
			if slow := compose(decompose(text)); slow != normalize(text) {
				t.Errorf("%+q: composed %+q, want %+q", text, slow, normalize(text))
			}
		}
	})
}

// FuzzOpen: a damaged tokenizer.json gives an error or a tokenizer that works.
func FuzzOpen(f *testing.F) {
	whole := small(f)["tokenizer.json"].Data
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":1e9},"merges":[["a"]]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		tok, err := Open(fstest.MapFS{"tokenizer.json": &fstest.MapFile{Data: content}})
		if err == nil {
			tok.Encode("any text <|im_end|>")
		}
	})
}

// corpus is text of many words, of the vectors.
func corpus(b *testing.B) string {
	var text strings.Builder
	for _, v := range vectors(b, "testdata/vectors.jsonl") {
		text.WriteString(v.Text)
	}
	return text.String()
}

func BenchmarkCount(b *testing.B) {
	path := os.Getenv("IRGDATA_QWEN_TOKENIZER")
	if path == "" {
		path = "testdata/small"
	}
	tok, err := Open(os.DirFS(path))
	if err != nil {
		b.Fatal(err)
	}
	prose, err := os.ReadFile("../../docs/ingest.md")
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{"prose": string(prose), "tricky": corpus(b), "one word": strings.Repeat("ab", 50000)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Count(text)
			}
		})
	}
}
