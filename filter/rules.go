package filter

import (
	"context"
	"fmt"
	"image"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/image/draw"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

var (
	imageSlots    = []irgdata.Slot{irgdata.SlotReference, irgdata.SlotDraft, irgdata.SlotImproved}
	thinkingSlots = []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotReflection}
)

// Subject is a trajectory under judgement. It decodes each image once; one
// goroutine uses it.
type Subject struct {
	Trajectory irgdata.Trajectory
	store      *images.Store
	memory     *images.Memory
	decoded    map[irgdata.Digest]image.Image
	views      map[irgdata.Digest]*view // made of decoded ones, by rules on pictures
	tokens     map[string]int           // of texts of rows, by rule row_tokens
	give       func()                   // the memory of the decoded images back; nil: none was taken
}

// take takes the memory of all the trajectory's images at once: two judges that
// each hold some and wait for more would wait for ever.
func (s *Subject) take(ctx context.Context) error {
	if s.give != nil {
		return nil
	}
	var refs []irgdata.ImageRef
	for _, slot := range imageSlots {
		if ref := s.Trajectory.Slots[slot].Image; !ref.IsZero() && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	give, err := s.memory.Take(ctx, refs...)
	s.give = give
	return err
}

// release gives the memory back; the images must not be used afterwards.
func (s *Subject) release() {
	if s.give != nil {
		s.give()
	}
	s.decoded = nil
}

// image returns the decoded image of a slot; nil if it does not decode. An
// error is the store's.
func (s *Subject) image(ctx context.Context, slot irgdata.Slot) (image.Image, error) {
	ref := s.Trajectory.Slots[slot].Image
	if img, ok := s.decoded[ref.Digest]; ok {
		return img, nil
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	encoded, err := s.store.Bytes(ctx, ref)
	if err != nil {
		return nil, err
	}
	img, err := images.Decode(encoded)
	if err != nil {
		img = nil
	}
	if s.decoded == nil {
		s.decoded = map[irgdata.Digest]image.Image{}
	}
	s.decoded[ref.Digest] = img
	return img, nil
}

// Decode rejects images whose pixels cannot be decoded to the end: the
// official loader would train on the grey rest of a truncated file.
func Decode() Rule {
	return Rule{
		Name: "decode", Version: "1", Slots: imageSlots, Unit: "decodes", Threshold: 1,
		Measure: func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			img, err := s.image(ctx, slot)
			if err != nil || img == nil {
				return 0, err
			}
			return 1, nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value == 1 {
				return ""
			}
			return fmt.Sprintf("the %s image does not decode to its end", slot)
		},
	}
}

// Size rejects images whose shorter side has fewer than minSide pixels.
func Size(minSide int) Rule {
	return Rule{
		Name: "size", Version: "1", Slots: imageSlots, Unit: "min_side", Threshold: float64(minSide),
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			ref := s.Trajectory.Slots[slot].Image
			return float64(min(ref.Width, ref.Height)), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value >= float64(minSide) {
				return ""
			}
			return fmt.Sprintf("the %s image's shorter side has %.0f pixels, want at least %d", slot, value, minSide)
		},
	}
}

const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// thought returns what stands between the tags if the text is exactly one
// <think>…</think>, else "".
func thought(text string) string {
	body, opened := strings.CutPrefix(strings.TrimSpace(text), thinkOpen)
	body, closed := strings.CutSuffix(body, thinkClose)
	if !opened || !closed || strings.Contains(body, thinkOpen) || strings.Contains(body, thinkClose) {
		return ""
	}
	return body
}

// specialToken has the form of the tokenizer's control tokens, such as
// <|im_end|> and <|image_pad|>: the trainer's tokenizer reads one as such
// wherever it stands.
var specialToken = regexp.MustCompile(`<\|[a-z0-9_]+\|>`)

// SpecialTokens rejects texts that hold a control token of the tokenizer.
func SpecialTokens() Rule {
	return Rule{
		Name: "special_tokens", Version: "2", Unit: "special_tokens",
		Slots: append([]irgdata.Slot{irgdata.SlotPrompt}, thinkingSlots...),
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			return float64(len(specialToken.FindAllStringIndex(s.Trajectory.Slots[slot].Text, -1))), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value == 0 {
				return ""
			}
			return fmt.Sprintf("the %s text holds %.0f control tokens of the tokenizer, such as <|im_end|>", slot, value)
		},
	}
}

