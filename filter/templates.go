package filter

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
)

// endWords is the number of words that are compared at a text's two ends.
const endWords = 5

// Templates rejects thinking that begins or ends with the same five words as
// more than the share most of the dataset's: the sign of a model that has fallen
// into one pattern, and a dataset of it teaches one sentence. Case and
// punctuation do not matter, and shorter texts count with the words they have.
// Of those that share their words the preferred ones stay, up to that share. It
// measures the share, the larger one of the two ends, among the trajectories
// that passed all other rules, and so in [Select].
func Templates(most float64) Rule {
	return Rule{
		Name: "templates", Version: "1", Slots: thinkingSlots, Unit: "template_share", Threshold: most, dataset: true,
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s text begins or ends like %.0f%% of the dataset's, want at most %.0f%%", slot, 100*value, 100*most)
		},
	}
}

// templates counts the ends of texts.
type templates struct {
	rule   Rule
	ends   [][2 * maxThinking]uint64 // of each candidate, by slot: opening and ending; 0: none
	sorted [2 * maxThinking][]uint64
	left   map[templateEnd]int // what is wanted yet of ends that are too frequent
}

// maxThinking is the number of slots with thinking.
const maxThinking = 3

// templateEnd is an end of the texts of one slot.
type templateEnd struct {
	place int
	words uint64
}

func newTemplates(r Rule) *templates { return &templates{rule: r} }

// endsOf hashes the first and the last words of a text.
func endsOf(text string) (opening, ending uint64) {
	w := words(body(text))
	if len(w) == 0 {
		return 0, 0
	}
	n := min(endWords, len(w))
	return hashOf(w[:n]), hashOf(w[len(w)-n:])
}

func hashOf(words []string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(words, " "))) // a hash never returns an error
	return max(h.Sum64(), 1)
}

// add remembers the ends of a trajectory's thinking.
func (t *templates) add(tr irgdata.Trajectory) {
	var ends [2 * maxThinking]uint64
	for i, slot := range t.rule.Slots {
		ends[2*i], ends[2*i+1] = endsOf(tr.Slots[slot].Text)
	}
	t.ends = append(t.ends, ends)
}

// count is called once, when all are there.
func (t *templates) count() {
	t.left = map[templateEnd]int{}
	for place := range t.sorted {
		var all []uint64
		for _, ends := range t.ends {
			if ends[place] != 0 {
				all = append(all, ends[place])
			}
		}
		slices.Sort(all)
		t.sorted[place] = all
		wanted := int(t.rule.Threshold * float64(len(all)))
		for i := 0; i < len(all); {
			n := run(all[i:])
			if n > wanted {
				t.left[templateEnd{place, all[i]}] = wanted
			}
			i += n
		}
	}
}

// run is the number of equal numbers at the beginning.
func run(sorted []uint64) int {
	n := 1
	for n < len(sorted) && sorted[n] == sorted[0] {
		n++
	}
	return n
}

// share is that of the texts of a place which have such an end.
func (t *templates) share(place int, end uint64) float64 {
	at, found := slices.BinarySearch(t.sorted[place], end)
	if !found {
		return 0
	}
	return float64(run(t.sorted[place][at:])) / float64(len(t.sorted[place]))
}

// judge returns the slots of the nth candidate of whose likes there are enough.
// The preferred candidates come first.
func (t *templates) judge(n int) (slots uint8) {
	for i, slot := range t.rule.Slots {
		var frequent []templateEnd
		enough := false
		for place := 2 * i; place < 2*i+2; place++ {
			end := templateEnd{place, t.ends[n][place]}
			if left, ok := t.left[end]; ok {
				frequent = append(frequent, end)
				enough = enough || left == 0
			}
		}
		if enough {
			slots |= 1 << slot
			continue
		}
		for _, end := range frequent {
			t.left[end]--
		}
	}
	return slots
}

// forget frees what only judge needs.
func (t *templates) forget() { t.ends, t.left = nil, nil }

// note puts the scores into the trajectory, with the warnings if the rule warns,
// and returns what is objected to.
func (t *templates) note(j *irgdata.Judged, slots uint8) (against []objection) {
	for i, slot := range t.rule.Slots {
		opening, ending := endsOf(j.Trajectory.Slots[slot].Text)
		if opening == 0 {
			continue
		}
		value := math.Max(t.share(2*i, opening), t.share(2*i+1, ending))
		name := slot.String() + "." + t.rule.Unit
		j.Scores = append(j.Scores, irgdata.Score{Rule: t.rule.ID(), Name: name, Value: value})
		if slots&(1<<slot) == 0 {
			continue
		}
		reason := t.rule.Reject(slot, value)
		switch t.rule.action() {
		case Warn:
			j.Warnings = append(j.Warnings, irgdata.Warning{Rule: t.rule.Name, Name: name, Reason: reason, Score: value})
		case Reject:
			against = append(against, objection{slot: slot, stage: irgdata.StageSelect, rule: t.rule.Name, reason: reason, score: value})
		}
	}
	return against
}
