package modes

import (
	"strings"

	"github.com/irgdata/irgdata"
)

// Judged returns the value of the judgement on a question about a subject;
// false if it was not asked or the judge abstained.
func Judged(t irgdata.Trajectory, question, subject, about string) (value float64, ok bool) {
	for _, j := range t.Judgements {
		if Asks(j, question) && j.Subject == subject && j.About == about {
			return j.Value, j.Abstained == ""
		}
	}
	return 0, false
}

// Asks reports whether the judgement is on the named question, of any version.
func Asks(j irgdata.Judgement, question string) bool {
	name, _, _ := strings.Cut(j.Question, "/")
	return name == question
}

// JudgedSlot is the slot whose image a question about the slot was asked of:
// under [irgdata.Distill] the reference is the improved image.
func JudgedSlot(t irgdata.Trajectory, s irgdata.Slot) irgdata.Slot {
	if s == irgdata.SlotReference && t.Strategy == irgdata.Distill {
		return irgdata.SlotImproved
	}
	return s
}

// Preferred is the probability that the improved image follows the prompt
// better than the draft: the mean over both orders of the images. Orders that
// disagree tell of the judge's habits and not of the images: then, and where
// one order has no value, it reports false.
func Preferred(t irgdata.Trajectory) (value float64, ok bool) {
	a, okA := Judged(t, QuestionPreference, "draft,improved", "")
	b, okB := Judged(t, QuestionPreference, "improved,draft", "")
	if !okA || !okB || (a > .5) != (b > .5) || (a < .5) != (b < .5) {
		return 0, false
	}
	return (a + b) / 2, true
}

// Faithful is the share of the reflection's claims that hold in the draft and
// no more in the improved image, each claim weighed by how sure the judge is of
// both. Claims on which the judge abstained do not count; where none is left it
// reports false.
func Faithful(t irgdata.Trajectory) (share float64, ok bool) {
	sum, claims := 0.0, 0
	for _, j := range t.Judgements {
		if !Asks(j, QuestionDefect) || j.Subject != irgdata.SlotDraft.String() || j.Abstained != "" {
			continue
		}
		still, told := Judged(t, QuestionDefect, irgdata.SlotImproved.String(), j.About)
		if !told {
			continue
		}
		sum += j.Value * (1 - still)
		claims++
	}
	if claims == 0 {
		return 0, false
	}
	return sum / float64(claims), true
}
