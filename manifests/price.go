package manifests

import (
	"fmt"
	"math"
)

// Price is what the calls of a model cost, in the user's currency. The parts
// add up; the zero Price is free.
type Price struct {
	PerCall float64 `json:"per_call,omitempty"`
	// PerMillionIn and PerMillionOut are for 1,000,000 tokens.
	PerMillionIn  float64 `json:"per_million_in,omitempty"`
	PerMillionOut float64 `json:"per_million_out,omitempty"`
	PerGPUHour    float64 `json:"per_gpu_hour,omitempty"`
	// GPUs is the number of GPUs that one call holds while it is under way: those
	// of the endpoint, divided by the calls that it works on at one time. 0 for a
	// model that someone else hosts.
	GPUs float64 `json:"gpus,omitempty"`
}

// Validate reports a number that is no price.
func (p Price) Validate() error {
	for _, part := range []struct {
		name  string
		value float64
	}{
		{"per_call", p.PerCall}, {"per_million_in", p.PerMillionIn}, {"per_million_out", p.PerMillionOut},
		{"per_gpu_hour", p.PerGPUHour}, {"gpus", p.GPUs},
	} {
		if !(part.value >= 0) || math.IsInf(part.value, 1) {
			return fmt.Errorf("%s is %v: want a number from 0", part.name, part.value)
		}
	}
	if p.PerGPUHour > 0 && p.GPUs == 0 {
		return fmt.Errorf("per_gpu_hour is %v and gpus is 0: say how many GPUs a call holds", p.PerGPUHour)
	}
	return nil
}

// Prices are by model, "name@revision". A model without one is free.
type Prices map[string]Price

// Validate reports a model with a price that is none.
func (p Prices) Validate() error {
	for model, price := range p {
		if err := price.Validate(); err != nil {
			return fmt.Errorf("price of model %s: %w", model, err)
		}
	}
	return nil
}

// Usage is what calls used, and what that cost.
type Usage struct {
	Calls int `json:"calls"`
	// Failed of them had an answer that was of no use; they are paid for too.
	Failed    int     `json:"failed"`
	TokensIn  int     `json:"tokens_in"`
	TokensOut int     `json:"tokens_out"`
	Seconds   float64 `json:"seconds"`
	// GPUSeconds are the seconds times the GPUs that each call held.
	GPUSeconds float64 `json:"gpu_seconds"`
	Cost       float64 `json:"cost"` // in the currency of the prices
}

// Add adds the usage of other calls.
func (u *Usage) Add(v Usage) {
	u.Calls += v.Calls
	u.Failed += v.Failed
	u.TokensIn += v.TokensIn
	u.TokensOut += v.TokensOut
	u.Seconds += v.Seconds
	u.GPUSeconds += v.GPUSeconds
	u.Cost += v.Cost
}

// usage prices the calls of one model.
func (p Price) usage(c StepCost) Usage {
	u := Usage{Calls: c.Calls, Failed: c.Failed, TokensIn: c.TokensIn, TokensOut: c.TokensOut, Seconds: c.Seconds, GPUSeconds: c.Seconds * p.GPUs}
	u.Cost = p.PerCall*float64(c.Calls) + p.PerMillionIn*float64(c.TokensIn)/1e6 + p.PerMillionOut*float64(c.TokensOut)/1e6 +
		p.PerGPUHour*u.GPUSeconds/3600
	return u
}
