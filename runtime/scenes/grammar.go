package scenes

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// tokenize splits a text into lower-case words, "," for a pause and "." for
// the end of a sentence. Hyphens part words.
func tokenize(text string) []string {
	var tokens []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			tokens = append(tokens, word.String())
			word.Reset()
		}
	}
	for _, r := range text {
		switch {
		case r == ',' || r == ';' || r == ':':
			flush()
			tokens = append(tokens, ",")
		case r == '.' || r == '!' || r == '?' || r == '\n':
			flush()
			tokens = append(tokens, ".")
		case r == '-' || unicode.IsSpace(r):
			flush()
		default:
			word.WriteRune(unicode.ToLower(r))
		}
	}
	flush()
	return tokens
}

// reader walks over tokens. A copy of it is a bookmark.
type reader struct {
	tokens []string
	at     int
}

// peek returns the token k places ahead, "" past the end.
func (r *reader) peek(k int) string {
	if r.at+k < len(r.tokens) {
		return r.tokens[r.at+k]
	}
	return ""
}

func (r *reader) end() bool { return r.at >= len(r.tokens) }

// take steps over the words if exactly these come next.
func (r *reader) take(sequence ...string) bool {
	for i, w := range sequence {
		if r.peek(i) != w {
			return false
		}
	}
	r.at += len(sequence)
	return true
}

// takeAny steps over one of the words.
func (r *reader) takeAny(oneOf ...string) bool {
	if !r.end() && slices.Contains(oneOf, r.peek(0)) {
		r.at++
		return true
	}
	return false
}

// takeEntry steps over a word of a table and returns the index of its entry,
// or 0.
func (r *reader) takeEntry(entries [][]string) int {
	if r.end() {
		return 0
	}
	i := lookup(entries, r.peek(0))
	if i > 0 {
		r.at++
	}
	return i
}

// rest quotes what was not read yet, shortened.
func (r *reader) rest() string {
	ahead := r.tokens[min(r.at, len(r.tokens)):]
	if len(ahead) > 6 {
		return fmt.Sprintf("%.80q…", strings.Join(ahead[:6], " "))
	}
	return fmt.Sprintf("%.80q", strings.Join(ahead, " "))
}

// Parse reads a caption. An error is one sentence that says what the scenes
// world does not know and what it knows instead.
func Parse(caption string) (Scene, error) {
	r := &reader{tokens: tokenize(caption)}
	for len(r.tokens) > 0 && r.tokens[len(r.tokens)-1] == "." {
		r.tokens = r.tokens[:len(r.tokens)-1]
	}
	if r.end() {
		return Scene{}, fmt.Errorf("the caption is empty; the scenes world wants one such as \"two red circles above a blue square\"")
	}
	r.frame()
	var s Scene
	var err error
	if s.First, err = r.groups(); err != nil {
		return Scene{}, err
	}
	if s.Relation = r.relation(); s.Relation != NoRelation {
		if s.Second, err = r.groups(); err != nil {
			return Scene{}, err
		}
	}
	for !r.end() {
		for r.takeAny(",", "and", ".") {
		}
		if !r.tail(&s) {
			return Scene{}, r.misunderstood(s)
		}
	}
	return s, s.validate()
}

// validate says what keeps a scene that the grammar allows from being drawn.
func (s Scene) validate() error {
	if n := len(s.Groups()); n > maxGroups {
		return fmt.Errorf("the scenes world holds at most %d groups of objects; the caption names %d", maxGroups, n)
	}
	if s.Relation == Between && len(s.Second) != 2 && (len(s.Second) != 1 || s.Second[0].Count != 2) {
		return fmt.Errorf("\"between\" wants two things to stand between, as in \"between a red star and a blue square\" or \"between two hearts\"")
	}
	for _, g := range s.Groups() {
		if g.Colour.clashes(s.Backdrop) {
			return fmt.Errorf("in the scenes world %s cannot be told from a %s background", g, s.Backdrop)
		}
	}
	return nil
}

// frame steps over an opening such as "a picture of".
func (r *reader) frame() {
	before := *r
	if r.take("there", "is") || r.take("there", "are") {
		return
	}
	if r.takeAny("a", "an", "the") && r.takeAny("picture", "image", "illustration", "painting", "drawing", "scene", "composition") &&
		r.takeAny("of", "with", "showing") {
		return
	}
	*r = before
}

// groups reads "a red circle, two stars and a heart".
func (r *reader) groups() ([]Group, error) {
	var groups []Group
	for {
		g, err := r.group()
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
		before := *r
		comma := r.take(",")
		if !r.take("and") && !comma {
			return groups, nil
		}
		ahead := *r
		if ahead.tail(&Scene{}) || comma && ahead.relation() != NoRelation {
			*r = before
			return groups, nil
		}
	}
}

