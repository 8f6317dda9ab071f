package serve

import (
	"context"

	"github.com/irgdata/irgdata/runtime"
)

// openAI answers as a server of a vision-language model: each text of the
// messages is a segment, and images stand where they stand.
func (s *server) openAI(ctx context.Context, r chatRequest) (any, error) {
	parts, err := r.parts("system", "developer", "user", "assistant")
	if err != nil {
		return nil, err
	}
	sampling := runtime.Sampling{Seed: r.Seed, Temperature: r.Temperature, MaxTokens: max(r.MaxTokens, r.MaxCompletionTokens)}
	if r.Logprobs {
		sampling.Candidates = max(r.TopLogprobs, 1)
	}
	answer, err := s.model.Generate(ctx, runtime.Request{Context: parts, Want: runtime.Text, Sampling: sampling})
	if err != nil {
		return s.unfinished(err)
	}
	return s.completion(answer.Text, answer, answer.Finish, ""), nil
}
