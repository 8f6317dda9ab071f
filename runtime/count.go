package runtime

import "context"

// Counted returns the model m with its tokens counted by count where the
// server does not: an [Answer]'s TokensIn and TokensOut that are 0 are filled.
// The count is of the texts of the context and of the answer; images, the
// negative context and the server's control tokens are not in it. The function
// count must be safe for concurrent use.
func Counted(m Model, count func(text string) int) Model { return counted{m, count} }

type counted struct {
	Model
	count func(string) int
}

func (m counted) Generate(ctx context.Context, r Request) (Answer, error) {
	a, err := m.Model.Generate(ctx, r)
	if err != nil {
		return a, err
	}
	if a.TokensIn == 0 {
		for _, p := range r.Context {
			if p.Image == nil {
				a.TokensIn += m.count(p.Text)
			}
		}
	}
	if a.TokensOut == 0 {
		a.TokensOut = m.count(a.Text)
	}
	return a, nil
}

// maxTokens is more than any one call takes.
const maxTokens = 1 << 32

// Tokens is a count of tokens as a server gave it, kept within what can be: sums of
// such counts must not overflow.
func Tokens(n int) int { return max(0, min(n, maxTokens)) }
