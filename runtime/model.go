// Package runtime drives the models that write thinking and paint images.
//
// A [Model] takes an interleaved context of texts and images, in order, and
// gives back one text or one image. Everything that shapes the answer is in
// the [Request]; a model keeps no state between calls that could change one.
package runtime

import (
	"context"
	"time"

	"github.com/irgdata/irgdata"
)

// Model answers requests. Implementations are safe for concurrent use; how
// many calls at once make sense is the caller's configuration.
type Model interface {
	// Identity names the model for the ledger of calls: equal identities must
	// give interchangeable answers.
	Identity() Identity
	// Generate answers one request. A failure is an *[Error], whose Kind says
	// what the caller may do about it, or the context's error. An Answer
	// without an error is finished: not truncated, not empty, and an image
	// answer decodes.
	Generate(ctx context.Context, r Request) (Answer, error)
}

// Identity names a model and the revision of its weights.
type Identity struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
}

func (i Identity) String() string { return i.Name + "@" + i.Revision }

// Part is one piece of a context: a text, or an image when Image is set.
type Part struct {
	Text  string
	Image *Image
}

// TextPart returns a text part; each text part is a segment of its own
// ([X] = <|im_start|>X<|im_end|> in BAGEL's context).
func TextPart(s string) Part { return Part{Text: s} }

// ImagePart returns an image part. The bytes must not be modified afterwards.
func ImagePart(ref irgdata.ImageRef, encoded []byte) Part {
	return Part{Image: &Image{Ref: ref, Bytes: encoded}}
}

// Image is an encoded image (JPEG, PNG or WebP) and its reference.
type Image struct {
	Ref   irgdata.ImageRef
	Bytes []byte
}

// Output is the kind of answer wanted.
type Output string

// The kinds of answer.
const (
	Text  Output = "text"
	Paint Output = "image"
)

// Request is one call of a model.
type Request struct {
	// Context is read in order. Texts are plain, without control tokens.
	Context []Part
	// Negative is the context for text guidance (text-CFG), as far as the
	// backend can express one; empty means the backend's default.
	Negative []Part
	Want     Output
	Sampling Sampling
}

// Sampling are the parameters of one call. Zero values mean the backend's
// default, and are part of the ledger key as such. The names follow the
// official inference code (SFT/modeling/bagel/bagel.py: generate_image).
type Sampling struct {
	Seed        uint64     `json:"seed"`
	Temperature float64    `json:"temperature,omitempty"` // 0: greedy
	MaxTokens   int        `json:"max_tokens,omitempty"`
	Width       int        `json:"width,omitempty"` // pixels, image answers
	Height      int        `json:"height,omitempty"`
	Steps       int        `json:"steps,omitempty"`
	CFGText     float64    `json:"cfg_text,omitempty"`
	CFGImage    float64    `json:"cfg_image,omitempty"`
	CFGInterval [2]float64 `json:"cfg_interval,omitempty"`
	CFGRenorm   string     `json:"cfg_renorm,omitempty"`
	Shift       float64    `json:"shift,omitempty"`
	// Candidates asks for the likeliest candidates of a text's first token, so
	// many at most; 0 asks for none.
	Candidates int `json:"candidates,omitempty"`
}

// Answer is a finished answer and what it cost.
type Answer struct {
	// Text is set for text answers, Image (encoded bytes) for image answers.
	Text  string
	Image []byte
	// First are the candidates of the text's first token that is not blank, if
	// they were asked for and the server gives them.
	First []Candidate
	// Finish is the backend's word for why it stopped, "stop" normally.
	Finish string
	// TokensIn and TokensOut count tokens as far as they are known, else 0.
	TokensIn  int
	TokensOut int
	// Elapsed is the time that the call took, without queueing on our side.
	Elapsed time.Duration
}

// Candidate is a token that might have stood somewhere in a text.
type Candidate struct {
	Token string `json:"token"`
	// Logprob is the natural logarithm of its probability.
	Logprob float64 `json:"logprob"`
}
