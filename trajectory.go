package irgdata

import "fmt"

// Slot is a place in a trajectory that holds one text or one image.
type Slot uint8

// The slots of a trajectory, in the order in which they are filled.
const (
	// SlotPrompt is T_in, the user's text.
	SlotPrompt Slot = iota
	// SlotReference is the high-quality image of the pair.
	SlotReference
	// SlotThinking is T1 written in hindsight from prompt and reference.
	SlotThinking
	// SlotDraftThinking is T1 as the base model itself writes it.
	SlotDraftThinking
	// SlotDraft is I1, the base model's own and weaker image.
	SlotDraft
	// SlotReflection is T2, what falls short in the draft and how to mend it.
	SlotReflection
	// SlotImproved is I2. Under [Distill] it is the reference image.
	SlotImproved

	// NumSlots is the number of slots.
	NumSlots = int(SlotImproved) + 1
)

var slotNames = [NumSlots]string{
	"prompt", "reference", "thinking", "draft_thinking", "draft", "reflection", "improved",
}

func (s Slot) String() string {
	if int(s) < NumSlots {
		return slotNames[s]
	}
	return fmt.Sprintf("slot(%d)", uint8(s))
}

// IsImage reports whether the slot holds an image; else it holds a text.
func (s Slot) IsImage() bool {
	return s == SlotReference || s == SlotDraft || s == SlotImproved
}

// Filling is the content of a slot: a text or an image, by the slot's kind.
type Filling struct {
	Text  string
	Image ImageRef
	// Call is the ledger key of the model call that gave the content; zero
	// when it came with the pair.
	Call Digest
}

// IsZero reports whether the slot is empty.
func (f Filling) IsZero() bool { return f.Text == "" && f.Image.IsZero() }

// Strategy says where the improved image comes from.
type Strategy string

const (
	// Distill takes the reference image as the improved one: the way of the
	// paper, where a stronger generator painted the reference.
	Distill Strategy = "distill"
	// Self lets the model paint the improved image from its own reflection.
	Self Strategy = "self"
)

// Trajectory is one pair with the slots that its wanted modes need filled.
type Trajectory struct {
	Pair     Pair
	Strategy Strategy
	Slots    [NumSlots]Filling
	// Failures are the model calls that gave no usable answer, in step order.
	// A mode that needs their slot, or one that depends on it, is lost.
	Failures []Failure
	// Judgements are what judge and scorers said, in the order of the questions.
	Judgements []Judgement
	// Unanswered: a call got no answer that the ledger keeps, and the next run
	// makes it again. It is in no shard.
	Unanswered bool
}

// Calls is the number of calls that the trajectory took.
func (t Trajectory) Calls() int {
	n := len(t.Failures)
	for _, f := range t.Slots {
		if !f.Call.IsZero() {
			n++
		}
	}
	for i, j := range t.Judgements { // the numbers of one call follow each other
		if i == 0 || j.Call != t.Judgements[i-1].Call {
			n++
		}
	}
	return n
}

// Failure is a model call that gave no usable answer.
type Failure struct {
	Slot   Slot
	Step   string
	Rule   string // what kind of failure: "refused", "truncated", "empty", …
	Reason string
}

// NewTrajectory returns a trajectory that holds just what the pair brings.
func NewTrajectory(p Pair, s Strategy) Trajectory {
	t := Trajectory{Pair: p, Strategy: s}
	t.Slots[SlotPrompt].Text = p.Prompt
	t.Fill(SlotReference, Filling{Image: p.Image})
	return t
}

// Fill fills a slot. Under [Distill] the reference is the improved image too.
func (t *Trajectory) Fill(s Slot, f Filling) {
	t.Slots[s] = f
	if s == SlotReference && t.Strategy == Distill {
		t.Slots[SlotImproved].Image = f.Image
	}
}
