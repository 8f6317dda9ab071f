package serve

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/runtime"
)

const (
	segmentBreak = "<|im_end|><|im_start|>"
	sideStep     = 16 // sides are cut down to multiples of it
	maxSide      = 1024
	// stageSeed is the painter's in vLLM-Omni's deployment of two stages.
	stageSeed = 52
)

// omni answers as vLLM-Omni with BAGEL: only what users say is read, and one
// image at most. With think, the thinking is written first, and painted from.
func (s *server) omni(ctx context.Context, r chatRequest) (any, error) {
	want := runtime.Output(r.Modalities[0])
	if len(r.Modalities) != 1 || want != runtime.Text && want != runtime.Paint {
		return nil, badRequest("modalities are %.40q: want [\"text\"] or [\"image\"]", r.Modalities)
	}
	parts, err := r.parts("user")
	if err != nil {
		return nil, err
	}
	parts, err = arrange(parts, want)
	if err != nil {
		return nil, err
	}
	request := runtime.Request{Context: parts, Want: want, Negative: segments(r.NegativePrompt)}
	written := runtime.Sampling{Seed: r.Seed, MaxTokens: r.MaxThinkTokens}
	if r.DoSample {
		written.Temperature = r.TextTemperature
	}
	if s.o.Stages == 2 {
		written.Temperature, written.MaxTokens = r.Temperature, r.MaxTokens
	}
	if want == runtime.Text {
		request.Sampling, request.Negative = written, nil
		answer, err := s.model.Generate(ctx, request)
		if err != nil {
			return s.unfinished(err)
		}
		return s.completion(answer.Text, answer, answer.Finish, ""), nil
	}
	if max(r.Width, r.Height) > maxSide || min(r.Width, r.Height) < 0 {
		return nil, badRequest("an image of %d×%d pixels: want sides up to %d", r.Width, r.Height, maxSide)
	}
	request.Sampling = runtime.Sampling{
		Seed: r.paintSeed(s.o.Stages), Width: r.Width / sideStep * sideStep, Height: r.Height / sideStep * sideStep, Steps: r.Steps,
		CFGText: r.CFGText, CFGImage: r.CFGImage, CFGInterval: r.CFGInterval, CFGRenorm: r.CFGRenorm, Shift: r.Shift,
	}
	var thought string
	if r.Think {
		answer, err := s.model.Generate(ctx, runtime.Request{Context: parts, Want: runtime.Text, Sampling: written})
		if err != nil {
			return s.unfinished(err)
		}
		thought = answer.Text
		request.Context = append(slices.Clone(parts), runtime.TextPart(thought))
	}
	answer, err := s.model.Generate(ctx, request)
	if err != nil {
		return s.unfinished(err)
	}
	uri := "data:" + http.DetectContentType(answer.Image) + ";base64," + base64.StdEncoding.EncodeToString(answer.Image)
	reply := s.completion([]any{map[string]any{"type": "image_url", "image_url": map[string]string{"url": uri}}}, answer, answer.Finish, "")
	if r.Think {
		reply["metrics"] = map[string]string{"think_text": thought}
	}
	return reply, nil
}

// paintSeed is the seed of the image's noise.
func (r chatRequest) paintSeed(stages int) uint64 {
	if n := len(r.Stages); n > 0 && r.Stages[n-1].Seed != nil {
		return *r.Stages[n-1].Seed
	}
	if stages == 2 {
		return stageSeed
	}
	return r.Seed
}

// arrange undoes what the wire form does to a context: texts are joined by
// spaces and cut into segments again. The image goes where the two-turn
// inference has it: after the first turn's texts, which for an image to be
// painted are all but the last.
func arrange(parts []runtime.Part, want runtime.Output) ([]runtime.Part, error) {
	var texts []string
	var shown []runtime.Part
	for _, p := range parts {
		if p.Image != nil {
			shown = append(shown, p)
		} else {
			texts = append(texts, p.Text)
		}
	}
	if len(shown) > 1 {
		return nil, badRequest("%d images in one request: want one at most", len(shown))
	}
	context := segments(strings.Join(texts, " "))
	at := len(context)
	if want == runtime.Paint {
		at = max(0, at-1)
	}
	return slices.Insert(context, at, shown...), nil
}

// segments cuts a text where one segment ends and the next begins. The server
// wraps all of it in one pair of tokens, and some clients do as well.
func segments(text string) []runtime.Part {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<|im_start|>"), "<|im_end|>")
	if text == "" {
		return nil
	}
	var parts []runtime.Part
	for _, s := range strings.Split(text, segmentBreak) {
		parts = append(parts, runtime.TextPart(s))
	}
	return parts
}
