package scenes

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The questions that the model answers about images and texts. Case does not
// matter, and words may stand around them. Where a caption is judged as a
// prompt, it stands between <prompt> and </prompt>, as a text does between
// <text> and </text>, and a claim between <claim> and </claim>.
//
//	Does the image show CAPTION?                 one image: yes, no
//	How many THINGS are in the image?            one image: 0, 1, 2, …
//	Does the image follow the prompt?            one image: yes, no
//	How well does the image follow the prompt?   one image: 0 to 10
//	Which image follows the prompt better?       two images: 1, 2, equal
//	Does the second image keep what is right in the first?   two images: yes, no
//	Is it true of the image?                     one image and a claim: yes, no, unsure
//	List the defects that the text says the picture has.     a text: a JSON list of claims
//	Does the text mention an object that is neither in the prompt nor in the pictures?
//	                                             a text, a prompt, images: yes, no
//
// A caption is shown if each of its groups is there in its exact number, with
// the relation, background and light it names. To follow a prompt, an image
// must show it, hold nothing else, and have crisp edges and directed light. Of
// claims the model understands those that its own reflections make, and of
// objects it knows shapes.
var (
	askShow   = regexp.MustCompile(`(?is)\bdoes the image show (.+?)\?`)
	askCount  = regexp.MustCompile(`(?is)\bhow many (.+?) are (?:there )?in the image\b`)
	askScore  = regexp.MustCompile(`(?is)\bhow well does the image follow the prompt\b`)
	askFollow = regexp.MustCompile(`(?is)\bdoes the image follow the prompt\b`)
	askBetter = regexp.MustCompile(`(?is)\bwhich image follows the prompt better\b`)
	askKeep   = regexp.MustCompile(`(?is)\bdoes the second image keep what is right in the first\b`)
	askTrue   = regexp.MustCompile(`(?is)\bis it true of the image\b`)
	askClaims = regexp.MustCompile(`(?is)\blist the defects that the text says the picture has\b`)
	askAlien  = regexp.MustCompile(`(?is)\bdoes the text mention an object that is neither in the prompt nor in\b`)
)

// isQuestion reports whether the text asks something, what it quotes aside.
func isQuestion(text string) bool {
	question := ask(text).question
	return slices.ContainsFunc([]*regexp.Regexp{askShow, askCount, askScore, askFollow, askBetter, askKeep, askTrue, askClaims, askAlien},
		func(q *regexp.Regexp) bool { return q.MatchString(question) })
}

// inquiry is a question with what it quotes, nil where there is nothing.
type inquiry struct {
	question            string
	text, claim, prompt *string
}

func ask(text string) inquiry {
	q := inquiry{question: text}
	for _, part := range []struct {
		tag string
		to  **string
	}{{"text", &q.text}, {"claim", &q.claim}, {"prompt", &q.prompt}} {
		if rest, quoted, ok := takeQuoted(q.question, part.tag); ok {
			q.question, *part.to = rest, &quoted
		}
	}
	return q
}

// quotedPrompt takes the prompt out of a text; ok is false if there is none.
func quotedPrompt(text string) (rest, prompt string, ok bool) { return takeQuoted(text, "prompt") }

// takeQuoted takes what stands between the tags out of a text.
func takeQuoted(text, tag string) (rest, quoted string, ok bool) {
	begin, end := "<"+tag+">", "</"+tag+">"
	before, tail, found := strings.Cut(text, begin)
	at := strings.LastIndex(tail, end)
	if !found || at < 0 {
		return text, "", false
	}
	return before + tail[at+len(end):], strings.TrimSpace(tail[:at]), true
}

