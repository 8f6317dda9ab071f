package modes_test

import (
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// TestMessages: a chat has a system prompt of its own, images that a question
// is about are the user's, and those that are painted or continued are the
// assistant's.
func TestMessages(t *testing.T) {
	want := map[string]string{
		"initial_thinking_understanding_learning":   "user: text image | assistant: text*",
		"initial_thinking_generation_learning":      "system: text | user: text | assistant: text*",
		"initial_full_learning":                     "system: text | user: text | assistant: text* image*",
		"improving_thinking_understanding_learning": "user: text image image | assistant: text*",
		"improving_thinking_generation_learning":    "system: text | user: text | assistant: text image text*",
		"improving_full_learning":                   "system: text | user: text | assistant: text image text* image*",
	}
	for _, m := range modes.All() {
		messages, err := m.Messages(full(), modes.DefaultPrompts())
		if err != nil {
			t.Fatal(err)
		}
		var turns []string
		images := 0
		for _, message := range messages {
			turn := string(message.Role) + ":"
			for _, part := range message.Parts {
				kind := " text"
				if !part.Image.IsZero() {
					kind = " image"
					if slot := m.Images()[images]; part.Image != full().Slots[slot].Image {
						t.Errorf("%s: image %d is not that of %s", m.Name, images, slot)
					}
					images++
				}
				if part.Loss {
					kind += "*"
				}
				turn += kind
			}
			turns = append(turns, turn)
		}
		if got := strings.Join(turns, " | "); got != want[m.Name] {
			t.Errorf("%s: got %q, want %q", m.Name, got, want[m.Name])
		}
		if got := strings.HasSuffix(m.Name, "_understanding_learning"); got != m.Understanding() {
			t.Errorf("%s: understanding is %t", m.Name, m.Understanding())
		}
		if _, err := m.Messages(irgdata.Trajectory{}, modes.DefaultPrompts()); err == nil {
			t.Errorf("%s: an empty trajectory was rendered", m.Name)
		}
	}
}
