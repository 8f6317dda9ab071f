package modes_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

func candidates(pairs ...any) (list []runtime.Candidate) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, runtime.Candidate{Token: pairs[i].(string), Logprob: math.Log(pairs[i+1].(float64))})
	}
	return list
}

func TestRead(t *testing.T) {
	const abstains = -1.
	for _, tc := range []struct {
		form  modes.Form
		text  string
		first []runtime.Candidate
		want  float64
	}{
		// By the candidates of the first token, all ways to write a word together.
		{modes.YesNo, "Yes", candidates("Yes", .6, "yes", .1, " YES", .1, "No", .2), .8},
		{modes.YesNo, "no.", candidates("No", .45, "no", .3, "Yes", .25), .25},
		{modes.YesNo, "Yes", candidates("Yes", .9, "Sure", .1), 1},
		{modes.YesNo, "**Yes**", candidates("**Yes", .5, "**", .2, "No", .3), .625},
		// The server says of what is as good as impossible what it likes.
		{modes.YesNo, "yes", []runtime.Candidate{{Token: "yes"}, {Token: "no", Logprob: -9999}}, 1},
		// The first token is of something else: the words count.
		{modes.YesNo, "The answer is no.", candidates("The", .9, "No", .1), 0},
		{modes.YesNo, "unsure", candidates("uns", .8, "yes", .2), abstains},
		{modes.YesNo, "Yes", []runtime.Candidate{{Token: "Yes", Logprob: 3}}, 1}, // no probability
		{modes.YesNo, "Yes", []runtime.Candidate{{Token: "Yes", Logprob: math.NaN()}}, 1},

		// By the words.
		{modes.YesNo, "yes", nil, 1},
		{modes.YesNo, " No, the square is missing.", nil, 0},
		{modes.YesNo, "**Answer:** Yes", nil, 1},
		{modes.YesNo, "\"yes\"", nil, 1},
		{modes.YesNo, "<think>Is there no square? Yes, none.</think>\n\nno", nil, 0},
		{modes.YesNo, "There is a red circle, as wanted.\nAnswer: yes", nil, 1},
		{modes.YesNo, "```json\n{\"answer\": \"no\"}\n```", nil, 0},
		{modes.YesNo, `{"reason": "no square", "answer": true}`, nil, 1},

		// An abstention is not a no.
		{modes.YesNo, "I cannot tell.", nil, abstains},
		{modes.YesNo, "No way to tell from this picture.", nil, abstains},
		{modes.YesNo, "Unsure: no light is visible", nil, abstains},
		{modes.YesNo, "Yes and no: the circle is there, the square is not.", nil, abstains},
		{modes.YesNo, "It shows a red circle and no square.", nil, abstains},
		{modes.YesNo, "Not everything, but nearly.", nil, abstains},
		{modes.YesNo, "", nil, abstains},
		{modes.YesNo, "{}", nil, abstains},
		{modes.YesNo, `{"answer": "unsure"}`, nil, abstains},
		{modes.YesNo, "2", nil, abstains},

		{modes.Preference, "2", candidates("2", .7, "1", .2, "equal", .1), .75},
		{modes.Preference, "1", nil, 0},
		{modes.Preference, "The second image.", nil, 1},
		{modes.Preference, "Image 2 is better.", nil, 1},
		{modes.Preference, "Equal.", nil, .5},
		{modes.Preference, "Answer: first", nil, 0},
		{modes.Preference, "unsure", nil, abstains},
		{modes.Preference, "The first and second image are both good.", nil, abstains},
		{modes.Preference, "yes", nil, abstains},
	} {
		got, ok := tc.form.Read(tc.text, tc.first)
		if !ok {
			got = abstains
		}
		if math.Abs(got-tc.want) > 1e-6 {
			t.Errorf("%s %q with %v: %v, want %v", tc.form, tc.text, tc.first, got, tc.want)
		}
	}
}

