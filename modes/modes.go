// Package modes holds what the dataset is about: the six learning modes of
// the IRG paper, the model calls that fill a trajectory for them, and the
// templates of those calls. All of it is tables; no code elsewhere asks which
// mode it deals with.
package modes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
)

// Speaker is the role of a conversation's turn. The official loader knows
// these two and drops any other without a word.
type Speaker string

// The roles that the official loader reads.
const (
	User      Speaker = "user"
	Assistant Speaker = "assistant"
)

// Part is one piece of a training row: a rendered template, or the content of
// a slot.
type Part struct {
	Speaker Speaker
	// Template names a template; when it is empty the part is the slot's
	// content.
	Template string
	Slot     irgdata.Slot
	// Loss marks a training target. VAE and ViT say how an image enters the
	// context; an image with none of the three is dropped by the loader.
	Loss, VAE, ViT bool
}

// IsImage reports whether the part is an image.
func (p Part) IsImage() bool { return p.Template == "" && p.Slot.IsImage() }

// Mode is one way to learn from a trajectory.
type Mode struct {
	// Name is the folder name and the registry key of the training code
	// (SFT/data/dataset_info.py).
	Name   string
	Layout []Part
	// Weight and Mandatory go into the stage-1 training configuration, and
	// Stage2 says whether the second stage trains on the mode too.
	Weight    float64
	Mandatory bool
	Stage2    bool
}

// Needs returns the slots that the mode's row shows, in slot order.
func (m Mode) Needs() []irgdata.Slot {
	needs := []irgdata.Slot{irgdata.SlotPrompt}
	for _, p := range m.Layout {
		if p.Template == "" && !slices.Contains(needs, p.Slot) {
			needs = append(needs, p.Slot)
		}
	}
	slices.Sort(needs)
	return needs
}

// template, text and image are the kinds of part in the table below.
func template(s Speaker, name string) Part { return Part{Speaker: s, Template: name} }

func text(s Speaker, slot irgdata.Slot, loss bool) Part {
	return Part{Speaker: s, Slot: slot, Loss: loss}
}

func image(slot irgdata.Slot, loss, vae, vit bool) Part {
	// The loader takes images from assistant turns alone.
	return Part{Speaker: Assistant, Slot: slot, Loss: loss, VAE: vae, ViT: vit}
}

// All returns the six modes in the order of the paper. "Understanding" modes
// see the answer image and learn what kind of thinking belongs to it,
// "generation" modes see what the model has at inference, "full" modes also
// carry the picture.
func All() []Mode {
	return []Mode{
		{
			Name: "initial_thinking_understanding_learning",
			Layout: []Part{
				template(User, PromptInitialQuestion),
				image(irgdata.SlotReference, false, false, true),
				text(Assistant, irgdata.SlotThinking, true),
			},
			Weight: 0.5,
		},
		{
			Name: "initial_thinking_generation_learning",
			Layout: []Part{
				template(User, PromptSystem),
				text(User, irgdata.SlotPrompt, false),
				text(Assistant, irgdata.SlotThinking, true),
			},
			Weight: 0.5, Mandatory: true,
		},
		{
			Name: "initial_full_learning",
			Layout: []Part{
				template(User, PromptSystem),
				text(User, irgdata.SlotPrompt, false),
				text(Assistant, irgdata.SlotThinking, true),
				image(irgdata.SlotReference, true, false, false),
			},
			Weight: 1, Mandatory: true, Stage2: true,
		},
		{
			Name: "improving_thinking_understanding_learning",
			Layout: []Part{
				template(User, PromptImprovingQuestion),
				image(irgdata.SlotDraft, false, false, true),
				image(irgdata.SlotImproved, false, false, true),
				text(Assistant, irgdata.SlotReflection, true),
			},
			Weight: 0.5,
		},
		{
			Name: "improving_thinking_generation_learning",
			Layout: []Part{
				template(User, PromptSystem),
				text(User, irgdata.SlotPrompt, false),
				text(Assistant, irgdata.SlotDraftThinking, false),
				image(irgdata.SlotDraft, false, true, true),
				text(Assistant, irgdata.SlotReflection, true),
			},
			Weight: 0.5, Mandatory: true,
		},
		{
			Name: "improving_full_learning",
			Layout: []Part{
				template(User, PromptSystem),
				text(User, irgdata.SlotPrompt, false),
				text(Assistant, irgdata.SlotDraftThinking, false),
				image(irgdata.SlotDraft, false, true, true),
				text(Assistant, irgdata.SlotReflection, true),
				image(irgdata.SlotImproved, true, false, false),
			},
			Weight: 1, Mandatory: true, Stage2: true,
		},
	}
}

// Names lists the modes of All.
func Names() []string {
	var names []string
	for _, m := range All() {
		names = append(names, m.Name)
	}
	return names
}

// Select returns the modes with the given names, in table order. No names
// select all modes.
func Select(names []string) ([]Mode, error) {
	if len(names) == 0 {
		return All(), nil
	}
	known := Names()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("mode %q is unknown: want one of %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(All(), func(m Mode) bool { return !slices.Contains(names, m.Name) }), nil
}
