package runtime

import (
	"fmt"
	"time"
)

// Kind says what a failed call means for the caller.
type Kind string

const (
	// Transient: the same call may succeed later (overload, lost connection).
	Transient Kind = "transient"
	// Refused: the model answered that it will not or cannot serve this
	// request. Asking again gives the same.
	Refused Kind = "refused"
	// Invalid: the server did not take the request, and no model worked on it.
	// It may once the server or the configuration is another.
	Invalid Kind = "invalid"
	// Truncated: the text hit its length limit.
	Truncated Kind = "truncated"
	// Empty: the answer holds nothing.
	Empty Kind = "empty"
	// Malformed: the answer is not what was asked for: an image that does not
	// decode, a text where an image was wanted.
	Malformed Kind = "malformed"
	// Fatal: no call can succeed until a person mends something (wrong key,
	// unknown model).
	Fatal Kind = "fatal"
)

// Trouble says what a transient failure tells of the server, for those who
// have another one to go to.
type Trouble string

const (
	// Away: the server was not reached, or said that it does not serve now. No
	// work was begun.
	Away Trouble = "away"
	// Busy: the server has more requests than it takes.
	Busy Trouble = "busy"
	// Broken: the connection was lost while the server was at work.
	Broken Trouble = "broken"
	// Slow: the answer did not come in time.
	Slow Trouble = "slow"
)

// Error is a failed call.
type Error struct {
	Kind Kind
	// Trouble is set for some Transient failures; empty: they tell nothing of
	// the server.
	Trouble Trouble
	// Model is the identity of the model, and Reason one clear sentence.
	Model  Identity
	Reason string
	// RetryAfter is how long the server asked to wait; zero if it said nothing.
	RetryAfter time.Duration
	// TokensIn, TokensOut and Elapsed are what an unusable answer cost, as far
	// as that is known; see [Answer].
	TokensIn, TokensOut int
	Elapsed             time.Duration
	// Server is that of an unusable answer, as an [Answer] has it.
	Server string
	// Err is the cause, if there is one.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("model %s: %s: %s: %v", e.Model, e.Kind, e.Reason, e.Err)
	}
	return fmt.Sprintf("model %s: %s: %s", e.Model, e.Kind, e.Reason)
}

func (e *Error) Unwrap() error { return e.Err }

// Answered reports whether the model did its work and the result is unusable
// all the same. Such a call has been paid for; repeating it with the same
// parameters buys the same failure.
func (e *Error) Answered() bool {
	switch e.Kind {
	case Refused, Truncated, Empty, Malformed:
		return true
	}
	return false
}
