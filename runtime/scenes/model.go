// Package scenes is the model in the box: it plays every role of the pipeline
// in a closed world of coloured, textured shapes on lit backgrounds.
//
// It is no neural network and knows nothing of the real world. Rules read
// captions such as "three red striped circles above a blue square on a green
// background in warm light from the left" ([Parse]), decide on a layout,
// write the plan, draw it ([Draw]), look at pixels ([See]), and write what
// they find. Everything is computed from the request alone: a draft is drawn
// from the words of its plan, a reflection is written from what is seen in the
// draft, and the improved image is drawn from the words of the reflection.
// Drafts get one to three flaws by the seed of the request, which [Flaws]
// tells; so what a filter or a judge finds can be held against the truth.
//
// It serves a first run with no other model at hand, as the teacher of a
// small trained model, and as the oracle of tests. What lies outside its
// world it refuses with the reason.
package scenes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the formats of pairs
	_ "image/png"
	"slices"
	"strings"
	"time"

	_ "golang.org/x/image/webp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

// Name is the name of the model's identity.
const Name = "scenes"

// Revision is the revision of the model's identity. It must change whenever
// any answer does, in words or in pixels; TestRevision pins it.
const Revision = "1"

// defaultSide and maxSide are in pixels.
const (
	defaultSide = 256
	maxSide     = 2048
)

// Model answers requests about the scenes world. The zero value is ready for
// use, and all methods may be called at once from many goroutines.
type Model struct{ sights *sights }

// New returns the model. It remembers what it saw in the last images, which the
// zero value does not.
func New() Model { return Model{&sights{seen: map[irgdata.Digest]sight{}}} }

// Identity implements [runtime.Model].
func (Model) Identity() runtime.Identity { return identity }

var identity = runtime.Identity{Name: Name, Revision: Revision}

// Generate implements [runtime.Model]. What is asked for is told by the
// context:
//
//   - For an image: the last text is the reflection or the plan to draw, or a
//     caption. The image is a JPEG of the sampling's size, 256 pixels where
//     that is 0. A plan gets flaws, and so does a caption after other texts; a
//     caption alone is drawn as it is meant, as a reference is.
//   - For a text, with a question that the model knows (see judge.go): the
//     answer to it.
//   - For a text, with a caption between <prompt> and </prompt>: with one
//     image the plan that leads to it; with two the reflection that leads from
//     the first to the second.
//   - For a text, otherwise: with an image the reflection on it, with none the
//     plan for the last text.
//
// Refused requests and undecodable images give a [runtime.Error] of kind
// Refused. Token counts are 0: there are no tokens.
func (m Model) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Answer{}, err
	}
	start := time.Now()
	call, err := parse(r, m.sights)
	if err != nil {
		return runtime.Answer{}, refuse(err)
	}
	a, err := call.do()
	if err != nil {
		return runtime.Answer{}, refuse(err)
	}
	a.Finish = "stop"
	a.Elapsed = time.Since(start)
	return a, nil
}

// refuse makes the reason an error of the model; nil stays nil.
func refuse(reason error) error {
	if reason == nil {
		return nil
	}
	return &runtime.Error{Kind: runtime.Refused, Model: identity, Reason: reason.Error()}
}

// call is a request that was understood: one type for each kind of answer.
type call interface {
	do() (runtime.Answer, error)
}

