package scenes

import (
	"fmt"
	"slices"
	"strings"
)

// writePlan is T1: the plan of the picture as the answer to the scene's
// caption. The dice choose among phrasings alone, never among facts.
func writePlan(s Scene, p Picture, d *dice) string {
	var text prose
	caption := s.String()
	text.say(pick(d,
		"The prompt asks for %s.", "I am to paint %s.", "What is wanted is %s.", "The task is to show %s.", "This will be a picture of %s.", "The words call for %s."), caption)
	if len(p.kinds()) < 3 { // else there is enough to say
		text.add(remark(p, d))
	}
	text.add(openChoices(s, p, d)...)
	text.add(placements(p, d)...)
	if s.Relation != NoRelation {
		first, second := named(s.First), named(s.Second)
		text.say(pick(d,
			"That puts %s %s %s, as the prompt says.",
			"In this way %s will be seen %s %s without doubt.",
			"So the order is kept: %s %s %s.",
			"The arrangement makes it plain that %s belong %s %s."), first, s.Relation, second)
	} else if len(p.Objects) > 1 {
		text.add(pick(d,
			"The gaps between them stay even.", "Together they balance the frame.", "No form crowds another one.", "The empty room around them is part of the composition."))
	}
	text.add(surroundings(p, d)...)
	text.add(finish(p, d))
	if len(p.kinds()) < 3 {
		text.add(closing(p, d))
	}
	return "<think>\n" + text.String() + "\n</think>"
}

// remark is a thought about the objects as such.
func remark(p Picture, d *dice) string {
	o := pick(d, p.Objects...)
	forms := o.Shape.named(p.count(o.Kind))
	colour := o.Colour.String()
	return fmt.Sprintf(pick(d,
		"The %[1]s of the %[2]s should %[3]s.",
		"What matters is that the %[1]s %[2]s %[4]s.",
		"I imagine the %[2]s as %[5]s in %[1]s.",
		"With %[2]s this simple, %[6]s.",
		"Since %[1]s is %[7]s colour, %[6]s."),
		colour, forms,
		pick(d, "be what the eye meets early", "glow a little", "stay pure and unbroken", "come out strong", "hold its own in the frame"),
		pick(d, "can be read without effort", "keep a clear contour", "have room to breathe", "do not crowd the frame", "look like things one could pick up"),
		pick(d, "small solid things", "enamelled tokens", "smooth wooden pieces", "polished tiles", "toys laid out with care"),
		pick(d, "spacing has to do the work", "the placement carries the picture", "light and order decide", "calm intervals matter most", "every contour counts"),
		pick(d, "so decided a", "an outspoken", "a leading"))
}

// finish says how bodies and edges are painted.
func finish(p Picture, d *dice) string {
	away := map[Direction]string{FromLeft: "to the right", FromRight: "to the left", FromAbove: "straight down"}[p.Light.From]
	edges := fmt.Sprintf("%s %s", pick(d, "all edges", "the contours", "the outlines", "the rims", "all borders of the forms"),
		pick(d, "stay crisp", "are kept sharp", "must be clean", "are drawn without blur", "should be precise"))
	shadows := fmt.Sprintf("%s shadows %s %s", pick(d, "soft", "gentle", "faint", "pale", "diffuse"), pick(d, "fall", "reach", "spread", "are cast"), away)
	bodies := fmt.Sprintf("%s %s", pick(d, "a small highlight", "a bevelled rim", "a touch of shading", "a rounded edge", "a slight gloss"),
		pick(d, "gives each form body", "makes the forms solid", "lifts them off the ground", "lends them weight", "shows that they have depth"))
	parts := []string{edges, shadows, bodies}
	shuffle(d, parts)
	joined := fmt.Sprintf(pick(d, "%s, %s, and %s.", "%s; %s, and %s.", "%s, while %s, and %s."), parts[0], parts[1], parts[2])
	if t := texturesOf(p); t != "" {
		joined += " " + sentence(fmt.Sprintf("the %s %s %s.", t, pick(d, "must be", "has to stay", "is to be", "should be"),
			pick(d, "even and clear", "regular up to the rim", "fine but easy to see", "of one rhythm", "neat on every body")))
	}
	return joined
}

