package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// call is a call on its way to an answer.
type call struct {
	number uint64 // in order of arrival
	kind   kind
	broken int       // servers that broke under it
	ready  chan turn // gets one turn, or the end, for each stay in the queue
}

// turn is a call's stay at an endpoint, or the error that there is none.
type turn struct {
	at    *endpoint
	start time.Time
	epoch int
	trial bool
	err   error
}

// queue holds the calls that wait, in order of arrival.
type queue []*call

// put puts a call into its place, also one that has waited before.
func (q *queue) put(c *call) {
	i, _ := slices.BinarySearchFunc(*q, c.number, func(c *call, number uint64) int {
		return cmp.Compare(c.number, number)
	})
	*q = slices.Insert(*q, i, c)
}

// take removes the first call.
func (q *queue) take() *call {
	c := (*q)[0]
	*q = slices.Delete(*q, 0, 1)
	return c
}

// remove removes a call and reports whether it was there.
func (q *queue) remove(c *call) bool {
	i := slices.Index(*q, c)
	if i >= 0 {
		*q = slices.Delete(*q, i, i+1)
	}
	return i >= 0
}

// kind tells calls of different length apart: latencies are compared among
// calls of one kind.
type kind struct {
	want          runtime.Output
	tokens        int
	width, height int
	steps         int
}

func kindOf(r runtime.Request) kind {
	s := r.Sampling
	return kind{r.Want, s.MaxTokens, s.Width, s.Height, s.Steps}
}
