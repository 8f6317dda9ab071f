package filter

import (
	"fmt"
	"slices"
	"strings"
)

// Action says what becomes of a trajectory that a rule objects to.
type Action string

const (
	// Reject takes the modes that show what is objected to.
	Reject Action = "reject"
	// Warn notes the objection with the trajectory and takes no mode.
	Warn Action = "warn"
	// Score measures and objects to nothing.
	Score Action = "score"
)

// Actions lists them, the strictest first.
func Actions() []Action { return []Action{Reject, Warn, Score} }

// UnmarshalText reads an action's name.
func (a *Action) UnmarshalText(text []byte) error {
	*a = Action(text)
	if slices.Contains(Actions(), *a) {
		return nil
	}
	var names []string
	for _, known := range Actions() {
		names = append(names, string(known))
	}
	return fmt.Errorf("is %q: want one of %s", text, strings.Join(names, ", "))
}
