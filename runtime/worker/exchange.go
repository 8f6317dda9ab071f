package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// maxComplaint bounds the bytes that are read of an error.
const maxComplaint = 64 << 10

// exchange sends one request when there is a slot for it, and returns the whole
// body of the answer. An error is the context's or a *runtime.Error.
func (c *Client) exchange(ctx context.Context, method string, body []byte, path ...string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	timed, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, method, c.base.JoinPath(path...).String(), bytes.NewReader(body))
	if err != nil {
		return nil, c.fail(runtime.Fatal, err, "the request cannot be made")
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, err, "no answer came")
	}
	defer response.Body.Close()
	limit := c.o.MaxAnswer
	if response.StatusCode != http.StatusOK {
		limit = min(limit, maxComplaint)
	}
	got, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case response.StatusCode != http.StatusOK: // however much of its reason came through
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, c.statusError(response, got)
	case err != nil:
		return nil, c.transportError(ctx, err, "the answer broke off")
	case int64(len(got)) > limit:
		return nil, c.fail(runtime.Malformed, nil, "the answer has more than %d bytes", limit)
	}
	return got, nil
}

// transportError is the failure of a request that got no whole answer.
func (c *Client) transportError(ctx context.Context, err error, what string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case runtime.TransportTrouble(err) == runtime.Slow:
		what = fmt.Sprintf("%s within %v", what, c.o.Timeout)
	}
	failure := c.fail(runtime.Transient, err, "%s", what)
	failure.Trouble = runtime.TransportTrouble(err)
	return failure
}

// statusError is the failure that a status other than 200 means. A worker that
// still loads answers 503, as one with a full queue does.
func (c *Client) statusError(response *http.Response, body []byte) error {
	said := fmt.Sprintf("the worker answered %d %s: %s", response.StatusCode, http.StatusText(response.StatusCode), quote(complaint(body)))
	switch status := response.StatusCode; {
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
		return c.fail(runtime.Invalid, nil, "%s", said)
	case status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented:
		failure := c.fail(runtime.Transient, nil, "%s", said)
		failure.Trouble = runtime.StatusTrouble(status)
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 63); err == nil {
			failure.RetryAfter = time.Duration(min(seconds, 24*3600)) * time.Second
		}
		return failure
	}
	return c.fail(runtime.Fatal, nil, "%s; this is no answer of a worker, so `url` may be that of another service", said)
}

// complaint is the worker's own sentence, or else the whole body.
func complaint(body []byte) string {
	var form struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &form) != nil || form.Error.Message == "" {
		return string(body)
	}
	return form.Error.Message
}

// quote makes a worker's words fit for a sentence: short, and on one line.
func quote(s string) string {
	const most = 300 // bytes
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

func (c *Client) fail(kind runtime.Kind, cause error, format string, args ...any) *runtime.Error {
	return &runtime.Error{Kind: kind, Model: c.Identity(), Reason: fmt.Sprintf(format, args...), Err: cause}
}
