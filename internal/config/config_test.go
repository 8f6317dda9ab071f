package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/internal/config"
)

type model struct {
	Kind    string          `yaml:"kind"`
	Timeout config.Duration `yaml:"timeout,omitempty"`
}

type kind string

type settings struct {
	Sources []struct {
		Folder string `yaml:"folder"`
		Limit  int    `yaml:"limit"`
	} `yaml:"sources"`
	Models map[string]model `yaml:"models"`
	Export struct {
		To    string `yaml:"to"`
		Ranks int    `yaml:"ranks"`
	} `yaml:"export"`
	Kind  kind        `yaml:"kind"`
	Seed  uint64      `yaml:"seed"`
	Small int8        `yaml:"small"`
	Part  float64     `yaml:"part"`
	Size  config.Size `yaml:"size"`
	On    bool        `yaml:"on"`
	Maybe *int        `yaml:"maybe"`
	notes string
}

func decode(text string) (settings, error) {
	s := settings{Seed: 7, notes: "kept"}
	s.Export.Ranks = 8
	_, err := config.Decode("f.yaml", []byte(text), &s)
	return s, err
}

func TestDecode(t *testing.T) {
	got, err := decode("\ufeff# a comment\r\nsources:\r\n  - folder: ./a # here\n    limit: 0x10\n  - {folder: 'b c'}\n" +
		"models: {m-1: {kind: x, timeout: 1m30s}}\nexport: {to: out}\nkind: 1.10\npart: 1\nsize: 1.5 MB\non: true\nmaybe: 3\nsmall: -128\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Sources) != 2 || got.Sources[0].Folder != "./a" || got.Sources[0].Limit != 16 || got.Sources[1].Folder != "b c" {
		t.Errorf("sources %+v", got.Sources)
	}
	if got.Models["m-1"] != (model{Kind: "x", Timeout: config.Duration(90 * time.Second)}) {
		t.Errorf("models %+v", got.Models)
	}
	if got.Export.To != "out" || got.Export.Ranks != 8 || got.Seed != 7 || got.notes != "kept" {
		t.Errorf("defaults were lost: %+v", got)
	}
	if got.Kind != "1.10" || got.Part != 1 || got.Size != 1_500_000 || !got.On || *got.Maybe != 3 || got.Small != -128 {
		t.Errorf("scalars %+v", got)
	}
	for _, empty := range []string{"", "\n", "# only a comment\n", "---\n"} {
		if got, err := decode(empty); err != nil || got.Seed != 7 {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key, near", "export:\n  rank: 4\n", "f.yaml:2: export.rank: there is no such key: did you mean `ranks`?"},
		{"unknown key, far", "export:\n  bananas: 4\n", "f.yaml:2: export.bananas: there is no such key: want one of ranks, to"},
		{"unknown key in a list", "sources:\n  - folder: a\n  - foldr: b\n", "f.yaml:3: sources[1].foldr: there is no such key: did you mean `folder`?"},
		{"unknown key in a map", "models:\n  m:\n    knd: x\n", "f.yaml:3: models.m.knd: there is no such key: did you mean `kind`?"},
		{"unexported field", "notes: x\n", "f.yaml:1: notes: there is no such key: want one of export, kind, maybe, models, on, part, seed, size, small, sources"},
		{"text for a number", "seed: eight\n", `f.yaml:1: seed: want a whole number, got the text "eight"`},
		{"float for a whole number", "seed: 1.5\n", "f.yaml:1: seed: want a whole number, got 1.5"},
		{"negative", "seed: -1\n", "f.yaml:1: seed: -1 is out of range: want a number of 64 bits without a sign"},
		{"too large", "small: 200\n", "f.yaml:1: small: 200 is out of range: want a number of 8 bits"},
		{"text for a boolean", "on: yes please\n", `f.yaml:1: on: want true or false, got the text "yes please"`},
		{"list for keys", "export: [1]\n", "f.yaml:1: export: want keys with values, got a list"},
		{"keys for a list", "sources: {folder: a}\n", "f.yaml:1: sources: want a list, got keys with values"},
		{"keys for a text", "kind: {a: b}\n", "f.yaml:1: kind: want a text, got keys with values"},
		{"nothing", "kind:\n", "f.yaml:1: kind: the key has no value: give it one or leave the key out"},
		{"top level", "- a\n", "f.yaml:1: want keys with values, got a list"},
		{"top level text", "hello\n", `f.yaml:1: want keys with values, got the text "hello"`},
		{"bad size", "size: 5 parsecs\n", `f.yaml:1: size: "5 parsecs" is no size: want a number of bytes such as 1048576, 500 MB or 64 MiB`},
		{"negative size", "size: -5\n", `f.yaml:1: size: "-5" is no size: want a number of bytes such as 1048576, 500 MB or 64 MiB`},
		{"huge size", "size: 10000000000 GB\n", `f.yaml:1: size: "10000000000 GB" is too large a size: want less than 8 EiB`},
		{"broken size", "size: 0.5 B\n", `f.yaml:1: size: "0.5 B" is no whole number of bytes`},
		{"size list", "size: [1]\n", "f.yaml:1: size: want one value, got a list"},
		{"bad duration", "models: {m: {timeout: 5}}\n", `f.yaml:1: models.m.timeout: "5" is no time span: want a number with a unit such as 500ms, 30s or 10m`},
		{"two documents", "seed: 1\n---\nseed: 2\n", "f.yaml:3: a second document begins: want one"},
		{"anchor", "seed: &a 1\n", "f.yaml:1: seed: an anchor (&) is not known here: write the value out"},
		{"not UTF-8", "seed: 1\nkind: \xff\n", "f.yaml:2: it is not UTF-8: save the file in that encoding"},
		{"infinite", "part: .inf\n", "f.yaml:1: part: want a number, got .inf"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decode(tc.text)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	// Where the words are the library's, the line must be right.
	for _, tc := range []struct{ name, text, want string }{
		{"duplicate key", "seed: 1\nkind: x\nseed: 2\n", "f.yaml:3: "},
		{"tab", "export:\n\tto: x\n", "f.yaml:2: "},
		{"unclosed quote", "kind: \"x\nseed: 1\n", "f.yaml:1: "},
		{"unclosed list", "sources: [\n", "f.yaml:1: "},
		{"merge key", "export:\n  <<: {to: x}\n", "f.yaml:2: "},
		{"deep flow", "kind: " + strings.Repeat("[", 100_000), "f.yaml:1: "},
		{"deep blocks", "kind:\n  " + strings.Repeat("- ", 100_000), "f.yaml:2: "},
		{"deep keys", strings.Repeat("? ", 100_000), "f.yaml:1: "},
		{"deep lines", deepLines(5000), "f.yaml:"},
		{"huge", strings.Repeat("# x\n", 1<<19), "f.yaml: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decode(tc.text)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant one line that begins with %s", err, tc.want)
			}
		})
	}
}

