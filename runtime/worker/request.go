package worker

import (
	"encoding/json"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// request is the body of POST v1/generate. What is left out has the worker's
// default, so a field that zero would mean something to is a pointer.
type request struct {
	Context     []part      `json:"context"`
	Want        string      `json:"want"`
	Seed        uint64      `json:"seed"`
	Temperature *float64    `json:"temperature,omitempty"`
	MaxTokens   int         `json:"max_tokens,omitempty"`
	Width       int         `json:"width,omitempty"`
	Height      int         `json:"height,omitempty"`
	Steps       int         `json:"steps,omitempty"`
	Shift       float64     `json:"shift,omitempty"`
	CFGText     *guidance   `json:"cfg_text,omitempty"`
	CFGImage    *guidance   `json:"cfg_image,omitempty"`
	CFGInterval *[2]float64 `json:"cfg_interval,omitempty"`
	CFGRenorm   string      `json:"cfg_renorm,omitempty"`
}

// part has either field set.
type part struct {
	Text  *string `json:"text,omitempty"`
	Image []byte  `json:"image,omitempty"` // base64
}

type guidance struct {
	Scale   float64 `json:"scale,omitempty"`
	Context []part  `json:"context,omitempty"`
}

const (
	sideStep = 16 // pixels of a side for each latent token
	maxSide  = 1024
)

func (c *Client) encode(r runtime.Request) ([]byte, error) {
	s := r.Sampling
	body := request{Want: string(r.Want), Seed: s.Seed}
	var err error
	if body.Context, err = c.parts("context", r.Context); err != nil {
		return nil, err
	}
	switch r.Want {
	case runtime.Text:
		body.Temperature, body.MaxTokens = &s.Temperature, s.MaxTokens
	case runtime.Paint:
		for _, side := range []int{s.Width, s.Height} {
			if side < 0 || side > maxSide || side%sideStep != 0 {
				return nil, c.server.Fail(runtime.Fatal, nil, "the image size is %d×%d: the worker paints sides that are multiples of %d up to %d pixels", s.Width, s.Height, sideStep, maxSide)
			}
		}
		body.Width, body.Height, body.Steps, body.Shift, body.CFGRenorm = s.Width, s.Height, s.Steps, s.Shift, s.CFGRenorm
		negative, err := c.parts("negative context", r.Negative)
		if err != nil {
			return nil, err
		}
		if s.CFGText != 0 || len(negative) > 0 {
			body.CFGText = &guidance{s.CFGText, negative}
		}
		if s.CFGImage != 0 {
			body.CFGImage = &guidance{Scale: s.CFGImage}
		}
		if s.CFGInterval != [2]float64{} {
			body.CFGInterval = &s.CFGInterval
		}
	default:
		return nil, c.server.Fail(runtime.Fatal, nil, "the request wants %q: want %q or %q", r.Want, runtime.Text, runtime.Paint)
	}
	encoded, err := json.Marshal(body)
	if err != nil { // a number that JSON has no word for
		return nil, c.server.Fail(runtime.Fatal, err, "the request cannot be written as JSON")
	}
	return encoded, nil
}

func (c *Client) parts(name string, context []runtime.Part) ([]part, error) {
	var out []part
	for i, p := range context {
		if p.Image == nil {
			if strings.Contains(p.Text, "<|im_start|>") || strings.Contains(p.Text, "<|im_end|>") {
				return nil, c.server.Fail(runtime.Refused, nil, "part %d of the %s holds a control token, which would make another context of it", i+1, name)
			}
			out = append(out, part{Text: &p.Text})
			continue
		}
		if _, err := images.Probe(p.Image.Bytes); err != nil {
			return nil, c.server.Fail(runtime.Refused, err, "part %d of the %s is no image", i+1, name)
		}
		out = append(out, part{Image: p.Image.Bytes})
	}
	return out, nil
}
