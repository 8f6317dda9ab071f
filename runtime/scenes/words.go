package scenes

import (
	"fmt"
	"strings"
)

// The first word of each entry is the one that is written; all are read.
var (
	shapeWords = [numShapes][]string{
		Circle: {"circle", "disc", "disk"}, Square: {"square"}, Triangle: {"triangle"}, Diamond: {"diamond", "rhombus"},
		Hexagon: {"hexagon"}, Star: {"star"}, Cross: {"cross"}, Heart: {"heart"},
	}
	colourWords = [numColours][]string{
		Red: {"red"}, Orange: {"orange"}, Yellow: {"yellow"}, Green: {"green"}, Teal: {"teal", "turquoise"}, Blue: {"blue"},
		Purple: {"purple", "violet"}, Pink: {"pink"}, Brown: {"brown"}, White: {"white"},
	}
	textureWords = [numTextures][]string{
		Plain: {"plain", "solid"}, Striped: {"striped"}, Dotted: {"dotted", "spotted"}, Checkered: {"checkered", "chequered", "checked"},
	}
	sizeWords = [numSizes][]string{
		Small: {"small", "little", "tiny"}, Medium: {"medium"}, Large: {"large", "big"}, Huge: {"huge", "giant", "enormous"},
	}
	tintWords = [numTints][]string{
		WhiteTint: {"white"}, GrayTint: {"gray", "grey"}, CreamTint: {"cream", "beige"}, YellowTint: {"yellow"}, PinkTint: {"pink"},
		GreenTint: {"green"}, BlueTint: {"blue"}, PurpleTint: {"purple", "lavender"}, BlackTint: {"black", "dark"},
	}
	toneWords = [numTones][]string{
		Soft: {"soft", "softly", "gentle"}, Warm: {"warm", "warmly", "golden"}, Cool: {"cool", "coolly", "cold"},
	}
	countWords  = [maxCount + 1][]string{1: {"one", "1", "single"}, 2: {"two", "2"}, 3: {"three", "3"}, 4: {"four", "4"}, 5: {"five", "5"}}
	columnWords = [gridSide]string{"far left", "left", "center", "right", "far right"}
	rowWords    = [gridSide]string{"top", "upper", "middle", "lower", "bottom"}
)

// lookup returns the index of the entry that holds the word, or 0.
func lookup(entries [][]string, word string) int {
	for i, words := range entries {
		for _, w := range words {
			if w == word {
				return i
			}
		}
	}
	return 0
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func (s Shape) String() string   { return first(shapeWords[s]) }
func (c Colour) String() string  { return first(colourWords[c]) }
func (t Texture) String() string { return first(textureWords[t]) }
func (s Size) String() string    { return first(sizeWords[s]) }
func (t Tint) String() string    { return first(tintWords[t]) }
func (t Tone) String() string    { return first(toneWords[t]) }

func (d Direction) String() string {
	return [numDirections]string{FromLeft: "from the left", FromRight: "from the right", FromAbove: "from above"}[d]
}

func (r Relation) String() string {
	return [numRelations]string{LeftOf: "left of", RightOf: "right of", Above: "above", Below: "below", Between: "between"}[r]
}

// String names the place: "center", "top far left", "middle right".
func (c Cell) String() string {
	if c.Col == 2 && c.Row == 2 {
		return "center"
	}
	return rowWords[c.Row] + " " + columnWords[c.Col]
}

// plural names several of the shape.
func (s Shape) plural() string {
	if s == Cross {
		return "crosses"
	}
	return s.String() + "s"
}

// named names one or several of the shape.
func (s Shape) named(count int) string {
	if count == 1 {
		return s.String()
	}
	return s.plural()
}

// words joins the non-empty ones of its arguments by spaces.
func words(list ...string) string {
	kept := list[:0:0]
	for _, w := range list {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// article puts "a" or "an" before the phrase.
func article(phrase string) string {
	if strings.ContainsAny(phrase[:1], "aeio") {
		return "an " + phrase
	}
	return "a " + phrase
}

// list joins phrases as English does: "x", "x and y", "x, y and z".
func list(phrases []string) string { return enumerate(phrases, "and") }

func enumerate(phrases []string, conjunction string) string {
	switch n := len(phrases); n {
	case 0:
		return ""
	case 1:
		return phrases[0]
	default:
		return strings.Join(phrases[:n-1], ", ") + " " + conjunction + " " + phrases[n-1]
	}
}

func (k Kind) phrase(count int) string {
	if k.Texture == Plain {
		return words(k.Size.String(), k.Texture.String(), k.Colour.String(), k.Shape.named(count))
	}
	return words(k.Size.String(), k.Colour.String(), k.Texture.String(), k.Shape.named(count))
}

// String names one object of the kind, without an article.
func (k Kind) String() string { return k.phrase(1) }

func counted(count int, phrase string) string {
	if count == 1 {
		return article(phrase)
	}
	return first(countWords[count]) + " " + phrase
}

// String names the group: "three large red striped circles".
func (g Group) String() string { return counted(g.Count, g.Kind.phrase(g.Count)) }

// String names the background without an article: "blue to pink gradient".
func (b Backdrop) String() string {
	if b.Top == b.Bottom {
		return b.Top.String()
	}
	return fmt.Sprintf("%s to %s gradient", b.Top, b.Bottom)
}

// String says how the light falls: "in warm light from the left".
func (l Light) String() string {
	switch {
	case l.Tone != AnyTone:
		return words("in", l.Tone.String(), "light", l.From.String())
	case l.From != AnyDirection:
		return words("lit", l.From.String())
	}
	return ""
}

func groupList(groups []Group) string {
	var phrases []string
	for _, g := range groups {
		phrases = append(phrases, g.String())
	}
	return list(phrases)
}

// String is the canonical caption: [Parse] of it gives the scene back.
func (s Scene) String() string {
	caption := groupList(s.First)
	if s.Relation != NoRelation {
		caption = words(caption, s.Relation.String(), groupList(s.Second))
	}
	if s.Backdrop.Top != AnyTint {
		caption = words(caption, "on", article(s.Backdrop.String()), "background")
	}
	return words(caption, s.Light.String())
}
