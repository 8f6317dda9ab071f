package chat

import (
	"encoding/base64"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// omniMaxSide is the largest side that vLLM-Omni paints, and omniStride what
// it rounds sides down to.
const (
	omniMaxSide = 1024
	omniStride  = 16
)

// segmentJoin ends one segment of BAGEL's context and begins the next: the
// server wraps the whole text in one pair of these tokens.
const segmentJoin = "<|im_end|><|im_start|>"

// chatRequest is the body of a request. The fields after Seed are
// vLLM-Omni's; OpenAI's servers never see them.
type chatRequest struct {
	Model       string        `json:"model"`
	Messages    []chatMessage `json:"messages"`
	Temperature *float64      `json:"temperature,omitempty"`
	MaxTokens   int           `json:"max_tokens,omitempty"`
	Seed        uint64        `json:"seed"`

	Modalities      []string    `json:"modalities,omitempty"`
	Width           int         `json:"width,omitempty"`
	Height          int         `json:"height,omitempty"`
	Steps           int         `json:"num_inference_steps,omitempty"`
	Negative        string      `json:"negative_prompt,omitempty"`
	CFGText         float64     `json:"cfg_text_scale,omitempty"`
	CFGImage        float64     `json:"cfg_img_scale,omitempty"`
	CFGInterval     *[2]float64 `json:"cfg_interval,omitempty"`
	CFGRenorm       string      `json:"cfg_renorm_type,omitempty"`
	Shift           float64     `json:"timestep_shift,omitempty"`
	MaxThinkTokens  int         `json:"max_think_tokens,omitempty"`
	DoSample        *bool       `json:"do_sample,omitempty"`
	TextTemperature *float64    `json:"text_temperature,omitempty"`
}

type chatMessage struct {
	Role    string     `json:"role"`
	Content []chatPart `json:"content"`
}

type chatPart struct {
	Type     string    `json:"type"`
	Text     string    `json:"text,omitempty"`
	ImageURL *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

func textPart(s string) chatPart { return chatPart{Type: "text", Text: s} }

func (c *Client) imagePart(i *runtime.Image) (chatPart, error) {
	// vLLM-Omni drops an image that does not decode and answers without it.
	if _, err := images.Decode(i.Bytes); err != nil {
		return chatPart{}, c.fail(runtime.Refused, nil, "image %s of the context does not decode: %v", i.Ref.Digest.Short(), err)
	}
	return chatPart{Type: "image_url", ImageURL: &imageURL{"data:image/" + i.Ref.Format + ";base64," + base64.StdEncoding.EncodeToString(i.Bytes)}}, nil
}

// request writes r in the server's dialect, or says why it cannot be.
func (c *Client) request(r runtime.Request) (chatRequest, error) {
	if c.o.Flavor == Omni {
		return c.omniRequest(r)
	}
	request := chatRequest{Model: c.o.Model, Temperature: &r.Sampling.Temperature, MaxTokens: r.Sampling.MaxTokens, Seed: r.Sampling.Seed}
	if r.Want == runtime.Paint {
		return request, c.fail(runtime.Fatal, nil, "it writes texts alone and was asked to paint: bind the role to a model of kind %s", Omni)
	}
	var parts []chatPart
	for _, p := range r.Context {
		if p.Image == nil {
			parts = append(parts, textPart(p.Text))
			continue
		}
		part, err := c.imagePart(p.Image)
		if err != nil {
			return request, err
		}
		parts = append(parts, part)
	}
	request.Messages = []chatMessage{{Role: "user", Content: parts}}
	return request, nil
}

// omniRequest puts the image first, as the server does anyway, and the texts
// into one with their segments kept apart.
func (c *Client) omniRequest(r runtime.Request) (chatRequest, error) {
	s := r.Sampling
	request := chatRequest{Model: c.o.Model, Seed: s.Seed, Negative: joinTexts(r.Negative)}
	var parts []chatPart
	for _, p := range r.Context {
		if p.Image == nil {
			continue
		}
		if len(parts) > 0 {
			return request, c.fail(runtime.Fatal, nil, "vLLM-Omni takes one image in a request and this step shows two: bind the annotator role to a vision language model (kind %s)", OpenAI)
		}
		part, err := c.imagePart(p.Image)
		if err != nil {
			return request, err
		}
		parts = append(parts, part)
	}
	parts = append(parts, textPart(joinTexts(r.Context)))
	request.Messages = []chatMessage{{Role: "user", Content: parts}}

	if r.Want == runtime.Text {
		sample := s.Temperature > 0
		request.Modalities = []string{"text"}
		request.MaxThinkTokens, request.DoSample, request.TextTemperature = s.MaxTokens, &sample, &s.Temperature
		return request, nil
	}
	if s.Width%omniStride != 0 || s.Height%omniStride != 0 || max(s.Width, s.Height) > omniMaxSide {
		return request, c.fail(runtime.Fatal, nil, "it was asked for %d×%d pixels: set `image` to sides that are multiples of %d and at most %d", s.Width, s.Height, omniStride, omniMaxSide)
	}
	request.Modalities = []string{"image"}
	request.Width, request.Height, request.Steps = s.Width, s.Height, s.Steps
	request.CFGText, request.CFGImage, request.CFGRenorm, request.Shift = s.CFGText, s.CFGImage, s.CFGRenorm, s.Shift
	if s.CFGInterval != [2]float64{} {
		request.CFGInterval = &s.CFGInterval
	}
	return request, nil
}

func joinTexts(parts []runtime.Part) string {
	var texts []string
	for _, p := range parts {
		if p.Image == nil {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, segmentJoin)
}
