package filter

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/modes"
)

// Kind is a rule as a configuration names it.
type Kind struct {
	Name string
	// Doc says in a few words what the rule objects to.
	Doc        string
	Parameters []Parameter
	// Optional rules judge only where they are listed, and those with a Topic
	// only where the judge is asked about it.
	Optional bool
	Topic    string
	// New makes the rule. All of the kind's parameters are in p.
	New func(p Values, e Environment) (Rule, error)
}

// Parameter is what a configuration can set of a rule: a number, or a list of
// texts.
type Parameter struct {
	Name, Doc   string
	Default     float64
	Least, Most float64 // Most is unlimited for none
	Whole       bool
	Texts       bool // a list of texts, with no default
}

// Range says which numbers the parameter takes.
func (p Parameter) Range() string {
	if p.Most == unlimited {
		return fmt.Sprintf("at least %v", p.Least)
	}
	return fmt.Sprintf("%v to %v", p.Least, p.Most)
}

// unlimited is the Most of a parameter without one.
const unlimited = math.MaxFloat64

// Values are the parameters of a rule.
type Values struct {
	numbers map[string]float64
	texts   map[string][]string
}

// Number returns the value of a parameter that is a number.
func (v Values) Number(name string) float64 { return v.numbers[name] }

// Texts returns the value of a parameter that is a list.
func (v Values) Texts(name string) []string { return v.texts[name] }

// Environment is what rules need besides their parameters.
type Environment struct {
	// Count counts the tokens of a text and is safe for concurrent use; nil: there
	// is no tokenizer, and words are counted. Tokenizer identifies it.
	Count     func(text string) int
	Tokenizer string
	// Prompts are the templates of the training rows.
	Prompts modes.Prompts
	// Topics are those that the judge is asked about.
	Topics []string
	// Read reads a file that a parameter names.
	Read func(path string) (string, error)
}

// limit is a parameter that is a number.
func limit(name string, value, least, most float64, doc string) Parameter {
	return Parameter{Name: name, Doc: doc, Default: value, Least: least, Most: most}
}

// count is a parameter that is a whole number.
func count(name string, value, least float64, doc string) Parameter {
	return Parameter{Name: name, Doc: doc, Default: value, Least: least, Most: unlimited, Whole: true}
}

// bare makes the rule of a kind without parameters, and bounded that of one
// whose only parameter is a number.
func bare(name, doc string, make func() Rule) Kind {
	return Kind{Name: name, Doc: doc, New: func(Values, Environment) (Rule, error) { return stored(make()), nil }}
}

func bounded(name, doc string, p Parameter, make func(float64) Rule) Kind {
	return Kind{Name: name, Doc: doc, Parameters: []Parameter{p}, New: func(v Values, _ Environment) (Rule, error) {
		return stored(make(v.Number(p.Name))), nil
	}}
}

// stored marks a rule whose number is a function of the slots' contents.
func stored(r Rule) Rule {
	r.Stored = true
	return r
}

// wholly adapts a rule of a whole number.
func wholly(make func(int) Rule) func(float64) Rule {
	return func(x float64) Rule { return make(int(x)) }
}

// Kinds lists all rules in the order in which they judge: of several objections
// to a slot, the first one's names the reject.
func Kinds() []Kind {
	return slices.Concat(contentKinds(), judgeKinds(), rowKinds())
}

