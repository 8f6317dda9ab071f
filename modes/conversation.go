package modes

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/irgdata/irgdata"
)

// turn and content are the JSON of the official loader's `conversation`
// column (SFT/data/interleave_datasets/multi_think_interleave_t2i_dataset.py).
// A user turn's content is a string, an assistant turn's a list; the loader
// drops anything else. Every flag is written out, because the loader's
// defaults differ from part to part.
type turn struct {
	Role     Speaker `json:"role"`
	Content  any     `json:"content"` // string or []any
	NeedLoss *bool   `json:"need_loss,omitempty"`
}

type textContent struct {
	Type     string `json:"type"`
	Content  string `json:"content"`
	NeedLoss bool   `json:"need_loss"`
}

type imageContent struct {
	Type     string `json:"type"`
	Content  string `json:"content"` // bare base64, without a data: prefix
	NeedLoss bool   `json:"need_loss"`
	NeedVAE  bool   `json:"need_vae"`
	NeedViT  bool   `json:"need_vit"`
}

// ImageBytes fetches the encoded bytes of an image.
type ImageBytes func(irgdata.ImageRef) ([]byte, error)

// Conversation renders a trajectory as one training row of the mode. Each
// user part is a turn, hence a context segment, of its own; neighbouring
// assistant parts share one turn. It fails if a slot that the mode shows is
// empty or an image cannot be fetched.
func (m Mode) Conversation(t irgdata.Trajectory, prompts Prompts, fetch ImageBytes) ([]byte, error) {
	var turns []turn
	var assistant []any
	flush := func() {
		if len(assistant) > 0 {
			turns = append(turns, turn{Role: Assistant, Content: assistant})
			assistant = nil
		}
	}
	for _, p := range m.Layout {
		content, err := m.content(p, t, prompts, fetch)
		if err != nil {
			return nil, fmt.Errorf("render pair %s as %s: %w", t.Pair.ID, m.Name, err)
		}
		switch {
		case p.Speaker == User:
			flush()
			turns = append(turns, turn{Role: User, Content: content, NeedLoss: &p.Loss})
		case p.IsImage():
			assistant = append(assistant, imageContent{Type: "image", Content: content, NeedLoss: p.Loss, NeedVAE: p.VAE, NeedViT: p.ViT})
		default:
			assistant = append(assistant, textContent{Type: "text", Content: content, NeedLoss: p.Loss})
		}
	}
	flush()

	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // <think> stays readable
	if err := enc.Encode(turns); err != nil {
		return nil, fmt.Errorf("render pair %s as %s: %w", t.Pair.ID, m.Name, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// content is the text of a part, base64 for an image.
func (m Mode) content(p Part, t irgdata.Trajectory, prompts Prompts, fetch ImageBytes) (string, error) {
	if p.Template != "" {
		return prompts.Get(p.Template).Render(t.Pair.Prompt), nil
	}
	filling := t.Slots[p.Slot]
	if filling.IsZero() {
		return "", fmt.Errorf("slot %s is empty", p.Slot)
	}
	if !p.IsImage() {
		return filling.Text, nil
	}
	encoded, err := fetch(filling.Image)
	if err != nil {
		return "", fmt.Errorf("slot %s: %w", p.Slot, err)
	}
	return base64.StdEncoding.EncodeToString(encoded), nil
}
