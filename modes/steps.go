package modes

import (
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

// Role is a part that a model plays; the configuration binds each to a model.
type Role string

// The roles that steps are played by.
const (
	RoleBase      Role = "base"      // the model to be trained
	RoleAnnotator Role = "annotator" // reads images, writes thinking
	RolePainter   Role = "painter"   // paints the improved image
	RoleJudge     Role = "judge"     // answers questions about images
)

// Roles lists all roles.
func Roles() []Role { return []Role{RoleBase, RoleAnnotator, RolePainter, RoleJudge} }

// Segment is one piece of a call's context: a rendered template, or the
// content of a slot.
type Segment struct {
	Template string
	// Quote is the text that the template quotes, if it has a place for one.
	Quote string
	Slot  irgdata.Slot
}

// Step is a kind of model call: it fills one slot from others, or it is the
// call of a [Question] and fills none.
type Step struct {
	Name string
	// Version changes when the layout of the context does; it is part of the
	// ledger key.
	Version string
	Role    Role
	Fills   irgdata.Slot
	Context []Segment
	// Negative is the context for text guidance; it may be empty.
	Negative []Segment
	// Sampling holds the official parameters; size and seed are set per run
	// and per call.
	Sampling runtime.Sampling
}

// ID is the step's name and version, "draft/1".
func (s Step) ID() string { return s.Name + "/" + s.Version }

// Want is the kind of answer that the step asks for.
func (s Step) Want() runtime.Output {
	if s.Fills.IsImage() {
		return runtime.Paint
	}
	return runtime.Text
}

// Images is the number of images that the step's context shows.
func (s Step) Images() (n int) {
	for _, seg := range s.Context {
		if seg.Template == "" && seg.Slot.IsImage() {
			n++
		}
	}
	return n
}

// Needs returns the slots that the step's context shows.
func (s Step) Needs() []irgdata.Slot {
	needs := []irgdata.Slot{irgdata.SlotPrompt}
	for _, seg := range s.Context {
		if seg.Template == "" && !slices.Contains(needs, seg.Slot) {
			needs = append(needs, seg.Slot)
		}
	}
	return needs
}

func tmpl(name string) Segment        { return Segment{Template: name} }
func slot(s irgdata.Slot) Segment     { return Segment{Slot: s} }
func segments(s ...Segment) []Segment { return s }

// Steps returns the model calls of a strategy in the order in which they are
// made. Contexts and sampling follow the official two-turn inference
// (eval/multi_turn/tiif/tiif_multi_turn_gen.py) where the base model speaks,
// and the paper's data construction where the annotator does.
func Steps(strategy irgdata.Strategy) []Step {
	thinking := runtime.Sampling{Temperature: 0.3, MaxTokens: 4096}
	firstImage := runtime.Sampling{Steps: 50, CFGText: 4, CFGImage: 1, CFGInterval: [2]float64{0.4, 1}, CFGRenorm: "global", Shift: 3}
	secondImage := runtime.Sampling{Steps: 50, CFGText: 4, CFGImage: 2, CFGInterval: [2]float64{0, 1}, CFGRenorm: "text_channel", Shift: 3}

	steps := []Step{
		{
			// For pairs that came without an image: a strong generator answers
			// the prompt, as in the paper.
			Name: "reference", Version: "1", Role: RolePainter, Fills: irgdata.SlotReference,
			Context:  segments(slot(irgdata.SlotPrompt)),
			Sampling: firstImage,
		},
		{
			Name: "hindsight", Version: "1", Role: RoleAnnotator, Fills: irgdata.SlotThinking,
			Context:  segments(tmpl(PromptHindsight), slot(irgdata.SlotReference)),
			Sampling: thinking,
		},
		{
			Name: "draft_thinking", Version: "1", Role: RoleBase, Fills: irgdata.SlotDraftThinking,
			Context:  segments(tmpl(PromptSystem), slot(irgdata.SlotPrompt)),
			Sampling: thinking,
		},
		{
			Name: "draft", Version: "1", Role: RoleBase, Fills: irgdata.SlotDraft,
			Context:  segments(tmpl(PromptSystem), slot(irgdata.SlotPrompt), slot(irgdata.SlotDraftThinking)),
			Negative: segments(tmpl(PromptSystem)),
			Sampling: firstImage,
		},
	}
	if strategy == irgdata.Distill {
		return append(steps, Step{
			Name: "reflection", Version: "1", Role: RoleAnnotator, Fills: irgdata.SlotReflection,
			Context:  segments(tmpl(PromptReflection), slot(irgdata.SlotDraft), slot(irgdata.SlotImproved)),
			Sampling: thinking,
		})
	}
	firstTurn := segments(tmpl(PromptSystem), slot(irgdata.SlotPrompt), slot(irgdata.SlotDraftThinking), slot(irgdata.SlotDraft))
	return append(steps,
		Step{
			Name: "self_reflection", Version: "1", Role: RoleBase, Fills: irgdata.SlotReflection,
			Context:  firstTurn,
			Sampling: thinking,
		},
		Step{
			Name: "improved", Version: "1", Role: RolePainter, Fills: irgdata.SlotImproved,
			Context:  append(slices.Clone(firstTurn), slot(irgdata.SlotReflection)),
			Negative: firstTurn,
			Sampling: secondImage,
		},
	)
}

// StepsFor returns the steps of a strategy that the given modes need: the
// union of their slots decides which calls are made, so that a pair wanted for
// a thinking mode alone never costs an image. The step that paints references
// is among them only if there are pairs without one.
func StepsFor(strategy irgdata.Strategy, wanted []Mode, paintReferences bool) []Step {
	need := map[irgdata.Slot]bool{}
	for _, m := range wanted {
		for _, s := range m.Needs() {
			need[s] = true
		}
	}
	// Later steps build on earlier ones: walk backwards and collect.
	steps := Steps(strategy)
	var chosen []Step
	for _, step := range slices.Backward(steps) {
		if strategy == irgdata.Distill && need[irgdata.SlotImproved] {
			need[irgdata.SlotReference] = true // it is the improved image
		}
		if !need[step.Fills] || step.Fills == irgdata.SlotReference && !paintReferences {
			continue
		}
		chosen = append(chosen, step)
		for _, s := range step.Needs() {
			need[s] = true
		}
	}
	slices.Reverse(chosen)
	return chosen
}
