package filter_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
)

// FuzzTextRules: no text makes a rule panic, and the number is one that can be
// stored. Each text is also tried many times in a row, far beyond the length of
// good ones: a rule that takes much more than linear time would not come to an
// end there.
func FuzzTextRules(f *testing.F) {
	for _, tr := range written(f) {
		f.Add(tr.Slots[irgdata.SlotPrompt].Text, tr.Slots[irgdata.SlotReflection].Text)
	}
	for _, s := range []string{
		"", " ", "<think>", "</think><think>", "\xff\xfe", "### ", "1.", "(", `"`, "**", "a", "a ", "a.", "1. a.\n", "Image 2 ", "img_1.png ", "I'm sorry, but I can't ", "Let me know if\n",
		"+1 212-736-5000 ", "4111 1111 ", "DE89 3704 ", "1.2.3.4", "a@b.c", "::", "1:2:3:", "nsfw ", "狐", "ﷺ", "İ", "\u0301", "the reference", "second picture", "A.A.A.", "-\n", "sses", "ies's",
	} {
		f.Add(s, s)
	}
	rules := append(textRules(), filter.WordList(0, []string{"a a a b", "a", "狐 狐"}))
	f.Fuzz(func(t *testing.T, prompt, text string) {
		long := 1 << 13
		if testing.Short() {
			long = 1 << 11
		}
		for _, length := range []int{0, long} {
			for _, r := range rules {
				for _, slot := range slices.Compact([]irgdata.Slot{r.Slots[0], r.Slots[len(r.Slots)-1]}) {
					tr := withTexts(prompt, "", "")
					tr.Slots[slot].Text = repeat(text, length)
					if value, _ := measure(t, r, tr, slot); math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
						t.Errorf("rule %s measures %v", r.Name, value)
					}
				}
			}
		}
	})
}

// repeat makes a text of at most n bytes of many times s, or s.
func repeat(s string, n int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(s, max(1, n/len(s)))
}

// BenchmarkTextRules measures each rule on texts of one and of sixteen times
// the length: a rule in linear time takes as long for each byte.
func BenchmarkTextRules(b *testing.B) {
	tr := written(b)["complex"]
	text, prompt := tr.Slots[irgdata.SlotReflection].Text, tr.Slots[irgdata.SlotPrompt].Text
	for _, r := range textRules() {
		for _, times := range []int{1, 16} {
			slot := r.Slots[len(r.Slots)-1]
			tr := withTexts(prompt, "", strings.Repeat(text, times))
			tr.Slots[slot].Text = strings.Repeat(text, times)
			b.Run(fmt.Sprintf("%s/%dx", r.Name, times), func(b *testing.B) {
				b.SetBytes(int64(len(text) * times))
				for b.Loop() {
					measure(b, r, tr, slot)
				}
			})
		}
	}
}
