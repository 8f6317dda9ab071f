package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
)

// WordList rejects texts that hold more than most of the lists' entries. An
// entry is a word or several in a row; it is found as whole words only, in any
// case ("STRASSE" is "straße"), whatever stands between its words. In scripts
// without spaces it is found anywhere. The lists are part of the rule's
// version, since the number depends on them.
func WordList(most int, lists ...[]string) Rule {
	byFirst := map[string][][]string{}
	digester := irgdata.NewDigester("word_list/1")
	var entries []string
	for _, entry := range slices.Concat(lists...) {
		if w := words(entry); len(w) > 0 {
			entries = append(entries, strings.Join(w, " "))
		}
	}
	slices.Sort(entries)
	for _, entry := range slices.Compact(entries) {
		digester.Text(entry)
		w := strings.Split(entry, " ")
		byFirst[w[0]] = append(byFirst[w[0]], w)
	}
	return Rule{
		Name: "word_list", Version: "1-" + digester.Sum().String()[:8], Slots: textSlots, Unit: "listed_words", Threshold: float64(most),
		Measure: ofText(func(text string) float64 { return float64(listed(words(text), byFirst)) }),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= float64(most) {
				return ""
			}
			return fmt.Sprintf("the %s text holds %.0f entries of the word lists, want at most %d", slot, value, most)
		},
	}
}

// listed counts the places where an entry begins.
func listed(text []string, byFirst map[string][][]string) int {
	n := 0
	for i, w := range text {
		if slices.ContainsFunc(byFirst[w], func(entry []string) bool {
			return len(entry) <= len(text)-i && slices.Equal(entry, text[i:i+len(entry)])
		}) {
			n++
		}
	}
	return n
}