// group reads "three large red striped circles".
func (r *reader) group() (Group, error) {
	var g Group
	switch {
	case r.take("a", "pair", "of"), r.take("a", "couple", "of"):
		g.Count = 2
	case r.takeAny("a", "an"):
		g.Count = 1
	default:
		if g.Count = r.takeEntry(countWords[:]); g.Count == 0 {
			return Group{}, r.countless()
		}
	}
	for {
		var twice string
		switch {
		case r.takeShape(&g.Shape):
			r.textureAfter(&g.Texture)
			return g, nil
		case r.take("polka"): // polka-dotted
		case r.takeSize(&g.Size, &twice), takeProperty(r, colourWords[:], &g.Colour, &twice), takeProperty(r, textureWords[:], &g.Texture, &twice):
			if twice != "" {
				return Group{}, fmt.Errorf("the caption gives one object both %q and another word of the same kind", twice)
			}
		default:
			return Group{}, r.unknownWord()
		}
	}
}

func (r *reader) takeShape(s *Shape) bool {
	word := r.peek(0)
	for _, singular := range []string{word, strings.TrimSuffix(word, "s"), strings.TrimSuffix(word, "es")} {
		if i := lookup(shapeWords[:], singular); i > 0 {
			*s = Shape(i)
			r.at++
			return true
		}
	}
	return false
}

func (r *reader) takeSize(s *Size, twice *string) bool {
	if !takeProperty(r, sizeWords[:], s, twice) {
		return false
	}
	r.take("sized")
	return true
}

// takeProperty reads an adjective into a property; twice becomes the word
// that would set it a second time.
func takeProperty[T ~uint8](r *reader, entries [][]string, property *T, twice *string) bool {
	word := r.peek(0)
	i := r.takeEntry(entries)
	if i > 0 && *property != 0 {
		*twice = word
	}
	if i > 0 {
		*property = T(i)
	}
	return i > 0
}

// textureAfter reads "with stripes" behind a shape.
func (r *reader) textureAfter(t *Texture) {
	if *t != AnyTexture {
		return
	}
	switch {
	case r.take("with", "stripes"):
		*t = Striped
	case r.take("with", "dots"), r.take("with", "polka", "dots"):
		*t = Dotted
	case r.take("with", "checks"):
		*t = Checkered
	}
}

// relation reads how the groups stand to those that follow, with a verb
// before it.
func (r *reader) relation() Relation {
	before := *r
	r.take(",")
	r.takeAny("is", "are", "sits", "sit", "stands", "stand", "floats", "float", "hovers", "hover")
	r.takeAny("placed", "positioned", "sitting", "standing", "floating", "hovering")
	for _, known := range []struct {
		Relation
		words []string
	}{
		{LeftOf, []string{"left", "of"}},
		{LeftOf, []string{"to", "the", "left", "of"}},
		{LeftOf, []string{"on", "the", "left", "of"}},
		{RightOf, []string{"right", "of"}},
		{RightOf, []string{"to", "the", "right", "of"}},
		{RightOf, []string{"on", "the", "right", "of"}},
		{Between, []string{"between"}},
		{Between, []string{"in", "between"}},
		{Above, []string{"above"}},
		{Above, []string{"over"}},
		{Below, []string{"below"}},
		{Below, []string{"under"}},
		{Below, []string{"beneath"}},
		{Below, []string{"underneath"}},
	} {
		ahead := *r
		if r.take(known.words...) {
			// "under soft light" and "over a blue background" are no relations.
			if ahead.tail(&Scene{}) {
				break
			}
			return known.Relation
		}
	}
	*r = before
	return NoRelation
}

// tail reads a background or a light phrase that the scene does not have yet
// and reports whether there was one.
func (r *reader) tail(s *Scene) bool {
	before := *r
	if r.background(s) {
		return true
	}
	*r = before
	if s.Light == (Light{}) && r.light(&s.Light) {
		return true
	}
	*r = before
	return false
}

// background reads "on a warm lit blue to pink gradient background".
func (r *reader) background(s *Scene) bool {
	if s.Backdrop != (Backdrop{}) {
		return false
	}
	if !r.takeAny("on", "against", "over", "before", "with") && !r.take("in", "front", "of") {
		return false
	}
	if !r.takeAny("a", "an", "the") {
		return false
	}
	lit := *r
	tone := Tone(lit.takeEntry(toneWords[:]))
	if tone != AnyTone && lit.take("lit") {
		if s.Light != (Light{}) {
			return false
		}
		*r = lit
	} else {
		tone = AnyTone
	}
	backdrop, ok := r.backdrop()
	if !ok || !r.takeAny("background", "backdrop") {
		return false
	}
	s.Backdrop = backdrop
	if tone != AnyTone {
		s.Light.Tone = tone
	}
	return true
}

