package tokenizer

import (
	"cmp"
	"slices"

	"golang.org/x/text/unicode/norm"
)

// mark is a code point with its canonical combining class.
type mark struct {
	r     rune
	class uint8
}

// decompose returns the canonical decomposition (NFD) of the text, with runs of
// combining marks of any length.
func decompose(text string) []mark {
	var marks []mark
	for _, r := range text {
		parts := string(r)
		if d := norm.NFD.PropertiesString(parts).Decomposition(); d != nil {
			parts = string(d)
		}
		for _, p := range parts {
			marks = append(marks, mark{p, norm.NFD.PropertiesString(string(p)).CCC()})
		}
	}
	for from := 0; from < len(marks); {
		to := from
		for to < len(marks) && marks[to].class != 0 {
			to++
		}
		slices.SortStableFunc(marks[from:to], func(a, b mark) int { return cmp.Compare(a.class, b.class) })
		from = to + 1
	}
	return marks
}

// compose joins each mark with the starter before it, where a character of
// both exists and no mark of its class or a higher one stands between (UAX 15,
// canonical composition).
func compose(marks []mark) string {
	out := marks[:0]
	starter := -1
	for _, m := range marks {
		if starter >= 0 {
			last := out[len(out)-1].class
			adjacent := starter == len(out)-1
			if adjacent || last != 0 && last < m.class {
				joined := []rune(norm.NFC.String(string([]rune{out[starter].r, m.r})))
				if len(joined) == 1 {
					out[starter].r = joined[0]
					continue
				}
			}
		}
		if m.class == 0 {
			starter = len(out)
		}
		out = append(out, m)
	}
	runes := make([]rune, len(out))
	for i, m := range out {
		runes[i] = m.r
	}
	return string(runes)
}
