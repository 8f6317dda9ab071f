package filter

import (
	"fmt"

	"github.com/irgdata/irgdata"
)

var refusals = phrases{
	newPhrase("sorry|apologi", `\b(?:sorry|apologi[sz]e)[,.]? (?:but )?I(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|not able|unable)\b`),
	newPhrase("as an ai", `\bas an AI(?:[ -]\w+){0,3},? I(?:'m| am| can| do| have|'ve)\b`),
	newPhrase("as an ai", `\bas an AI (?:(?:language )?(?:model|assistant)|(?:developed|created|trained|made) by)\b`),
	newPhrase("just an ai", `\bI(?:'m| am) just an AI\b`),
	newPhrase("language model", `\bas a (?:large )?language model\b`),
	newPhrase("can't|cannot|can not|unable to|able to|won't|will not", `\bI(?:'m| am)? ?(?:can't|cannot|can not|unable to|not able to|won't(?: be able to)?|will not(?: be able to)?) (?:assist|comply|fulfil|fulfill|generate|provide|discuss|help (?:with|you|create|generate)|continue with (?:this|that)|(?:create|do|answer|describe|identify) (?:this|that|real|people|persons|individuals)\b|(?:view|see|access|open|process|analy[sz]e|display) (?:the |any |your )?(?:images?|pictures?|photos?|attachments?|files?))\b`),
	newPhrase("i don't have the|i do not have the", `\bI (?:don't|do not) have the (?:ability|capability) to\b`),
	newPhrase("decline", `\bI must (?:respectfully )?decline\b`),
	newPhrase("i don't see", `\bI don't see (?:any|an|the) (?:image|picture|attachment)s? (?:attached|provided|uploaded)`),
	newPhrase("my guidelines|my polic|my programming", `\bmy (?:guidelines|policy|policies|programming)\b`),
	newPhrase("appropriate for me", `\bappropriate for me to\b`),
	newPhrase("policy|policies|guidelines", `\b(?:violates?|against) (?:(?:our|my|the|OpenAI's) )?(?:content|usage|safety) (?:policy|policies|guidelines)\b`),
	newPhrase("抱歉|对不起", `(?:抱歉|对不起)，?(?:但)?我?(?:不能|无法|没有办法)`),
	newPhrase("作为", `作为(?:一个|一名)?(?:AI|人工智能|大?语言模型)`),
	newPhrase("tut mir leid", `\btut mir leid, (?:aber )?(?:ich kann|das kann ich)\b`),
	newPhrase("désolé", `\bje suis désolée?, (?:mais )?je ne peux pas\b`),
	newPhrase("lo siento", `\blo siento, (?:pero )?no puedo\b`),
}

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

var chatter = phrases{
	newPhrase("sure|certainly|absolutely|of course|got it|understood|no problem|great question|to help", `\A(?:Sure(?: thing)?|Certainly|Absolutely|Of course|Got it|Understood|No problem|Great question|Happy to help|Glad to help) ?[!,.:]`),
	newPhrase("here", `\A(?:(?:Okay|OK|Alright|Great|Yes)[,!.]? )?Here(?:'s| is| are) (?:the|your) (?:[\w-]+ ){0,4}(?:prompt|response|answer|rewrite)s?\b`),
	newPhrase("here", `\AHere(?:'s| is| are) [^.\n]{0,80}:`),
	newPhrase("great!|perfect!", `\A(?:Great|Perfect)!`),
	newPhrase("i've |i have ", sentenceStart+`I(?:'ve| have) (?:written|provided|created|included|outlined|prepared) (?:the|a|an|your) (?:[\w-]+ ){0,3}(?:plan|prompt|response|answer|description|reflection)\b`),
	newPhrase("hesitate", sentenceStart+`(?:Please )?(?:don't|do not) hesitate to\b`),
	newPhrase("like", sentenceStart+`If you(?:'d| would) like,? (?:I can|me to)\b`),
	newPhrase("let me know", sentenceStart+`(?:Please )?let me know (?:if|whether|what|when|how|should)\b`),
	newPhrase("hope", sentenceStart+`(?:I )?hope (?:(?:this|that|it) (?:helps|works|meets)|you (?:find|like|enjoy))\b`),
	newPhrase("feel free", sentenceStart+`Feel free to (?:ask|let me|reach|adjust|modify|customi[sz]e|tweak)\b`),
	newPhrase("would you|do you want", sentenceStart+`(?:Would you like|Do you want) me to\b`),
	newPhrase("if you", sentenceStart+`If you (?:have any (?:\w+ )?questions|need (?:any )?(?:further|more|additional|other) (?:help|assistance|details|changes|adjustments))\b`),
	newPhrase("happy to|glad to", sentenceStart+`I(?:'d| would) be (?:happy|glad) to\b`),
	newPhrase("is there anything", sentenceStart+`Is there anything else\b`),
	newPhrase("thank", sentenceStart+`Thank(?:s| you) for (?:sharing|providing|your (?:question|request|prompt|message))\b`),
	newPhrase("please", sentenceStart+`Please (?:provide|upload|share|attach) (?:the|an?|your|both|another) (?:\w+ )?(?:images?|pictures?|photos?|prompt|details)\b`),
	newPhrase("user: |assistant: |human: |system: ", `(?:\A|\n)(?:User|Assistant|Human|System): `),
}

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
