package modes

import (
	"fmt"

	"github.com/irgdata/irgdata"
)

// System is the role of the system prompt in a chat. The official loader knows
// no such role ([Mode.Conversation]).
const System Speaker = "system"

// Message is a turn of a chat, as chat templates take it.
type Message struct {
	Role  Speaker
	Parts []MessagePart
}

// MessagePart is one text or one image of a message.
type MessagePart struct {
	Text  string
	Image irgdata.ImageRef // zero for a text
	// Loss, VAE and ViT are the flags of the mode's part.
	Loss, VAE, ViT bool
}

// Messages renders a trajectory as a chat of the mode: the system prompt has a
// role of its own, and an image that a question is about stands in the user's
// turn, where every chat template wants it. It fails if a slot that the mode
// shows is empty.
func (m Mode) Messages(t irgdata.Trajectory, prompts Prompts) ([]Message, error) {
	var messages []Message
	for _, p := range m.Layout {
		part := MessagePart{Loss: p.Loss, VAE: p.VAE, ViT: p.ViT}
		role := p.Speaker
		switch {
		case p.IsImage():
			part.Image = t.Slots[p.Slot].Image
			if part.Image.IsZero() {
				return nil, fmt.Errorf("render pair %s as %s: slot %s is empty", t.Pair.ID, m.Name, p.Slot)
			}
			if n := len(messages); !p.Loss && n > 0 && messages[n-1].Role == User {
				role = User
			}
		case p.Template == PromptSystem:
			role = System
			fallthrough
		default:
			var err error
			if part.Text, err = m.content(p, t, prompts); err != nil {
				return nil, fmt.Errorf("render pair %s as %s: %w", t.Pair.ID, m.Name, err)
			}
		}
		if n := len(messages); n > 0 && messages[n-1].Role == role {
			messages[n-1].Parts = append(messages[n-1].Parts, part)
		} else {
			messages = append(messages, Message{role, []MessagePart{part}})
		}
	}
	return messages, nil
}

// Understanding reports whether the mode teaches to read images: it shows some,
// none of which is painted or continued, and texts alone are learned.
func (m Mode) Understanding() bool {
	images := 0
	for _, p := range m.Layout {
		if !p.IsImage() {
			continue
		}
		if images++; p.Loss || p.VAE {
			return false
		}
	}
	return images > 0
}

// Images are the slots of the mode's images, in the order of a message.
func (m Mode) Images() []irgdata.Slot {
	var slots []irgdata.Slot
	for _, p := range m.Layout {
		if p.IsImage() {
			slots = append(slots, p.Slot)
		}
	}
	return slots
}
