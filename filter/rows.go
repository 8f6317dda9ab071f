package filter

import (
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// trainerTokens is the most tokens of a row that the trainer takes of every
// mode: it is started with max_num_tokens_per_sample 32768 (SFT/run), skips rows
// of more, and wants fewer in mandatory modes (SFT/data/dataset_base.py).
const trainerTokens = 32767

// RowTokens rejects rows of a mode that have more than most tokens, counted as
// the official trainer counts them: the tokens of each text, the patches of each
// image as often as it stands in the row, and two around each part. Without a
// tokenizer they are estimated.
func RowTokens(most int, e Environment) Rule {
	tokens := e.Count
	if tokens == nil {
		tokens = estimatedTokens
	}
	// What the templates add is in the number, so they are in the version.
	version := irgdata.NewDigester("row_tokens/2").Text(e.Tokenizer)
	for _, name := range e.Prompts.Names() {
		version.Digest(e.Prompts.Get(name).Digest())
	}
	return Rule{
		Name: "row_tokens", Version: "2-" + version.Sum().String()[:8], Unit: "row_tokens", Threshold: float64(most),
		MeasureRow: func(s *Subject, m modes.Mode) float64 {
			n := 0
			for _, p := range m.Layout {
				n += s.partTokens(p, e.Prompts, tokens)
			}
			return float64(n)
		},
		RejectRow: func(value float64) string {
			if value <= float64(most) {
				return ""
			}
			return fmt.Sprintf("the row has about %.0f tokens and the trainer takes at most %d", value, most)
		},
	}
}

// estimatedTokens takes three bytes for a token, so that it rather counts too
// many: see TestEstimatedTokens. Words tell less, which have from 0.5 tokens in
// Thai, of characters, to 4.8 in Greek.
func estimatedTokens(text string) int { return (len(text) + 2) / 3 }

// partTokens counts one part of a row. Texts that several rows share are counted
// once.
func (s *Subject) partTokens(p modes.Part, prompts modes.Prompts, count func(string) int) int {
	slot := s.Trajectory.Slots[p.Slot]
	if p.IsImage() {
		vae, vit := modes.PaperTransforms()
		entries, n := modes.ImageTokens(vae, vit, slot.Image.Width, slot.Image.Height, p.Loss, p.VAE, p.ViT)
		return n + modes.MarksPerEntry*entries
	}
	text := slot.Text
	if p.Template != "" {
		text = prompts.Get(p.Template).Render(s.Trajectory.Slots[irgdata.SlotPrompt].Text)
	}
	n, counted := s.tokens[text]
	if !counted {
		n = count(text) + modes.MarksPerEntry
		if s.tokens == nil {
			s.tokens = map[string]int{}
		}
		s.tokens[text] = n
	}
	return n
}
