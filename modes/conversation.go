package modes

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/irgdata/irgdata"
)

// ImageBytes fetches the encoded bytes of an image.
type ImageBytes func(irgdata.ImageRef) ([]byte, error)

// Conversation renders a trajectory as one training row of the mode: the JSON of
// the official loader's `conversation` column
// (SFT/data/interleave_datasets/multi_think_interleave_t2i_dataset.py). A user
// turn's content is a text, an assistant turn's a list; the loader drops
// anything else. Each user part is a turn, hence a context segment, of its own;
// neighbouring assistant parts share one turn. Every flag is written out,
// because the loader's defaults differ from part to part. Conversation fails if
// a slot that the mode shows is empty or an image cannot be fetched.
func (m Mode) Conversation(t irgdata.Trajectory, prompts Prompts, fetch ImageBytes) (string, error) {
	c := conversation{}
	size := 4 << 10
	for _, p := range m.Layout {
		size += len(t.Slots[p.Slot].Text) + base64.StdEncoding.EncodedLen(int(t.Slots[p.Slot].Image.Size))
	}
	c.out.Grow(size) // about; else a row of megabytes is copied again and again
	for _, p := range m.Layout {
		content, err := m.content(p, t, prompts, fetch)
		if err == nil {
			err = c.part(p, content)
		}
		if err != nil {
			return "", fmt.Errorf("render pair %s as %s: %w", t.Pair.ID, m.Name, err)
		}
	}
	return c.end(), nil
}

// conversation is the JSON under way. It is written by hand, because a row is
// megabytes of base64, which encoding/json would look at sign by sign.
type conversation struct {
	out       strings.Builder
	assistant bool // an assistant turn's list is open
}

func (c *conversation) part(p Part, content string) error {
	c.open(p.Speaker)
	if p.IsImage() {
		c.out.WriteString(`{"type":"image","content":"`)
		c.out.WriteString(content) // base64 has no sign that JSON escapes
		fmt.Fprintf(&c.out, `","need_loss":%t,"need_vae":%t,"need_vit":%t}`, p.Loss, p.VAE, p.ViT)
		return nil
	}
	quoted, err := quote(content)
	if p.Speaker == User {
		fmt.Fprintf(&c.out, `{"role":%q,"content":%s,"need_loss":%t}`, User, quoted, p.Loss)
	} else {
		fmt.Fprintf(&c.out, `{"type":"text","content":%s,"need_loss":%t}`, quoted, p.Loss)
	}
	return err
}

// open begins the next part: in the list of an assistant turn, or as a turn.
func (c *conversation) open(s Speaker) {
	switch assistant := s == Assistant; {
	case assistant && c.assistant:
		c.out.WriteString(",")
	case assistant:
		c.turn()
		fmt.Fprintf(&c.out, `{"role":%q,"content":[`, Assistant)
		c.assistant = true
	default:
		c.turn()
	}
}

// turn ends an open assistant turn and begins the next turn.
func (c *conversation) turn() {
	if c.assistant {
		c.out.WriteString("]}")
		c.assistant = false
	}
	if c.out.Len() == 0 {
		c.out.WriteString("[")
	} else {
		c.out.WriteString(",")
	}
}

func (c *conversation) end() string {
	if c.assistant {
		c.out.WriteString("]}")
	}
	c.out.WriteString("]")
	return c.out.String()
}

// quote makes a JSON string of a text, in which <think> stays readable.
func quote(text string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
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
