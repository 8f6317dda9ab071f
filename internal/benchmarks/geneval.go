package benchmarks

import (
	"slices"
	"strings"
)

// GenEval is the name of the benchmark whose grammar is built in.
const GenEval = "geneval"

// The templates of GenEval's prompts, from the generator
// prompts/create_prompts.py of github.com/djghosh13/geneval (MIT License,
// Copyright 2023 Dhruba Ghosh): what it makes, and what anyone else makes by
// running it with another seed. A sentence has different objects, different
// colours, and no coloured person, as there.
const (
	singleObject     = "a photo of a <object>"
	twoObjects       = "a photo of a <object> and a <object>"
	counting         = "a photo of <count> <object>s"
	colours          = "a photo of a <colour> <object>"
	position         = "a photo of a <object> <relation> a <object>"
	colourAttributes = "a photo of a <colour> <object> and a <colour> <object>"
)

// objectNames are those of GenEval's prompts/object_names.txt: the 80 classes of
// COCO, of which mouse, remote and keyboard say more.
const objectNames = `person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,
parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,
frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,
wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,
couch,potted plant,bed,dining table,toilet,tv,laptop,computer mouse,tv remote,computer keyboard,cell phone,microwave,
oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush`

// otherNames are plurals that no rule forms, and COCO's names of the objects
// that GenEval names otherwise.
var otherNames = map[string]string{
	"people": "person", "knives": "knife", "mouse": "computer mouse", "mice": "computer mouse",
	"computer mice": "computer mouse", "remote": "tv remote", "remotes": "tv remote",
	"keyboard": "computer keyboard", "keyboards": "computer keyboard",
}

const colourNames = "red,orange,yellow,green,blue,purple,pink,brown,black,white"

// countNames are what the generator draws from, by the digits that stand for
// them in compared words.
var countNames = map[string]string{"2": "two", "3": "three", "4": "four"}

// relationNames are the relations and what people write for them.
var relationNames = map[string]string{
	"left of": "left of", "to left of": "left of", "on left of": "left of",
	"right of": "right of", "to right of": "right of", "on right of": "right of",
	"above": "above", "below": "below",
}

// pictures are words that may stand for the "photo" of a sentence.
var pictures = set("photo photograph picture image")

// grammar knows the sentences of GenEval.
type grammar struct {
	objects   map[string]string // a name, or a plural of it, to the name
	colours   []string
	relations map[string]string
}

// longestSentence is the number of compared words of the longest sentence:
// "photo of computer keyboard to left of baseball glove".
const longestSentence = 9

func newGrammar() *grammar {
	g := &grammar{objects: map[string]string{}, colours: strings.Split(colourNames, ","), relations: relationNames}
	for name := range strings.SplitSeq(strings.ReplaceAll(objectNames, "\n", ""), ",") {
		for _, ending := range []string{"", "s", "es"} { // the generator says "benchs", people "benches"
			g.objects[name+ending] = name
		}
	}
	for other, name := range otherNames {
		g.objects[other] = name
	}
	return g
}

// parse returns the item that the compared words of a prompt are, all of them;
// "photo of" may be left out, and a plural stand for one object.
func (g *grammar) parse(words []string) (Item, bool) {
	if len(words) > longestSentence {
		return Item{}, false
	}
	if len(words) > 2 && pictures[words[0]] && words[1] == "of" {
		words = words[2:]
	}
	if at := slices.Index(words, "and"); at >= 0 {
		return g.two(words[:at], words[at+1:])
	}
	for at := range words {
		for n := 1; n <= 3 && at+n < len(words); n++ {
			if relation, ok := g.relations[strings.Join(words[at:at+n], " ")]; ok {
				a, b := g.object(words[:at]), g.object(words[at+n:])
				return sentence(position, article(a)+" "+relation+" "+article(b), a != "" && b != "" && a != b)
			}
		}
	}
	if name := g.object(words); name != "" {
		return sentence(singleObject, article(name), true)
	}
	if len(words) == 0 {
		return Item{}, false
	}
	if count := countNames[words[0]]; count != "" {
		name := g.object(words[1:])
		return sentence(counting, count+" "+plural(name), name != "")
	}
	colour, name := g.coloured(words)
	return sentence(colours, article(colour)+" "+name, name != "")
}

// two parses the sentences of two objects, both coloured or none.
func (g *grammar) two(left, right []string) (Item, bool) {
	if a, b := g.object(left), g.object(right); a != "" && b != "" {
		return sentence(twoObjects, article(a)+" and "+article(b), a != b)
	}
	colourA, a := g.coloured(left)
	colourB, b := g.coloured(right)
	return sentence(colourAttributes, article(colourA)+" "+a+" and "+article(colourB)+" "+b, a != "" && b != "" && a != b && colourA != colourB)
}

// sentence is the item of a template, if the words follow it.
func sentence(template, phrase string, ok bool) (Item, bool) {
	if !ok {
		return Item{}, false
	}
	return Item{Benchmark: GenEval, Text: "a photo of " + phrase, Place: template}, true
}

// object returns the name of the object that the words are, or "".
func (g *grammar) object(words []string) string {
	if len(words) > 2 {
		return ""
	}
	return g.objects[strings.Join(words, " ")]
}

// coloured returns the colour and the name of the coloured object that the
// words are, or "" for both.
func (g *grammar) coloured(words []string) (colour, name string) {
	if len(words) < 2 || !slices.Contains(g.colours, words[0]) {
		return "", ""
	}
	name = g.object(words[1:])
	if name == "" || name == "person" {
		return "", ""
	}
	return words[0], name
}

// article is the name with its article, and plural its plural, both as the
// generator writes them.
func article(name string) string {
	if name != "" && strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

func plural(name string) string {
	if strings.HasSuffix(name, "s") {
		return name + "es"
	}
	return name + "s"
}
