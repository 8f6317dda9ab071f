package benchmarks

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// forms are lists in the forms in which the benchmarks publish theirs, with
// prompts that are nobody's.
var forms = []struct{ name, content, want string }{
	{"lines.txt", "a tin kettle\r\n\n  two clay pots \nlast", "1 a tin kettle|3 two clay pots|4 last"},
	{"mark.txt", "\ufeffa tin kettle", "1 a tin kettle"},
	{"braces.txt", "{a kettle}\n[b]", "1 {a kettle}|2 [b]"},
	{"geneval.jsonl", `{"tag": "x", "include": [{"class": "kettle", "count": 1}], "prompt": "a photo of a kettle"}` + "\n\n" + `{"prompt": "a photo of a pot"}`, "1 a photo of a kettle|3 a photo of a pot"},
	{"wise.json", "[\n  {\n    \"Prompt\": \"What boils water\",\n    \"Explanation\": \"a kettle\",\n    \"prompt_id\": 1\n  },\n  {\"Prompt\": \"What \\u201cholds\\u201d soup\"}\n]\n", "2 What boils water|7 What “holds” soup"},
	{"tiif.jsonl", `{"type": "x", "short_description": "A kettle.", "long_description": "A kettle of tin, dented."}` + "\n" + `{"short_description": "A pot.", "long_description": ""}`, "1 A kettle.|1 A kettle of tin, dented.|2 A pot."},
	{"genai.json", "{\n \"00001\": {\n  \"id\": \"00001\",\n  \"prompt\": \"a kettle\", \"models\": {\"m\": [1, 2]}\n },\n \"00002\": {\"prompt\": \"a pot\"}\n}", "2 a kettle|6 a pot"},
	{"oneig.csv", "category,id,prompt_en,type\nA,000,\"a kettle, of tin,\n\"\"dented\"\"\",T\nA,001,a pot,P\n", "2 a kettle, of tin,\n\"dented\"|4 a pot"},
	{"rows.tsv", "Prompt\tCategory\n\"a kettle\" of tin\tx\n\n\"a \"\"pot\"\"\"\ty\n\" alone\tz", "2 \"a kettle\" of tin|4 a \"pot\"|5 \" alone"},
	{"texts.json", `["a kettle", "", "a pot"]`, "1 a kettle|1 a pot"},
	{"one.json", `{"caption": "a kettle"}`, "1 a kettle"},
}

func told(items []Item, name string) string {
	var out []string
	for _, item := range items {
		out = append(out, strings.TrimPrefix(item.Place, name+":")+" "+item.Text)
	}
	return strings.Join(out, "|")
}

// TestForms: each form is told, and each prompt has its line.
func TestForms(t *testing.T) {
	for _, c := range forms {
		items, err := parse("b", c.name, []byte(c.content))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, told(items, c.name)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestBroken: what is no list of prompts is refused by a sentence that names the
// file, and the line where there is one.
func TestBroken(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"a.txt", " \n\n", "a.txt: it holds no prompt"},
		{"a.json", "", "a.json: it holds no prompt"},
		{"a.csv", "", "a.csv: it holds no prompt"},
		{"a.txt", "a kettle\ncaf\xe9", "a.txt:2: it is not UTF-8"},
		{"a.txt", "a\x00k", "a.txt:1: it is not UTF-8"},
		{"a.parquet", "PAR1....PAR1", "a.parquet: it is Parquet"},
		{"a.md", "# Prompts", `a.md: it ends in ".md"`},
		{"a.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"\n", "a.jsonl:2: the JSON that begins here is broken"},
		{"a.jsonl", "{\"prompt\": \"a\"}\nb\n", "a.jsonl:2: the JSON that begins here is broken"},
		{"a.jsonl", "{\"prompt\": \"a\"}\n{\"type\": \"x\", \"yn_question_list\": [\"Is there a kettle?\"]}", "a.jsonl:2: the entry has no field of a prompt, but type, yn_question_list: want one of prompt"},
		{"a.json", "[\n{\"prompt\": \"a\"},\n{\"prompt\": [1]}]", "a.json:3: field prompt of the entry is [1]: want a text"},
		{"a.json", "[\"a\",\n7]", "a.json:2: an entry is 7"},
		{"a.json", "{\n\"000\": {\"question\": \"x\"}}", "a.json:2: the entry has no field of a prompt, but question"},
		{"a.json", "{}", "a.json:1: the entry has no field of a prompt"},
		{"a.csv", "id,class\n1,2\n", "a.csv:1: the header has no column of prompts, but id, class"},
		{"a.csv", "id,prompt\n1,a\n2,\"b\nc\n", "a.csv:"},
		{"a.csv", "id,prompt\n1,a\n2\n", "a.csv:3: wrong number of fields"},
		{"a.tsv", "id\tprompt\n1\ta\n2\n", "a.tsv:3: the row has 1 fields"},
	} {
		items, err := parse("b", c.name, []byte(c.content))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v and %v, want %s", c.content, items, err, c.want)
		}
	}
}

// TestRead: a file, the lists of a folder, a pattern, and what is none of them.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"b.txt": "second\n", "a.jsonl": `{"prompt": "first"}`, "c.py": "print()", ".hidden.txt": "no", "sub/d.txt": "deeper", "empty/x.md": "no",
		"many/many.txt": strings.Repeat("a\n", maxItems+9),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(maxBytes + 1); err != nil { // without a block on the disk
		t.Fatal(err)
	}
	large.Close()
	for path, want := range map[string]string{"b.txt": "second", "": "first second", "[ab].*": "first second", "s*/*.txt": "deeper"} {
		items, err := Read("b", filepath.Join(dir, path))
		var got []string
		for _, item := range items {
			got = append(got, item.Text)
		}
		if joined := strings.Join(got, " "); err != nil || joined != want {
			t.Fatalf("%s: got %s and %v, want %s", path, joined, err, want)
		}
		if strings.ContainsRune(items[0].Place, filepath.Separator) {
			t.Errorf("%s: the place is %s", path, items[0].Place)
		}
	}
	for path, want := range map[string]string{
		"none.txt": "there is no file", "empty": "has no list of prompts", "pipe": "is no file", "large": "more than 16 MB", "many": "more than 262144 prompts", "[": "is no pattern", "*.py": "want a list of prompts",
	} {
		items, err := Read("b", filepath.Join(dir, path))
		if err == nil || !strings.HasPrefix(err.Error(), "read the prompts of benchmark b: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %d items and %v, want %s", path, len(items), err, want)
		}
	}
}

// FuzzParse: any file has prompts with a place in it, or an error that names it.
func FuzzParse(f *testing.F) {
	for _, c := range forms {
		f.Add(c.name, []byte(c.content))
	}
	f.Add("x.json", []byte(`[[{"prompt": "a"}], {"a": {"b": {"prompt": 1}}}`))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		items, err := parse("b", name, content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), name+":") || items != nil {
				t.Errorf("%d items, %v", len(items), err)
			}
			return
		}
		lines := strings.Count(string(content), "\n") + 1
		for _, item := range items {
			line, err := strconv.Atoi(strings.TrimPrefix(item.Place, filepath.Base(name)+":"))
			if item.Text == "" || !utf8.ValidString(item.Text) || err != nil || line < 1 || line > lines {
				t.Errorf("%+v, of %d lines", item, lines)
			}
		}
	})
}