// parse finds out what a request asks for.
func parse(r runtime.Request, sights *sights) (call, error) {
	var texts, before []string // all texts, and those before the first image
	var images []look
	for i, part := range r.Context {
		if part.Image == nil {
			texts = append(texts, part.Text)
			if len(images) == 0 {
				before = texts
			}
			continue
		}
		look, err := sights.look(part.Image.Bytes)
		if err != nil {
			return nil, fmt.Errorf("part %d of the context: %w", i+1, err)
		}
		images = append(images, look)
	}
	if len(texts) == 0 {
		return nil, errors.New("the context holds no text, and the scenes world draws and answers by words")
	}
	// The dice of a call are cast from all that it is given but the images,
	// whose content has its part in the answer anyway.
	throw := func(domain string) *dice { return cast(domain, r.Sampling.Seed, texts...) }
	last := texts[len(texts)-1]
	switch r.Want {
	case runtime.Paint:
		width, height, err := imageSize(r.Sampling)
		if err != nil {
			return nil, err
		}
		if len(images) > 0 && strings.Contains(last, headingFinal) {
			return improvedCall{last, images[len(images)-1], width, height}, nil
		}
		if len(r.Context) == 1 && !isThinking(last) && !strings.Contains(last, headingFinal) {
			return referenceCall{last, width, height}, nil
		}
		return draftCall{last, width, height, throw("draft")}, nil
	case runtime.Text:
	default:
		return nil, fmt.Errorf("the scenes world answers with %s or %s, not with %.40q", runtime.Text, runtime.Paint, r.Want)
	}
	if i := slices.IndexFunc(texts, isQuestion); i >= 0 && (len(images) > 0 || askClaims.MatchString(ask(texts[i]).question)) {
		return judgeCall{texts[i], images, r.Sampling.Candidates}, nil
	}
	for _, text := range texts {
		_, prompt, ok := quotedPrompt(text)
		switch {
		case !ok:
		case len(images) == 1:
			return hindsightCall{prompt, images[0], throw("hindsight")}, nil
		case len(images) == 2:
			return reflectCall{prompt: prompt, draft: images[0], improved: images[1], dice: throw("reflection")}, nil
		}
	}
	switch len(images) {
	case 0:
		return planCall{last, throw("plan")}, nil
	case 1:
		// The first turn, [system] [prompt] [plan] [draft], without a plan at least.
		if n := len(before); n > 1 && isThinking(before[n-1]) {
			return reflectCall{prompt: before[n-2], plan: before[n-1], draft: images[0], dice: throw("reflection")}, nil
		} else if n > 0 {
			return reflectCall{prompt: before[n-1], draft: images[0], dice: throw("reflection")}, nil
		}
	}
	return nil, fmt.Errorf("the context of %d texts and %d images is of no form that the scenes world knows", len(texts), len(images))
}

func isThinking(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "<think>") }

// decode reads an image of a context.
func decode(encoded []byte) (image.Image, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("the image cannot be decoded: %w", err)
	}
	const limit = 64 << 20 // pixels
	if config.Width <= 0 || config.Height <= 0 || config.Width > limit/config.Height {
		return nil, fmt.Errorf("the image is %dx%d pixels, more than the scenes world looks at", config.Width, config.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("the image cannot be decoded: %w", err)
	}
	return img, nil
}

// imageSize is the wanted size of an image. One side alone makes a square.
func imageSize(s runtime.Sampling) (width, height int, err error) {
	width, height = s.Width, s.Height
	if width == 0 && height == 0 {
		width = defaultSide
	}
	if width == 0 {
		width = height
	}
	if height == 0 {
		height = width
	}
	if min(width, height) < minSide || max(width, height) > maxSide {
		return 0, 0, fmt.Errorf("an image of %dx%d pixels is asked for; the scenes world draws from %d to %d a side", width, height, minSide, maxSide)
	}
	return width, height, nil
}

// understand reads a prompt and settles its layout.
func understand(prompt string) (Scene, Picture, error) {
	s, err := Parse(prompt)
	if err != nil {
		return Scene{}, Picture{}, err
	}
	p, err := decide(s)
	return s, p, err
}

// planCall asks for T1 from the prompt.
type planCall struct {
	prompt string
	dice   *dice
}

func (c planCall) do() (runtime.Answer, error) {
	s, p, err := understand(c.prompt)
	if err != nil {
		return runtime.Answer{}, err
	}
	return runtime.Answer{Text: writePlan(s, p, c.dice)}, nil
}

// hindsightCall asks for the T1 that leads to an image.
type hindsightCall struct {
	prompt string
	image  look
	dice   *dice
}

func (c hindsightCall) do() (runtime.Answer, error) {
	s, err := Parse(c.prompt)
	if err != nil {
		return runtime.Answer{}, err
	}
	p, err := c.image()
	if err != nil {
		return runtime.Answer{}, err
	}
	if p.Flat {
		return runtime.Answer{}, errors.New("the image has no directed light, and no plan of the scenes world leads to it")
	}
	if f := s.check(p); !f.shown() {
		return runtime.Answer{}, fmt.Errorf("the image does not answer the prompt: %s", f.unmet[0])
	}
	return runtime.Answer{Text: writePlan(s, p, c.dice)}, nil
}

