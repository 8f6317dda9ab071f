package modes

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode"

	"github.com/irgdata/irgdata/runtime"
)

// decided is the least probability that the candidates of the first token
// must leave to the words of the form for the rest to be ignored: below it the
// answer begins with something else, and its words are read.
const decided = 0.5

// answerWords are the first words of answers, by what they mean: the value of
// the form, from 0 to 1.
var answerWords = map[Form]map[string]float64{
	YesNo:      {"yes": 1, "y": 1, "true": 1, "no": 0, "n": 0, "false": 0},
	Preference: {"1": 0, "first": 0, "one": 0, "2": 1, "second": 1, "two": 1, "equal": .5, "tie": .5, "same": .5},
}

// Read reads the value of an answer of the form YesNo or Preference: from the
// candidates of its first token where they tell, else from its JSON, else from
// its words. It reports false for an answer that cannot be read, or that says
// that nothing can be told.
func (f Form) Read(text string, first []runtime.Candidate) (value float64, ok bool) {
	if value, ok := f.fromCandidates(first); ok {
		return value, true
	}
	text = afterThinking(text)
	if word, ok := jsonAnswer(text); ok {
		text = word
	}
	return f.fromWords(text)
}

// fromCandidates weighs all ways to write the answer that are among the
// candidates: "Yes", " yes", "YES.".
func (f Form) fromCandidates(first []runtime.Candidate) (float64, bool) {
	total, weighted := 0.0, 0.0
	for _, c := range first {
		value, known := answerWords[f][bare(c.Token)]
		p := math.Exp(c.Logprob)
		if !known || math.IsNaN(p) || p > 1.001 {
			continue
		}
		total += p
		weighted += p * value
	}
	if total < decided {
		return 0, false
	}
	return math.Round(1e6*weighted/total) / 1e6, true // equal on all machines
}

// bare is a word without case, blanks and what stands around it.
func bare(word string) string {
	return strings.ToLower(strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
}

// afterThinking is the answer of a model that thinks first.
func afterThinking(text string) string {
	if at := strings.LastIndex(text, "</think>"); at >= 0 {
		text = text[at+len("</think>"):]
	}
	return strings.TrimSpace(text)
}

// jsonAnswer is the answer in a JSON object with one of the usual keys, or in a
// bare JSON value.
func jsonAnswer(text string) (string, bool) {
	at := strings.IndexByte(text, '{')
	if at < 0 {
		return "", false
	}
	var object map[string]any
	if json.NewDecoder(strings.NewReader(text[at:])).Decode(&object) != nil {
		return "", false
	}
	for _, key := range []string{"answer", "Answer", "verdict", "result", "choice"} {
		if v, there := object[key]; there {
			return fmt.Sprint(v), true
		}
	}
	return "", false
}

var (
	// unsure are the ways to say that nothing can be told, wherever they stand.
	unsure = regexp.MustCompile(`(?i)\b(unsure|not sure|uncertain|unclear|undecided|cannot|can't|can not|unable|impossible to|no (?:idea|way to|answer)|yes and no|(?:1|one|first) and (?:2|two|second)|n/a|depends)\b`)
	// lead is what may stand before the answer.
	lead = regexp.MustCompile(`(?i)^(?:[\s"'*_#>(\[]|\b(?:the|final|my)?\s*answer\b(?:\s+is)?\s*:?|\bimage\b|\bthe\b|:)+`)
)

// fromWords reads the first word, or that of the last line, where models put
// the answer after their reasons.
func (f Form) fromWords(text string) (float64, bool) {
	if unsure.MatchString(text) {
		return 0, false
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range []string{lines[0], lines[len(lines)-1]} {
		rest := lead.ReplaceAllString(line, "")
		word, _, _ := strings.Cut(strings.Join(strings.Fields(rest), " "), " ")
		if value, known := answerWords[f][bare(word)]; known {
			return value, true
		}
	}
	return 0, false
}

// maxClaim is the most characters of a claim.
const maxClaim = 500

// listItem is an item of a list in Markdown.
var listItem = regexp.MustCompile(`^\s*(?:[-*•]|\d+[.)])\s+(.+)$`)

// ReadClaims reads an answer of the form Claims: a JSON list, or lines that
// begin as those of a list do. It reports false where there is neither. Of
// longer lists it keeps the first MaxClaims.
func ReadClaims(text string) (claims []string, ok bool) {
	text = afterThinking(text)
	var list []string
	if at := strings.IndexByte(text, '['); at >= 0 && json.NewDecoder(strings.NewReader(text[at:])).Decode(&list) == nil {
		ok = true
	} else {
		list = nil
		for line := range strings.Lines(text) {
			if m := listItem.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
				list, ok = append(list, m[1]), true
			}
		}
	}
	for _, claim := range list {
		claim = strings.Join(strings.Fields(claim), " ")
		if claim == "" || len(claims) == MaxClaims {
			continue
		}
		if runes := []rune(claim); len(runes) > maxClaim {
			claim = string(runes[:maxClaim])
		}
		claims = append(claims, claim)
	}
	return claims, ok
}

// ReadNumbers reads an answer of the form Numbers.
func ReadNumbers(text string) (map[string]float64, error) {
	var numbers map[string]float64
	if err := json.Unmarshal([]byte(text), &numbers); err != nil {
		return nil, fmt.Errorf("the scores cannot be read: %w", err)
	}
	return numbers, nil
}
