package chat

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// completion is what is read of an answer: choices of a chat, data of images.
type completion struct {
	Choices []choice        `json:"choices"`
	Data    []imageData     `json:"data"`
	Error   json.RawMessage `json:"error"`
	Usage   json.RawMessage `json:"usage"`
}

type choice struct {
	Message struct {
		Content content `json:"content"`
		Refusal string  `json:"refusal"`
	} `json:"message"`
	FinishReason string          `json:"finish_reason"`
	Logprobs     json.RawMessage `json:"logprobs"`
}

// logprobs are those of OpenAI's chat completions. What else a server may call
// by that name is none: the candidates are a courtesy.
type logprobs struct {
	Content []struct {
		runtime.Candidate
		Top []runtime.Candidate `json:"top_logprobs"`
	} `json:"content"`
}

// first are the candidates of the first token that is not blank, so many at
// most. Of a token
// that is as good as impossible servers give some large negative number, or
// none that JSON can hold.
func (c choice) first(most int) []runtime.Candidate {
	var got logprobs
	if json.Unmarshal(c.Logprobs, &got) != nil {
		return nil
	}
	for _, token := range got.Content {
		if strings.TrimSpace(token.Token) == "" {
			continue
		}
		if len(token.Top) == 0 {
			return []runtime.Candidate{token.Candidate}
		}
		return token.Top[:min(len(token.Top), most)]
	}
	return nil
}

// content is null, a text or a list of parts.
type content []part

func (c *content) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*c = content{textPart(s)}
		return nil
	}
	return json.Unmarshal(b, (*[]part)(c))
}

// text joins the texts of the content.
func (c content) text() string {
	var b strings.Builder
	for _, p := range c {
		b.WriteString(p.Text)
	}
	return strings.TrimSpace(b.String())
}

// image returns the URI of the first image, "" if there is none.
func (c content) image() string {
	for _, p := range c {
		if p.Image != nil && p.Image.URL != "" {
			return p.Image.URL
		}
	}
	return ""
}

// parse reads the body of an answer with status 200.
//
// A body that is no JSON is transient: it was cut, or it is the page of
// something before the server, and a kind that goes on record would blame the
// model for good. JSON that is no chat completion is fatal: the address
// belongs to something else.
//
// With an error the answer has the tokens that it cost all the same.
func (c *Client) parse(body []byte, r runtime.Request) (runtime.Answer, error) {
	if !json.Valid(body) {
		return runtime.Answer{}, c.server.Fail(runtime.Transient, nil, "the answer is not JSON: %s", c.server.Quote(string(body)))
	}
	var reply completion
	err := json.Unmarshal(body, &reply)
	if code, ok := embeddedError(reply.Error); ok {
		return runtime.Answer{}, c.server.StatusError(code, http.Header{}, body)
	}
	if c.o.Flavor == Images {
		return c.parseImages(reply, err, body, r.Sampling)
	}
	if err != nil || reply.Choices == nil {
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, err, "the answer is no chat completion, so `url` may be that of another service: %s", c.server.Quote(string(body)))
	}
	pick, ok := reply.pick(r.Want)
	if !ok {
		return runtime.Answer{}, c.server.Fail(runtime.Transient, nil, "the answer holds no choices")
	}
	answer := runtime.Answer{Finish: pick.FinishReason}
	if c.o.Flavor == OpenAI {
		var usage struct {
			In  int `json:"prompt_tokens"`
			Out int `json:"completion_tokens"`
		}
		if json.Unmarshal(reply.Usage, &usage) == nil { // counts are a courtesy
			answer.TokensIn, answer.TokensOut = runtime.Tokens(usage.In), runtime.Tokens(usage.Out)
		}
	}
	if err := c.finished(pick, r.Want); err != nil {
		return answer, err
	}
	if r.Want == runtime.Paint {
		answer.Image, err = c.painted(pick.Message.Content, r.Sampling)
	} else {
		answer.Text, err = c.written(pick.Message.Content)
		if r.Sampling.Candidates > 0 {
			answer.First = pick.first(r.Sampling.Candidates)
		}
	}
	return answer, err
}

