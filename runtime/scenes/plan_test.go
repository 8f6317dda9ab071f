package scenes

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// inOrder sorts objects by cell, as their order has no meaning.
func inOrder(p Picture) Picture {
	p.Objects = slices.Clone(p.Objects)
	slices.SortFunc(p.Objects, func(a, b Object) int { return (a.At.Row-b.At.Row)*gridSide + a.At.Col - b.At.Col })
	return p
}

// TestPlansCarryThePicture: the words of plans and of comprehensive prompts
// hold all that is needed to draw the picture again.
func TestPlansCarryThePicture(t *testing.T) {
	d := cast("plans", 1)
	openings := map[string]int{}
	for range 500 {
		s := randomScene(d)
		p, err := decide(s)
		if err != nil {
			t.Fatal(err)
		}
		plan := writePlan(s, p, d)
		for _, text := range []string{plan, writeFinal(p, d)} {
			got, err := readPlan(text)
			if err != nil || !reflect.DeepEqual(inOrder(got), inOrder(p)) {
				t.Fatalf("the plan is read as\n%+v (%v), want\n%+v\n%s", inOrder(got), err, inOrder(p), text)
			}
		}
		body, ok := strings.CutPrefix(plan, "<think>")
		body, ok2 := strings.CutSuffix(body, "</think>")
		if n := len(strings.Fields(body)); !ok || !ok2 || n < 60 || n > 200 {
			t.Errorf("a plan of %d words, want 60 to 200 between think tags:\n%s", n, plan)
		}
		for sentence := range strings.SplitSeq(strings.TrimSpace(body), ". ") {
			openings[sentence]++
		}
	}
	for sentence, n := range openings {
		if n > 100 {
			t.Errorf("%d of 500 plans say %q", n, sentence)
		}
	}
}

func TestReadPlanRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"<think>A dog at the center.</think>":                                  "no object",
		"Two red circles stand at the center.":                                 "1 places to two red circles",
		"A red circle stands at the center. A blue star stands at the center.": "two objects at the center",
	} {
		if p, err := readPlan(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", text, p, err, want)
		}
	}
}