// contentKinds are the kinds of rules on the contents of slots.
func contentKinds() []Kind {
	return []Kind{
		bare("decode", "images that do not decode to their end", Decode),
		bounded("size", "small images", count("min", 64, 1, "pixels of the shorter side"), wholly(Size)),
		bounded("aspect", "long images", limit("max", 4, 1, unlimited, "longer side to shorter one"), Aspect),
		bounded("enlargement", "images that the trainer enlarges much", limit("max", 8, 1, unlimited, "what it multiplies the sides by"), Enlargement),
		bounded("blank", "images of one colour, or nearly so", limit("min", 2, 0, 128, "deviation from the mean colour, of 255"), Blank),
		bounded("blur", "blurred images", limit("max", 8, 1, unlimited, "pixels of the sharpest edges"), Blur),
		bounded("blocking", "images with the squares of a coarse JPEG", limit("max", 0.2, 0, 1, "part of the squares' sides that show"), Blocking),
		bounded("cast", "images that lean to one colour", limit("max", 0.75, 0, 1, "how far one primary colour stays below another"), Cast),
		bounded("borders", "images in black, white or grey bands", limit("max", 0.15, 0, 1, "part of the area"), Borders),
		bare("special_tokens", "texts with control tokens of the tokenizer", SpecialTokens),
		bounded("personal", "prompts with e-mail addresses, phone and card numbers", count("max", 0, 0, "of them in a prompt"), wholly(Personal)),
		{
			Name: "prompt_language", Doc: "prompts in other languages than yours", Optional: true,
			Parameters: []Parameter{{Name: "languages", Doc: "codes of ISO 639-1", Texts: true}},
			New: func(v Values, _ Environment) (Rule, error) {
				if len(v.Texts("languages")) == 0 {
					return Rule{}, fmt.Errorf("names no languages: want `languages: [en]`")
				}
				return PromptLanguage(v.Texts("languages"))
			},
		},
		{
			Name: "length", Doc: "long texts", Parameters: []Parameter{count("max", 4096, 1, "tokens by the base model's tokenizer, else words")},
			New: func(v Values, e Environment) (Rule, error) {
				r := stored(Length(int(v.Number("max")), e.Count))
				if e.Count != nil {
					r.Version += "-" + e.Tokenizer
				}
				return r, nil
			},
		},
		bounded("thinking", "thinking that is not one <think>…</think>, or has few words", count("min", 8, 1, "words"), wholly(Thinking)),
		bounded("truncation", "texts that were cut off", limit("max", 0.5, 0, 1, "how sure it is: 0 whole, 1 cut off"), Truncation),
		bounded("repetition", "texts that loop", limit("max", 0.3, 0, 1, "part of the text that was there before"), Repetition),
		bounded("compression", "texts that say little in many words", limit("max", 5, 1, unlimited, "times smaller when compressed"), Compression),
		bare("refusal", "texts in which a model refuses", Refusal),
		bare("chatter", "texts in which an assistant speaks to its user", Chatter),
		bounded("language", "texts in another language than the prompt", limit("max", 0.25, 0, 1, "part of the text"), Language),
		bounded("coverage", "plans that lose the prompt", limit("min", 0.2, 0, 1, "part of what the prompt names"), Coverage),
		bare("reflection_form", "reflections without the template's sections", ReflectionForm),
		bare("leakage", "texts that speak of a picture that nobody has yet", Leakage),
		bounded("unchanged", "improved images like the draft", limit("min", 5.5, 0, 255, "difference, of 255"), Unchanged),
		bounded("smoothed", "improved images without the draft's fine detail", limit("min", 0.03, 0, unlimited, "part of the detail that is kept"), Smoothed),
		bounded("layout", "improved images without the draft's layout, under strategy self", limit("min", 0.1, -1, 1, "likeness"), Layout),
		{
			Name: "word_list", Doc: "texts with words of your lists", Optional: true,
			Parameters: []Parameter{{Name: "files", Doc: "with the words, one a line", Texts: true}, count("max", 0, 0, "places where one stands")},
			New: func(v Values, e Environment) (Rule, error) {
				var lists [][]string
				for _, path := range v.Texts("files") {
					text, err := e.Read(path)
					if err != nil {
						return Rule{}, err
					}
					lists = append(lists, strings.Split(text, "\n"))
				}
				if len(lists) == 0 {
					return Rule{}, fmt.Errorf("names no files: want `files: [words.txt]`")
				}
				return stored(WordList(int(v.Number("max")), lists...)), nil
			},
		},
	}
}

// rowKinds are the kinds of rules on whole rows and on the whole dataset.
func rowKinds() []Kind {
	return []Kind{
		{
			Name: "row_tokens", Doc: "rows that the trainer skips for their length", Parameters: []Parameter{count("max", trainerTokens, 1, "tokens of a mode's texts and images")},
			New: func(v Values, e Environment) (Rule, error) { return stored(RowTokens(int(v.Number("max")), e)), nil },
		},
		{
			Name: "templates", Doc: "thinking that begins or ends like much of the dataset; of those, the best up to that part stay", Optional: true,
			Parameters: []Parameter{limit("max", 0.05, 0, 1, "part of the trajectories that share five words at an end")},
			New:        func(v Values, _ Environment) (Rule, error) { return Templates(v.Number("max")), nil },
		},
	}
}