func deepLines(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return out.String()
}

func TestDocumentErrorf(t *testing.T) {
	var s settings
	d, err := config.Decode("f.yaml", []byte("seed: 1\nsources:\n  - folder: a\n  - folder: b\nexport:\n  to: x\n"), &s)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, want string }{
		{"sources[1].folder", "f.yaml:4: sources[1].folder: no"},
		{"sources[1].limit", "f.yaml:4: sources[1].limit: no"},
		{"export.ranks", "f.yaml:5: export.ranks: no"},
		{"models.m.kind", "f.yaml: models.m.kind: no"},
	} {
		if got := d.Errorf(tc.path, "no").Error(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
	d = nil
	if got := d.Errorf("export.ranks", "no").Error(); got != "export.ranks: no" {
		t.Errorf("got %s", got)
	}
}

func TestMarshalReadsBack(t *testing.T) {
	want, err := decode("sources: [{folder: a, limit: 1}]\nmodels: {m: {kind: x, timeout: 5s}, n: {kind: \"1\"}}\nexport: {to: \"a: b\"}\nkind: \"true\"\npart: 0.25\nsize: 64 MiB\non: true\nmaybe: 1\nsmall: 3\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := config.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(string(text))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); err != nil || diff != "" {
		t.Errorf("%v\n%s\n%s", err, text, diff)
	}
}

func TestSizeIsExact(t *testing.T) {
	for text, want := range map[string]string{"0": "0 B", "1": "1 B", "1024": "1 KiB", "500MB": "500 MB", "1500000": "1500 KB", "1 gib": "1 GiB", "1048577": "1048577 B"} {
		var s, back config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s: got %s (%v), want %s", text, s, err, want)
		}
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%s became %d (%v)", s, back, err)
		}
	}
}

// FuzzDecode: any text is read, or refused in one line.
func FuzzDecode(f *testing.F) {
	f.Add("sources: [{folder: a}]\nexport:\n  ranks: 3\n")
	f.Add("a: &x {b: *x}\n<<: *x\n? [k]\n: - !!str v\n")
	f.Add("kind: |\n  x\n y: \"\\u00\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := decode(text); err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "f.yaml:")) {
			t.Errorf("%q", err)
		}
	})
}
