package exchange

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * time.Hour // also for what no Duration holds
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), 0), longest)
	}
	return 0
}

// complaint is the server's own sentence in the forms that are in use:
// {"error":{"message":…}}, {"error":…}, {"message":…} and {"detail":…}.
func complaint(body []byte) string {
	var forms struct {
		Error   json.RawMessage `json:"error"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &forms) != nil {
		return string(body)
	}
	var inner struct {
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(forms.Error, &inner) != nil {
		inner.Message = nil
	}
	for _, raw := range []json.RawMessage{inner.Message, forms.Error, forms.Message, forms.Detail} {
		var s string
		switch {
		case len(raw) == 0 || string(raw) == "null":
		case json.Unmarshal(raw, &s) == nil:
			return s
		default:
			return string(raw)
		}
	}
	return string(body)
}

// Quote makes a server's words fit for a sentence: without the key, short, on
// one line.
func (e *Exchange) Quote(s string) string {
	const most = 300 // bytes
	s = strings.TrimSpace(e.scrub(s))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

// scrub takes the key out of what a server may have echoed.
func (e *Exchange) scrub(s string) string { return e.secret.Replace(s) }

// concealer replaces a key in the forms that messages may give it: plain, and
// escaped as JSON, Go and addresses do.
func concealer(key string) *strings.Replacer {
	if key == "" {
		return strings.NewReplacer()
	}
	quoted := strconv.Quote(key)
	escaped, _ := json.Marshal(key) // a string always has a form
	var pairs []string
	for _, form := range []string{key, quoted[1 : len(quoted)-1], string(escaped[1 : len(escaped)-1]), url.PathEscape(key), url.QueryEscape(key)} {
		pairs = append(pairs, form, "[key]")
	}
	return strings.NewReplacer(pairs...)
}
