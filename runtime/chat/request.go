package chat

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
)

// chatRequest is what both dialects share.
type chatRequest struct {
	Model    string    `json:"model"`
	Messages []message `json:"messages"`
	Seed     uint64    `json:"seed"`
}

type message struct {
	Role    string `json:"role"`
	Content []part `json:"content"`
}

// part is a piece of a message, in requests and in answers.
type part struct {
	Type  string    `json:"type"`
	Text  string    `json:"text,omitempty"`
	Image *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

func textPart(s string) part { return part{Type: "text", Text: s} }

// openAIRequest limits the text by max_tokens. Its successor
// max_completion_tokens is ignored in silence by servers that do not know it,
// which leaves a text without a limit; a server that wants the successor says
// so.
type openAIRequest struct {
	chatRequest
	Temperature float64 `json:"temperature"`
	MaxTokens   int     `json:"max_tokens,omitempty"`
	Logprobs    bool    `json:"logprobs,omitempty"`
	TopLogprobs int     `json:"top_logprobs,omitempty"`
}

// omniRequest has all fields at top level; one of writing and painting is set.
type omniRequest struct {
	chatRequest
	Modalities []string `json:"modalities"`
	// Think would put the server's own system prompt before our context.
	Think bool `json:"think"`
	*writing
	*painting
	StageParams []stageParams `json:"sampling_params_list,omitempty"`
}

// stageParams are the sampling parameters of one stage of a deployment. Where
// a request has them, they replace the stage's configured ones as a whole;
// size, steps and guidance still come from the top level. (vLLM-Omni,
// vllm_omni/entrypoints/openai/serving_chat.py at 00a3619:
// _to_sampling_params_list, create_chat_completion.)
type stageParams struct {
	MaxTokens int    `json:"max_tokens,omitempty"`
	Seed      uint64 `json:"seed"`
}

// writing has the names of both deployments: where one stage does all, those of
// BAGEL's pipeline; a thinker of its own has those of every OpenAI server.
type writing struct {
	MaxThinkTokens  int     `json:"max_think_tokens,omitempty"` // limits the text, thinking or not
	DoSample        bool    `json:"do_sample"`
	TextTemperature float64 `json:"text_temperature,omitempty"`
	*thinker
}

type thinker struct {
	MaxTokens   int     `json:"max_tokens,omitempty"`
	Temperature float64 `json:"temperature"`
}

type painting struct {
	Width             int        `json:"width,omitempty"`
	Height            int        `json:"height,omitempty"`
	NumInferenceSteps int        `json:"num_inference_steps,omitempty"`
	NegativePrompt    string     `json:"negative_prompt,omitempty"`
	CFGTextScale      float64    `json:"cfg_text_scale,omitempty"`
	CFGImgScale       float64    `json:"cfg_img_scale,omitempty"`
	CFGInterval       [2]float64 `json:"cfg_interval,omitzero"`
	CFGRenormType     string     `json:"cfg_renorm_type,omitempty"`
	CFGRenormMin      float64    `json:"cfg_renorm_min"` // 0, as the official inference has it
	TimestepShift     float64    `json:"timestep_shift,omitempty"`
}

// segmentBreak ends one segment and begins the next: the server wraps all text
// in one <|im_start|>…<|im_end|>.
const segmentBreak = "<|im_end|><|im_start|>"

const (
	sideStep = 16 // an Omni server cuts sides down to multiples of it
	maxSide  = 1024
)

// Serves says why a server of the dialect cannot answer a request of this
// kind, nil if it can: images is the number of images shown, and width and
// height are those of an image to be painted.
func (f Flavor) Serves(want runtime.Output, images, width, height int) error {
	switch {
	case f == Images && want == runtime.Text:
		return fmt.Errorf("a server of kind %s paints images and writes no texts: bind the role to a model of kind %s or %s", Images, OpenAI, Omni)
	case f == Images && images > 1:
		return fmt.Errorf("a server of kind %s paints from one image at most, and this step shows %d: bind the role to another model", Images, images)
	case f == Images && (min(width, height) < 0 || (width == 0) != (height == 0)):
		return fmt.Errorf("the image size is %d×%d: a server of kind %s takes a width and a height in pixels, or neither", width, height, Images)
	case f == OpenAI && want == runtime.Paint:
		return fmt.Errorf("a server of kind %s writes texts and paints no images: bind the role to a model of kind %s or %s", OpenAI, Omni, Images)
	case f == Omni && images > 1:
		return fmt.Errorf("a server of kind %s looks at one image a request, and this step shows %d: bind the role to a vision-language model of kind %s", Omni, images, OpenAI)
	case f == Omni && want == runtime.Paint:
		for _, side := range []int{width, height} {
			if side < 0 || side > maxSide || side%sideStep != 0 {
				return fmt.Errorf("the image size is %d×%d: a server of kind %s paints sides that are multiples of %d up to %d pixels", width, height, Omni, sideStep, maxSide)
			}
		}
	}
	return nil
}

// encode returns the request in the server's dialect.
func (c *Client) encode(r runtime.Request) (exchange.Call, error) {
	if r.Want != runtime.Text && r.Want != runtime.Paint {
		return exchange.Call{}, c.server.Fail(runtime.Fatal, nil, "the request wants %q: want %q or %q", r.Want, runtime.Text, runtime.Paint)
	}
	images := 0
	for _, p := range r.Context {
		if p.Image != nil {
			images++
		}
	}
	if err := c.o.Flavor.Serves(r.Want, images, r.Sampling.Width, r.Sampling.Height); err != nil {
		return exchange.Call{}, c.server.Fail(runtime.Fatal, nil, "%v", err)
	}
	var body any
	var err error
	switch c.o.Flavor {
	case Images:
		return c.images(r)
	case Omni:
		body, err = c.omni(r)
	default:
		body, err = c.openAI(r)
	}
	if err != nil {
		return exchange.Call{}, err
	}
	return c.postJSON("chat/completions", body)
}

func (c *Client) postJSON(path string, body any) (exchange.Call, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil { // a number that JSON has no word for
		return exchange.Call{}, c.server.Fail(runtime.Fatal, err, "the request cannot be written as JSON")
	}
	return exchange.Call{Method: http.MethodPost, Path: path, ContentType: "application/json", Body: b.Bytes()}, nil
}

func (c *Client) envelope(content []part, seed uint64) chatRequest {
	return chatRequest{Model: c.o.Model, Messages: []message{{Role: "user", Content: content}}, Seed: seed}
}

func (c *Client) openAI(r runtime.Request) (openAIRequest, error) {
	var content []part
	for i, p := range r.Context {
		if p.Image == nil {
			content = append(content, textPart(p.Text))
			continue
		}
		img, err := c.imagePart(i, p.Image)
		if err != nil {
			return openAIRequest{}, err
		}
		content = append(content, img)
	}
	s := r.Sampling
	return openAIRequest{c.envelope(content, s.Seed), s.Temperature, s.MaxTokens, s.Candidates > 0, s.Candidates}, nil
}

// omni puts the image first and joins the texts, as the server would.
func (c *Client) omni(r runtime.Request) (omniRequest, error) {
	var content []part
	for i, p := range r.Context {
		if p.Image == nil {
			continue
		}
		img, err := c.imagePart(i, p.Image)
		if err != nil {
			return omniRequest{}, err
		}
		content = append(content, img)
	}
	text, err := c.segments(r.Context)
	if err != nil {
		return omniRequest{}, err
	}
	if text != "" {
		content = append(content, textPart(text))
	}
	s := r.Sampling
	body := omniRequest{chatRequest: c.envelope(content, s.Seed), Modalities: []string{string(r.Want)}}
	if r.Want == runtime.Text {
		body.writing = &writing{MaxThinkTokens: s.MaxTokens, DoSample: s.Temperature > 0, TextTemperature: s.Temperature}
		if c.o.Stages == 2 {
			body.thinker = &thinker{s.MaxTokens, s.Temperature}
		}
		return body, nil
	}
	negative, err := c.segments(r.Negative)
	if err != nil {
		return omniRequest{}, err
	}
	body.painting = &painting{
		Width: s.Width, Height: s.Height, NumInferenceSteps: s.Steps, NegativePrompt: negative,
		CFGTextScale: s.CFGText, CFGImgScale: s.CFGImage, CFGInterval: s.CFGInterval, CFGRenormType: s.CFGRenorm, TimestepShift: s.Shift,
	}
	if c.o.Stages == 2 {
		// The top-level seed reaches the thinker alone. It reads the context and
		// writes nothing, as in examples/offline_inference/bagel/end2end.py.
		body.StageParams = []stageParams{{MaxTokens: 1, Seed: s.Seed}, {Seed: s.Seed}}
	}
	return body, nil
}

// segments joins the texts of a context. The image of a negative context is
// not among them: the server keeps the request's own.
func (c *Client) segments(context []runtime.Part) (string, error) {
	var texts []string
	for i, p := range context {
		if p.Image != nil {
			continue
		}
		if strings.Contains(p.Text, "<|im_start|>") || strings.Contains(p.Text, "<|im_end|>") {
			return "", c.server.Fail(runtime.Refused, nil, "part %d of the context holds a control token, which would make another context of it", i+1)
		}
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, segmentBreak), nil
}

// imagePart is an image as a data URI.
func (c *Client) imagePart(i int, img *runtime.Image) (part, error) {
	if err := c.probe(i, img); err != nil {
		return part{}, err
	}
	uri := "data:" + http.DetectContentType(img.Bytes) + ";base64," + base64.StdEncoding.EncodeToString(img.Bytes)
	return part{Type: "image_url", Image: &imageURL{URL: uri}}, nil
}

// probe reads an image's header, not its pixels: whoever put the image into the
// context has decoded it.
func (c *Client) probe(i int, img *runtime.Image) error {
	if _, err := images.Probe(img.Bytes); err != nil {
		return c.server.Fail(runtime.Refused, err, "part %d of the context is no image", i+1)
	}
	return nil
}
