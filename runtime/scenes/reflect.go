package scenes

import (
	"fmt"
	"slices"
	"strings"
)

// The headings of a reflection, as the template of the call wants them.
const (
	headingExplanation = "### Detailed Explanation of Required Improvements:"
	headingSteps       = "### Step-by-Step Modification Guidance:"
	headingFinal       = "### Final Comprehensive Prompt for the Improved Image:"
)

// writeReflection is T2: what the draft lacks against the wanted picture and
// how to mend it. It speaks of the draft alone.
func writeReflection(s Scene, want, draft Picture, d *dice) string {
	flaws := diff(want, draft)
	var shortcomings, reasons prose
	var steps []string
	if len(flaws) == 0 {
		shortcomings.say(pick(d,
			"The previous image already answers the prompt: %s are there, in their places and in the right colours.",
			"Nothing is wrong in the previous image: it shows %s, each where it belongs.",
			"The previous image holds what was asked for, %s, and all of it is well placed."), inventory(draft))
		shortcomings.add(pick(d,
			"What is left is refinement of surface and light.", "Only finish can still be gained.", "It can only be refined in light, edge and surface."))
		reasons.add(pick(d,
			"No object has to change; cleaner edges, a smoother ground and a more even finish make the same picture more convincing.",
			"Layout, counts and colours stay as they are. A slightly cleaner rendering of light and surface is all that the prompt could still gain from."))
		steps = append(steps, "Keep every object in its place, with its colour, size and pattern.", "Refine the shading and the edges without moving anything.")
	} else {
		var troubles []string
		for _, f := range flaws {
			troubles = append(troubles, f.trouble(want, draft, d))
		}
		shortcomings.add(pick(d,
			"The previous image does not yet fulfil the prompt.", "The previous image comes near the prompt, but falls short.",
			"Looking at the previous image again, I see what it still lacks.", "The previous image has the right idea and visible faults.",
			"The image so far is not what the prompt asks for."))
		for i, t := range troubles {
			lead := "%s."
			if i > 0 {
				lead = pick(d, "Also, %s.", "Besides, %s.", "Moreover, %s.", "%s.")
			}
			shortcomings.say(lead, t)
		}
		for _, f := range flaws {
			reasons.add(f.reason(want, d))
			steps = append(steps, f.step(want, d))
		}
		if kept := unharmed(want, draft); kept != "" {
			shortcomings.say(pick(d, "What is right, %s, can stay.", "The rest is sound: %s stay as they are.", "%s are right and stay."), kept)
			steps = append(steps, fmt.Sprintf(pick(d, "Leave the rest as it is: %s.", "Keep what is right in place: %s."), kept))
		}
	}
	reasons.say(pick(d,
		"The prompt asks for %s, and each of these words has to be found in the picture.", "All of this follows from the prompt, which wants %s.",
		"Only then does the picture show %s.", "Measured by the prompt, which is %s, nothing less will do."), s)
	var numbered []string
	for i, step := range steps {
		numbered = append(numbered, fmt.Sprintf("%d. %s", i+1, sentence(step)))
	}
	return strings.Join([]string{
		"<think>",
		shortcomings.String(), "",
		headingExplanation, reasons.String(), "",
		headingSteps, strings.Join(numbered, "\n"), "",
		headingFinal, writeFinal(want, d),
		"</think>",
	}, "\n")
}

// writeFinal is the self-contained prompt of a picture; readPlan reads it.
func writeFinal(p Picture, d *dice) string {
	var text prose
	text.say(pick(d, "A clean illustration of %s.", "A polished picture of %s.", "A calm, tactile composition of %s.", "A well lit still life of %s."), inventory(p))
	text.add(placements(p, d)...)
	text.add(surroundings(p, d)...)
	text.add(finish(p, d))
	return text.String()
}

// inventory lists what a picture holds: "three red circles and a blue
// square", without sizes.
func inventory(p Picture) string {
	var items []string
	for _, objects := range p.kinds() {
		k := objects[0].Kind.short()
		for part := range slices.Chunk(objects, maxCount) {
			items = append(items, counted(len(part), k.phrase(len(part))))
		}
	}
	return list(items)
}

// unharmed lists the objects of the draft that are as they should be.
func unharmed(want, draft Picture) string {
	var names []string
	for _, o := range want.Objects {
		if slices.ContainsFunc(draft.Objects, o.sameAs) {
			names = append(names, "the "+o.name()+" at the "+o.At.String())
		}
	}
	if len(names) > 4 {
		return "the other " + number(len(names)) + " objects"
	}
	if len(names) == 1 {
		return names[0] + " and the empty ground around it"
	}
	return list(names)
}

