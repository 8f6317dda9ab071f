package benchmarks

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultContainment is the part of an item's runs of words that makes a prompt
// contain it.
const DefaultContainment = 0.8

// Options say what is looked for.
type Options struct {
	// Containment is the least part of an item's runs of words that a prompt
	// must hold to be rejected, above 0 up to 1; 0 means [DefaultContainment].
	Containment float64
	// GenEval looks for sentences of GenEval's grammar.
	GenEval bool
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	if !(o.Containment >= 0 && o.Containment <= 1) {
		return fmt.Errorf("containment is %v: want a part above 0 up to 1, or 0 for %v", o.Containment, DefaultContainment)
	}
	return nil
}

// Matcher finds items in prompts. Any number of goroutines may use it.
type Matcher struct {
	o     Options
	items []Item
	same  map[string]int // joined words to the first item that has them
	index *index
	texts map[string]int // the first item of a text
	gram  *grammar       // nil: not looked for
}

// NewMatcher returns a matcher of the items. It holds them, and about 50 bytes
// for each of their words.
func NewMatcher(items []Item, o Options) (*Matcher, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	if len(items) == 0 && !o.GenEval {
		return nil, errors.New("benchmarks: there is nothing to look for: want a list of prompts, or GenEval's grammar")
	}
	if o.Containment == 0 {
		o.Containment = DefaultContainment
	}
	m := &Matcher{o: o, items: items, same: map[string]int{}, texts: map[string]int{}}
	compared := make([][]string, len(items))
	for i, item := range items {
		text := strings.TrimSpace(item.Text)
		if _, before := m.texts[text]; !before {
			m.texts[text] = i
		}
		joined := strings.Join(words(text), " ")
		if _, before := m.same[joined]; before || joined == "" {
			continue // the first one speaks for all
		}
		m.same[joined] = i
		compared[i] = strings.Fields(joined)
	}
	m.index = newIndex(compared)
	if o.GenEval {
		m.gram = newGrammar()
	}
	return m, nil
}

// Match returns the item that a prompt is, says or contains. The score is the
// part of the item that is in the prompt: below 1 only for [Contained].
func (m *Matcher) Match(prompt string) (item Item, kind Kind, score float64, ok bool) {
	if i, ok := m.texts[strings.TrimSpace(prompt)]; ok {
		return m.items[i], Exact, 1, true
	}
	w := words(prompt)
	if i, ok := m.same[strings.Join(w, " ")]; ok {
		return m.items[i], Normalised, 1, true
	}
	if m.gram != nil {
		if item, ok := m.gram.parse(w); ok {
			return item, Template, 1, true
		}
	}
	if i, part := m.index.best(w); part >= m.o.Containment {
		return m.items[i], Contained, part, true
	}
	return Item{}, 0, 0, false
}

// Contaminated reports whether a prompt must not be trained on. The reason is a
// sentence that names the item.
func (m *Matcher) Contaminated(prompt string) (why string, score float64, bad bool) {
	item, kind, score, ok := m.Match(prompt)
	if !ok {
		return "", 0, false
	}
	return reason(item, kind, score), score, true
}
