package serve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/irgdata/irgdata/runtime"
)

// imagesRequest has the fields of images/generations; those of images/edits
// have the same names.
type imagesRequest struct {
	Model          string  `json:"model"`
	Prompt         string  `json:"prompt"`
	N              int     `json:"n"`
	Size           string  `json:"size"`
	ResponseFormat string  `json:"response_format"`
	NegativePrompt string  `json:"negative_prompt"`
	Steps          int     `json:"num_inference_steps"`
	Guidance       float64 `json:"guidance_scale"`
	Seed           uint64  `json:"seed"`
}

func (s *server) generations(r *http.Request) (any, error) {
	var request imagesRequest
	if err := decode(r, &request); err != nil {
		return nil, err
	}
	return s.painted(r.Context(), request, nil)
}

// edits reads a form: the numbers in it are JSON's. All of it is in memory, as
// much as a request may have.
func (s *server) edits(r *http.Request) (any, error) {
	var tooLarge *http.MaxBytesError
	switch err := r.ParseMultipartForm(s.o.MaxRequest); {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil:
		return nil, badRequest("the request cannot be read as a form: %v", err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // there are no files
	request := imagesRequest{
		Model: r.PostFormValue("model"), Prompt: r.PostFormValue("prompt"), Size: r.PostFormValue("size"),
		ResponseFormat: r.PostFormValue("response_format"), NegativePrompt: r.PostFormValue("negative_prompt"),
	}
	for name, into := range map[string]any{"n": &request.N, "num_inference_steps": &request.Steps, "guidance_scale": &request.Guidance, "seed": &request.Seed} {
		if value := r.PostFormValue(name); value != "" {
			if err := json.Unmarshal([]byte(value), into); err != nil {
				return nil, badRequest("%s is %.40q: want a number", name, value)
			}
		}
	}
	files := append(r.MultipartForm.File["image"], r.MultipartForm.File["image[]"]...)
	if len(files) != 1 {
		return nil, badRequest("the form has %d images: want one", len(files))
	}
	file, err := files[0].Open()
	if err != nil {
		return nil, fmt.Errorf("read the image of a form: %w", err)
	}
	defer file.Close()
	encoded, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read the image of a form: %w", err)
	}
	image, err := imagePart(encoded)
	if err != nil {
		return nil, err
	}
	return s.painted(r.Context(), request, []runtime.Part{image})
}

// painted answers with one image, painted from the prompt and what is shown.
func (s *server) painted(ctx context.Context, r imagesRequest, shown []runtime.Part) (any, error) {
	if err := s.knows(r.Model); err != nil {
		return nil, err
	}
	switch {
	case r.Prompt == "":
		return nil, badRequest("the request has no prompt")
	case r.N > 1:
		return nil, badRequest("n is %d: want 1", r.N)
	case r.ResponseFormat != "" && r.ResponseFormat != "b64_json":
		return nil, badRequest("response_format is %.40q: want \"b64_json\"", r.ResponseFormat)
	}
	var width, height int
	if r.Size != "" && r.Size != "auto" {
		if n, err := fmt.Sscanf(strings.ToLower(r.Size)+" ", "%dx%d ", &width, &height); n != 2 || err != nil || min(width, height) < 1 {
			return nil, badRequest("size is %.40q: want WIDTHxHEIGHT, such as 512x512", r.Size)
		}
	}
	answer, err := s.model.Generate(ctx, runtime.Request{
		Context: append(shown, segments(r.Prompt)...), Negative: segments(r.NegativePrompt), Want: runtime.Paint,
		Sampling: runtime.Sampling{Seed: r.Seed, Width: width, Height: height, Steps: r.Steps, CFGText: r.Guidance},
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"created": now(), "data": []any{map[string]string{"b64_json": base64.StdEncoding.EncodeToString(answer.Image)}}}, nil
}
