package export_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/modes"
)

// TestRefusalsAreTheLoaders: the rows that are too long are exactly those that
// the loader would pass over, token for token, also when images are scaled.
func TestRefusalsAreTheLoaders(t *testing.T) {
	vocabulary, err := tokenizer.Open(os.DirFS("../internal/tokenizer/testdata/small"))
	if err != nil {
		t.Fatal(err)
	}
	store := newStore(t)
	s, err := publish(t.Context(), t, store, 12, 2)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 1, 1)
	o.Tokenizer, o.Images = vocabulary, export.ImageOptions{MaxSide: 50}
	all := newStore(t)
	m, _, err := export.WriteIRG(t.Context(), store, s, all, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, mode := range modes.All() {
		tokens := tokensOf(t, all, m.Modes[i], vocabulary)
		slices.Sort(tokens)
		one := s
		one.Settings.Modes = []string{mode.Name}
		for _, limit := range []int{tokens[0], tokens[len(tokens)-1], tokens[len(tokens)-1] + 1} {
			want := int64(0)
			for _, n := range tokens {
				if n > limit || mode.Mandatory && n == limit {
					want++
				}
			}
			o.MaxTokens = limit
			got, _, err := export.WriteIRG(t.Context(), store, one, newStore(t), o)
			refused := int64(len(tokens))
			var few *export.TooFewRowsError
			switch {
			case err == nil:
				refused = got.Modes[0].Refused
			case !errors.As(err, &few):
				t.Fatal(err)
			}
			if refused != want {
				t.Errorf("%s: %d rows of %v are refused at %d tokens, the loader passes over %d", mode.Name, refused, tokens, limit, want)
			}
		}
	}
}

// tokensOf are the tokens of each row of a mode as the loader counts them.
func tokensOf(t *testing.T, dest *blob.File, m export.ModeFiles, vocabulary *tokenizer.Tokenizer) (tokens []int) {
	t.Helper()
	vae, vit := modes.PaperTransforms()
	p := &loader.Parser{VAE: vae, ViT: vit, Tokenizer: vocabulary}
	for _, f := range m.Files {
		file, err := os.Open(dest.URL(f.Path))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := parquet.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		for row, err := range r.Rows(t.Context(), "conversation") {
			if err != nil {
				t.Fatal(err)
			}
			parsed := p.Parse(row[0].(string))
			if parsed.Lost != nil {
				t.Fatalf("%s: %+v", f.Path, parsed.Lost)
			}
			tokens = append(tokens, parsed.Tokens)
		}
	}
	return tokens
}

// TestImagesThatTheTrainerMisreads: a turned photo is refused as it is, and
// turned upright where images are encoded anew; a damaged one is found then, and
// refused instead of ending the export.
func TestImagesThatTheTrainerMisreads(t *testing.T) {
	turned, err := os.ReadFile("../internal/images/testdata/orientation-6.jpg")
	if err != nil {
		t.Fatal(err)
	}
	damaged, err := os.ReadFile("../internal/images/testdata/baseline.jpg")
	if err != nil {
		t.Fatal(err)
	}
	damaged = damaged[:len(damaged)-40] // within the scan: its headers are whole
	store := newStore(t)
	pictures := images.NewStore(store)
	s, err := publishItems(t.Context(), store, func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		for i, draft := range [][]byte{turned, damaged, picture(1), picture(2)} {
			x, err := item(t.Context(), 10*i+1, pictures)
			if err == nil {
				x.Value.Trajectory.Slots[irgdata.SlotDraft].Image, err = pictures.Put(t.Context(), draft)
			}
			if !yield(x, err) {
				return
			}
		}
	}, pictures, shardOptions(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		images export.ImageOptions
		rule   string
	}{
		{export.ImageOptions{}, loader.RuleSeen},
		{export.ImageOptions{Format: irgdata.FormatPNG}, loader.RuleDamaged},
	} {
		o := options(t, 1, 1)
		o.Images = c.images
		dest := newStore(t)
		m, _, err := export.WriteIRG(t.Context(), store, s, dest, o)
		if err != nil {
			t.Errorf("%+v: %v", c.images, err)
			continue
		}
		refused := int64(0)
		for _, mode := range m.Modes {
			refused += mode.Refused
		}
		named := tree(t, dest.URL("."))["rejects.jsonl"]
		if refused != 3 || strings.Count(named, `"rule":"`+c.rule+`"`) != 3 { // the three modes with a draft
			t.Errorf("%+v: %d rows refused, named as\n%s", c.images, refused, named)
		}
		r, err := loader.Check(t.Context(), loader.InFolder(dest.URL(".")), loader.Options{Ranks: 1, Workers: 1, Seed: 42, Decode: c.images.Format != ""})
		if err != nil || !r.Whole() {
			t.Errorf("%+v: the loader would not read all of it: %+v (%v)", c.images, r, err)
		}
	}
}
