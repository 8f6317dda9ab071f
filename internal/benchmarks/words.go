package benchmarks

import (
	"strings"

	"github.com/irgdata/irgdata/internal/minhash"
)

// articles do not count: "a red circle" and "the red circle" are one prompt.
var articles = set("a an the")

// numbers are number words as digits.
var numbers = func() map[string]string {
	out := map[string]string{}
	for digits, words := range map[string]string{
		"0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
		"8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve", "13": "thirteen", "14": "fourteen",
		"15": "fifteen", "16": "sixteen", "17": "seventeen", "18": "eighteen", "19": "nineteen", "20": "twenty",
	} {
		out[words] = digits
	}
	return out
}()

// functionWords say little by themselves: a phrase of few others is found in
// captions that have nothing to do with the benchmark.
var functionWords = set(`
	about above across after against all along also am among and any are around as at be because been before behind
	being below beneath beside between both but by can could did do does down during each every for from had has have
	he her hers him his how i if in inside into is it its itself just like me more most my near next no nor not of off
	on onto or other our out outside over own past per s same she should so some such t than that their them then
	there these they this those through to too toward towards under until up upon us very was we were what when where
	which while who whom whose why will with within without would you your`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// words returns the words of a prompt by which it is compared.
func words(prompt string) []string {
	all := minhash.Words(prompt)
	out := all[:0]
	for _, w := range all {
		if articles[w] {
			continue
		}
		if digits, ok := numbers[w]; ok {
			w = digits
		}
		out = append(out, w)
	}
	return out
}

// contentWords counts the different words that are no function words.
func contentWords(words []string) int {
	seen := map[string]bool{}
	for _, w := range words {
		if !functionWords[w] {
			seen[w] = true
		}
	}
	return len(seen)
}
