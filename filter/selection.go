package filter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// Selection says how much of what passes the rules is wanted, and what of it is
// preferred.
type Selection struct {
	// Modes bound the rows of modes, by their names.
	Modes map[string]int `yaml:"modes"`
	// Sources bound the trajectories of sources, by their names.
	Sources map[string]int `yaml:"sources"`
	Balance Balance        `yaml:"balance"`
	Prefer  Preference     `yaml:"prefer"`
}

// Balance bounds the trajectories of each category.
type Balance struct {
	By  string `yaml:"by,omitempty"`
	Max int    `yaml:"max,omitempty"`
	// Tags are the categories by [ByTags]: words, one of which the prompt holds.
	Tags map[string][]string `yaml:"tags,omitempty"`
}

// What a category can be: a field of the pair, or the tags whose words stand in
// its prompt, joined by "+" where they are several.
const (
	BySource   = "source"
	ByLanguage = "language"
	ByLicense  = "license"
	ByTags     = "tags"
)

// Preference orders what passes: the first are selected.
//   - "hash", or nothing: by the pairs' identities, an even sample.
//   - "spread": one of each cluster of near prompts, then the second ones, ….
//   - "most S" and "least S": by a score, such as "most thinking.covered"; what
//     has no such score comes last.
type Preference string

// The preferences without a score.
const (
	PreferHash   Preference = "hash"
	PreferSpread Preference = "spread"
)

// score is the name of the score that is preferred, and whether the most of it.
func (p Preference) score() (name string, most bool) {
	if name, ok := strings.CutPrefix(string(p), "most "); ok {
		return strings.TrimSpace(name), true
	}
	name, _ = strings.CutPrefix(string(p), "least ")
	return strings.TrimSpace(name), false
}

// Wanted reports whether anything is bounded.
func (s Selection) Wanted() bool { return len(s.Modes)+len(s.Sources) > 0 || s.Balance.By != "" }

// Settings are those that decide what is selected, by the keys of the
// configuration.
func (s Selection) Settings() map[string]string {
	out := map[string]string{}
	for name, most := range s.Modes {
		out["modes."+name] = strconv.Itoa(most)
	}
	for name, most := range s.Sources {
		out["sources."+name] = strconv.Itoa(most)
	}
	if b := s.Balance; b.By != "" {
		out["balance.by"], out["balance.max"] = b.By, strconv.Itoa(b.Max)
		for tag, words := range b.Tags {
			out["balance.tags."+tag] = strings.Join(words, ", ")
		}
	}
	if len(out) > 0 || s.Prefer != "" && s.Prefer != PreferHash {
		out["prefer"] = string(cmp.Or(s.Prefer, PreferHash))
	}
	return out
}

// check reports the key of the first mistake, and the mistake.
func (s Selection) check() (key string, err error) {
	for _, name := range slices.Sorted(maps.Keys(s.Modes)) {
		if !slices.Contains(modes.Names(), name) {
			return "modes." + name, fmt.Errorf("mode %q is unknown: want one of %s", name, strings.Join(modes.Names(), ", "))
		}
	}
	for key, bounds := range map[string]map[string]int{"modes.": s.Modes, "sources.": s.Sources} {
		for _, name := range slices.Sorted(maps.Keys(bounds)) {
			if bounds[name] < 1 {
				return key + name, fmt.Errorf("is %d: want the most that are kept, at least 1", bounds[name])
			}
		}
	}
	b := s.Balance
	by := []string{BySource, ByLanguage, ByLicense, ByTags}
	switch {
	case b.By == "" && (b.Max != 0 || len(b.Tags) > 0):
		return "balance.by", fmt.Errorf("is missing: want one of %s", strings.Join(by, ", "))
	case b.By == "":
	case !slices.Contains(by, b.By):
		return "balance.by", fmt.Errorf("is %q: want one of %s", b.By, strings.Join(by, ", "))
	case b.Max < 1:
		return "balance.max", fmt.Errorf("is %d: want the most trajectories of a category, at least 1", b.Max)
	case (b.By == ByTags) != (len(b.Tags) > 0):
		return "balance.tags", fmt.Errorf("want words by tag, such as {animals: [dog, cat]}, with `by: tags` and only then")
	}
	switch name, _ := s.Prefer.score(); {
	case s.Prefer == "" || s.Prefer == PreferHash || s.Prefer == PreferSpread:
	case name == string(s.Prefer) || !strings.Contains(name, "."):
		return "prefer", fmt.Errorf("is %q: want %q, %q, or \"most\" or \"least\" and a score, such as \"most thinking.covered\"", s.Prefer, PreferHash, PreferSpread)
	}
	return "", nil
}

// CheckScore says that the preferred score is none of the rules', or nil.
func (s Selection) CheckScore(wanted []modes.Mode, rules []Rule) error {
	name, _ := s.Prefer.score()
	if s.Prefer == "" || s.Prefer == PreferHash || s.Prefer == PreferSpread {
		return nil
	}
	var names []string
	for _, c := range NewPanel(wanted, rules).checks {
		names = append(names, c.name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("no rule measures %q: want one of %s", name, strings.Join(names, ", "))
}

// classifier finds the category of a pair.
type classifier struct {
	by   string
	tags []string
	of   map[string][]string // word: tags
}

func newClassifier(b Balance) classifier {
	c := classifier{by: b.By, tags: slices.Sorted(maps.Keys(b.Tags)), of: map[string][]string{}}
	for _, tag := range c.tags {
		for _, entry := range b.Tags[tag] {
			for _, w := range words(entry) {
				c.of[w] = append(c.of[w], tag)
			}
		}
	}
	return c
}

func (c classifier) category(p irgdata.Pair) string {
	switch c.by {
	case BySource:
		return p.Source
	case ByLanguage:
		return p.Language
	case ByLicense:
		return p.License
	case ByTags:
		found := map[string]bool{}
		for _, w := range words(p.Prompt) {
			for _, tag := range c.of[w] {
				found[tag] = true
			}
		}
		if len(found) == 0 {
			return "no tag"
		}
		return strings.Join(slices.Sorted(maps.Keys(found)), "+")
	}
	return ""
}
