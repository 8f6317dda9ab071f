package irgdata

// Score is a number that a filter rule measured on a trajectory. Scores are
// stored, so that a changed threshold needs no new measurement.
type Score struct {
	Rule  string  `json:"rule"`  // the rule and its version, "size/1"
	Name  string  `json:"name"`  // what was measured, "draft.min_side"
	Value float64 `json:"value"` // NaN: the rule abstained
}

// Warning is an objection that was noted and took no mode.
type Warning struct {
	Rule   string // its name
	Name   string // of the score, "draft.min_side"
	Reason string
	Score  float64
}

// Verdict says whether a trajectory serves a mode.
type Verdict struct {
	Mode string `json:"mode"`
	Keep bool   `json:"keep"`
	// Stage, Rule, Reason and Score say why not, as in a [Reject]; empty when
	// Keep.
	Stage  string  `json:"stage,omitempty"`
	Rule   string  `json:"rule,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Score  float64 `json:"score,omitempty"`
}

// Judged is a trajectory with what the filters made of it. At least one
// verdict keeps it; a trajectory that no mode keeps is a [Reject].
type Judged struct {
	Trajectory Trajectory
	Scores     []Score
	Verdicts   []Verdict // one for each wanted mode, in table order
	Warnings   []Warning
}

// Keeps reports whether the trajectory serves the named mode.
func (j Judged) Keeps(mode string) bool {
	for _, v := range j.Verdicts {
		if v.Mode == mode {
			return v.Keep
		}
	}
	return false
}
