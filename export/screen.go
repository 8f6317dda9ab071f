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

// look is what the trainer would make of an image: its size in the export, or
// the rule by which it is refused.
type look struct {
	width, height int
	rule, reason  string
}

// looks looks at each image of a record once, for all modes. An image that is to
// be encoded anew is decoded, because it must not fail later.
func (s screen) looks(r record) map[irgdata.Digest]look {
	all := make(map[irgdata.Digest]look, len(r.images))
	for digest, encoded := range r.images {
		info, err := images.Inspect(encoded, "")
		if err != nil {
			all[digest] = look{rule: loader.RuleUnopened, reason: err.Error()}
			continue
		}
		l := look{}
		l.width, l.height = s.images.size(info)
		if s.images.anew(info) {
			if _, err := images.Pixels(encoded); err != nil {
				l.rule, l.reason = loader.RuleDamaged, err.Error()
			}
		} else if why := misread(info); why != "" {
			l.rule, l.reason = loader.RuleSeen, why+" `export.image.format` encodes it anew"
		}
		all[digest] = l
	}
	return all
}

// refuse says why the trainer would not train on a record under a mode that
// keeps it, as it is; "" if it would. The looks are those of the record.
func (s screen) refuse(r record, mode modes.Mode, looks map[irgdata.Digest]look) (rule, reason string) {
	vae, vit := modes.PaperTransforms()
	tokens := 0
	for _, p := range mode.Layout {
		if p.IsImage() {
			l := looks[r.trajectory.Slots[p.Slot].Image.Digest]
			if l.rule != "" {
				return l.rule, fmt.Sprintf("%s image: %s", p.Slot, l.reason)
			}
			entries, n := modes.ImageTokens(vae, vit, l.width, l.height, p.Loss, p.VAE, p.ViT)
			tokens += n + modes.MarksPerEntry*entries
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
		tokens += modes.MarksPerEntry
	}
	if s.limit > 0 && (tokens > s.limit || mode.Mandatory && tokens == s.limit) {
		return loader.RuleTooLong, fmt.Sprintf("it has %d tokens, max_tokens is %d", tokens, s.limit)
	}
	return "", ""
}
