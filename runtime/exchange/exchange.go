// Package exchange sends requests to the server of a model and brings back whole
// answers, or failures that say what the caller may do about them. It is what all
// clients of package runtime's models share: the bound on requests at one time,
// timeouts, the key and its secrecy, and what a broken connection or a status
// means.
package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/irgdata/irgdata/runtime"
)

// maxComplaint bounds the bytes that are read of an error.
const maxComplaint = 64 << 10

// Options say what server it is. The client that has them has checked them.
type Options struct {
	Identity runtime.Identity // of the model
	URL      string           // the base address
	// Keyed says that such a server may want a key, sent as a bearer token, and
	// KeyEnv names the environment variable with it; empty: none.
	Keyed  bool
	KeyEnv string
	// Timeout bounds one request as a whole, Parallel the requests at one time,
	// and MaxAnswer the bytes of an answer.
	Timeout   time.Duration
	Parallel  int
	MaxAnswer int64
	// Server and Kind are what errors call it: "the worker", "a worker".
	Server, Kind string
	// Sort, unless nil, is asked first what a status means; nil: what it means
	// everywhere.
	Sort func(s Status) *runtime.Error
}

// Status is an answer with a status other than 200.
type Status struct {
	Code   int
	Header http.Header
	Body   []byte // as far as it came, and at most 64 KiB of it
	Said   string // code and complaint, as a beginning of a sentence
}

// Exchange is the way to a server. It is safe for concurrent use, and the caller
// closes it.
type Exchange struct {
	o      Options
	base   *url.URL
	key    string
	secret *strings.Replacer // of the key
	slots  chan struct{}     // one for each request at the server
	http   http.Client
}

// New reads the key and sends nothing. A key that is missing shows at the first
// request, so that what needs no model needs no key.
func New(o Options) (*Exchange, error) {
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Identity.Name, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Parallel
	e := &Exchange{o: o, base: base, slots: make(chan struct{}, o.Parallel)}
	e.http.Transport = transport
	// No redirect is followed: it would carry contexts, and perhaps the key,
	// to a host that nobody configured.
	e.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.KeyEnv != "" {
		e.key = strings.TrimSpace(os.Getenv(o.KeyEnv))
	}
	e.secret = concealer(e.key)
	return e, nil
}

// Close gives idle connections back. No call may be under way.
func (e *Exchange) Close() { e.http.CloseIdleConnections() }

// Base is the address of the server, for sentences.
func (e *Exchange) Base() string { return e.base.String() }

// Call is a request to be sent.
type Call struct {
	Method, Path string // the path is below the base address
	ContentType  string // of the body; empty: there is none
	Body         []byte
	Timeout      time.Duration // 0: that of the options
}

// Reply is an answer with status 200.
type Reply struct {
	Body    []byte
	Elapsed time.Duration // from sending to the last byte
}

// Do sends one request when the server has room for it, and reads the whole
// answer. An error is the context's or a *runtime.Error.
func (e *Exchange) Do(ctx context.Context, out Call) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	switch {
	case e.o.KeyEnv != "" && e.key == "":
		return Reply{}, e.Fail(runtime.Fatal, nil, "the environment variable %s is not set: put the API key into it", e.o.KeyEnv)
	case strings.ContainsFunc(e.key, unicode.IsControl):
		return Reply{}, e.Fail(runtime.Fatal, nil, "the environment variable %s holds more than one line: put the API key alone into it", e.o.KeyEnv)
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	}
	if out.Timeout == 0 {
		out.Timeout = e.o.Timeout
	}
	timed, cancel := context.WithTimeout(ctx, out.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, out.Method, e.base.JoinPath(out.Path).String(), bytes.NewReader(out.Body))
	if err != nil {
		return Reply{}, e.Fail(runtime.Fatal, err, "the request cannot be made")
	}
	if out.ContentType != "" {
		request.Header.Set("Content-Type", out.ContentType)
	}
	if e.key != "" {
		request.Header.Set("Authorization", "Bearer "+e.key)
	}
	start := time.Now()
	response, err := e.http.Do(request)
	if err != nil {
		return Reply{}, e.transportError(ctx, out.Timeout, err, "no answer came")
	}
	defer response.Body.Close()
	limit := e.o.MaxAnswer
	if response.StatusCode != http.StatusOK {
		limit = min(limit, maxComplaint)
	}
	got, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	elapsed := time.Since(start)
	switch {
	case response.StatusCode != http.StatusOK: // however much of its reason came through
		if err := ctx.Err(); err != nil {
			return Reply{}, err
		}
		return Reply{}, e.StatusError(response.StatusCode, response.Header, got)
	case err != nil:
		return Reply{}, e.transportError(ctx, out.Timeout, err, "the answer broke off")
	case int64(len(got)) > limit:
		return Reply{}, e.Fail(runtime.Malformed, nil, "the answer has more than %d bytes", limit)
	}
	return Reply{got, elapsed}, nil
}

// transportError is the failure of a request that got no whole answer.
func (e *Exchange) transportError(ctx context.Context, timeout time.Duration, err error, what string) error {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case runtime.TransportTrouble(err) == runtime.Slow:
		what = fmt.Sprintf("%s within %v", what, timeout)
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &op) && op.Op == "remote error": // an alert
		return e.Fail(runtime.Fatal, err, "no TLS connection to %s comes about: mend `url`, or have the server's certificate trusted", e.base.Host)
	}
	failure := e.Fail(runtime.Transient, err, "%s", what)
	failure.Trouble = runtime.TransportTrouble(err)
	return failure
}

// StatusError is the failure that a status other than 200 means.
func (e *Exchange) StatusError(code int, header http.Header, body []byte) error {
	said := fmt.Sprintf("%s answered %d %s: %s", e.o.Server, code, http.StatusText(code), e.Quote(complaint(body)))
	if e.o.Sort != nil {
		if failure := e.o.Sort(Status{code, header, body, said}); failure != nil {
			return failure
		}
	}
	switch {
	case e.o.Keyed && (code == http.StatusUnauthorized || code == http.StatusForbidden):
		if e.o.KeyEnv == "" {
			return e.Fail(runtime.Fatal, nil, "%s; set `key_env` to the environment variable that holds the API key", said)
		}
		return e.Fail(runtime.Fatal, nil, "%s; put a valid API key into the environment variable %s", said, e.o.KeyEnv)
	case code >= 300 && code < 400:
		return e.Fail(runtime.Fatal, nil, "the server sends us elsewhere, which is not followed: set `url` to the address where it is, judging by %s", e.Quote(header.Get("Location")))
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge || code == http.StatusUnprocessableEntity:
		return e.Fail(runtime.Invalid, nil, "%s", said)
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests,
		code >= 500 && code != http.StatusNotImplemented:
		failure := e.Fail(runtime.Transient, nil, "%s", said)
		failure.Trouble = runtime.StatusTrouble(code)
		failure.RetryAfter = retryAfter(header.Get("Retry-After"), time.Now())
		return failure
	}
	return e.Fail(runtime.Fatal, nil, "%s; this is no answer of %s, so `url` may be that of another service", said, e.o.Kind)
}

// Fail is the one place where errors are made: no key gets past it.
func (e *Exchange) Fail(kind runtime.Kind, cause error, format string, args ...any) *runtime.Error {
	if cause != nil && e.scrub(cause.Error()) != cause.Error() {
		cause = errors.New(e.scrub(cause.Error()))
	}
	return &runtime.Error{Kind: kind, Model: e.o.Identity, Reason: e.scrub(fmt.Sprintf(format, args...)), Err: cause}
}