// referenceCall asks for the picture that a caption describes.
type referenceCall struct {
	caption       string
	width, height int
}

func (c referenceCall) do() (runtime.Answer, error) {
	_, p, err := understand(c.caption)
	if err != nil {
		return runtime.Answer{}, err
	}
	return paint(p, c.width, c.height)
}

// draftCall asks for I1 from a plan, or from a caption.
type draftCall struct {
	text          string
	width, height int
	dice          *dice
}

// pictures returns the draft and the flaws planted into it.
func (c draftCall) pictures() (Picture, []Flaw, error) {
	var p Picture
	var err error
	switch {
	case strings.Contains(c.text, headingFinal):
		p, err = readReflection(c.text)
	case isThinking(c.text):
		p, err = readPlan(c.text)
	default:
		_, p, err = understand(c.text)
	}
	if err != nil {
		return Picture{}, nil, err
	}
	p, flaws := plant(p, c.dice)
	return p, flaws, nil
}

func (c draftCall) do() (runtime.Answer, error) {
	p, _, err := c.pictures()
	if err != nil {
		return runtime.Answer{}, err
	}
	return paint(p, c.width, c.height)
}

func paint(p Picture, width, height int) (runtime.Answer, error) {
	encoded, err := encode(Draw(p, width, height))
	return runtime.Answer{Image: encoded}, err
}

// reflectCall asks for T2: what leads from the draft to the improved image,
// or, where that is nil, to what the plan or else the prompt asks for.
type reflectCall struct {
	prompt, plan    string
	draft, improved look
	dice            *dice
}

func (c reflectCall) do() (runtime.Answer, error) {
	s, want, err := understand(c.prompt)
	if err != nil {
		return runtime.Answer{}, err
	}
	draft, err := c.draft()
	if err != nil {
		return runtime.Answer{}, err
	}
	switch {
	case c.improved != nil:
		if want, err = c.improved(); err != nil {
			return runtime.Answer{}, err
		}
	case c.plan != "":
		if want, err = readPlan(c.plan); err != nil {
			return runtime.Answer{}, err
		}
	}
	if f := s.check(want); !f.shown() {
		return runtime.Answer{}, fmt.Errorf("the picture to be reached does not answer the prompt: %s", f.unmet[0])
	}
	if want.Flat {
		return runtime.Answer{}, errors.New("the picture to be reached has no directed light, and no reflection of the scenes world leads to it")
	}
	return runtime.Answer{Text: writeReflection(s, want, draft, c.dice)}, nil
}

// improvedCall asks for I2 from the reflection on a draft.
type improvedCall struct {
	reflection    string
	draft         look
	width, height int
}

func (c improvedCall) do() (runtime.Answer, error) {
	p, err := readReflection(c.reflection)
	if err != nil {
		return runtime.Answer{}, err
	}
	draft, err := c.draft()
	if err != nil {
		return runtime.Answer{}, err
	}
	// What stands in its cell already stays exactly where it is.
	for i, o := range p.Objects {
		at := slices.IndexFunc(draft.Objects, func(g Object) bool { return g.At == o.At && g.Shape == o.Shape && g.Size == o.Size })
		if at >= 0 {
			p.Objects[i].X, p.Objects[i].Y = draft.Objects[at].X, draft.Objects[at].Y
		}
	}
	return paint(p, c.width, c.height)
}

// judgeCall asks a question about images or a text.
type judgeCall struct {
	question   string
	images     []look
	candidates int
}

// impossible is what servers say of a token that is as good as impossible.
const impossible = -9999

func (c judgeCall) do() (runtime.Answer, error) {
	text, err := answer(c.question, c.images)
	a := runtime.Answer{Text: text}
	if err != nil || strings.HasPrefix(text, "[") {
		return a, err
	}
	// What follows from rules is certain.
	for _, word := range []string{text, "no", "yes"} {
		if len(a.First) < c.candidates && !slices.ContainsFunc(a.First, func(k runtime.Candidate) bool { return k.Token == word }) {
			a.First = append(a.First, runtime.Candidate{Token: word, Logprob: impossible})
		}
	}
	if len(a.First) > 0 {
		a.First[0].Logprob = 0
	}
	return a, nil
}
