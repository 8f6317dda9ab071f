package filter

import (
	"fmt"

	"github.com/irgdata/irgdata"
)

var refusals = newPhrases(
	`\b(?:sorry|apologi[sz]e)[,.]? (?:but )?I(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|not able|unable)\b`,
	`\bas an AI(?:[ -]\w+){0,3},? I(?:'m| am| can| do| have|'ve)\b`,
	`\bas an AI (?:language )?(?:model|assistant)\b`,
	`\bas a (?:large )?language model\b`,
	`\bI(?:'m| am)? ?(?:can't|cannot|can not|unable to|not able to|won't|will not) (?:assist|comply|fulfil|fulfill|generate|provide|help (?:with|you)|(?:view|see|access|open|process|analy[sz]e|display) (?:the |any |your )?(?:images?|pictures?|photos?|attachments?|files?))\b`,
	`\bI (?:don't|do not) have the (?:ability|capability) to\b`,
	`\bI must (?:respectfully )?decline\b`,
	`\bI don't see (?:any|an|the) (?:image|picture|attachment)s? (?:attached|provided|uploaded)`,
	`\b(?:violates?|against) (?:(?:our|my|the|OpenAI's) )?(?:content|usage|safety) (?:policy|policies|guidelines)\b`,
	`(?:抱歉|对不起)，?(?:但)?我?(?:不能|无法|没有办法)`,
	`作为(?:一个|一名)?(?:AI|人工智能|大?语言模型)`,
	`\btut mir leid, (?:aber )?(?:ich kann|das kann ich)\b`,
	`\bje suis désolée?, (?:mais )?je ne peux pas\b`,
	`\blo siento, (?:pero )?no puedo\b`,
)

// Refusal rejects texts in which a model says that it will not or cannot do
// what it was asked.
func Refusal() Rule {
	return Rule{
		Name: "refusal", Version: "1", Slots: thinkingSlots, Unit: "refusals",
		Measure: againstPrompt(func(_ irgdata.Slot, text, prompt string) float64 { return refusals.count(text, prompt) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value == 0 {
				return ""
			}
			return fmt.Sprintf("the %s text refuses in %.0f places, as in \"I'm sorry, but I can't\" or \"As an AI language model\"", slot, value)
		},
	}
}

var chatter = newPhrases(
	`\A(?:Sure(?: thing)?|Certainly|Absolutely|Of course|Got it|Understood|No problem|Great question) ?[!,.:]`,
	`\A(?:(?:Okay|OK|Alright|Great|Yes)[,!.]? )?Here(?:'s| is| are) (?:the|your) (?:[\w-]+ ){0,4}(?:prompt|response|answer|rewrite)s?\b`,
	sentenceStart+`(?:Please )?let me know (?:if|what|when|how|should)\b`,
	sentenceStart+`(?:I )?hope (?:this|that|it) helps\b`,
	sentenceStart+`Feel free to (?:ask|let me|reach|adjust|modify|customi[sz]e|tweak)\b`,
	sentenceStart+`(?:Would you like|Do you want) me to\b`,
	sentenceStart+`If you (?:have any (?:\w+ )?questions|need (?:any )?(?:further|more|additional|other) (?:help|assistance|details|changes|adjustments))\b`,
	sentenceStart+`I(?:'d| would) be (?:happy|glad) to\b`,
	sentenceStart+`Is there anything else\b`,
	sentenceStart+`Thank(?:s| you) for (?:sharing|providing|your (?:question|request|prompt|message))\b`,
	sentenceStart+`Please (?:provide|upload|share|attach) (?:the|an?|your|both|another) (?:\w+ )?(?:images?|pictures?|photos?|prompt|details)\b`,
	`(?:\A|\n)(?:User|Assistant|Human|System): `,
)

// Chatter rejects texts in which an assistant speaks to the person that it
// serves, within the thinking too: the trained model would learn to.
func Chatter() Rule {
	return Rule{
		Name: "chatter", Version: "1", Slots: thinkingSlots, Unit: "phrases",
		Measure: againstPrompt(func(_ irgdata.Slot, text, prompt string) float64 { return chatter.count(text, prompt) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value == 0 {
				return ""
			}
			return fmt.Sprintf("the %s text speaks to its reader in %.0f places, as in \"Sure! Here is\" or \"Let me know if\"", slot, value)
		},
	}
}
