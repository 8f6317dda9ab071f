package chat

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/irgdata/irgdata/runtime"
)

// call is a request to be sent.
type call struct {
	method, path string // path is below the base address
	contentType  string
	body         []byte
}

// reply is an answer with status 200.
type reply struct {
	body    []byte
	elapsed time.Duration // from sending to the last byte
}

// exchange sends one request when the server has room for it, and reads the
// whole answer. An error is the context's or a *runtime.Error.
func (c *Client) exchange(ctx context.Context, out call) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	switch {
	case c.o.KeyEnv != "" && c.key == "":
		return reply{}, c.fail(runtime.Fatal, nil, "the environment variable %s is not set: put the API key into it", c.o.KeyEnv)
	case strings.ContainsFunc(c.key, unicode.IsControl):
		return reply{}, c.fail(runtime.Fatal, nil, "the environment variable %s holds more than one line: put the API key alone into it", c.o.KeyEnv)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	timed, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, out.method, c.base.JoinPath(out.path).String(), bytes.NewReader(out.body))
	if err != nil {
		return reply{}, c.fail(runtime.Fatal, err, "the request cannot be made")
	}
	if out.contentType != "" {
		request.Header.Set("Content-Type", out.contentType)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	start := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return reply{}, c.transportError(ctx, err, "no answer came")
	}
	defer response.Body.Close()
	limit := c.o.MaxAnswer
	if response.StatusCode != http.StatusOK {
		limit = min(limit, maxComplaint)
	}
	got, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	elapsed := time.Since(start)
	switch {
	case response.StatusCode != http.StatusOK: // however much of its reason came through
		if err := ctx.Err(); err != nil {
			return reply{}, err
		}
		return reply{}, c.statusError(response.StatusCode, response.Header, got)
	case err != nil:
		return reply{}, c.transportError(ctx, err, "the answer broke off")
	case int64(len(got)) > limit:
		return reply{}, c.fail(runtime.Malformed, nil, "the answer has more than %d bytes", limit)
	}
	return reply{got, elapsed}, nil
}

// maxComplaint bounds the bytes that are read of an error.
const maxComplaint = 64 << 10

// transportError is the failure of a request that got no whole answer.
func (c *Client) transportError(ctx context.Context, err error, what string) error {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case runtime.TransportTrouble(err) == runtime.Slow:
		what = fmt.Sprintf("%s within %v", what, c.o.Timeout)
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &op) && op.Op == "remote error": // an alert
		return c.fail(runtime.Fatal, err, "no TLS connection to %s comes about: mend `url`, or have the server's certificate trusted", c.base.Host)
	}
	failure := c.fail(runtime.Transient, err, "%s", what)
	failure.Trouble = runtime.TransportTrouble(err)
	return failure
}

// statusError is the failure that a status other than 200 means.
func (c *Client) statusError(status int, header http.Header, body []byte) error {
	said := fmt.Sprintf("the server answered %d %s: %s", status, http.StatusText(status), c.quote(complaint(body)))
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		if c.o.KeyEnv == "" {
			return c.fail(runtime.Fatal, nil, "%s; set `key_env` to the environment variable that holds the API key", said)
		}
		return c.fail(runtime.Fatal, nil, "%s; put a valid API key into the environment variable %s", said, c.o.KeyEnv)
	case status == http.StatusNotFound:
		return c.fail(runtime.Fatal, nil, "%s; want `url` to be the base address, which mostly ends in /v1, and `model` %q to be one that it serves", said, c.o.Model)
	case status >= 300 && status < 400:
		return c.fail(runtime.Fatal, nil, "the server sends us elsewhere, which is not followed: set `url` to the address where it is, judging by %s", c.quote(header.Get("Location")))
	case status == http.StatusBadRequest && moderated(body):
		return c.fail(runtime.Refused, nil, "%s", said)
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity:
		return c.fail(runtime.Invalid, nil, "%s", said)
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests,
		status >= 500 && status != http.StatusNotImplemented:
		failure := c.fail(runtime.Transient, nil, "%s", said)
		failure.Trouble = runtime.StatusTrouble(status)
		failure.RetryAfter = retryAfter(header.Get("Retry-After"), time.Now())
		return failure
	}
	return c.fail(runtime.Fatal, nil, "%s; this is no answer of a chat server, so `url` may be that of another service", said)
}

// moderated reports whether an error means that the model or the filter before
// it refused the content, by the codes that OpenAI's images have for that.
func moderated(body []byte) bool {
	var e struct {
		Error struct {
			Code any `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(body, &e) == nil && (e.Error.Code == "content_policy_violation" || e.Error.Code == "moderation_blocked")
}

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

// quote makes a server's words fit for a sentence: without the key, short, on
// one line.
func (c *Client) quote(s string) string {
	const most = 300 // bytes
	s = strings.TrimSpace(c.scrub(s))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

// scrub takes the key out of what a server may have echoed.
func (c *Client) scrub(s string) string { return c.secret.Replace(s) }

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

// fail is the one place where errors are made: no key gets past it.
func (c *Client) fail(kind runtime.Kind, cause error, format string, args ...any) *runtime.Error {
	if cause != nil && c.scrub(cause.Error()) != cause.Error() {
		cause = errors.New(c.scrub(cause.Error()))
	}
	return &runtime.Error{Kind: kind, Model: c.Identity(), Reason: c.scrub(fmt.Sprintf(format, args...)), Err: cause}
}
