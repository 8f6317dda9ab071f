package loader_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/modes"
)

// rules are those of what is lacking, by the name alone.
func rules(lacks []loader.Lack) string {
	var all []string
	for _, l := range lacks {
		all = append(all, l.Rule)
	}
	return strings.Join(all, " ")
}

// TestLacks: the full modes bring all that a pack needs; others leave something
// out, or to chance.
func TestLacks(t *testing.T) {
	for _, c := range []struct{ modes, want, detail string }{
		{"", "", ""}, // all six
		{"initial_full_learning improving_full_learning", "", ""},
		{"improving_full_learning", "", ""},
		{"initial_full_learning", "no-vit-image", "every pack needs an image for the ViT (need_vit), and no mode has one: the first step raises TypeError: cumsum() of None; improving_thinking_generation_learning or improving_full_learning brings it"},
		{"initial_thinking_understanding_learning initial_thinking_generation_learning improving_thinking_understanding_learning improving_thinking_generation_learning",
			"no-image-loss", "and no mode has one: the first step raises IndexError: mse_loss_indexes is empty; initial_full_learning or improving_full_learning brings it"},
		{"initial_thinking_generation_learning", "no-vae-image no-vit-image no-image-loss", "padded_images"},
		{"initial_thinking_understanding_learning initial_full_learning", "no-vit-image", "and those of initial_thinking_understanding_learning do not come into every pack: the step of a pack without one raises TypeError"},
		// Each pack has rows of one of the two, and both have an image for the ViT.
		{"initial_thinking_understanding_learning improving_thinking_understanding_learning", "no-vae-image no-image-loss", ""},
	} {
		exported, err := modes.Select(strings.Fields(c.modes))
		if err != nil {
			t.Fatal(err)
		}
		lacks := loader.Lacks(exported)
		if got := rules(lacks); got != c.want || !strings.Contains(fmt.Sprint(lacks), c.detail) {
			t.Errorf("%s: got %v, want %s: %s", c.modes, lacks, c.want, c.detail)
		}
	}
	if got := rules(loader.Lacks(nil)); got != "" {
		t.Errorf("no mode lacks %s", got)
	}
}

// TestCheckPacks: what counts for a pack is what is read of the rows of modes
// that are drawn.
func TestCheckPacks(t *testing.T) {
	row := func(user, text, image string) string {
		return fmt.Sprintf(`[{"role":"user","content":"a"%s},{"role":"assistant","content":[{"type":"text","content":"b"%s},{"type":"image","content":%q%s}]}]`, user, text, picture(32, 32), image)
	}
	const unlearned = `,"need_loss":false`
	training := func(weights string) []byte {
		var text strings.Builder
		for i, weight := range strings.Fields(weights) {
			fmt.Fprintf(&text, "m%d:\n  dataset_names: [x]\n  weight: %s\n  num_used_data: [1]\n", i, weight)
		}
		return []byte(text.String())
	}
	for _, c := range []struct {
		name    string
		rows    []string // of m0, m1, …
		weights string
		want    string
	}{
		{"all", []string{sound}, "", ""},
		{"a text is learned unless it says otherwise", []string{row("", unlearned, `,"need_loss":true,"need_vit":true`)}, "", "no-text-loss"},
		{"a user's is if it says so", []string{row(`,"need_loss":"1"`, unlearned, `,"need_loss":true,"need_vit":true`)}, "", ""},
		{"an image of the context", []string{row("", "", `,"need_vae":true,"need_vit":true`)}, "", "no-image-loss"},
		{"an image of the ViT alone", []string{row("", "", `,"need_vit":true`)}, "", "no-vae-image no-image-loss"},
		{"an image that is lost", []string{conversation("a", "AAAA")}, "", "no-vae-image no-vit-image no-image-loss"},
		{"one of two modes", []string{sound, row("", "", `,"need_loss":true`)}, "", "no-vit-image"},
		{"the other is not drawn", []string{sound, row("", "", `,"need_loss":true`)}, "1 0", ""},
		{"nor listed", []string{sound, row("", "", `,"need_loss":true`)}, "1", ""},
		{"the one is not drawn", []string{sound, row("", "", `,"need_loss":true`)}, "0 1", "no-vit-image"},
		{"nothing is read", []string{"{"}, "", ""},
	} {
		files := map[string][]byte{}
		for i, row := range c.rows {
			files[fmt.Sprintf("m%d/a.parquet", i)] = file(t, "conversation", times(2, row)...)
		}
		if c.weights != "" {
			files["train_stage1.yaml"] = training(c.weights)
		}
		r, err := loader.Check(t.Context(), loader.InFolder(write(t, files)), loader.Options{Ranks: 1, Workers: 1})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := rules(r.Lacks); got != c.want || r.Whole() != (r.AllRead() && c.want == "") {
			t.Errorf("%s: got %v, want %s", c.name, r.Lacks, c.want)
		}
	}
	// A mode's folder alone is a part of an export.
	root := write(t, map[string][]byte{"a.parquet": file(t, "conversation", []string{row("", "", `,"need_vit":true`)})})
	if r, err := loader.Check(t.Context(), loader.InFolder(root), loader.Options{Ranks: 1, Workers: 1}); err != nil || !r.Whole() {
		t.Errorf("got %+v (%v)", r, err)
	}
}
