package annotate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// judge asks the questions of which the trajectory has the slots filled. A call
// that gives no usable answer is an abstention, and loses no mode by itself.
func (a *Annotator) judge(ctx context.Context, t *irgdata.Trajectory) error {
	var claims []string // of the last answer that lists some
	for _, q := range a.questions {
		if !filled(*t, q.Needs()) {
			continue
		}
		for _, quote := range quoted(q, *t, claims) {
			c, err := a.call(ctx, q.Quoting(quote), *t)
			if err != nil {
				return fmt.Errorf("annotate pair %s: question %s: %w", t.Pair.ID, q.Name, err)
			}
			t.Unanswered = t.Unanswered || c.Failed() && unanswered(c)
			about := ""
			if q.Each {
				about = quote
			}
			judgements, listed := read(q, c, about)
			if q.Form == modes.Claims {
				claims = listed
			}
			t.Judgements = append(t.Judgements, judgements...)
		}
	}
	return nil
}

// quoted lists the texts that the question quotes, one for each call: each of
// the claims, or its slot's.
func quoted(q modes.Question, t irgdata.Trajectory, claims []string) []string {
	switch {
	case q.Each:
		return claims
	case q.Quotes != irgdata.SlotPrompt:
		return []string{t.Slots[q.Quotes].Text}
	}
	return []string{""}
}

// read makes judgements of an answer; claims are those that it lists.
func read(q modes.Question, c manifests.Call, about string) (judgements []irgdata.Judgement, claims []string) {
	j := irgdata.Judgement{Question: q.ID(), Subject: q.Subject(), About: about, Call: c.Key}
	if c.Failed() {
		j.Abstained = c.Rule + ": " + c.Reason
		return []irgdata.Judgement{j}, nil
	}
	readable := true
	switch q.Form {
	case modes.Claims:
		claims, readable = modes.ReadClaims(c.Text)
		j.Value = float64(len(claims))
	case modes.Numbers:
		numbers, err := modes.ReadNumbers(c.Text)
		if err == nil && len(numbers) > 0 {
			for _, name := range slices.Sorted(maps.Keys(numbers)) {
				j.About, j.Value = name, numbers[name]
				judgements = append(judgements, j)
			}
			return judgements, nil
		}
		readable = false
	default:
		j.Value, readable = q.Form.Read(c.Text, c.First)
		if q.Form == modes.Preference && strings.HasPrefix(j.Subject, irgdata.SlotImproved.String()) {
			j.Value = 1 - j.Value // read as of the image shown second
		}
	}
	if !readable {
		j.Value, j.Abstained = 0, "the answer tells nothing: "+clip(c.Text)
	}
	return []irgdata.Judgement{j}, claims
}

// clip keeps the beginning of an answer.
func clip(text string) string {
	const most = 120
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