// closing is a last word on the style.
func closing(p Picture, d *dice) string {
	o := pick(d, p.Objects...)
	return fmt.Sprintf(pick(d,
		"The whole should look %[1]s and %[2]s.", "In the end I want %[1]s order and a %[2]s finish around the %[3]s.",
		"Nothing but this is needed for a %[1]s, %[2]s picture.", "So the %[3]s will look %[1]s, and the picture %[2]s.", "A %[2]s style, %[1]s like a still life, closes the plan."),
		pick(d, "tidy", "calm", "quiet", "clear", "neat", "serene"), pick(d, "tactile", "polished", "balanced", "simple", "friendly", "precise"), o.Shape.named(p.count(o.Kind)))
}

// prose collects sentences.
type prose struct{ sentences []string }

func (t *prose) say(format string, args ...any) {
	t.sentences = append(t.sentences, sentence(fmt.Sprintf(format, args...)))
}

func (t *prose) add(sentences ...string) {
	for _, s := range sentences {
		t.sentences = append(t.sentences, sentence(s))
	}
}

func (t *prose) String() string { return strings.Join(t.sentences, " ") }

// sentence begins with a capital.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// named lists groups by shape: "the circles and the square".
func named(groups []Group) string {
	var names []string
	for _, g := range groups {
		names = append(names, "the "+words(g.Colour.String(), g.Shape.named(g.Count)))
	}
	return list(names)
}

// openChoices says what the prompt does not and how it is decided.
func openChoices(s Scene, p Picture, d *dice) []string {
	var open []string
	if slices.ContainsFunc(s.Groups(), func(g Group) bool { return g.Size == AnySize }) {
		open = append(open, pick(d, "the size of the forms", "how large the forms are", "the scale"))
	}
	if slices.ContainsFunc(s.Groups(), func(g Group) bool { return g.Colour == AnyColour }) {
		open = append(open, "some of the colours")
	}
	if s.Backdrop.Top == AnyTint {
		open = append(open, pick(d, "the background", "what lies behind"))
	}
	if s.Light.Tone == AnyTone || s.Light.From == AnyDirection {
		open = append(open, pick(d, "the light", "how the light falls"))
	}
	if len(open) == 0 {
		return []string{pick(d, "The prompt settles everything but the exact places.", "Only the exact places are left to decide.", "Size, ground and light are given, so I decide on the places.")}
	}
	return []string{fmt.Sprintf(pick(d,
		"The prompt leaves open %s, which I choose to suit the frame.", "It is up to me to decide %s, and I go for what keeps the forms easy to see.",
		"Not said is %s, so I settle it for a balanced picture.", "I decide %s with an eye on contrast and on the room there is."), list(open))}
}

// kinds groups the objects of a picture by kind, in reading order.
func (p Picture) kinds() [][]Object {
	objects := slices.Clone(p.Objects)
	slices.SortStableFunc(objects, func(a, b Object) int { return (a.At.Row-b.At.Row)*gridSide + a.At.Col - b.At.Col })
	var kinds [][]Object
next:
	for _, o := range objects {
		for i := range kinds {
			if kinds[i][0].Kind == o.Kind {
				kinds[i] = append(kinds[i], o)
				continue next
			}
		}
		kinds = append(kinds, []Object{o})
	}
	return kinds
}

// placements says of each kind of object where its objects are. It and
// surroundings write what readPlan reads.
func placements(p Picture, d *dice) []string {
	var sentences []string
	for _, objects := range p.kinds() {
		// More than five of a kind take two sentences: the world counts to five.
		for part := range slices.Chunk(objects, maxCount) {
			var places []string
			for _, o := range part {
				places = append(places, "the "+o.At.String())
			}
			kind := part[0].Kind
			phrase := kind.phrase(len(part))
			verb := pick(d, "sits at", "goes to", "stands at", "is set at", "finds its place at", "rests at")
			if len(part) > 1 {
				verb = pick(d, "sit at", "go to", "stand at", "are set at", "find their places at", "rest at")
			}
			sentences = append(sentences, fmt.Sprintf("%s %s %s.", counted(len(part), phrase), verb, list(places)))
		}
	}
	return sentences
}

// surroundings says what background and light are.
func surroundings(p Picture, d *dice) []string {
	background := fmt.Sprintf(pick(d,
		"Behind everything lies %s background, which gives the colours something to stand out from.",
		"The scene stands before %s background that is free of detail.",
		"All of this is set on %s background, smooth and without clutter.",
		"The forms stand out from %s background, smooth and even."), article(p.Backdrop.String()))
	from := p.Light.From.String()
	tone := p.Light.Tone.String()
	light := fmt.Sprintf(pick(d,
		"%s light falls %s and fades across the picture.",
		"%s light comes %s, so that bodies and shadows agree.",
		"%s light %s models the forms and tints the ground.",
		"%s light %s gives depth, and the far side grows darker."), sentence(tone), from)
	return []string{background, light}
}

