package scenes

import "slices"

// randomScene throws a scene that can be drawn.
func randomScene(d *dice) Scene {
	for {
		s := throwScene(d)
		if s.validate() != nil {
			continue
		}
		if _, err := decide(s); err == nil {
			return s
		}
	}
}

func throwScene(d *dice) Scene {
	kindIn := func(used []Group) Group {
		for {
			g := Group{Count: pick(d, 1, 1, 1, 2, 2, 3, 4, 5), Kind: Kind{
				Shape:   Shape(1 + d.intn(int(numShapes)-1)),
				Colour:  Colour(1 + d.intn(int(numColours)-1)),
				Texture: pick(d, AnyTexture, AnyTexture, AnyTexture, Striped, Dotted, Checkered, Striped, Dotted, Checkered, Plain),
				Size:    pick(d, AnySize, AnySize, AnySize, AnySize, Small, Medium, Large),
			}}
			if !slices.ContainsFunc(used, func(u Group) bool { return u.Shape == g.Shape || u.Colour == g.Colour }) {
				return g
			}
		}
	}
	var groups []Group
	total := 0
	for range pick(d, 1, 2, 2, 2, 2, 3) {
		g := kindIn(groups)
		if total+g.Count > 8 {
			g.Count = 1
		}
		total += g.Count
		groups = append(groups, g)
	}
	s := Scene{First: groups}
	switch {
	case len(groups) == 3 && d.chance(.4):
		s.First, s.Relation, s.Second = groups[:1], Between, groups[1:]
	case len(groups) == 2 && groups[1].Count == 2 && d.chance(.3):
		s.First, s.Relation, s.Second = groups[:1], Between, groups[1:]
	case len(groups) >= 2 && d.chance(.8):
		cut := 1 + d.intn(len(groups)-1)
		s.First, s.Relation, s.Second = groups[:cut], pick(d, LeftOf, RightOf, Above, Below), groups[cut:]
	}
	if d.chance(.75) {
		t := Tint(1 + d.intn(int(numTints)-1))
		s.Backdrop = Backdrop{t, t}
		if d.chance(.3) {
			s.Backdrop.Bottom = Tint(1 + d.intn(int(numTints)-1))
		}
	}
	if d.chance(.6) {
		s.Light.Tone = Tone(1 + d.intn(int(numTones)-1))
		if d.chance(.6) {
			s.Light.From = Direction(1 + d.intn(int(numDirections)-1))
		}
	} else if d.chance(.3) {
		s.Light.From = Direction(1 + d.intn(int(numDirections)-1))
	}
	return s
}

// phrase says the scene in one of many ways; [Parse] reads each of them.
func (s Scene) phrase(d *dice) string {
	caption := s.phraseGroups(d, s.First)
	if s.Relation != NoRelation {
		verb := pick(d, "", "", "", "placed", "floating")
		relation := map[Relation][]string{
			LeftOf:  {"left of", "to the left of"},
			RightOf: {"right of", "to the right of", "on the right of"},
			Above:   {"above", "over"},
			Below:   {"below", "beneath", "under"},
			Between: {"between", "between", "in between"},
		}[s.Relation]
		caption = words(caption, verb, pick(d, relation...), s.phraseGroups(d, s.Second))
	}
	light := s.Light
	if s.Backdrop.Top != AnyTint {
		background := words(s.Backdrop.String(), pick(d, "background", "background", "backdrop"))
		if light.Tone != AnyTone && light.From == AnyDirection && d.chance(.5) {
			tone := map[Tone]string{Soft: "softly", Warm: "warm", Cool: "cool"}[light.Tone]
			background, light = tone+"-lit "+background, Light{}
		}
		caption = words(caption, pick(d, "on", "on", "against"), article(background))
	}
	if phrase := light.phrase(d); phrase != "" {
		caption += pick(d, " ", ", ") + phrase
	}
	switch d.intn(7) {
	case 0:
		return pick(d, "an illustration of ", "a picture of ", "a drawing of ") + caption
	case 1:
		return caption + "."
	}
	return caption
}

func (s Scene) phraseGroups(d *dice, groups []Group) string {
	var phrases []string
	for _, g := range groups {
		phrases = append(phrases, g.wording(d))
	}
	return list(phrases)
}

func (g Group) wording(d *dice) string {
	size, colour, texture, shape := g.Size.String(), g.Colour.String(), g.Texture.String(), g.Shape.named(g.Count)
	var phrase string
	after := map[Texture]string{Striped: "with stripes", Dotted: "with dots", Checkered: "with checks"}[g.Texture]
	switch {
	case after != "" && d.chance(.15):
		phrase = words(size, colour, shape, after)
	case g.Texture == Plain || d.chance(.25):
		phrase = words(size, texture, colour, shape)
	default:
		phrase = words(size, colour, texture, shape)
	}
	if g.Count == 2 && d.chance(.15) {
		return "a pair of " + phrase
	}
	return counted(g.Count, phrase)
}

func (l Light) phrase(d *dice) string {
	if l.Tone != AnyTone && d.chance(.3) {
		adverb := map[Tone]string{Soft: "softly", Warm: "warmly", Cool: "coolly"}[l.Tone]
		return words(adverb, "lit", l.From.String())
	}
	return l.String()
}