// answer answers the question by looking at the images.
func answer(text string, images []look) (string, error) {
	q := ask(text)
	question := q.question
	if askClaims.MatchString(question) {
		if q.text == nil {
			return "", fmt.Errorf("the question is about a text, and there is none between <text> and </text>")
		}
		return listClaims(*q.text)
	}
	var pictures []Picture
	for _, look := range images {
		p, err := look()
		if err != nil {
			return "", err
		}
		pictures = append(pictures, p)
	}
	count := func(want int) error {
		if len(pictures) != want {
			return fmt.Errorf("the question is about %d images, and the context shows %d", want, len(pictures))
		}
		return nil
	}
	if m := askShow.FindStringSubmatch(question); m != nil {
		if err := count(1); err != nil {
			return "", err
		}
		s, err := Parse(m[1])
		if err != nil {
			return "", err
		}
		return yesNo(s.check(pictures[0]).shown()), nil
	}
	if m := askCount.FindStringSubmatch(question); m != nil {
		if err := count(1); err != nil {
			return "", err
		}
		r := &reader{tokens: append([]string{"one"}, tokenize(m[1])...)}
		g, err := r.group()
		if err != nil || !r.end() {
			return "", fmt.Errorf("the scenes world does not know what to count in \"how many %.80s\"", m[1])
		}
		n := 0
		for _, o := range pictures[0].Objects {
			if o.Kind.matches(g.Kind) {
				n++
			}
		}
		return fmt.Sprint(n), nil
	}
	if askTrue.MatchString(question) {
		if err := count(1); err != nil {
			return "", err
		}
		if q.claim == nil {
			return "", fmt.Errorf("the question is about a claim, and there is none between <claim> and </claim>")
		}
		c, err := readClaim(*q.claim)
		if err != nil {
			return "unsure", nil
		}
		holds, err := c.form.holds(pictures[0], c)
		if err != nil {
			return "unsure", nil
		}
		return yesNo(holds), nil
	}
	if q.prompt == nil {
		return "", fmt.Errorf("the question is about a prompt, and the text has none between <prompt> and </prompt>")
	}
	s, err := Parse(*q.prompt)
	if err != nil {
		return "", err
	}
	if askAlien.MatchString(question) {
		if q.text == nil {
			return "", fmt.Errorf("the question is about a text, and there is none between <text> and </text>")
		}
		return yesNo(invents(*q.text, s, pictures)), nil
	}
	if askKeep.MatchString(question) {
		if err := count(2); err != nil {
			return "", err
		}
		return yesNo(s.check(pictures[1]).keeps(s.check(pictures[0]))), nil
	}
	if askBetter.MatchString(question) {
		if err := count(2); err != nil {
			return "", err
		}
		switch a, b := s.check(pictures[0]).score(), s.check(pictures[1]).score(); {
		case a > b:
			return "1", nil
		case b > a:
			return "2", nil
		}
		return "equal", nil
	}
	if err := count(1); err != nil {
		return "", err
	}
	if askScore.MatchString(question) {
		return fmt.Sprint(int(mul(10, s.check(pictures[0]).score()))), nil
	}
	c := s.check(pictures[0])
	return yesNo(c.score() == 1), nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// finding is what a check of a picture against a caption gave.
type finding struct {
	// claims is how many things the caption says, and unmet the ones that the
	// picture does not bear out, as sentences.
	claims int
	unmet  []string
	met    []bool // by claim
	// others is how many objects the caption does not name; soft and flat are
	// the picture's.
	objects, others int
	soft, flat      bool
}

func (f finding) shown() bool { return len(f.unmet) == 0 }

// keeps reports whether all claims are met that are in an earlier picture.
func (f finding) keeps(before finding) bool {
	for i, met := range before.met {
		if met && !f.met[i] {
			return false
		}
	}
	return true
}

// score is from 0 to 1, which is perfect: the share of claims that hold, less
// for objects beyond the caption and for a poor rendering.
func (f finding) score() float64 {
	score := float64(f.claims-len(f.unmet)) / float64(f.claims)
	score -= .3 * float64(f.others) / float64(max(f.objects, 1))
	if f.soft {
		score -= .15
	}
	if f.flat {
		score -= .15
	}
	return clamp(score, 0, 1)
}

// check compares what the caption says with what the picture holds.
func (s Scene) check(p Picture) finding {
	f := finding{objects: len(p.Objects), soft: p.Soft, flat: p.Flat}
	claim := func(holds bool, format string, args ...any) {
		f.claims++
		f.met = append(f.met, holds)
		if !holds {
			f.unmet = append(f.unmet, fmt.Sprintf(format, args...))
		}
	}
	groups := s.Groups()
	// Groups that say more choose their objects first.
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return groups[b].detail() - groups[a].detail() })
	members := make([][]Object, len(groups))
	rest := slices.Clone(p.Objects)
	for _, i := range order {
		rest = slices.DeleteFunc(rest, func(o Object) bool {
			take := len(members[i]) < groups[i].Count && o.Kind.matches(groups[i].Kind)
			if take {
				members[i] = append(members[i], o)
			}
			return take
		})
	}
	for i, g := range groups {
		more := slices.ContainsFunc(rest, func(o Object) bool { return o.Kind.matches(g.Kind) })
		claim(len(members[i]) == g.Count && !more, "it does not show exactly %s", g)
	}
	f.others = len(rest)
	if s.Relation != NoRelation {
		n := len(s.First)
		claim(stands(slices.Concat(members[:n]...), s.Relation, members[n:]), "%s %s not %s %s", groupList(s.First), areIs(n), s.Relation, groupList(s.Second))
	}
	if s.Backdrop.Top != AnyTint {
		claim(p.Backdrop == s.Backdrop, "its background is not %s but %s", s.Backdrop, p.Backdrop)
	}
	if s.Light != (Light{}) {
		claim((s.Light.Tone == AnyTone || s.Light.Tone == p.Light.Tone) && (s.Light.From == AnyDirection || s.Light.From == p.Light.From),
			"its light is not %s", s.Light)
	}
	return f
}

// detail counts the properties that a kind names.
func (k Kind) detail() int {
	n := 0
	for _, named := range []bool{k.Colour != AnyColour, k.Texture != AnyTexture, k.Size != AnySize} {
		if named {
			n++
		}
	}
	return n
}

// stands reports whether all first objects stand in the relation to all
// second ones. Between wants the second ones on two opposite sides.
func stands(first []Object, r Relation, second [][]Object) bool {
	all := slices.Concat(second...)
	if len(first) == 0 || len(all) == 0 {
		return false
	}
	const clearly = .06
	// before reports whether every a is clearly before every b on an axis.
	before := func(a, b []Object, axis func(Object) float64) bool {
		for _, x := range a {
			for _, y := range b {
				if axis(x)+clearly > axis(y) {
					return false
				}
			}
		}
		return true
	}
	x := func(o Object) float64 { return o.X }
	y := func(o Object) float64 { return o.Y }
	switch r {
	case LeftOf:
		return before(first, all, x)
	case RightOf:
		return before(all, first, x)
	case Above:
		return before(first, all, y)
	case Below:
		return before(all, first, y)
	}
	one, other := second[0], second[len(second)-1]
	if len(second) == 1 {
		if len(one) != 2 {
			return false
		}
		one, other = one[:1], one[1:]
	}
	for _, axis := range []func(Object) float64{x, y} {
		if before(one, first, axis) && before(first, other, axis) || before(other, first, axis) && before(first, one, axis) {
			return true
		}
	}
	return false
}
