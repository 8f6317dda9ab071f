package modes

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
)

//go:embed prompts/*.txt
var promptFiles embed.FS

// The templates of the embedded set, by name.
const (
	PromptSystem            = "system"
	PromptHindsight         = "hindsight"
	PromptReflection        = "reflection"
	PromptInitialQuestion   = "initial_question"
	PromptImprovingQuestion = "improving_question"

	PromptJudgeAlignment    = "judge_alignment"
	PromptJudgePreference   = "judge_preference"
	PromptJudgePreservation = "judge_preservation"
	PromptJudgeClaims       = "judge_claims"
	PromptJudgeDefect       = "judge_defect"
	PromptJudgeInvention    = "judge_invention"
)

// What stands in a template for the pair's prompt, and for the text or the
// claim that a question is about.
const (
	placeholder      = "{{prompt}}"
	quotePlaceholder = "{{text}}"
)

// Template is one text that is sent to a model or written into a training
// row. Its digest is part of the ledger key of every call that uses it.
type Template struct {
	Name    string
	Version string // "v1", or "custom" for a text from the configuration
	Text    string
}

// Digest identifies the template's text.
func (t Template) Digest() irgdata.Digest {
	return irgdata.NewDigester("template/1").Text(t.Name).Text(t.Text).Sum()
}

// Render puts the pair's prompt in its place.
func (t Template) Render(prompt string) string { return t.RenderQuoting(prompt, "") }

// RenderQuoting puts the pair's prompt and a quoted text in their places.
func (t Template) RenderQuoting(prompt, quote string) string {
	return strings.NewReplacer(placeholder, prompt, quotePlaceholder, quote).Replace(t.Text)
}

// Prompts is a complete set of templates. It is not modified after it was
// made.
type Prompts struct{ byName map[string]Template }

// DefaultPrompts returns the embedded templates, each in its newest version.
func DefaultPrompts() Prompts {
	files, err := fs.Glob(promptFiles, "prompts/*.txt") // sorted: v2 after v1
	if err != nil {
		panic(err) // the pattern is a constant
	}
	set := map[string]Template{}
	for _, file := range files {
		text, err := promptFiles.ReadFile(file)
		if err != nil {
			panic(err) // an embedded file that Glob listed is readable
		}
		name, version, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".txt"), ".")
		set[name] = Template{Name: name, Version: version, Text: strings.TrimSpace(string(text))}
	}
	return Prompts{byName: set}
}

// With returns a copy of p in which the named template has another text. The
// user's own system prompt, for one, must be that of the inference code they
// train for.
func (p Prompts) With(name, text string) (Prompts, error) {
	old, ok := p.byName[name]
	if !ok {
		return Prompts{}, fmt.Errorf("template %q is unknown: want one of %s", name, strings.Join(p.Names(), ", "))
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return Prompts{}, fmt.Errorf("template %q is empty", name)
	}
	for _, place := range []struct{ mark, what string }{{placeholder, "the pair's prompt"}, {quotePlaceholder, "the quoted text"}} {
		if strings.Contains(old.Text, place.mark) && !strings.Contains(text, place.mark) {
			return Prompts{}, fmt.Errorf("template %q lacks %s, where %s goes", name, place.mark, place.what)
		}
	}
	set := maps.Clone(p.byName)
	set[name] = Template{Name: name, Version: "custom", Text: text}
	return Prompts{byName: set}, nil
}

// Names lists the templates of the set in alphabetical order.
func (p Prompts) Names() []string { return slices.Sorted(maps.Keys(p.byName)) }

// Get returns the named template. It panics on a name that is not in the set:
// names come from this package's tables.
func (p Prompts) Get(name string) Template {
	t, ok := p.byName[name]
	if !ok {
		panic("modes: no template " + name)
	}
	return t
}