func TestReadClaims(t *testing.T) {
	two := []string{"The left cup has no handle.", "The light is flat."}
	for text, want := range map[string][]string{
		`["The left cup has no handle.", "The light is flat."]`:                                    two,
		"Here they are:\n```json\n[\"The left cup has no handle.\",\n\"The light is flat.\"]\n```": two,
		"1. The left cup has no handle.\n2) The light is flat.":                                    two,
		"- The left cup\thas no handle.\r\n* The light is flat.\n":                                 two,
		"<think>[\"x\"]</think>[]":                                                                 nil,
		`["a", "", "b", "c", "d", "e", "f", "g"]`:                                                  {"a", "b", "c", "d", "e", "f"},
		`["` + strings.Repeat("é", 600) + `"]`:                                                     {strings.Repeat("é", 500)},
	} {
		got, ok := modes.ReadClaims(text)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "The cup has no handle.", `{"claims": 3}`, "[1, 2"} {
		if got, ok := modes.ReadClaims(text); ok {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

// FuzzRead: no answer is more than certain, and claims stay within bounds.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"yes", "**Answer:** No", `{"answer": 2}`, "1. a\n2. b", `["x"]`, "</think>equal", "unsure"} {
		f.Add(text, "Yes", -0.5)
	}
	f.Fuzz(func(t *testing.T, text, token string, logprob float64) {
		for _, form := range []modes.Form{modes.YesNo, modes.Preference, modes.Claims} {
			if v, ok := form.Read(text, []runtime.Candidate{{Token: token, Logprob: logprob}}); ok && !(v >= 0 && v <= 1) {
				t.Errorf("%s %q: %v", form, text, v)
			}
		}
		if claims, _ := modes.ReadClaims(text); len(claims) > modes.MaxClaims {
			t.Errorf("%d claims", len(claims))
		}
	})
}

// TestPreferred: both orders must agree.
func TestPreferred(t *testing.T) {
	judged := func(a, b float64, abstained string) irgdata.Trajectory {
		return irgdata.Trajectory{Judgements: []irgdata.Judgement{
			{Question: "preference/1", Subject: "draft,improved", Value: a},
			{Question: "preference/1", Subject: "improved,draft", Value: b, Abstained: abstained},
		}}
	}
	for _, tc := range []struct {
		t    irgdata.Trajectory
		want float64
		ok   bool
	}{
		{judged(.9, .7, ""), .8, true},
		{judged(.1, .3, ""), .2, true},
		{judged(.5, .5, ""), .5, true},
		{judged(.9, .2, ""), 0, false}, // the image shown second, in both orders
		{judged(.5, .9, ""), 0, false},
		{judged(.9, .9, "refused: no"), 0, false},
		{irgdata.Trajectory{}, 0, false},
	} {
		if got, ok := modes.Preferred(tc.t); math.Abs(got-tc.want) > 1e-9 || ok != tc.ok {
			t.Errorf("%v: %v, %v; want %v, %v", tc.t.Judgements, got, ok, tc.want, tc.ok)
		}
	}
}

// TestFaithful: a claim counts if it holds in the draft and no more in the
// improved image, and claims on which the judge abstained do not count.
func TestFaithful(t *testing.T) {
	claim := func(about, subject string, value float64, abstained string) irgdata.Judgement {
		return irgdata.Judgement{Question: "defect/1", Subject: subject, About: about, Value: value, Abstained: abstained}
	}
	tr := irgdata.Trajectory{Judgements: []irgdata.Judgement{
		{Question: "claims/1", Subject: "reflection", Value: 5},
		claim("true and mended", "draft", 1, ""), claim("true and mended", "improved", 0, ""),
		claim("invented", "draft", 0, ""), claim("invented", "improved", 0, ""),
		claim("not mended", "draft", 1, ""), claim("not mended", "improved", 1, ""),
		claim("likely", "draft", .8, ""), claim("likely", "improved", .5, ""),
		claim("unclear", "draft", 0, "unsure"), claim("unclear", "improved", 1, ""),
	}}
	if got, ok := modes.Faithful(tr); math.Abs(got-1.4/4) > 1e-9 || !ok {
		t.Errorf("got %v, %v; want 0.35", got, ok)
	}
	tr.Judgements = tr.Judgements[:1]
	if _, ok := modes.Faithful(tr); ok {
		t.Error("no claim was checked, and there is a share")
	}
}

func TestQuestionsFor(t *testing.T) {
	type asked struct{ name, subject string }
	for _, tc := range []struct {
		name     string
		strategy irgdata.Strategy
		wanted   []string
		topics   []string
		scorers  []modes.Scorer
		want     []asked
	}{
		{"nothing", irgdata.Distill, nil, nil, nil, nil},
		{"distill: the reference is the improved image", irgdata.Distill, nil, []string{"alignment", "preference"}, nil,
			[]asked{{"alignment", "draft"}, {"alignment", "improved"}, {"preference", "draft,improved"}, {"preference", "improved,draft"}}},
		{"self", irgdata.Self, nil, []string{"alignment"}, nil, []asked{{"alignment", "draft"}, {"alignment", "improved"}, {"alignment", "reference"}}},
		{"no draft is made", irgdata.Distill, []string{"initial_full_learning"}, modes.Topics(), nil, []asked{{"alignment", "improved"}, {"invention", "thinking"}}},
		{"no image is shown", irgdata.Distill, []string{"initial_thinking_generation_learning"}, modes.Topics(), nil, []asked{{"invention", "thinking"}}},
		{"faithfulness", irgdata.Distill, nil, []string{"faithfulness"}, nil, []asked{{"claims", "reflection"}, {"defect", "draft"}, {"defect", "improved"}}},
		{"invention", irgdata.Distill, nil, []string{"invention"}, nil, []asked{{"invention", "thinking"}, {"invention", "draft_thinking"}, {"invention", "reflection"}}},
		{"scorers", irgdata.Distill, nil, nil, []modes.Scorer{{Model: "clip", Images: []irgdata.Slot{irgdata.SlotReference, irgdata.SlotImproved, irgdata.SlotDraft}}},
			[]asked{{"score.clip", "improved"}, {"score.clip", "draft"}}},
	} {
		wanted, err := modes.Select(tc.wanted)
		if err != nil {
			t.Fatal(err)
		}
		var got []asked
		for _, q := range modes.QuestionsFor(tc.strategy, wanted, tc.topics, tc.scorers) {
			got = append(got, asked{q.Name, q.Subject()})
			if q.Want() != runtime.Text {
				t.Errorf("%s: question %s wants no text", tc.name, q.Name)
			}
			for _, seg := range q.Context {
				if seg.Template != "" && modes.DefaultPrompts().Get(seg.Template).Text == "" {
					t.Errorf("%s: template %s is empty", tc.name, seg.Template)
				}
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
