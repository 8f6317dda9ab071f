package filter

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/irgdata/irgdata"
)

// gram is the number of words that are compared with those before them. Good
// reflections say shorter things twice: the names of objects with their places,
// in the explanation, the steps and the final prompt.
const gram = 10

// Repetition rejects texts that loop: of the runs of ten words in a row, the
// share that was there before is above most, from 0 to 1. Numbers are no words
// here, so that a list that counts on does not hide that it says the same.
func Repetition(most float64) Rule {
	return Rule{
		Name: "repetition", Version: "1", Slots: thinkingSlots, Unit: "repeated", Threshold: most,
		Measure: ofText(repeated),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("of the %s text, %.0f%% of the runs of %d words were there before, want at most %.0f%%", slot, 100*value, gram, 100*most)
		},
	}
}

func repeated(text string) float64 {
	var said []string
	for _, w := range words(withoutHeadings(text)) {
		if strings.Trim(w, "0123456789") != "" {
			said = append(said, w)
		}
	}
	runs := len(said) - gram + 1
	if runs <= 0 {
		return 0
	}
	numbers := map[string]int32{}
	number := func(word string) int32 {
		n, ok := numbers[word]
		if !ok {
			n = int32(len(numbers))
			numbers[word] = n
		}
		return n
	}
	seen := make(map[[gram]int32]bool, runs)
	var run [gram]int32
	again := 0
	for i, w := range said {
		copy(run[:], run[1:])
		run[gram-1] = number(w)
		if i < gram-1 {
			continue
		}
		if seen[run] {
			again++
		}
		seen[run] = true
	}
	return float64(again) / float64(runs)
}

// Compression rejects texts that DEFLATE makes more than most times smaller:
// it sees loops of any length, of parts of words too, and texts of few words
// in all orders. The compressor is the one that go.mod pins, so the number does
// not change with the Go release.
func Compression(most float64) Rule {
	writers := sync.Pool{New: func() any {
		w, err := flate.NewWriter(nil, flate.BestCompression)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
	return Rule{
		Name: "compression", Version: "1", Slots: thinkingSlots, Unit: "compression_ratio", Threshold: most,
		Measure: ofText(func(text string) float64 {
			w := writers.Get().(*flate.Writer)
			defer writers.Put(w)
			return compressionRatio(text, w)
		}),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s text can be compressed %.1f times, want at most %.1f times: it says little in many words", slot, value, most)
		},
	}
}

func compressionRatio(text string, w *flate.Writer) float64 {
	if text == "" {
		return 1
	}
	var compressed size
	w.Reset(&compressed)
	// A size takes every write.
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return float64(len(text)) / float64(compressed)
}

// size counts what is written to it.
type size int

func (s *size) Write(p []byte) (int, error) {
	*s += size(len(p))
	return len(p), nil
}