// name is the object in a few words: "red striped circle".
func (o Object) name() string { return o.Kind.short().String() }

// short leaves out what goes without saying: the size, and a plain surface.
func (k Kind) short() Kind {
	k.Size = AnySize
	if k.Texture == Plain {
		k.Texture = AnyTexture
	}
	return k
}

// look names a texture as a thing that a surface has.
func (t Texture) look() string {
	return [numTextures]string{AnyTexture: "surface", Plain: "plain surface", Striped: "stripes", Dotted: "dots", Checkered: "checks"}[t]
}

// count says how many of the object's kind a picture holds.
func (p Picture) count(k Kind) int {
	n := 0
	for _, o := range p.Objects {
		if o.Kind == k {
			n++
		}
	}
	return n
}

func number(n int) string {
	if n >= 1 && n < len(countWords) {
		return countWords[n][0]
	}
	return fmt.Sprint(n)
}

// trouble says what is wrong, as a clause.
func (f Flaw) trouble(want, draft Picture, d *dice) string {
	switch f.Kind {
	case FlawMissing:
		has, needs := draft.count(f.Want.Kind), want.count(f.Want.Kind)
		if has > 0 && has < needs {
			k := f.Want.Kind.short()
			return pick(d,
				fmt.Sprintf("there %s only %s of the %s, and the %s is left empty", areIs(has), number(has), number(needs)+" "+k.phrase(needs), f.Want.At),
				fmt.Sprintf("it has just %s %s where %s are wanted, as none stands at the %s", number(has), k.phrase(has), number(needs), f.Want.At))
		}
		return fmt.Sprintf(pick(d, "the %s at the %s is missing", "there is no %s at the %s", "no %s stands at the %s, where one should be"), f.Want.name(), f.Want.At)
	case FlawExtra:
		return fmt.Sprintf(pick(d, "there is one %s too many at the %s", "nobody asked for the %s at the %s", "the %s at the %s does not belong there"), f.Got.name(), f.Got.At)
	case FlawColour:
		return fmt.Sprintf(pick(d, "the %s at the %s is %s instead of %s", "the %s at the %s came out %s, while it has to be %s", "the colour of the %s at the %s is wrong: it is %s, not %s"),
			f.Want.Shape, f.Want.At, f.Got.Colour, f.Want.Colour)
	case FlawPosition:
		return fmt.Sprintf(pick(d, "the %s stands at the %s instead of the %s", "the %s has slipped to the %s, away from the %s", "the %s is at the %s, while its place is the %s"), f.Want.name(), f.Got.At, f.Want.At)
	case FlawTexture:
		if f.Got.Texture == Plain {
			return fmt.Sprintf(pick(d, "the %s at the %s has lost its %s and looks bare", "the surface of the %s at the %s is bare where %s should be", "on the %s at the %s the %s are gone"),
				words(f.Got.Colour.String(), f.Got.Shape.String()), f.Want.At, f.Want.Texture.look())
		}
		return fmt.Sprintf("the %s at the %s shows %s where %s should be", words(f.Got.Colour.String(), f.Got.Shape.String()), f.Want.At, f.Got.Texture.look(), f.Want.Texture.look())
	case FlawSoft:
		return pick(d, "all edges are soft and fuzzy, as if out of focus", "the contours are blurred and run into the ground", "nothing in it is sharp: every edge is smeared")
	case FlawFlat:
		return pick(d, "the light is flat, without direction, shading or shadow", "there is no modelling by light: bodies look like paper and cast no shadow", "everything is lit evenly, so that nothing has depth")
	case FlawShape:
		return fmt.Sprintf("what stands at the %s is a %s instead of a %s", f.Want.At, f.Got.Shape, f.Want.Shape)
	case FlawSize:
		return fmt.Sprintf("the %s at the %s is %s, not %s", f.Want.name(), f.Want.At, f.Got.Size, f.Want.Size)
	case FlawBackdrop:
		return fmt.Sprintf("the background is %s and should be %s", draft.Backdrop, want.Backdrop)
	default: // FlawLight
		return fmt.Sprintf("the light is %s and should be %s", draft.Light.short(), want.Light.short())
	}
}

// short names a light: "warm and from the left".
func (l Light) short() string {
	if l == (Light{}) {
		return "even"
	}
	return l.Tone.String() + " and " + l.From.String()
}

func areIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// reason says what has to change and why, as a sentence.
func (f Flaw) reason(want Picture, d *dice) string {
	switch f.Kind {
	case FlawMissing:
		n := want.count(f.Want.Kind)
		return sentence(fmt.Sprintf(pick(d, "%[1]s has to be added at the %[2]s, because the prompt wants %[3]s of its kind.", "Counting matters: without %[1]s at the %[2]s there are fewer than the %[3]s that the prompt wants."),
			article(f.Want.name()), f.Want.At, number(n)))
	case FlawExtra:
		return fmt.Sprintf(pick(d, "The %s at the %s has to go, because it makes the count wrong.", "The prompt gives exact numbers, and the %s at the %s is beyond them."), f.Got.name(), f.Got.At)
	case FlawColour:
		return fmt.Sprintf(pick(d, "The %s at the %s must become %s, which is its colour in the plan of the picture.", "Colour tells the groups apart, so the %s at the %s has to be %s."), f.Want.Shape, f.Want.At, f.Want.Colour)
	case FlawPosition:
		return fmt.Sprintf(pick(d, "The %s belongs at the %s, where it takes its part in the arrangement.", "For the arrangement to be read as meant, the %s has to stand at the %s."), f.Want.name(), f.Want.At)
	case FlawTexture:
		return fmt.Sprintf(pick(d, "The %s at the %s needs its %s, or its surface says nothing.", "The surface of the %s at the %s must show %s, regular and inside a plain rim."), f.Want.Shape, f.Want.At, f.Want.Texture.look())
	case FlawSoft:
		return pick(d, "Edges must be crisp, so that each form can be recognised at once.", "Solid objects have clear contours, so all edges have to be sharpened.")
	case FlawFlat:
		return fmt.Sprintf(pick(d, "Light needs a tone and a direction: it has to be %s, with shading and cast shadows.", "Depth comes from light that is %s, and from the shadows it casts."), want.Light.short())
	case FlawShape:
		return fmt.Sprintf("What stands at the %s has to be a %s.", f.Want.At, f.Want.Shape)
	case FlawSize:
		return fmt.Sprintf("The %s at the %s has to be %s.", f.Want.name(), f.Want.At, f.Want.Size)
	case FlawBackdrop:
		return fmt.Sprintf("The ground has to be %s for the colours to stand out as intended.", want.Backdrop)
	default: // FlawLight
		return fmt.Sprintf("The light has to be %s.", want.Light.short())
	}
}

// step is the one change that mends the flaw.
func (f Flaw) step(want Picture, d *dice) string {
	switch f.Kind {
	case FlawMissing:
		return fmt.Sprintf(pick(d, "Add the %s that is missing at the %s.", "Paint the missing %s at the %s."), f.Want.Kind, f.Want.At)
	case FlawExtra:
		return fmt.Sprintf(pick(d, "Remove the %s at the %s and let the background show there.", "Take away the %s at the %s."), f.Got.name(), f.Got.At)
	case FlawColour:
		return fmt.Sprintf(pick(d, "Recolour the %s at the %s from %s to %s.", "Turn the %s at the %s from %s into %s."), f.Want.Shape, f.Want.At, f.Got.Colour, f.Want.Colour)
	case FlawPosition:
		return fmt.Sprintf(pick(d, "Move the %s from the %s to the %s.", "Shift the %s from the %s to the %s."), f.Want.name(), f.Got.At, f.Want.At)
	case FlawTexture:
		return fmt.Sprintf(pick(d, "Give the %s at the %s %s.", "Cover the %s at the %s with %s."), f.Want.Shape, f.Want.At, f.Want.Texture.look())
	case FlawSoft:
		return pick(d, "Sharpen all contours.", "Redraw every edge crisp and clean.")
	case FlawFlat:
		return fmt.Sprintf(pick(d, "Light the scene so that the light is %s; add bevel shading, highlights and soft shadows.", "Make the light %s, and let it model the bodies and cast shadows."), want.Light.short())
	case FlawShape:
		return fmt.Sprintf("Replace the %s at the %s by %s.", f.Got.Shape, f.Want.At, article(f.Want.Kind.String()))
	case FlawSize:
		return fmt.Sprintf("Make the %s at the %s %s.", f.Want.name(), f.Want.At, f.Want.Size)
	case FlawBackdrop:
		return fmt.Sprintf("Repaint the ground: %s.", want.Backdrop)
	default: // FlawLight
		return fmt.Sprintf("Make the light %s.", want.Light.short())
	}
}

// readReflection finds the picture in a reflection's comprehensive prompt.
func readReflection(text string) (Picture, error) {
	_, final, ok := strings.Cut(text, headingFinal)
	if !ok {
		return Picture{}, fmt.Errorf("the reflection has no section %q", headingFinal)
	}
	return readPlan(strings.TrimSuffix(strings.TrimSpace(final), "</think>"))
}
