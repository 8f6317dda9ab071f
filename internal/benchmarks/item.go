// Package benchmarks finds prompts that are those of an evaluation benchmark,
// which must not be trained on: GenEval, WISE, TIIF-Bench, GenAI-Bench,
// OneIG-Bench, or any other whose list of prompts the user has.
//
// The lists are the user's files; none comes with the package. The prompts of
// GenEval follow a grammar that is built in, so they are found without a list.
package benchmarks

import (
	"fmt"
	"unicode/utf8"
)

// Item is a prompt of a benchmark.
type Item struct {
	// Benchmark is the name that the configuration gives the benchmark.
	Benchmark string
	// Text is the prompt as the benchmark has it.
	Text string
	// Place is the file and line of the prompt, "merge.json:3", without the
	// folder, which is another one on another machine; or the template that it
	// follows.
	Place string
}

// Kind says in what a prompt resembles the item of a benchmark.
type Kind int

const (
	// Exact: they are the same text.
	Exact Kind = iota
	// Normalised: they are the same words but for case, punctuation, spaces,
	// articles, compatibility forms (NFKC) and number words.
	Normalised
	// Template: the prompt is a sentence of the benchmark's grammar.
	Template
	// Contained: enough of the item's runs of words are in the prompt.
	Contained
)

func (k Kind) String() string {
	return [...]string{"exact", "normalised", "template", "contained"}[k]
}

// reason is the sentence of a reject.
func reason(item Item, kind Kind, score float64) string {
	text := clip(item.Text)
	switch kind {
	case Exact:
		return fmt.Sprintf("the prompt is one of benchmark %s, %s: %q", item.Benchmark, item.Place, text)
	case Normalised:
		return fmt.Sprintf("the prompt says what one of benchmark %s says, %s: %q", item.Benchmark, item.Place, text)
	case Template:
		return fmt.Sprintf("the prompt follows a template of benchmark %s, %q: %q", item.Benchmark, item.Place, text)
	default:
		return fmt.Sprintf("the prompt holds %.0f%% of one of benchmark %s, %s: %q", 100*score, item.Benchmark, item.Place, text)
	}
}

// clip keeps the reason of a reject to a readable length.
func clip(text string) string {
	const most = 160 // bytes
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
