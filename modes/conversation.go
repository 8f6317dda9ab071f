package modes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/irgdata/irgdata"
)

// Fragment is a piece of a training row's JSON: text as it stands or, where Image
// is set, an image whose base64 (RFC 4648, section 4) stands there.
type Fragment struct {
	JSON  string
	Image irgdata.ImageRef
}

// Conversation renders a trajectory as one training row of the mode: the JSON of
// the official loader's `conversation` column
// (SFT/data/interleave_datasets/multi_think_interleave_t2i_dataset.py), in
// fragments, so that an image which is in several rows is encoded once. A user
// turn's content is a text, an assistant turn's a list; the loader drops
// anything else. Each user part is a turn, hence a context segment, of its own;
// neighbouring assistant parts share one turn. Every flag is written out,
// because the loader's defaults differ from part to part. Conversation fails if
// a slot that the mode shows is empty.
func (m Mode) Conversation(t irgdata.Trajectory, prompts Prompts) ([]Fragment, error) {
	var c conversation
	for _, p := range m.Layout {
		content, err := m.content(p, t, prompts)
		if err == nil {
			err = c.part(p, content, t.Slots[p.Slot].Image)
		}
		if err != nil {
			return nil, fmt.Errorf("render pair %s as %s: %w", t.Pair.ID, m.Name, err)
		}
	}
	return c.end(), nil
}

// conversation is the JSON under way.
type conversation struct {
	done      []Fragment
	out       strings.Builder // since the last image
	turns     int
	assistant bool // an assistant turn's list is open
}

func (c *conversation) part(p Part, text string, image irgdata.ImageRef) error {
	c.open(p.Speaker)
	if p.IsImage() {
		c.out.WriteString(`{"type":"image","content":"`)
		c.image(image) // base64 has no sign that JSON escapes
		fmt.Fprintf(&c.out, `","need_loss":%t,"need_vae":%t,"need_vit":%t}`, p.Loss, p.VAE, p.ViT)
		return nil
	}
	quoted, err := quote(text)
	if p.Speaker == User {
		fmt.Fprintf(&c.out, `{"role":%q,"content":%s,"need_loss":%t}`, User, quoted, p.Loss)
	} else {
		fmt.Fprintf(&c.out, `{"type":"text","content":%s,"need_loss":%t}`, quoted, p.Loss)
	}
	return err
}

// image ends the text that goes before an image.
func (c *conversation) image(ref irgdata.ImageRef) {
	c.done = append(c.done, Fragment{JSON: c.out.String()}, Fragment{Image: ref})
	c.out.Reset()
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
	if c.turns == 0 {
		c.out.WriteString("[")
	} else {
		c.out.WriteString(",")
	}
	c.turns++
}

func (c *conversation) end() []Fragment {
	if c.assistant {
		c.out.WriteString("]}")
	}
	c.out.WriteString("]")
	return append(c.done, Fragment{JSON: c.out.String()})
}

// quote makes a JSON string of a text, in which <think> stays readable.
func quote(text string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// content is the text of a part, "" of an image.
func (m Mode) content(p Part, t irgdata.Trajectory, prompts Prompts) (string, error) {
	if p.Template != "" {
		return prompts.Get(p.Template).Render(t.Pair.Prompt), nil
	}
	filling := t.Slots[p.Slot]
	if filling.IsZero() || p.IsImage() && filling.Image.IsZero() {
		return "", fmt.Errorf("slot %s is empty", p.Slot)
	}
	if p.IsImage() {
		return "", nil
	}
	return filling.Text, nil
}