// texturesOf names the patterns in a picture: "stripes and dots".
func texturesOf(p Picture) string {
	var names []string
	for t := Striped; t < numTextures; t++ {
		if slices.ContainsFunc(p.Objects, func(o Object) bool { return o.Texture == t }) {
			names = append(names, t.noun()+" pattern")
		}
	}
	return list(names)
}

func (t Texture) noun() string {
	return [numTextures]string{AnyTexture: "", Plain: "plain", Striped: "stripe", Dotted: "dot", Checkered: "checker"}[t]
}

// readPlan finds in a plan or comprehensive prompt what is to be drawn:
// objects with their places, background and light. Objects without a place
// are talk about the prompt and not drawn. The error is one sentence.
func readPlan(text string) (Picture, error) {
	r := &reader{tokens: tokenize(text)}
	var p Picture
	for !r.end() {
		before := *r
		if g, err := r.group(); err == nil {
			places := r.places()
			if len(places) == 0 {
				continue
			}
			if len(places) != g.Count {
				return Picture{}, fmt.Errorf("the plan gives %d places to %s", len(places), g)
			}
			for _, at := range places {
				p.Objects = append(p.Objects, place(withDefaults(g.Kind), at))
			}
			continue
		}
		*r = before
		if b, ok := r.backdrop(); ok && r.takeAny("background", "backdrop") {
			if p.Backdrop == (Backdrop{}) {
				p.Backdrop = b
			}
			continue
		}
		*r = before
		if tone := Tone(r.takeEntry(toneWords[:])); tone != AnyTone && r.takeAny("light", "lighting") {
			r.takeAny("falls", "comes", "coming", "falling", "shining")
			if from := r.direction(); from != AnyDirection || p.Light.Tone == AnyTone {
				if p.Light.From == AnyDirection {
					p.Light = Light{tone, from}
				}
			}
			continue
		}
		*r = before
		r.at++
	}
	if len(p.Objects) == 0 {
		return Picture{}, fmt.Errorf("the plan places no object of the scenes world, as in \"a large red circle sits at the upper left\"")
	}
	for i, o := range p.Objects {
		for _, other := range p.Objects[:i] {
			if o.At == other.At {
				return Picture{}, fmt.Errorf("the plan puts two objects at the %s", o.At)
			}
		}
	}
	if p.Backdrop == (Backdrop{}) {
		p.Backdrop = Backdrop{GrayTint, GrayTint}
	}
	if p.Light.Tone == AnyTone {
		p.Light.Tone = Soft
	}
	if p.Light.From == AnyDirection {
		p.Light.From = FromAbove
	}
	return p, nil
}

// withDefaults fills what a plan did not say of an object.
func withDefaults(k Kind) Kind {
	if k.Colour == AnyColour {
		k.Colour = Blue
	}
	if k.Texture == AnyTexture {
		k.Texture = Plain
	}
	if k.Size == AnySize {
		k.Size = Medium
	}
	return k
}

// places reads "sits at the upper left and the center": a few words, then
// places. It reads nothing if there is no place before the sentence ends or
// another object begins.
func (r *reader) places() []Cell {
	before := *r
	var cells []Cell
	for skipped := 0; skipped < 6; skipped++ {
		if c, ok := r.cell(); ok {
			cells = append(cells, c)
			break
		}
		if r.end() || slices.Contains([]string{".", ",", "a", "an", "and", "of"}, r.peek(0)) {
			break
		}
		r.at++
	}
	if len(cells) == 0 {
		*r = before
		return nil
	}
	for {
		last := *r
		r.take(",")
		r.take("and")
		c, ok := r.cell()
		if !ok {
			*r = last
			return cells
		}
		cells = append(cells, c)
	}
}

// cell reads "the upper far left".
func (r *reader) cell() (Cell, bool) {
	before := *r
	r.takeAny("at", "in", "to")
	r.take("the")
	if r.take("center") {
		return Cell{2, 2}, true
	}
	row := slices.Index(rowWords[:], r.peek(0))
	if row >= 0 {
		r.at++
		for col, name := range columnWords {
			if r.take(strings.Fields(name)...) {
				return Cell{col, row}, true
			}
		}
	}
	*r = before
	return Cell{}, false
}
