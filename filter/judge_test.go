package filter

import (
	"math"
	"testing"

	"github.com/irgdata/irgdata"
)

// TestJudgeRules: each rule passes, rejects, and measures nothing where the
// judge abstained or was not asked.
func TestJudgeRules(t *testing.T) {
	said := func(question, subject, about string, value float64) irgdata.Judgement {
		return irgdata.Judgement{Question: question, Subject: subject, About: about, Value: value}
	}
	ask := func(question, subject string) func(float64) []irgdata.Judgement {
		return func(v float64) []irgdata.Judgement { return []irgdata.Judgement{said(question, subject, "", v)} }
	}
	for _, test := range []struct {
		rule       Rule
		slot       irgdata.Slot
		judged     func(float64) []irgdata.Judgement
		pass, fail float64
	}{
		{Alignment(.5), irgdata.SlotImproved, ask("alignment/1", "improved"), .5, .49},
		{Preferred(.5), irgdata.SlotImproved, func(v float64) []irgdata.Judgement {
			return []irgdata.Judgement{said("preference/1", "draft,improved", "", v), said("preference/1", "improved,draft", "", v)}
		}, .9, .5},
		{Preservation(.5), irgdata.SlotImproved, ask("preservation/1", "draft,improved"), .5, .49},
		{Faithfulness(.5), irgdata.SlotReflection, func(v float64) []irgdata.Judgement {
			return []irgdata.Judgement{said("defect/1", "draft", "It is pale.", v), said("defect/1", "improved", "It is pale.", 0)}
		}, 1, 0},
		{Faithfulness(.5), irgdata.SlotReflection, func(v float64) []irgdata.Judgement {
			return []irgdata.Judgement{said("defect/1", "draft", "It is pale.", 1), said("defect/1", "improved", "It is pale.", v)}
		}, 0, 1},
		{Invention(.5), irgdata.SlotThinking, ask("invention/1", "thinking"), .5, .51},
	} {
		measure := func(judgements []irgdata.Judgement) float64 {
			s := &Subject{Trajectory: irgdata.Trajectory{Judgements: judgements}}
			v, err := test.rule.Measure(t.Context(), s, test.slot)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := measure(test.judged(test.pass)); math.IsNaN(v) || test.rule.Reject(test.slot, v) != "" {
			t.Errorf("%s rejects %v", test.rule.Name, v)
		}
		if v := measure(test.judged(test.fail)); math.IsNaN(v) || test.rule.Reject(test.slot, v) == "" {
			t.Errorf("%s passes %v", test.rule.Name, v)
		}
		abstained := test.judged(test.fail)
		abstained[0].Abstained = "the answer tells nothing"
		if v := measure(abstained); !math.IsNaN(v) {
			t.Errorf("%s measures %v of an abstention", test.rule.Name, v)
		}
		if v := measure(nil); !math.IsNaN(v) {
			t.Errorf("%s measures %v of what was not asked", test.rule.Name, v)
		}
	}
}
