package chat

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
)

// imagesRequest is the body of images/generations, after OpenAI's Images API;
// steps and guidance are those of vLLM-Omni and of its kin. What else shapes
// BAGEL's sampling is not sent, and neither is the negative context: there it
// is the context less one segment, while to other painters a negative prompt
// is what the image must not show.
type imagesRequest struct {
	Model             string  `json:"model"`
	Prompt            string  `json:"prompt"`
	N                 int     `json:"n"`
	Size              string  `json:"size,omitempty"`
	ResponseFormat    string  `json:"response_format"`
	Seed              uint64  `json:"seed"`
	NumInferenceSteps int     `json:"num_inference_steps,omitempty"`
	GuidanceScale     float64 `json:"guidance_scale,omitempty"`
}

// imageData is one image of an answer.
type imageData struct {
	Base64 string `json:"b64_json"`
	URL    string `json:"url"`
}

// images joins the texts by blank lines, as people write prompts. With an image
// in the context it is edited, wherever it stands there.
func (c *Client) images(r runtime.Request) (exchange.Call, error) {
	var texts []string
	var shown *runtime.Image
	for i, p := range r.Context {
		if p.Image == nil {
			texts = append(texts, p.Text)
			continue
		}
		if err := c.probe(i, p.Image); err != nil {
			return exchange.Call{}, err
		}
		shown = p.Image
	}
	if len(texts) == 0 {
		return exchange.Call{}, c.server.Fail(runtime.Refused, nil, "the context holds no text, and a server of kind %s paints from a prompt", Images)
	}
	s := r.Sampling
	body := imagesRequest{
		Model: c.o.Model, Prompt: strings.Join(texts, "\n\n"), N: 1, ResponseFormat: "b64_json",
		Seed: s.Seed, NumInferenceSteps: s.Steps, GuidanceScale: s.CFGText,
	}
	if s.Width > 0 {
		body.Size = fmt.Sprintf("%dx%d", s.Width, s.Height)
	}
	if shown == nil {
		return c.postJSON("images/generations", body)
	}
	return body.edit(shown.Bytes)
}

// edit is the request as images/edits takes it: a form with the image.
func (r imagesRequest) edit(encoded []byte) (exchange.Call, error) {
	var b bytes.Buffer // takes every write
	form := multipart.NewWriter(&b)
	for _, field := range []struct{ name, value string }{
		{"model", r.Model}, {"prompt", r.Prompt}, {"n", strconv.Itoa(r.N)}, {"size", r.Size},
		{"response_format", r.ResponseFormat}, {"seed", strconv.FormatUint(r.Seed, 10)},
		{"num_inference_steps", number(float64(r.NumInferenceSteps))}, {"guidance_scale", number(r.GuidanceScale)},
	} {
		if field.value != "" {
			_ = form.WriteField(field.name, field.value)
		}
	}
	mime := http.DetectContentType(encoded)
	file, _ := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf(`form-data; name="image"; filename="image.%s"`, strings.TrimPrefix(mime, "image/"))},
		"Content-Type":        {mime},
	})
	_, _ = file.Write(encoded)
	_ = form.Close()
	return exchange.Call{Method: http.MethodPost, Path: "images/edits", ContentType: form.FormDataContentType(), Body: b.Bytes()}, nil
}

// number is "" for 0, which means the server's default.
func number(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// parseImages reads the answer of an images server, of which unfit says what is
// wrong with its form. An address instead of the image is not followed: it
// would carry us to a host that nobody configured.
func (c *Client) parseImages(reply completion, unfit error, body []byte, s runtime.Sampling) (runtime.Answer, error) {
	if unfit != nil || reply.Data == nil {
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, unfit, "the answer is no list of images, so `url` may be that of another service: %s", c.server.Quote(string(body)))
	}
	if len(reply.Data) == 0 || reply.Data[0] == (imageData{}) {
		return runtime.Answer{}, c.server.Fail(runtime.Transient, nil, "the answer holds no image")
	}
	first := reply.Data[0]
	if first.Base64 == "" {
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, nil, "the server answers with the address of an image, which is not fetched: have it answer with `b64_json`, not with %s", c.server.Quote(first.URL))
	}
	encoded, err := c.decoded(first.Base64, s)
	if err != nil {
		return runtime.Answer{}, err
	}
	return runtime.Answer{Image: encoded, Finish: "stop"}, nil
}
