package filter

import (
	"context"
	"fmt"
	"math"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

// The rules on judgements ask nobody: they read what was said when the
// trajectory was annotated. What was not asked, or what the judge abstained
// from, measures nothing, and no rule rejects it.

// asked is a kind of rule on what the judge says of a topic. Nothing of it is
// kept apart from the trajectory: the judgements are there already.
func asked(topic, name, doc string, p Parameter, make func(float64) Rule) Kind {
	return Kind{Name: name, Doc: doc, Topic: topic, Parameters: []Parameter{p}, New: func(v Values, _ Environment) (Rule, error) {
		return make(v.Number(p.Name)), nil
	}}
}

// judgeKinds are the kinds of rules on judgements. By default they take the
// likelier of yes and no as the answer.
func judgeKinds() []Kind {
	least := limit("min", .5, 0, 1, "probability, or share, by the judge")
	most := limit("max", .5, 0, 1, "probability by the judge")
	return []Kind{
		asked(modes.TopicAlignment, "alignment", "images that do not follow the prompt", least, Alignment),
		{Name: "draft_alignment", Doc: "nothing: it measures drafts as alignment does the others", Topic: modes.TopicAlignment, New: func(Values, Environment) (Rule, error) {
			return DraftAlignment(), nil
		}},
		asked(modes.TopicPreference, "preference", "improved images that are not better than the draft", least, Preferred),
		asked(modes.TopicPreservation, "preservation", "improved images that lose what was right in the draft", least, Preservation),
		asked(modes.TopicFaithfulness, "faithfulness", "reflections whose claims are not true of the draft, or not mended", least, Faithfulness),
		asked(modes.TopicInvention, "invention", "thinking about what is neither in the prompt nor in the images", most, Invention),
	}
}

// judged is the Measure of a rule on judgements. A value that is not there is
// NaN.
func judged(value func(t irgdata.Trajectory, slot irgdata.Slot) (float64, bool)) func(context.Context, *Subject, irgdata.Slot) (float64, error) {
	return func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
		if v, ok := value(s.Trajectory, slot); ok {
			return v, nil
		}
		return math.NaN(), nil
	}
}

// aligned is P(the slot's image follows the prompt).
func aligned(t irgdata.Trajectory, slot irgdata.Slot) (float64, bool) {
	return modes.Judged(t, modes.QuestionAlignment, modes.JudgedSlot(t, slot).String(), "")
}

// Alignment rejects reference and improved images that follow the prompt with a
// probability under least, by the judge's word.
func Alignment(least float64) Rule {
	return Rule{
		Name: "alignment", Version: "1", Slots: targetSlots, Unit: "p_yes", Threshold: least,
		Measure: judged(aligned),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("by the judge the %s image does not follow the prompt: P(yes) is %.2f, want at least %.2f", slot, value, least)
		},
	}
}

// DraftAlignment measures of drafts what [Alignment] does, and rejects none: a
// draft is there to fall short.
func DraftAlignment() Rule {
	return Rule{
		Name: "draft_alignment", Version: "1", Slots: []irgdata.Slot{irgdata.SlotDraft}, Unit: "p_yes",
		Measure: judged(aligned),
		Reject:  func(irgdata.Slot, float64) string { return "" },
	}
}

// Preferred rejects improved images that the judge does not prefer to the
// draft with a probability above least; at exactly a half it found both equal.
// See [modes.Preferred] for orders that disagree.
func Preferred(least float64) Rule {
	return Rule{
		Name: "preference", Version: "1", Slots: []irgdata.Slot{irgdata.SlotImproved}, Unit: "p_preferred", Threshold: least,
		Measure: judged(func(t irgdata.Trajectory, _ irgdata.Slot) (float64, bool) { return modes.Preferred(t) }),
		Reject: func(_ irgdata.Slot, value float64) string {
			if value > least {
				return ""
			}
			return fmt.Sprintf("by the judge the improved image is no improvement: P(better than the draft) is %.2f, want more than %.2f", value, least)
		},
	}
}

// Preservation rejects improved images that keep what is right in the draft
// with a probability under least.
func Preservation(least float64) Rule {
	return Rule{
		Name: "preservation", Version: "1", Slots: []irgdata.Slot{irgdata.SlotImproved}, Unit: "p_kept", Threshold: least,
		Measure: judged(func(t irgdata.Trajectory, _ irgdata.Slot) (float64, bool) {
			return modes.Judged(t, modes.QuestionPreservation, "draft,improved", "")
		}),
		Reject: func(_ irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("by the judge the improved image loses what was right in the draft: P(kept) is %.2f, want at least %.2f", value, least)
		},
	}
}

// Faithfulness rejects reflections of whose claims less than the share least is
// true of the draft and mended in the improved image; see [modes.Faithful].
func Faithfulness(least float64) Rule {
	return Rule{
		Name: "faithfulness", Version: "1", Slots: []irgdata.Slot{irgdata.SlotReflection}, Unit: "faithful", Threshold: least,
		Measure: judged(func(t irgdata.Trajectory, _ irgdata.Slot) (float64, bool) { return modes.Faithful(t) }),
		Reject: func(_ irgdata.Slot, value float64) string {
			if value >= least {
				return ""
			}
			return fmt.Sprintf("by the judge %.0f%% of what the reflection says is wrong is so in the draft and mended in the improved image, want at least %.0f%%", 100*value, 100*least)
		},
	}
}

// Invention rejects thinking texts that mention objects that are neither in the
// prompt nor in the images, with a probability above most.
func Invention(most float64) Rule {
	return Rule{
		Name: "invention", Version: "1", Slots: thinkingSlots, Unit: "p_invented", Threshold: most,
		Measure: judged(func(t irgdata.Trajectory, slot irgdata.Slot) (float64, bool) {
			return modes.Judged(t, modes.QuestionInvention, slot.String(), "")
		}),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("by the judge the %s text mentions what is neither in the prompt nor in the images: P(yes) is %.2f, want at most %.2f", slot, value, most)
		},
	}
}

// Scored rejects images whose number, as the scorer's model gave it, is not
// between least and most. The rule's name is "scorer." and the name; its version
// has what it looks at.
func Scored(name, model, number string, slots []irgdata.Slot, least, most float64) Rule {
	threshold := least
	if math.IsInf(least, -1) {
		threshold = most
	}
	if math.IsInf(threshold, 0) {
		threshold = 0 // it rejects none
	}
	looksAt := irgdata.NewDigester("scorer/1").Text(model).Text(number).Text(fmt.Sprint(slots)).Sum()
	return Rule{
		Name: "scorer." + name, Version: "1-" + looksAt.String()[:8], Slots: slots, Unit: number, Threshold: threshold,
		Measure: judged(func(t irgdata.Trajectory, slot irgdata.Slot) (float64, bool) {
			question := modes.ScorerQuestion(model)
			if v, ok := modes.Judged(t, question, slot.String(), number); ok {
				return v, true
			}
			return modes.Judged(t, question, modes.JudgedSlot(t, slot).String(), number)
		}),
		Reject: func(slot irgdata.Slot, value float64) string {
			switch {
			case value < least:
				return fmt.Sprintf("the %s image scores %s %.3g, want at least %.3g", slot, number, value, least)
			case value > most:
				return fmt.Sprintf("the %s image scores %s %.3g, want at most %.3g", slot, number, value, most)
			}
			return ""
		},
	}
}
