package serve

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// failure is what is answered with another status than 200.
type failure struct {
	status             int
	code               string // OpenAI's word for it, if there is one
	reason, retryAfter string
}

func (f *failure) Error() string { return f.reason }

func badRequest(format string, args ...any) error {
	return &failure{status: http.StatusBadRequest, reason: fmt.Sprintf(format, args...)}
}

// failureOf gives an error its status, so that package chat gives it the kind
// that it had at the model.
func failureOf(err error) *failure {
	var f *failure
	var tooLarge *http.MaxBytesError
	var failed *runtime.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &tooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge, reason: fmt.Sprintf("the request has more than %d bytes", tooLarge.Limit)}
	case !errors.As(err, &failed):
		return &failure{status: http.StatusInternalServerError, reason: err.Error()}
	}
	switch failed.Kind {
	case runtime.Refused:
		return &failure{status: http.StatusBadRequest, code: "content_policy_violation", reason: failed.Reason}
	case runtime.Invalid:
		return &failure{status: http.StatusBadRequest, reason: failed.Reason}
	case runtime.Transient:
		f := &failure{status: http.StatusServiceUnavailable, reason: failed.Reason}
		if failed.RetryAfter > 0 {
			f.retryAfter = strconv.Itoa(int(math.Ceil(failed.RetryAfter.Seconds())))
		}
		return f
	case runtime.Fatal:
		return &failure{status: http.StatusNotImplemented, reason: failed.Reason}
	}
	return &failure{status: http.StatusInternalServerError, reason: failed.Reason}
}

// openAIError and fastAPIError are the forms of errors of chat and of images.
func openAIError(f *failure) any {
	var code any = f.status
	if f.code != "" {
		code = f.code
	}
	return map[string]any{"error": map[string]any{"message": f.reason, "type": http.StatusText(f.status), "code": code}}
}

func fastAPIError(f *failure) any {
	if f.code != "" {
		return openAIError(f) // FastAPI's form has no word for it
	}
	return map[string]any{"detail": f.reason}
}

func now() int64 { return time.Now().Unix() }
