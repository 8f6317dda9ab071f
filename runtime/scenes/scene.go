package scenes

import "slices"

// Shape is the form of an object. The zero value leaves it open; a caption
// always names one.
type Shape uint8

// The shapes.
const (
	AnyShape Shape = iota
	Circle
	Square
	Triangle
	Diamond
	Hexagon
	Star
	Cross
	Heart
	numShapes
)

// Colour is the colour of an object; the zero value leaves it open.
type Colour uint8

// The colours of objects.
const (
	AnyColour Colour = iota
	Red
	Orange
	Yellow
	Green
	Teal
	Blue
	Purple
	Pink
	Brown
	White
	numColours
)

// Texture is the pattern on an object; the zero value leaves it open.
type Texture uint8

// The textures.
const (
	AnyTexture Texture = iota
	Plain
	Striped
	Dotted
	Checkered
	numTextures
)

// Size is how large an object is; the zero value leaves it open.
type Size uint8

// The sizes.
const (
	AnySize Size = iota
	Small
	Medium
	Large
	Huge
	numSizes
)

// Tint is a colour of the background; the zero value leaves it open.
type Tint uint8

// The background colours: paler or darker than the objects' of equal name, so
// that objects stand out.
const (
	AnyTint Tint = iota
	WhiteTint
	GrayTint
	CreamTint
	YellowTint
	PinkTint
	GreenTint
	BlueTint
	PurpleTint
	BlackTint
	numTints
)

// Tone is the colour of the light; the zero value leaves it open.
type Tone uint8

// The tones of light.
const (
	AnyTone Tone = iota
	Soft
	Warm
	Cool
	numTones
)

// Direction is where the light comes from; the zero value leaves it open.
type Direction uint8

// The directions of light.
const (
	AnyDirection Direction = iota
	FromLeft
	FromRight
	FromAbove
	numDirections
)

// Relation is how the first groups of a caption stand to the second ones.
type Relation uint8

// The spatial relations.
const (
	NoRelation Relation = iota
	LeftOf
	RightOf
	Above
	Below
	Between
	numRelations
)

// maxCount is the largest number of objects of one group, maxGroups the
// largest number of groups in a caption.
const (
	maxCount  = 5
	maxGroups = 3
)

// Kind is what an object is, apart from its place. In a caption's [Group]
// any field but Shape may be open; in a [Picture] none is.
type Kind struct {
	Shape   Shape
	Colour  Colour
	Texture Texture
	Size    Size
}

// matches reports whether an object of kind k answers a request for want,
// whose open fields match anything.
func (k Kind) matches(want Kind) bool {
	return (want.Shape == AnyShape || want.Shape == k.Shape) &&
		(want.Colour == AnyColour || want.Colour == k.Colour) &&
		(want.Texture == AnyTexture || want.Texture == k.Texture) &&
		(want.Size == AnySize || want.Size == k.Size)
}

// Group is some equal objects, as in "three red striped circles".
type Group struct {
	Count int
	Kind
}

// Backdrop is the background: one colour, or a gradient from top to bottom.
type Backdrop struct{ Top, Bottom Tint }

// Light is a tone and a direction.
type Light struct {
	Tone Tone
	From Direction
}

// Scene is what a caption says. What it leaves open is the zero value of its
// type.
type Scene struct {
	First    []Group
	Relation Relation
	// Second is what First stands in Relation to; nil without a relation.
	// Between takes two groups, or one group of two objects.
	Second   []Group
	Backdrop Backdrop
	Light    Light
}

// Groups returns the first groups, then the second ones.
func (s Scene) Groups() []Group { return slices.Concat(s.First, s.Second) }

// Cell is one of the 5 by 5 named places of a picture.
type Cell struct{ Col, Row int }

// gridSide is the number of columns and of rows.
const gridSide = 5

// center is the middle of the cell in fractions of the picture's sides.
func (c Cell) center() vec {
	return vec{.13 + mul(.185, float64(c.Col)), .13 + mul(.185, float64(c.Row))}
}

// cellAt is the cell whose middle is nearest.
func cellAt(p vec) Cell {
	nearest := func(x float64) int { return int(clamp((x-.13)/.185+.5, 0, gridSide-1)) }
	return Cell{nearest(p.x), nearest(p.y)}
}

// Object is one object in its place. X and Y are its middle in fractions of
// the picture's width and height, near the middle of the cell.
type Object struct {
	Kind
	At   Cell
	X, Y float64
}

// sameAs compares what words can say: kind and cell.
func (o Object) sameAs(p Object) bool { return o.Kind == p.Kind && o.At == p.At }

// Picture is a scene with every choice made: what a plan says, what is drawn,
// and what is seen in an image.
type Picture struct {
	// Objects do not overlap. Their order has no meaning.
	Objects  []Object
	Backdrop Backdrop
	// Light is zero when Flat.
	Light Light
	// Flat is even light without direction, shading or shadow, and Soft is
	// blurred edges: defects of a draft.
	Flat, Soft bool
}

// radius is the size of an object as a fraction of the picture's shorter
// side; a circle's radius.
func (s Size) radius() float64 {
	return [numSizes]float64{AnySize: .068, Small: .048, Medium: .068, Large: .104, Huge: .17}[s]
}

// rendering is the look of an object colour: the colour itself, and the
// second colour of its patterns.
func (c Colour) rendering() (base, accent rgb) {
	pair := [numColours][2]rgb{
		AnyColour: {{200, 200, 200}, {100, 100, 100}},
		Red:       {{208, 40, 44}, {250, 178, 166}},
		Orange:    {{240, 128, 28}, {255, 217, 168}},
		Yellow:    {{244, 200, 40}, {196, 132, 16}},
		Green:     {{46, 140, 62}, {178, 224, 166}},
		Teal:      {{14, 150, 150}, {170, 230, 224}},
		Blue:      {{38, 84, 200}, {166, 194, 248}},
		Purple:    {{118, 54, 168}, {212, 180, 242}},
		Pink:      {{238, 104, 164}, {255, 218, 234}},
		Brown:     {{122, 72, 38}, {216, 178, 138}},
		White:     {{242, 242, 244}, {118, 134, 178}},
	}[c]
	return pair[0], pair[1]
}

func (t Tint) rendering() rgb {
	return [numTints]rgb{
		AnyTint:    {190, 190, 190},
		WhiteTint:  {228, 229, 232},
		GrayTint:   {168, 170, 175},
		CreamTint:  {233, 219, 186},
		YellowTint: {238, 216, 132},
		PinkTint:   {234, 186, 192},
		GreenTint:  {172, 206, 162},
		BlueTint:   {164, 192, 226},
		PurpleTint: {196, 180, 222},
		BlackTint:  {42, 44, 52},
	}[t]
}

// clashes reports whether objects of the colour cannot be told from a
// background of the tint.
func (c Colour) clashes(b Backdrop) bool {
	return c == White && (b.Top == WhiteTint || b.Bottom == WhiteTint)
}
