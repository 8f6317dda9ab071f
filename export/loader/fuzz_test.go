package loader

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/irgdata/irgdata/modes"
)

// seeds adds the recorded rows to a fuzz target's corpus.
func seeds(f *testing.F) {
	f.Helper()
	file, err := os.Open("testdata/rows.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row struct{ Conversation string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			f.Fatal(err)
		}
		if len(row.Conversation) < 2000 {
			f.Add(row.Conversation)
		}
	}
}

// FuzzParseJSON: what encoding/json takes, parseJSON takes for the same value,
// unless it is nested more deeply than Python goes.
func FuzzParseJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseJSON(text)
		var want any
		if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &want) != nil || err == errNested {
			return
		}
		if strings.Contains(text, `\u`) || strings.Contains(text, `\U`) {
			return // encoding/json takes half a surrogate pair for U+FFFD
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v (%v), want %v", text, got, err, want)
		}
	})
}

// FuzzInFrame: no pandas metadata makes its reader panic, and what it calls the
// conversation is a column of the file.
func FuzzInFrame(f *testing.F) {
	f.Add("null")
	f.Add(`{"index_columns":["k"],"columns":[{"name":"conversation","field_name":"conversation","pandas_type":"unicode","numpy_type":"object"},{"name":"k","field_name":"k","pandas_type":"int64","numpy_type":"int64"}],"column_indexes":[{"name":null,"pandas_type":"unicode","numpy_type":"object"}]}`)
	f.Add(`{"index_columns":[{"kind":"range","name":null,"start":0,"stop":2,"step":1}],"columns":[{"name":1,"field_name":"k","pandas_type":"x","numpy_type":2}],"column_indexes":[{}]}`)
	f.Fuzz(func(t *testing.T, metadata string) {
		columns := []string{"k", conversation}
		column, lost := inFrame(columns, metadata)
		if lost != nil && (column != "" || lost.Rule == "") || column != "" && !slices.Contains(columns, column) {
			t.Errorf("%q: got %q, %+v", metadata, column, lost)
		}
	})
}

// FuzzParse: no row makes the parser panic, and its counts are sound.
func FuzzParse(f *testing.F) {
	seeds(f)
	vae, vit := modes.PaperTransforms()
	f.Fuzz(func(t *testing.T, text string) {
		r := (&Parser{VAE: vae, ViT: vit, Limit: 1000}).Parse(text)
		if r.Tokens < 0 || r.Images < 0 || r.Lost == nil && r.Texts+r.Images == 0 {
			t.Errorf("%q: %+v", text, r)
		}
	})
}

func FuzzParseTraining(f *testing.F) {
	f.Add([]byte("m: {dataset_names: [a], num_used_data: [1], image_transform_args: {image_stride: 16, max_image_size: 1024, min_image_size: 512}}"))
	f.Add([]byte("m:\n  dataset_names:\n    - a\n  num_used_data:\n    - 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		training, err := ParseTraining("x.yaml", text)
		if err != nil {
			return
		}
		for _, m := range training {
			if m.VAE.Valid() {
				m.VAE.Tokens(100, 7)
			}
		}
	})
}

// FuzzDecodeBase64 never panics; the recorded rows hold what it gives.
func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"", "=", "A=B=", "AA=A=", "AAA=AAAA", "é", "AA==é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := decodeBase64(text)
		if err == nil && len(decoded) > len(text) {
			t.Errorf("%q: %d bytes", text, len(decoded))
		}
	})
}