// backdrop reads "blue" or "blue to pink gradient".
func (r *reader) backdrop() (Backdrop, bool) {
	top := Tint(r.takeEntry(tintWords[:]))
	bottom := top
	if r.take("to") {
		bottom = Tint(r.takeEntry(tintWords[:]))
		if !r.take("gradient") {
			return Backdrop{}, false
		}
	}
	return Backdrop{top, bottom}, top != AnyTint && bottom != AnyTint
}

// light reads "in warm light from the left", "warmly lit" or "lit from above".
func (r *reader) light(l *Light) bool {
	if r.takeAny("in", "under", "with") || r.take("lit", "by") {
		r.take("a")
		l.Tone = Tone(r.takeEntry(toneWords[:]))
		if l.Tone == AnyTone || !r.takeAny("light", "lighting") {
			return false
		}
		r.takeAny("coming", "falling", "shining")
		l.From = r.direction()
		return true
	}
	l.Tone = Tone(r.takeEntry(toneWords[:]))
	if !r.take("lit") {
		return false
	}
	l.From = r.direction()
	return *l != Light{}
}

// direction reads "from the left".
func (r *reader) direction() Direction {
	switch {
	case r.take("from", "the", "left"):
		return FromLeft
	case r.take("from", "the", "right"):
		return FromRight
	case r.take("from", "above"), r.take("from", "the", "top"):
		return FromAbove
	}
	return AnyDirection
}

// The reasons below name the word that is unknown and what is known.

func (r *reader) countless() error {
	word := r.peek(0)
	switch {
	case r.end():
		return fmt.Errorf("the caption ends where the scenes world expects an object such as \"a red circle\"")
	case slices.Contains([]string{"six", "seven", "eight", "nine", "ten", "eleven", "twelve", "many", "several", "some"}, word),
		strings.IndexFunc(word, func(c rune) bool { return !unicode.IsDigit(c) }) < 0:
		return fmt.Errorf("the scenes world counts from one to five; the caption asks for %.40q", word)
	case lookup(colourWords[:], word)+lookup(textureWords[:], word)+lookup(sizeWords[:], word) > 0, (&reader{tokens: []string{word}}).takeShape(new(Shape)):
		return fmt.Errorf("the scenes world wants a count before %s, as in \"a red circle\" or \"three stars\"", r.rest())
	}
	return r.unknownWord()
}

func (r *reader) unknownWord() error {
	if r.end() || r.peek(0) == "," || r.peek(0) == "." {
		return fmt.Errorf("the caption names an object without a shape; the scenes world knows %s", knownShapes())
	}
	for ahead := *r; !ahead.end() && !slices.Contains([]string{",", ".", "and", "a", "an"}, ahead.peek(0)); ahead.at++ {
		if ahead.takeShape(new(Shape)) {
			return fmt.Errorf("the scenes world has no %.40q; it knows the sizes %s, the colours %s and the textures %s",
				r.peek(0), known(sizeWords[1:]), known(colourWords[1:]), known(textureWords[1:]))
		}
	}
	return fmt.Errorf("the scenes world has no %.40q; it knows %s", r.peek(0), knownShapes())
}

func (r *reader) misunderstood(s Scene) error {
	if again := (&Scene{}); s.Backdrop != (Backdrop{}) && r.background(again) {
		return fmt.Errorf("the caption names two backgrounds, %s and %s", s.Backdrop, again.Backdrop)
	}
	for k := 0; k < 8; k++ {
		if w := r.peek(k); k > 1 && (w == "background" || w == "backdrop") {
			return fmt.Errorf("the scenes world has no background as in %s; it knows %s, and gradients as in \"a blue to pink gradient background\"", r.rest(), known(tintWords[1:]))
		}
	}
	return fmt.Errorf("the scenes world does not understand %s; objects may be left of, right of, above, below or between others, on a coloured background, in soft, warm or cool light", r.rest())
}

func knownShapes() string {
	var names []string
	for s := Circle; s < numShapes; s++ {
		names = append(names, s.plural())
	}
	return list(names)
}

func known(entries [][]string) string {
	var names []string
	for _, e := range entries {
		names = append(names, e[0])
	}
	return list(names)
}
