package worker

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// answer is the body of an answer with status 200. Which tokens came from the
// worker's cache is not kept: no answer depends on it.
type answer struct {
	Text      string  `json:"text"`
	Image     []byte  `json:"image"` // base64
	Finish    string  `json:"finish"`
	TokensIn  int     `json:"tokens_in"`
	TokensOut int     `json:"tokens_out"`
	Seconds   float64 `json:"seconds"`
}

// maxSeconds bounds what is believed of a worker's clock.
const maxSeconds = 7 * 24 * 3600

// parse reads the body of an answer with status 200. A body that is no JSON is
// transient: it was cut, or it is the page of something before the worker.
func (c *Client) parse(body []byte, r runtime.Request) (runtime.Answer, error) {
	var got answer
	switch err := json.Unmarshal(body, &got); {
	case !json.Valid(body):
		return runtime.Answer{}, c.server.Fail(runtime.Transient, nil, "the answer is not JSON: %s", c.server.Quote(string(body)))
	case err != nil || got.Finish == "":
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, err, "the answer is no answer of a worker, so `url` may be that of another service: %s", c.server.Quote(string(body)))
	case got.Finish == "length":
		return runtime.Answer{}, c.server.Fail(runtime.Truncated, nil, "the text hit its length limit")
	case got.Finish != "stop":
		return runtime.Answer{}, c.server.Fail(runtime.Malformed, nil, "`finish` is %s, which does not say that the answer is finished", c.server.Quote(got.Finish))
	}
	if r.Want == runtime.Paint {
		if err := c.painted(got.Image, r.Sampling); err != nil {
			return runtime.Answer{}, err
		}
		got.Text = ""
	} else {
		if strings.TrimSpace(got.Text) == "" {
			return runtime.Answer{}, c.server.Fail(runtime.Empty, nil, "the answer holds no text")
		}
		got.Image = nil
	}
	seconds := max(0, min(got.Seconds, maxSeconds))
	return runtime.Answer{
		Text: got.Text, Image: got.Image, Finish: got.Finish,
		TokensIn: runtime.Tokens(got.TokensIn), TokensOut: runtime.Tokens(got.TokensOut),
		Elapsed: time.Duration(seconds * float64(time.Second)),
	}, nil
}

// painted returns an error unless the image is whole and of the size asked for.
func (c *Client) painted(encoded []byte, s runtime.Sampling) error {
	if len(encoded) == 0 {
		return c.server.Fail(runtime.Transient, nil, "the answer holds no image")
	}
	ref, err := images.Probe(encoded) // the size before the pixels, which it bounds
	switch {
	case err != nil:
		return c.server.Fail(runtime.Transient, err, "the answer is no image")
	case s.Width != 0 && ref.Width != s.Width || s.Height != 0 && ref.Height != s.Height:
		return c.server.Fail(runtime.Fatal, nil, "the image has %d×%d pixels, and %d×%d were asked for: is `url` that of a worker of this version?", ref.Width, ref.Height, s.Width, s.Height)
	}
	if _, err := images.Decode(encoded); err != nil {
		return c.server.Fail(runtime.Transient, err, "the image does not decode")
	}
	return nil
}
