package chat

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// chatReply is the body of an answer.
type chatReply struct {
	Choices []struct {
		Message struct {
			Content json.RawMessage `json:"content"` // a string or a list of parts
			Refusal string          `json:"refusal"`
		} `json:"message"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// parts are the texts and images of a message's content.
func parts(content json.RawMessage) (texts, images []string) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return []string{text}, nil
	}
	var list []chatPart
	if json.Unmarshal(content, &list) != nil {
		return nil, nil
	}
	for _, p := range list {
		if p.ImageURL != nil {
			images = append(images, p.ImageURL.URL)
		} else if p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return texts, images
}

// answer reads the reply to r.
func (c *Client) answer(r runtime.Request, body []byte) (runtime.Answer, error) {
	var reply chatReply
	if err := json.Unmarshal(body, &reply); err != nil {
		// A body that broke off, or a proxy's page: nothing that the model
		// said, so the call can be made again.
		return runtime.Answer{}, c.fail(runtime.Transient, err, "the answer is no JSON")
	}
	if len(reply.Choices) == 0 {
		if len(reply.Error) > 0 {
			return runtime.Answer{}, c.fail(runtime.Transient, nil, "the server said: %s", c.redact(message(body)))
		}
		return runtime.Answer{}, c.fail(runtime.Malformed, nil, "the answer has no choices")
	}
	var texts, pictures []string
	finish := reply.Choices[0].FinishReason
	for _, choice := range reply.Choices { // the image may be in any of them
		if choice.FinishReason == "content_filter" || choice.Message.Refusal != "" {
			return runtime.Answer{}, c.fail(runtime.Refused, nil, "the model refused: %s", c.redact(message([]byte(choice.Message.Refusal))))
		}
		t, p := parts(choice.Message.Content)
		texts, pictures = append(texts, t...), append(pictures, p...)
	}
	a := runtime.Answer{Finish: finish}
	if c.o.Flavor == OpenAI { // vLLM-Omni counts words, which cost nothing
		a.TokensIn, a.TokensOut = reply.Usage.PromptTokens, reply.Usage.CompletionTokens
	}
	if r.Want == runtime.Paint {
		return c.painted(r, a, texts, pictures)
	}
	a.Text = strings.TrimSpace(strings.Join(texts, "\n"))
	switch {
	case finish == "length":
		return a, c.fail(runtime.Truncated, nil, "the text reached its limit of %d tokens", r.Sampling.MaxTokens)
	case a.Text == "":
		return a, c.fail(runtime.Empty, nil, "the answer holds no text")
	}
	return a, nil
}

// painted decodes the one image that was asked for.
func (c *Client) painted(r runtime.Request, a runtime.Answer, texts, pictures []string) (runtime.Answer, error) {
	if len(pictures) == 0 {
		// vLLM-Omni says so with status 200: "Image generation completed but no
		// images were produced."
		return a, c.fail(runtime.Malformed, nil, "the answer holds no image: %s", c.redact(message([]byte(strings.Join(texts, " ")))))
	}
	_, encoded, ok := strings.Cut(pictures[0], ";base64,")
	if !ok || !strings.HasPrefix(pictures[0], "data:image/") {
		return a, c.fail(runtime.Malformed, nil, "the answer's image is no data URI")
	}
	picture, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return a, c.fail(runtime.Malformed, err, "the answer's image is no base64")
	}
	ref, err := images.Probe(picture)
	if err != nil {
		return a, c.fail(runtime.Malformed, err, "the answer's image cannot be read")
	}
	if _, err := images.Decode(picture); err != nil {
		return a, c.fail(runtime.Malformed, err, "the answer's image does not decode to its end")
	}
	if w, h := r.Sampling.Width, r.Sampling.Height; w > 0 && h > 0 && (ref.Width != w || ref.Height != h) {
		return a, c.fail(runtime.Malformed, nil, "the answer's image has %d×%d pixels, want %d×%d", ref.Width, ref.Height, w, h)
	}
	a.Image = picture
	return a, nil
}
