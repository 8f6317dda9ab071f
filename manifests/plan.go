package manifests

import (
	"cmp"
	"slices"
)

// Plan is what a build would do.
type Plan struct {
	// Pairs would be annotated, and Rejected items would not. Of Pending ones
	// the image has yet to be downloaded; they are counted as pairs that need
	// all calls.
	Pairs    int64 `json:"pairs"`
	Pending  int64 `json:"pending"`
	Rejected int64 `json:"rejected"`
	// Reasons counts the rejected items.
	Reasons []ReasonCount `json:"reasons"`
	// Bytes is the size of the pairs' images.
	Bytes int64 `json:"bytes"`
	// Calls are in the order in which a pair's are made.
	Calls []PlannedCalls `json:"calls"`
}

// PlannedCalls are the calls of one step.
type PlannedCalls struct {
	Step  string `json:"step"`  // "draft/1"
	Model string `json:"model"` // "name@revision"
	// Make would be sent to the model, Reuse are in the ledger. Make counts a
	// call too whose context another missing call has yet to fill; it is not
	// made if that one fails.
	Make  int64 `json:"make"`
	Reuse int64 `json:"reuse"`
	// Reasons count the calls to make by why they are not reused.
	Reasons []CallReason `json:"reasons,omitempty"`
	// PaintedBytes is the size of the reused calls' images.
	PaintedBytes int64 `json:"painted_bytes"`
	// Images says that the answer is an image.
	Images bool `json:"images"`
	// Seconds is the mean time of such a call in the ledger, 0 if unknown.
	Seconds float64 `json:"seconds"`
}

// CallReason says why calls would be made: "template reflection v3 → v4".
type CallReason struct {
	Reason string `json:"reason"`
	Calls  int64  `json:"calls"`
}

// CountCallReasons lists the counts by reason, the most frequent first.
func CountCallReasons(counts map[string]int64) (list []CallReason) {
	for reason, n := range counts {
		list = append(list, CallReason{reason, n})
	}
	slices.SortFunc(list, func(a, b CallReason) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

// Make sums the calls that would be sent.
func (p Plan) Make() int64 {
	var n int64
	for _, c := range p.Calls {
		n += c.Make
	}
	return n
}

// Reuse sums the calls that would not be sent.
func (p Plan) Reuse() int64 {
	var n int64
	for _, c := range p.Calls {
		n += c.Reuse
	}
	return n
}