// Thinking rejects texts that are not one <think>…</think> with at least
// minWords words in it.
func Thinking(minWords int) Rule {
	return Rule{
		Name: "thinking", Version: "1", Slots: thinkingSlots, Unit: "words", Threshold: float64(max(minWords, 1)),
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			return float64(len(strings.Fields(thought(s.Trajectory.Slots[slot].Text)))), nil
		},
		Reject: func(slot irgdata.Slot, value float64) string {
			if value >= float64(max(minWords, 1)) {
				return ""
			}
			return fmt.Sprintf("the %s text has %.0f words in one pair of <think> tags, want at least %d", slot, value, max(minWords, 1))
		},
	}
}

// reflectionHeadings open the sections of T2, in order, after a paragraph that
// has no heading.
var reflectionHeadings = []string{
	"### Detailed Explanation of Required Improvements:",
	"### Step-by-Step Modification Guidance:",
	"### Final Comprehensive Prompt for the Improved Image:",
}

// reflectionSections counts the sections of T2 that are there, in order and
// not empty: the opening paragraph and one under each heading.
func reflectionSections(text string) int {
	rest := thought(text)
	sections := 0
	for _, heading := range reflectionHeadings {
		section, after, found := strings.Cut(rest, heading)
		if strings.TrimSpace(section) == "" || !found {
			return sections
		}
		sections++
		rest = after
	}
	if strings.TrimSpace(rest) != "" {
		sections++
	}
	return sections
}

// ReflectionForm rejects reflections that do not follow the template of T2.
func ReflectionForm() Rule {
	want := len(reflectionHeadings) + 1
	return Rule{
		Name: "reflection_form", Version: "1", Slots: []irgdata.Slot{irgdata.SlotReflection}, Unit: "sections", Threshold: float64(want),
		Measure: func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			return float64(reflectionSections(s.Trajectory.Slots[slot].Text)), nil
		},
		Reject: func(_ irgdata.Slot, value float64) string {
			if value == float64(want) {
				return ""
			}
			return fmt.Sprintf("the reflection has %.0f of the template's %d sections in order", value, want)
		},
	}
}

// Unchanged rejects improved images that differ from the draft by less than
// minDifference: the mean absolute difference over the hundredth of the pixels
// of 64×64 thumbnails that differ most, from 0 to 255. An improvement is
// local; what encoding an image anew does is spread over all of it. On the
// pictures of the bundled sample, JPEG of quality 95 differs from its source by
// 3 in the median and 5.3 at most, a blurred draft from its reference by 5.6
// at least.
func Unchanged(minDifference float64) Rule {
	return Rule{
		Name: "unchanged", Version: "1", Slots: []irgdata.Slot{irgdata.SlotImproved}, Unit: "difference", Threshold: minDifference,
		Measure: func(ctx context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
			if s.Trajectory.Slots[irgdata.SlotDraft].IsZero() {
				return 255, nil // nothing that it could be unchanged from
			}
			improved, err := s.image(ctx, slot)
			if err != nil {
				return 0, err
			}
			draft, err := s.image(ctx, irgdata.SlotDraft)
			if err != nil {
				return 0, err
			}
			if improved == nil || draft == nil {
				return 255, nil // rule decode objects to these
			}
			return difference(thumbnail(draft), thumbnail(improved)), nil
		},
		Reject: func(_ irgdata.Slot, value float64) string {
			if value >= minDifference {
				return ""
			}
			return fmt.Sprintf("the improved image differs from the draft by %.2f of 255, want at least %.2f", value, minDifference)
		},
	}
}

func thumbnail(img image.Image) *image.RGBA {
	small := image.NewRGBA(image.Rect(0, 0, 64, 64))
	draw.ApproxBiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	return small
}

func difference(a, b *image.RGBA) float64 {
	differences := make([]int, 0, len(a.Pix)/4)
	for i := 0; i < len(a.Pix); i += 4 {
		sum := 0
		for c := range 3 { // alpha is opaque
			d := int(a.Pix[i+c]) - int(b.Pix[i+c])
			sum += max(d, -d)
		}
		differences = append(differences, sum)
	}
	slices.Sort(differences)
	most := differences[len(differences)-len(differences)/100:]
	sum := 0
	for _, d := range most {
		sum += d
	}
	return float64(sum) / float64(3*len(most))
}
