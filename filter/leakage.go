package filter

import (
	"fmt"
	"regexp"

	"github.com/irgdata/irgdata"
)

const (
	picture  = `(?:image|picture|photo|photograph|version|rendering|painting)`
	improved = `(?:improved|enhanced|refined|revised|edited|corrected|target|better|updated)`
	shows    = `(?:shows|features|displays|depicts|presents|demonstrates|exhibits|contains|includes|portrays|reveals|has|is|adds|introduces|uses|looks|appears|fixes|corrects|resolves|addresses|already|clearly|successfully)`
)

// shown are phrases of one who was shown the picture that does not exist yet.
var shown = phrases{
	newPhrase("ground", `\bground[- ]truth\b`),
	newPhrase(".png|.jp|.webp|.gif|.bmp|.tif", `\b[\w-]+\.(?:png|jpe?g|webp|gif|bmp|tiff?)\b`),
	newPhrase("reference|target", `\b(?:the|a|this|given|provided) (?:reference|target) `+picture+`\b`),
	newPhrase("<image", `<image(?:_?[0-9])?>`),
}

// provided are phrases of a plan that looks at its picture.
var provided = phrases{
	newPhrase("provided|given|attached|uploaded|accompanying", `\b(?:the|this) (?:provided|given|attached|uploaded|accompanying) `+picture+`\b`),
}

// compared are phrases of a reflection that knows the picture it leads to.
var compared = phrases{
	newPhrase("the reference", `\b(?:as|like|unlike|match|matches|matching|in|to|with|from|than|of) the reference(?:'s|[.,;:)!?]|\z| (?:shows|has|is|does|where|which|while|and|but|more|exactly|closely|faithfully)\b)`),
	newPhrase("the reference", sentenceStart+`the reference (?:`+shows+`)\b`),
	newPhrase("improved|enhanced|refined|revised|edited|corrected|target|better|updated", sentenceStart+`(?:the|this|our) `+improved+` `+picture+` `+shows+`\b`),
	newPhrase("improved|enhanced|refined|revised|edited|corrected|target|better|updated", `\b(?:while|whereas|but|however,|in contrast,) the `+improved+` `+picture+` `+shows+`\b`),
	newPhrase("improved|enhanced|refined|revised|edited|corrected|target|better|updated|finished|final", `\b(?:compared (?:to|with)|relative to|unlike|than|seen in|shown in|visible in|present in|as in|like in|observed in|from) the (?:improved|enhanced|refined|revised|edited|corrected|target|better|updated|finished|final) `+picture+`\b`),
	newPhrase("shown|given|provided", `\bthe (?:finished|final) `+picture+` (?:that|which) (?:was|is) (?:shown|given|provided)\b`),
}

// several are phrases of one who sees two pictures. They say nothing where the
// prompt asks for pictures within the picture.
var several = phrases{
	newPhrase("second", `\bsecond (?:image|picture|photo|photograph|version)\b`),
	newPhrase("images|pictures|photos|photographs|versions", `\b(?:both|the two|two|these two|between the) (?:images|pictures|photos|photographs|versions)\b`),
	newPhrase("the other", `\bthe other (?:image|picture|photo|photograph|version)\b`),
	newPhrase("second", `\bthe first (?:(?:image|picture) )?(?:and|or) (?:the )?second (?:one|image|picture)\b`),
	newPhrase("image|picture", `\b(?:image|picture) #?[12](?:'s|[:,.;)\]]|\z| (?:is|has|shows|features|and|but|while|in|where|which)\b)`),
	newPhrase("image a|image b|picture a|picture b", `\b(?:image|picture) (?-i:[AB])(?:'s|[:,.;)\]]|\z| (?:is|has|shows|features|and|but)\b)`),
	newPhrase("side comparison", `\bside[- ]by[- ]side comparison\b`),
}

var picturesWithin = regexp.MustCompile(`(?i)\b(?:images|pictures|photos|photographs|paintings|drawings|posters|screens|panels|frames|versions|diptych|triptych|collage|comic|storyboard|grid|split|side[- ]by[- ]side|before and after)\b`)

// Leakage rejects reflections that speak of the improved image as of something
// they were shown ("the second image", "Image 2", "the reference", a file's
// name), and plans that speak of the picture that they are for. At inference
// there is no such picture. What the template's own headings say is not
// counted.
func Leakage() Rule {
	return Rule{
		Name: "leakage", Version: "1", Slots: []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotReflection}, Unit: "leaks",
		Measure: againstPrompt(func(slot irgdata.Slot, text, prompt string) float64 {
			text = withoutHeadings(text)
			n := shown.count(text, prompt)
			if slot == irgdata.SlotThinking {
				return n + provided.count(text, prompt)
			}
			n += compared.count(text, prompt)
			if !picturesWithin.MatchString(prompt) {
				n += several.count(text, prompt)
			}
			return n
		}),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value == 0 {
				return ""
			}
			if slot == irgdata.SlotThinking {
				return fmt.Sprintf("the %s text speaks in %.0f places of the picture that is still to be painted, as in \"the provided image\"", slot, value)
			}
			return fmt.Sprintf("the %s text speaks in %.0f places of a picture that nobody has yet, as in \"the second image\" or \"the reference\"", slot, value)
		},
	}
}
