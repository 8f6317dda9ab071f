package filter

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
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

// TestJudgeActions: what an objection of the judge or a scorer does is set as of
// all other rules. Abstentions do nothing.
func TestJudgeActions(t *testing.T) {
	none := math.Inf(-1)
	scorer := Scored("aesthetic", "onnx", "score", []irgdata.Slot{irgdata.SlotReference, irgdata.SlotImproved}, 5, math.Inf(1))
	mark := Scored("mark", "onnx", "p", []irgdata.Slot{irgdata.SlotDraft}, none, .5)
	said := func(question, subject, about string) func(float64) []irgdata.Judgement {
		return func(v float64) []irgdata.Judgement {
			return []irgdata.Judgement{{Question: question, Subject: subject, About: about, Value: v}}
		}
	}
	both := func(of ...func(float64) []irgdata.Judgement) func(float64) []irgdata.Judgement {
		return func(v float64) (all []irgdata.Judgement) {
			for _, say := range of {
				all = append(all, say(v)...)
			}
			return all
		}
	}
	still := func(v float64) []irgdata.Judgement { return said("defect/1", "improved", "It is pale.")(1 - v) }
	const improving = 0b111000
	for _, test := range []struct {
		rule       Rule
		judged     func(float64) []irgdata.Judgement
		pass, fail float64
		lost       int // modes, as bits in the order of the table
		score      string
	}{
		{Alignment(.5), said("alignment/1", "improved", ""), .8, .2, 0b101101, "improved.p_yes"}, // those that show the image
		{DraftAlignment(), said("alignment/1", "draft", ""), .8, .2, 0, "draft.p_yes"},
		{Preferred(.5), both(said("preference/1", "draft,improved", ""), said("preference/1", "improved,draft", "")), .8, .2, 0b101000, "improved.p_preferred"},
		{Preservation(.5), said("preservation/1", "draft,improved", ""), .8, .2, 0b101000, "improved.p_kept"},
		{Faithfulness(.5), both(said("defect/1", "draft", "It is pale."), still), .8, .2, improving, "reflection.faithful"},
		{Invention(.5), said("invention/1", "reflection", ""), .2, .8, improving, "reflection.p_invented"},
		{scorer, said("score.onnx/1", "improved", "score"), 6, 4, 0b101101, "improved.score"},
		{mark, said("score.onnx/1", "draft", "p"), .2, .8, improving, "draft.p"},
	} {
		for _, action := range Actions() {
			test.rule.Action = action
			p := NewPanel(modes.All(), []Rule{test.rule})
			for _, tc := range []struct {
				name       string
				judgements []irgdata.Judgement
				measured   bool
				objects    bool
			}{
				{"passes", test.judged(test.pass), true, false},
				{"fails", test.judged(test.fail), true, test.lost != 0},
				{"abstained", abstained(test.judged(test.fail)), false, false},
				{"was not asked", nil, false, false},
			} {
				tr := irgdata.NewTrajectory(irgdata.Pair{Prompt: "a", Image: irgdata.ImageRef{Digest: irgdata.Digest{1}}}, irgdata.Distill)
				for _, slot := range []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotReflection} {
					tr.Slots[slot].Text = "a"
				}
				tr.Slots[irgdata.SlotDraft].Image.Digest = irgdata.Digest{2}
				tr.Judgements = tc.judgements
				j, err := p.measure(t.Context(), tr, Options{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s, %s, %s", test.rule.Name, action, tc.name)
				lost := 0
				for i, v := range j.Verdicts {
					if !v.Keep {
						lost |= 1 << i
						if v.Stage != irgdata.StageFilter || v.Rule != test.rule.Name || v.Reason == "" {
							t.Errorf("%s: lost %+v", name, v)
						}
					}
				}
				want := 0
				if tc.objects && action == Reject {
					want = test.lost
				}
				if lost != want {
					t.Errorf("%s: lost %06b, want %06b", name, lost, want)
				}
				if warned := len(j.Warnings) > 0; warned != (tc.objects && action == Warn) {
					t.Errorf("%s: warnings %+v", name, j.Warnings)
				}
				for _, w := range j.Warnings {
					if w.Rule != test.rule.Name || w.Reason == "" || math.IsNaN(w.Score) {
						t.Errorf("%s: warning %+v", name, w)
					}
				}
				i := slices.IndexFunc(j.Scores, func(s irgdata.Score) bool { return s.Name == test.score })
				if i < 0 || math.IsNaN(j.Scores[i].Value) == tc.measured {
					t.Errorf("%s: scores %+v, want %s", name, j.Scores, test.score)
				}
				// The verdict is that of the scores alone, as after a threshold was changed.
				again, lacking := p.Again(j, filled(tr))
				if again.Reject == nil && fmt.Sprint(again.Value) != fmt.Sprint(j) || len(lacking) > 0 {
					t.Errorf("%s: judged again %+v, lacking %v, want %+v", name, again.Value, lacking, j)
				}
			}
		}
	}
}

func abstained(judgements []irgdata.Judgement) []irgdata.Judgement {
	for i := range judgements {
		judgements[i].Value, judgements[i].Abstained = 0, "the answer tells nothing"
	}
	return judgements
}
