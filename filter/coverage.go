package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/abadojack/whatlanggo"

	"github.com/irgdata/irgdata"
)

// enoughTerms are needed to say that a prompt was lost: one or two words can
// all be said in other ones.
const enoughTerms = 4

// Coverage rejects plans, and final prompts of reflections, that hold less than
// the share least of what the prompt names: objects, counts, colours, relations.
// Words count in any inflection, numbers in digits and in words, and a few
// common synonyms as one; see [terms]. A prompt with less than four such terms,
// or of another script than the text, counts as covered.
func Coverage(least float64) Rule {
	return Rule{
		Name: "coverage", Version: "1", Slots: thinkingSlots, Unit: "covered", Threshold: least,
		Measure: againstPrompt(func(_ irgdata.Slot, text, prompt string) float64 { return covered(finalPrompt(text), prompt) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("the %s text speaks of %.0f%% of what the prompt names, want at least %.0f%%", slot, 100*value, 100*least)
		},
	}
}

func covered(text, prompt string) float64 {
	wanted := terms(prompt)
	if len(wanted) < enoughTerms || whatlanggo.DetectScript(prompt) != whatlanggo.DetectScript(text) {
		return 1
	}
	there, roots := terms(text), map[string]bool{}
	for term := range there {
		roots[root(term)] = true
	}
	n := 0
	for term := range wanted {
		if there[term] || roots[root(term)] {
			n++
		}
	}
	return float64(n) / float64(len(wanted))
}

// root is what words of one family share: "photographer", "photography".
func root(term string) string {
	const length = 5
	end := 0
	for range length {
		_, size := utf8.DecodeRuneInString(term[end:])
		end += size
	}
	return term[:end]
}

// terms returns the words of a text that say what is to be seen, each in the
// form that it shares with its inflections and synonyms.
func terms(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range words(text) {
		if empty[w] {
			continue
		}
		term := stem(w)
		if same, ok := synonyms[w]; ok {
			term = same
		} else if same, ok := synonyms[term]; ok {
			term = same
		}
		out[term] = true
	}
	return out
}

// stem takes the commonest English endings away: "berries" and "berry",
// "running" and "run", "striped" and "stripes" become one. It is not a word
// any more, and short words keep their form.
func stem(word string) string {
	word = strings.TrimSuffix(word, "'s")
	if strings.HasSuffix(word, "ies") && len(word) > 4 {
		word = word[:len(word)-3] + "y"
	}
	for _, ending := range []string{"ingly", "edly", "ing", "ed", "es", "ly", "s"} {
		rest, found := strings.CutSuffix(word, ending)
		if !found || ending == "s" && strings.HasSuffix(rest, "s") {
			continue
		}
		if len(rest) >= 3 && strings.ContainsAny(rest, "aeiouy") {
			word = rest
			break
		}
	}
	if len(word) > 3 {
		word = strings.TrimSuffix(word, "e")
	}
	if n := len(word); n > 3 && word[n-1] == word[n-2] && word[n-1] < utf8.RuneSelf {
		word = word[:n-1]
	}
	if rest, found := strings.CutSuffix(word, "y"); found && len(rest) > 2 {
		word = rest + "i"
	}
	return word
}

// empty words name nothing that a picture could lack.
var empty = set(`a an the of and or nor but with without for from to into onto in on at by as than that this these those
	which who whose whom while whereas because although if then so is are was were be been being am do does did has have had
	having should must will would shall could can may might it its they them their he him his she her i me my we us our you
	your one single some any each every all both very more most much many such not no only just also too there here where
	when how what up out off about make made show showing shown appear look looking like set place placed stand standing
	sit sitting image picture photo photograph scene depict depicting illustration rendering view s t g`)

// synonyms maps words to one of those that say the same. Numbers are in it as
// digits, and so are irregular plurals.
var synonyms = same(
	"2 two pair couple twin both", "3 three trio triple", "4 four", "5 five", "6 six", "7 seven", "8 eight", "9 nine", "10 ten",
	"11 eleven", "12 twelve dozen", "13 thirteen", "14 fourteen", "15 fifteen", "16 sixteen", "17 seventeen", "18 eighteen",
	"19 nineteen", "20 twenty", "30 thirty", "40 forty", "50 fifty", "100 hundred", "1000 thousand",
	"gray grey", "red crimson scarlet", "teal turquoise cyan", "purple violet lavender", "gold golden", "cream beige", "brown tan",
	"black dark", "white ivory", "pink magenta", "multicolored multicoloured colorful colourful rainbow", "color colour",
	"above over atop top", "below under beneath underneath", "beside next adjacent alongside near nearby", "inside within",
	"front foreground", "background backdrop behind",
	"small little tiny miniature", "large big huge giant enormous massive", "tall high", "old elderly aged ancient", "young youthful",
	"circle disc disk round circular", "square cube box", "ball sphere orb",
	"man men guy gentleman male", "woman women lady female", "person people human figure", "child children kid boy girl",
	"baby infant toddler", "cat kitten kitty feline", "dog puppy canine", "mouse mice", "wolf wolves", "horse pony", "goose geese",
	"sheep lamb", "fish fishes", "bird birds", "leaf leaves foliage", "knife knives", "foot feet", "tooth teeth", "shelf shelves",
	"sofa couch", "car automobile vehicle", "bicycle bike", "motorcycle motorbike", "airplane plane aircraft", "ship boat vessel",
	"house home cottage cabin", "street road", "forest woods woodland", "sea ocean", "mountain peak hill", "rock stone boulder",
	"sunset dusk", "sunrise dawn", "night nighttime", "light lit lighting illuminated", "wood wooden timber", "glass crystal",
	"happy joyful cheerful smiling smile", "sad unhappy melancholy", "cup mug", "plate dish", "hat cap", "text letters lettering words inscription sign",
	"photorealistic realistic photo-realistic", "anime manga", "robot android", "snow snowy", "rain rainy", "cloud cloudy",
)

// same maps each word of a group, and its stem, to the group's first.
func same(groups ...string) map[string]string {
	m := map[string]string{}
	for _, group := range groups {
		list := strings.Fields(group)
		for _, w := range list {
			m[w], m[stem(w)] = list[0], list[0]
		}
	}
	return m
}
