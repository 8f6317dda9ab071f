package ingest

import "iter"

// mix merges sequences: one after another if all weights are zero, else in
// turns in proportion to the weights, until all are exhausted. The order is a
// matter of the weights and the sequences alone. Items that do not count take
// no turn. It ends after the first error.
func mix[T any](sequences []iter.Seq2[T, error], weights []float64, counts func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		type stream struct {
			next   func() (T, error, bool)
			weight float64
			credit float64
		}
		var open []*stream
		weighted := false
		for i, s := range sequences {
			next, stop := iter.Pull2(s)
			defer stop()
			open = append(open, &stream{next: next, weight: weights[i]})
			weighted = weighted || weights[i] > 0
		}
		for len(open) > 0 {
			// Smooth weighted round robin: each turn every stream earns its
			// weight, and the richest one pays for the turn.
			turn, total := 0, 0.0
			if weighted {
				for i, s := range open {
					s.credit += s.weight
					total += s.weight
					if s.credit > open[turn].credit {
						turn = i
					}
				}
			}
			s := open[turn]
			s.credit -= total
			for {
				item, err, ok := s.next()
				if !ok {
					open = append(open[:turn:turn], open[turn+1:]...)
					break
				}
				if !yield(item, err) || err != nil {
					return
				}
				if counts(item) {
					break
				}
			}
		}
	}
}
