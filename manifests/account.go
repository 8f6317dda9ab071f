package manifests

import "slices"

// Account says what the recorded calls used and cost.
type Account struct {
	Steps []StepUsage `json:"steps"`
	// Modes say what the rows of a mode rest on. Modes share calls: a call is
	// counted whole under every mode that needs its step, so the modes do not add
	// up to the total.
	Modes []ModeUsage `json:"modes"`
	// Total counts each call once, also those of steps that no mode needs.
	Total Usage `json:"total"`
}

// StepUsage is of the calls of one step with one model.
type StepUsage struct {
	Step  string `json:"step"`
	Model string `json:"model"`
	Usage
}

// ModeUsage is of the calls of the steps that a mode needs.
type ModeUsage struct {
	Mode string `json:"mode"`
	Usage
}

// ModeSteps are the steps, "draft/1", whose answers the rows of a mode need.
type ModeSteps struct {
	Mode  string
	Steps []string
}

// NewAccount prices what [Ledger.Costs] summed up. Steps are in the order of
// the costs, modes in the given one.
func NewAccount(costs []StepCost, prices Prices, modes []ModeSteps) Account {
	a := Account{Steps: []StepUsage{}, Modes: []ModeUsage{}}
	for _, c := range costs {
		u := prices[c.Model].usage(c)
		a.Steps = append(a.Steps, StepUsage{c.Step, c.Model, u})
		a.Total.Add(u)
	}
	for _, m := range modes {
		mode := ModeUsage{Mode: m.Mode}
		for _, s := range a.Steps {
			if slices.Contains(m.Steps, s.Step) {
				mode.Add(s.Usage)
			}
		}
		a.Modes = append(a.Modes, mode)
	}
	return a
}