// embeddedError says whether an answer with status 200 is an error in truth,
// as gateways give it when they had to begin the answer early, and the status
// that it should have had.
func embeddedError(raw json.RawMessage) (status int, ok bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, false
	}
	var e struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(raw, &e) == nil && e.Code >= 400 && e.Code < 600 {
		return e.Code, true
	}
	return http.StatusInternalServerError, true
}

// pick returns the first choice that holds what is wanted, else the first:
// a server of several stages may put text and image into choices of their own.
func (r completion) pick(want runtime.Output) (choice, bool) {
	for _, c := range r.Choices {
		if want == runtime.Paint && c.Message.Content.image() != "" || want == runtime.Text && c.Message.Content.text() != "" {
			return c, true
		}
	}
	if len(r.Choices) == 0 {
		return choice{}, false
	}
	return r.Choices[0], true
}

// finished returns an error unless the choice is known to be finished.
func (c *Client) finished(pick choice, want runtime.Output) error {
	if pick.Message.Refusal != "" {
		return c.server.Fail(runtime.Refused, nil, "the model refused: %s", c.server.Quote(pick.Message.Refusal))
	}
	switch pick.FinishReason {
	case "stop", "stop_sequence", "eos_token":
		return nil
	case "length", "max_tokens":
		return c.server.Fail(runtime.Truncated, nil, "the text hit its length limit")
	case "content_filter":
		return c.server.Fail(runtime.Refused, nil, "the server's content filter held the answer back")
	case "abort", "error":
		return c.server.Fail(runtime.Transient, nil, "the server gave the answer up with finish_reason %q", pick.FinishReason)
	}
	if want == runtime.Paint && pick.FinishReason == "" {
		return nil // an image that decodes is whole
	}
	return c.server.Fail(runtime.Malformed, nil, "finish_reason is %s, which does not say that the answer is finished", c.server.Quote(pick.FinishReason))
}

func (c *Client) written(got content) (string, error) {
	text := got.text()
	switch {
	case text != "":
		return text, nil
	case got.image() != "":
		return "", c.server.Fail(runtime.Malformed, nil, "the answer is an image, and a text was asked for")
	}
	return "", c.server.Fail(runtime.Empty, nil, "the answer holds no text")
}

// painted returns the encoded image. What is no image is the server's fault and
// not the model's answer, such as the sentence that an Omni server says with
// status 200 when painting failed: it is transient. An image of another size is
// a matter of the server's settings, which a person must mend.
func (c *Client) painted(got content, s runtime.Sampling) ([]byte, error) {
	uri := got.image()
	switch text := got.text(); {
	case uri == "" && text == "":
		return nil, c.server.Fail(runtime.Transient, nil, "the answer holds no image")
	case uri == "":
		return nil, c.server.Fail(runtime.Transient, nil, "the answer is a text, and an image was asked for: %s", c.server.Quote(text))
	}
	head, data, ok := strings.Cut(uri, ",")
	if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return nil, c.server.Fail(runtime.Transient, nil, "the image is no data URI in base64: %s", c.server.Quote(uri))
	}
	return c.decoded(data, s)
}

// decoded returns the encoded image of a base64 text, once it is known to be
// one, of the size asked for.
func (c *Client) decoded(data string, s runtime.Sampling) ([]byte, error) {
	encoded, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, c.server.Fail(runtime.Transient, err, "the image is not base64")
	}
	ref, err := images.Probe(encoded) // the size before the pixels, which it bounds
	switch {
	case err != nil:
		return nil, c.server.Fail(runtime.Transient, err, "the answer is no image")
	case s.Width != 0 && ref.Width != s.Width || s.Height != 0 && ref.Height != s.Height:
		return nil, c.server.Fail(runtime.Fatal, nil, "the image has %d×%d pixels, and %d×%d were asked for: set `image` to a size that the server paints", ref.Width, ref.Height, s.Width, s.Height)
	}
	if _, err := images.Decode(encoded); err != nil {
		return nil, c.server.Fail(runtime.Transient, err, "the image does not decode")
	}
	return encoded, nil
}
