package scenes

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The judge reads back what [Flaw.trouble] writes: the sentences of a
// reflection that say what is wrong with a draft. Any other wording it does not
// understand, and says so.

// listClaims lists the sentences of a reflection's opening paragraph that name
// defects, as JSON.
func listClaims(reflection string) (string, error) {
	opening := strings.TrimPrefix(strings.TrimSpace(reflection), "<think>")
	opening, _, _ = strings.Cut(opening, "\n#")
	opening, _, _ = strings.Cut(opening, "</think>")
	claims := []string{}
	for s := range strings.SplitSeq(strings.Join(strings.Fields(opening), " "), ". ") {
		s = connective.ReplaceAllString(strings.TrimSuffix(s, "."), "")
		if s != "" && !noClaim.MatchString(s) {
			claims = append(claims, sentence(s)+".")
		}
	}
	text, err := json.Marshal(claims)
	return string(text), err
}

var (
	connective = regexp.MustCompile(`^(?:Also|Besides|Moreover), `)
	// noClaim are the sentences of an opening that name no defect.
	noClaim = regexp.MustCompile(`^(?:The previous image does not yet fulfil the prompt|The previous image comes near the prompt, but falls short|` +
		`Looking at the previous image again, I see what it still lacks|The previous image has the right idea and visible faults|The image so far is not what the prompt asks for|` +
		`What is right, .* can stay|The rest is sound: .*|.* are right and stay|` +
		`The previous image already answers .*|Nothing is wrong .*|The previous image holds what was asked for.*|` +
		`What is left is refinement .*|Only finish can still be gained|It can only be refined .*)$`)
)

// claim is a sentence about a picture that was understood.
type claim struct {
	form  *claimForm
	words map[string]string // by the names of the form's groups
}

// claimForm is a way to put a claim; holds reports whether it is true of a
// picture, and an error where its words mean nothing.
type claimForm struct {
	pattern *regexp.Regexp
	holds   func(p Picture, c claim) (bool, error)
}

// readClaim understands a sentence, or says that it does not.
func readClaim(text string) (claim, error) {
	text = strings.ToLower(strings.Join(strings.Fields(strings.TrimRight(text, " .!\n")), " "))
	for i := range claimForms {
		form := &claimForms[i]
		m := form.pattern.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		c := claim{form, map[string]string{}}
		for j, name := range form.pattern.SubexpNames() {
			if name != "" && m[j] != "" {
				c.words[name] = m[j]
			}
		}
		return c, nil
	}
	return claim{}, fmt.Errorf("the scenes world does not understand the claim %.80q", text)
}

// kind reads the named words as an object.
func (c claim) kind(name string) (Kind, error) {
	r := &reader{tokens: append([]string{"one"}, tokenize(c.words[name])...)}
	g, err := r.group()
	if err == nil && !r.end() {
		err = fmt.Errorf("the scenes world does not understand %.80q", c.words[name])
	}
	return g.Kind, err
}

// object reads the named words, which may be parts of an object, and its
// place, and returns what stands there in the picture.
func (c claim) object(p Picture, name, place string) (want Kind, there []Object, err error) {
	if want, err = c.kind(name); err != nil {
		return want, nil, err
	}
	return want, c.standing(p, want, place), nil
}

// standing are the objects of the kind that stand at the named place.
func (c claim) standing(p Picture, k Kind, place string) (there []Object) {
	at, _ := (&reader{tokens: tokenize("the " + c.words[place])}).cell() // the pattern takes places alone
	for _, o := range p.Objects {
		if o.At == at && o.Kind.matches(k) {
			there = append(there, o)
		}
	}
	return there
}

