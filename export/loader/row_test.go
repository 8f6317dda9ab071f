package loader

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/irgdata/irgdata/modes"
)

// TestRowsAsTheOfficialLoader compares rows of every kind, sound and broken,
// with what the official parse_row made of them. export/proof/official.py
// recorded it.
func TestRowsAsTheOfficialLoader(t *testing.T) {
	file, err := os.Open("testdata/rows.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	rows := 0
	for lines.Scan() {
		var want struct {
			Name, Conversation string
			Texts, Plan        int
			ImageTokens        int `json:"image_tokens"`
		}
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		rows++
		vae, vit := modes.PaperTransforms()
		p := &Parser{VAE: vae, ViT: vit}
		got := p.Parse(want.Conversation)
		switch {
		case want.Plan == 0:
			if got.Lost == nil {
				t.Errorf("%s: got %+v, want it lost", want.Name, got)
			}
		case got.Lost != nil:
			t.Errorf("%s: got it lost: %+v, want %d entries of the sequence plan", want.Name, *got.Lost, want.Plan)
		case got.Texts != want.Texts || got.Tokens != want.ImageTokens+2*want.Plan:
			t.Errorf("%s: got %+v, want %d texts and %d tokens of images", want.Name, got, want.Texts, want.ImageTokens)
		}
	}
	if err := lines.Err(); err != nil || rows < 80 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}

// TestDecode: pixels that do not decode are filled up with grey, but not those
// of WebP and of compressed TIFF, for which Pillow 11.1.0 raises.
func TestDecode(t *testing.T) {
	for _, c := range []struct {
		file string
		at   int // of the byte that is changed
		want string
	}{
		{"rgb.png", 70, RuleDamaged},
		{"rgb.png", 20, RuleUnopened}, // in IHDR
		{"lossless.webp", 40, RuleUnopened},
		{"deflate.tiff", 20, RuleUnopened},
		{"jpeg.tiff", -1, RuleDamaged}, // not decoded here
		{"rgb.png", -1, ""},
	} {
		encoded, err := os.ReadFile("../../internal/images/testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if c.at >= 0 {
			encoded[c.at] ^= 0x55
		}
		vae, vit := modes.PaperTransforms()
		p := &Parser{VAE: vae, ViT: vit, Decode: true}
		r := p.Parse(fmt.Sprintf(`[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"image","content":%q,"need_vit":true}]}]`, base64.StdEncoding.EncodeToString(encoded)))
		got, images := "", 1
		for _, f := range r.Parts {
			got = f.Rule
		}
		if got == RuleUnopened {
			images = 0
		}
		if got != c.want || r.Images != images {
			t.Errorf("%s with byte %d changed: got %+v, want %q", c.file, c.at, r, c.want)
		}
	}
}
