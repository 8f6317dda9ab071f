package serve

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// chatRequest has the fields of both forms of chat completions.
type chatRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string  `json:"role"`
		Content content `json:"content"`
	} `json:"messages"`
	Seed uint64 `json:"seed"`
	// Modalities make it a request of vLLM-Omni.
	Modalities []string `json:"modalities"`

	MaxTokens           int     `json:"max_tokens"`
	MaxCompletionTokens int     `json:"max_completion_tokens"`
	Temperature         float64 `json:"temperature"`

	Think           bool    `json:"think"`
	MaxThinkTokens  int     `json:"max_think_tokens"`
	DoSample        bool    `json:"do_sample"`
	TextTemperature float64 `json:"text_temperature"`

	Width          int        `json:"width"`
	Height         int        `json:"height"`
	Steps          int        `json:"num_inference_steps"`
	NegativePrompt string     `json:"negative_prompt"`
	CFGText        float64    `json:"cfg_text_scale"`
	CFGImage       float64    `json:"cfg_img_scale"`
	CFGInterval    [2]float64 `json:"cfg_interval"`
	CFGRenorm      string     `json:"cfg_renorm_type"`
	Shift          float64    `json:"timestep_shift"`
	Stages         []struct {
		Seed *uint64 `json:"seed"`
	} `json:"sampling_params_list"`

	Logprobs    bool `json:"logprobs"`
	TopLogprobs int  `json:"top_logprobs"`

	// What is not served is refused rather than left out without a word.
	Stream bool `json:"stream"`
	N      int  `json:"n"`
}

// content is a text or a list of parts.
type content []part

type part struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Image struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

func (c *content) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*c = content{{Type: "text"}}
		return json.Unmarshal(b, &(*c)[0].Text)
	}
	return json.Unmarshal(b, (*[]part)(c))
}

// chat answers a chat completion.
func (s *server) chat(r *http.Request) (any, error) {
	var request chatRequest
	if err := decode(r, &request); err != nil {
		return nil, err
	}
	switch {
	case request.Stream || request.N > 1:
		return nil, badRequest("stream and n above 1 are not served")
	case request.Logprobs && len(request.Modalities) > 0:
		return nil, badRequest("logprobs are not served with modalities")
	case request.TopLogprobs < 0 || request.TopLogprobs > maxCandidates:
		return nil, badRequest("top_logprobs is %d: want at most %d", request.TopLogprobs, maxCandidates)
	case len(request.Messages) == 0:
		return nil, badRequest("the request has no messages")
	}
	if err := s.knows(request.Model); err != nil {
		return nil, err
	}
	if len(request.Modalities) > 0 {
		return s.omni(r.Context(), request)
	}
	return s.openAI(r.Context(), request)
}

// decode reads a body of JSON.
func decode(r *http.Request, into any) error {
	err := json.NewDecoder(r.Body).Decode(into)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return badRequest("the request cannot be read as JSON: %v", err)
	}
	return err
}

// knows reports a model that is not the one that is served. None named is the
// one.
func (s *server) knows(model string) error {
	if name := s.model.Identity().Name; model != "" && model != name {
		return &failure{status: http.StatusNotFound, reason: "the model " + model + " does not exist; " + name + " is served"}
	}
	return nil
}

// parts are the texts and images of the messages of some roles, in order.
func (r chatRequest) parts(roles ...string) ([]runtime.Part, error) {
	var parts []runtime.Part
	for _, m := range r.Messages {
		if !slices.Contains(roles, m.Role) {
			continue
		}
		for _, p := range m.Content {
			switch p.Type {
			case "text":
				parts = append(parts, runtime.TextPart(p.Text))
			case "image_url":
				img, err := fromURI(p.Image.URL)
				if err != nil {
					return nil, err
				}
				parts = append(parts, img)
			default:
				return nil, badRequest("a part of type %.40q: want text or image_url", p.Type)
			}
		}
	}
	return parts, nil
}

// fromURI is the image of a data URI. Addresses are not fetched.
func fromURI(uri string) (runtime.Part, error) {
	head, data, ok := strings.Cut(uri, ",")
	if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return runtime.Part{}, badRequest("an image is given as %.40q: want a data URI in base64", uri)
	}
	encoded, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return runtime.Part{}, badRequest("an image is not base64: %v", err)
	}
	return imagePart(encoded)
}

func imagePart(encoded []byte) (runtime.Part, error) {
	ref, err := images.Probe(encoded)
	if err != nil {
		return runtime.Part{}, badRequest("an image of the context is none: %v", err)
	}
	return runtime.ImagePart(ref, encoded), nil
}

// completion is an answer in the form of both, about which the model says
// nothing but content.
func (s *server) completion(content any, a runtime.Answer, finish, refusal string) map[string]any {
	message := map[string]any{"role": "assistant", "content": content}
	if refusal != "" {
		message["refusal"] = refusal
	}
	choice := map[string]any{"index": 0, "message": message, "finish_reason": finish}
	if len(a.First) > 0 {
		choice["logprobs"] = logprobs(a.First)
	}
	return map[string]any{
		"id": "chatcmpl-irgdata", "object": "chat.completion", "created": now(), "model": s.model.Identity().Name,
		"choices": []any{choice},
		"usage":   map[string]int{"prompt_tokens": a.TokensIn, "completion_tokens": a.TokensOut, "total_tokens": a.TokensIn + a.TokensOut},
	}
}

// maxCandidates is the most that OpenAI's servers give.
const maxCandidates = 20

// logprobs are the candidates of the first token, which is all that is served:
// the first is the token that was taken.
func logprobs(first []runtime.Candidate) any {
	token := map[string]any{"token": first[0].Token, "logprob": first[0].Logprob, "top_logprobs": first}
	return map[string]any{"content": []any{token}}
}

// unfinished gives failures of the model for which chats have a form with
// status 200 that form.
func (s *server) unfinished(err error) (any, error) {
	var failed *runtime.Error
	if errors.As(err, &failed) {
		switch failed.Kind {
		case runtime.Refused:
			return s.completion(nil, runtime.Answer{}, "stop", failed.Reason), nil
		case runtime.Truncated:
			return s.completion(nil, runtime.Answer{}, "length", ""), nil
		case runtime.Empty:
			return s.completion("", runtime.Answer{}, "stop", ""), nil
		}
	}
	return nil, err
}
