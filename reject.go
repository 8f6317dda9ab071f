package irgdata

// The stages that reject, in the order in which an item passes them.
const (
	StageIngest   = "ingest"
	StageAnnotate = "annotate"
	StageFilter   = "filter"
	StageSelect   = "select" // what the dataset as a whole has enough of
)

// Stages lists them.
func Stages() []string { return []string{StageIngest, StageAnnotate, StageFilter, StageSelect} }

// Reject says why a pair, or one mode of a kept pair, is not in the dataset.
// Nothing is dropped without one.
type Reject struct {
	// Pair is what is known of the pair. ID and Image are zero when the source
	// item could not be read as a pair at all; Source and Key always are set.
	Pair Pair
	// Mode is empty when the whole pair is rejected, else the one mode that a
	// kept pair lost.
	Mode string
	// Stage is the stage that rejected.
	Stage string
	// Rule is the rule's name, such as "duplicate", and Reason a sentence with
	// the particulars.
	Rule   string
	Reason string
	// Score is what the rule measured; NaN when it measured nothing.
	Score float64
	// Judged is what the filters made of the trajectory, if it came so far; nil
	// for the rejects of ingest and of single modes.
	Judged *Judged
}

// RulePending is the rule of an item whose image has yet to be downloaded: a
// plan reads sources and downloads nothing.
const RulePending = "pending"
