package export

import (
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/modes"
)

// Refusal is a row that the snapshot keeps and the export does not hold,
// because the trainer would pass it over, or see something else in it. It is a
// line of rejects.jsonl.
type Refusal struct {
	ID     irgdata.Digest `json:"id"`
	Mode   string         `json:"mode"`
	Rule   string         `json:"rule"` // one of loader.Rule…
	Reason string         `json:"reason"`
	Source string         `json:"source"`
	Key    string         `json:"key"`
}

// screen finds what the trainer would pass over. It is safe for concurrent use.
type screen struct {
	prompts modes.Prompts
	images  ImageOptions
	// limit is the trainer's max_num_tokens_per_sample; 0 means no limit. Texts
	// count as no tokens without a tokenizer.
	limit     int
	tokenizer *tokenizer.Tokenizer
}

// refuse says why the trainer would not train on a record under a mode that
// keeps it, as it is; "" if it would.
func (s screen) refuse(r record, mode modes.Mode) (rule, reason string) {
	vae, vit := loader.PaperTransforms()
	tokens := 0
	for _, p := range mode.Layout {
		tokens += 2 // the packer's marks
		if p.IsImage() {
			info, err := images.Inspect(r.images[r.trajectory.Slots[p.Slot].Image.Digest], "")
			if err != nil {
				return loader.RuleUnopened, fmt.Sprintf("%s image: %v", p.Slot, err)
			}
			if why := misread(info); why != "" && !s.images.anew(info) {
				return loader.RuleSeen, fmt.Sprintf("%s image: %s `export.image.format` encodes it anew", p.Slot, why)
			}
			width, height := s.images.size(info)
			entries, n := loader.ImageTokens(vae, vit, width, height, p.Loss, p.VAE, p.ViT)
			tokens += n + 2*(entries-1)
			continue
		}
		text := r.trajectory.Slots[p.Slot].Text
		if p.Template != "" {
			text = s.prompts.Get(p.Template).Render(r.trajectory.Pair.Prompt)
		}
		if token := loader.ControlToken(text); token != "" {
			return loader.RuleControl, fmt.Sprintf("a text holds %s, which the trainer's tokenizer takes for the control token", token)
		}
		if s.tokenizer != nil {
			tokens += s.tokenizer.Count(text)
		}
	}
	if s.limit > 0 && (tokens > s.limit || mode.Mandatory && tokens == s.limit) {
		return loader.RuleTooLong, fmt.Sprintf("it has %d tokens, max_tokens is %d", tokens, s.limit)
	}
	return "", ""
}
