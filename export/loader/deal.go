package loader

// deal gives each of ranks × workers readers its part of n row groups, as
// indexes into their sorted list (SFT/data/distributed_iterable_dataset.py):
// shuffled by the seed, cut into equal parts for the ranks and each of those
// for the workers. What the two divisions leave over is dealt to nobody. With
// fewer row groups than readers nobody is dealt any, and no reader is listed.
func deal(n, ranks, workers int, seed uint64) (readers [][]int) {
	perRank := n / ranks
	perWorker := perRank / workers
	if perWorker == 0 {
		return nil
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	shuffle(order, seed)
	for rank := range ranks {
		for worker := range workers {
			start := rank*perRank + worker*perWorker
			readers = append(readers, order[start:start+perWorker])
		}
	}
	return readers
}
