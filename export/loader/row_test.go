package loader

import (
	"bufio"
	"encoding/json"
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
