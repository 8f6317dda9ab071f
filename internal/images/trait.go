package images

import (
	"strings"

	"github.com/irgdata/irgdata"
)

// Effect says how what the trainer sees differs from what a person sees.
type Effect string

// The effects, from good to bad.
const (
	// Faithful: the trainer sees the picture.
	Faithful Effect = "faithful"
	// Slight: the trainer sees the picture in somewhat other colours, or one
	// picture of several.
	Slight Effect = "slight"
	// Wrong: the trainer sees another picture. Reject the image, or encode it
	// anew with [Reencode].
	Wrong Effect = "wrong"
)

// Trait is something about an image that decides what the trainer makes of it.
type Trait struct {
	// Name is a word, such as "oriented", or a word and a name, such as
	// "icc:Display P3".
	Name   string
	Effect Effect
	// Makes is a sentence that says what the trainer makes of it.
	Makes string
}

// Traits lists what is to be known of an image beyond an upright, opaque image
// of 8 bits in sRGB, in a fixed order. docs/images.md has all of them.
func (i Info) Traits() []Trait {
	var traits []Trait
	add := func(when bool, name string, e Effect, makes string) {
		if when {
			traits = append(traits, Trait{name, e, makes})
		}
	}
	oriented := i.Orientation > 1
	add(oriented && !i.turnedByPillow(), "oriented", Wrong,
		"The trainer ignores the EXIF orientation and sees the picture turned or mirrored.")
	add(oriented && i.turnedByPillow(), "oriented-tiff", Faithful,
		"Pillow turns a TIFF upright by itself.")

	deep := i.Depth > 8
	add(i.greyClipped(), "grey16", Wrong,
		"Pillow cuts 16-bit grey at 255 of 65535, so that nearly everything is white.")
	add(i.Depth > 16, "wide", Wrong,
		"Pillow cuts samples of 32 bits at 0 and 255, so that a picture between 0 and 1 is black.")
	add(deep && i.Depth <= 16 && !i.greyClipped(), "deep", Faithful,
		"Pillow keeps the upper 8 of 16 bits.")
	add(i.Depth == 1, "bilevel", Faithful,
		"Pillow makes the two full colours of 1 bit.")

	add(i.alphaDropped(), "grey-alpha", Wrong,
		"The trainer drops the opacity of 8-bit grey and sees the grey that lies under it.")
	add(i.keyMissed(), "key-missed", Wrong,
		"Pillow misses the transparent colour of 2, 4 and 16-bit samples, and the trainer sees that colour.")
	add(i.Alpha != Opaque && !i.alphaDropped() && !i.keyMissed(), "alpha", Slight,
		"The trainer pastes the picture on white, where a person sees what lies behind it.")

	add(i.Colour == CMYK && (i.adobe || i.Format != irgdata.FormatJPEG), "cmyk", Slight,
		"Pillow turns inks into RGB by a formula without a profile, in louder colours than print has.")
	add(i.Colour == CMYK && !i.adobe && i.Format == irgdata.FormatJPEG, "cmyk-unmarked", Wrong,
		"Pillow takes the inks for inverted, as Adobe writes them, which this file does not say it does.")
	if i.Profile != "" {
		if strings.Contains(strings.ToLower(i.Profile), "srgb") {
			add(true, "icc:"+i.Profile, Faithful, "The trainer ignores the profile, and it is the colour space that it assumes.")
		} else {
			add(true, "icc:"+i.Profile, Slight, "The trainer ignores the profile and takes the numbers for sRGB, mostly duller colours.")
		}
	}

	add(!i.covered() && i.Alpha == Opaque, "uncovered", Wrong,
		"The first frame leaves a part of the canvas open, which Pillow fills with black or the palette's first colour.")
	pages := i.Format == irgdata.FormatTIFF
	add(i.Frames > 1 && !pages, "animated", Slight,
		"The trainer sees the first frame alone.")
	add(i.Frames > 1 && pages, "pages", Slight,
		"The trainer sees the first page alone.")
	add(i.Extension != "", "named:"+i.Extension, Faithful,
		"Pillow goes by the content, not by the name.")
	return traits
}