// claimForms are all forms: T is an object, S a shape, P and Q are places.
var claimForms = func() []claimForm {
	place := func(name string) string {
		return `(?P<` + name + `>center|(?:` + strings.Join(rowWords[:], "|") + `) (?:far left|far right|left|center|right))`
	}
	expand := strings.NewReplacer("{T}", `(?P<T>[a-z ]+?)`, "{S}", `(?P<T>[a-z]+)`, "{P}", place("P"), "{Q}", place("Q"),
		"{X}", `(?P<X>[a-z ]+?)`, "{Y}", `(?P<Y>[a-z ]+?)`)
	form := func(holds func(Picture, claim) (bool, error), patterns ...string) claimForm {
		for i := range patterns {
			patterns[i] = expand.Replace(patterns[i])
		}
		return claimForm{regexp.MustCompile(`^(?:` + strings.Join(patterns, "|") + `)$`), holds}
	}
	absent := func(p Picture, c claim) (bool, error) {
		_, there, err := c.object(p, "T", "P")
		return len(there) == 0, err
	}
	present := func(p Picture, c claim) (bool, error) {
		_, there, err := c.object(p, "T", "P")
		return len(there) > 0, err
	}
	// with reports whether the object that stands at the place has the look X.
	with := func(look func(o Object, word string) bool) func(Picture, claim) (bool, error) {
		return func(p Picture, c claim) (bool, error) {
			_, there, err := c.object(p, "T", "P")
			return slices.ContainsFunc(there, func(o Object) bool { return look(o, c.words["X"]) }), err
		}
	}
	return []claimForm{
		form(absent, `the {T} at the {P} is missing`),
		form(absent, `there is no {T} at the {P}`),
		form(absent, `no {T} stands at the {P}, where one should be`),
		form(absent, `there (?:is|are) only [a-z0-9]+ of the [a-z0-9]+ {T}, and the {P} is left empty`),
		form(absent, `it has just [a-z0-9]+ {T} where [a-z0-9]+ are wanted, as none stands at the {P}`),
		form(present, `there is one {T} too many at the {P}`),
		form(present, `nobody asked for the {T} at the {P}`),
		form(present, `the {T} at the {P} does not belong there`),
		form(with(func(o Object, word string) bool { return o.Colour.String() == word }), `the {S} at the {P} is {X} instead of {Y}`),
		form(with(func(o Object, word string) bool { return o.Colour.String() == word }), `the {S} at the {P} came out {X}, while it has to be {Y}`),
		form(with(func(o Object, word string) bool { return o.Colour.String() == word }), `the colour of the {S} at the {P} is wrong: it is {X}, not {Y}`),
		form(moved, `the {T} stands at the {P} instead of the {Q}`),
		form(moved, `the {T} has slipped to the {P}, away from the {Q}`),
		form(moved, `the {T} is at the {P}, while its place is the {Q}`),
		form(with(func(o Object, _ string) bool { return o.Texture == Plain }), `the {T} at the {P} has lost its {X} and looks bare`),
		form(with(func(o Object, _ string) bool { return o.Texture == Plain }), `the surface of the {T} at the {P} is bare where {X} should be`),
		form(with(func(o Object, _ string) bool { return o.Texture == Plain }), `on the {T} at the {P} the {X} are gone`),
		form(with(func(o Object, word string) bool { return o.Texture.look() == word }), `the {T} at the {P} shows {X} where {Y} should be`),
		form(with(func(o Object, word string) bool { return o.Size.String() == word }), `the {T} at the {P} is {X}, not {Y}`),
		form(func(p Picture, c claim) (bool, error) {
			_, there, err := c.object(p, "T", "P")
			return len(there) > 0, err
		}, `what stands at the {P} is an? {S} instead of an? {Y}`),
		form(func(p Picture, _ claim) (bool, error) { return p.Soft, nil },
			`all edges are soft and fuzzy, as if out of focus`, `the contours are blurred and run into the ground`, `nothing in it is sharp: every edge is smeared`),
		form(func(p Picture, _ claim) (bool, error) { return p.Flat, nil },
			`the light is flat, without direction, shading or shadow`, `there is no modelling by light: bodies look like paper and cast no shadow`, `everything is lit evenly, so that nothing has depth`),
		form(func(p Picture, c claim) (bool, error) { return p.Backdrop.String() == c.words["X"], nil }, `the background is {X} and should be {Y}`),
		form(func(p Picture, c claim) (bool, error) { return p.Light.short() == c.words["X"], nil }, `the light is {X} and should be {Y}`),
	}
}()

// moved: the object stands at P, and none of its kind at Q.
func moved(p Picture, c claim) (bool, error) {
	k, there, err := c.object(p, "T", "P")
	return len(there) > 0 && len(c.standing(p, k, "Q")) == 0, err
}

// invents reports whether the text names a shape that is neither in the scene
// nor in a picture.
func invents(text string, s Scene, pictures []Picture) bool {
	known := map[Shape]bool{}
	for _, g := range s.Groups() {
		known[g.Shape] = true
	}
	for _, p := range pictures {
		for _, o := range p.Objects {
			known[o.Shape] = true
		}
	}
	for r := (&reader{tokens: tokenize(text)}); !r.end(); {
		var named Shape
		if !r.takeShape(&named) {
			r.at++
		} else if !known[named] {
			return true
		}
	}
	return false
}
