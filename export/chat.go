package export

import (
	"bytes"
	"encoding/json"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// chatExample is an example as JSON: what is known of the pair, and the chat.
type chatExample struct {
	ID       string           `json:"id"`
	Mode     string           `json:"mode"`
	Prompt   string           `json:"prompt"`
	Messages []chatMessage    `json:"messages"`
	Images   []string         `json:"images"`
	Source   string           `json:"source"`
	Key      string           `json:"key"`
	License  string           `json:"license"`
	URL      string           `json:"url"`
	Language string           `json:"language"`
	Strategy irgdata.Strategy `json:"strategy"`
}

type chatMessage struct {
	Role    modes.Speaker `json:"role"`
	Content []any         `json:"content"` // chatText, chatImage
}

type chatText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	NeedLoss bool   `json:"need_loss"`
}

type chatImage struct {
	Type     string `json:"type"`
	Image    string `json:"image"` // as in images
	NeedLoss bool   `json:"need_loss"`
	NeedVAE  bool   `json:"need_vae"`
	NeedViT  bool   `json:"need_vit"`
}

// newChat makes the JSON of an example. Images go by the names that name gives
// them, which is told the image's number in the example, from 0.
func newChat(x example, prompts modes.Prompts, name func(ref irgdata.ImageRef, n int) (string, error)) (chatExample, error) {
	pair := x.trajectory.Pair
	c := chatExample{
		ID: pair.ID.String(), Mode: x.mode.Name, Prompt: pair.Prompt, Images: []string{},
		Source: pair.Source, Key: pair.Key, License: pair.License, URL: pair.URL, Language: pair.Language, Strategy: x.trajectory.Strategy,
	}
	messages, err := x.mode.Messages(x.trajectory, prompts)
	if err != nil {
		return c, err
	}
	for _, m := range messages {
		message := chatMessage{Role: m.Role}
		for _, part := range m.Parts {
			if part.Image.IsZero() {
				message.Content = append(message.Content, chatText{"text", part.Text, part.Loss})
				continue
			}
			file, err := name(part.Image, len(c.Images))
			if err != nil {
				return c, err
			}
			c.Images = append(c.Images, file)
			message.Content = append(message.Content, chatImage{"image", file, part.Loss, part.VAE, part.ViT})
		}
		c.Messages = append(c.Messages, message)
	}
	return c, nil
}

// chatJSON is the example as one line of JSON, without its end.
func chatJSON(x example, prompts modes.Prompts, name func(ref irgdata.ImageRef, n int) (string, error)) ([]byte, error) {
	c, err := newChat(x, prompts, name)
	if err != nil {
		return nil, err
	}
	return line(c)
}

// line is a value as JSON in which <think> stays readable.
func line(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}
