// Package scorer drives servers that give numbers for an image and its prompt:
// aesthetic scores, the probability of a watermark or of what is not safe for
// work, the similarity of image and prompt by CLIP. The protocol is in
// docs/score-protocol.md.
//
// A scorer is a [runtime.Model] whose answer is a text: the numbers as a JSON
// object. So its calls go through the ledger, pools, budgets and plans as all
// others do. Nothing is tried twice here: the caller repeats what is transient.
package scorer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
)

// Options say where a score server is.
type Options struct {
	// Name and Revision are the scorer's identity and part of the ledger key.
	// Check wants the server to give the revision for its own, or its beginning.
	Name, Revision string
	// URL is the base address, such as http://127.0.0.1:8096.
	URL string
	// KeyEnv names the environment variable with the key that the server wants,
	// sent as a bearer token; empty: none.
	KeyEnv string
	// Timeout bounds one request as a whole; 0: 2 minutes.
	Timeout time.Duration
	// Parallel is the number of requests that the server gets at once; 0: 8.
	Parallel int
}

const (
	defaultTimeout  = 2 * time.Minute
	defaultParallel = 8
	checkTimeout    = 30 * time.Second
	protocol        = 1 // docs/score-protocol.md
	// maxAnswer bounds the bytes of an answer, and maxNumbers its numbers.
	maxAnswer  = 64 << 10
	maxNumbers = 64
)

// nameForm is the form of a number's name.
var nameForm = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// variable is the form of an environment variable's name: a key that was put
// there by mistake is seen as such, and not repeated.
var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	switch {
	case o.Name == "":
		return errors.New("the scorer has no name, which is part of the ledger key")
	case o.Revision == "":
		return errors.New("`revision` is missing: name that of the weights, as GET /v1/scorer of the server tells it")
	case o.KeyEnv != "" && !variable.MatchString(o.KeyEnv):
		return errors.New("`key_env` is no name of an environment variable in upper case, such as SCORER_KEY: put the key into a variable, and its name here")
	case o.Timeout < 0:
		return fmt.Errorf("`timeout` is %v: want a positive duration, or 0 for %v", o.Timeout, defaultTimeout)
	case o.Parallel < 0:
		return fmt.Errorf("`parallel` is %d: want at least 1, or 0 for %d", o.Parallel, defaultParallel)
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("`url` is no address of a score server: want scheme, host and perhaps a path, such as http://127.0.0.1:8096")
	}
	return nil
}

// Client is a scorer behind a server. It is safe for concurrent use, and the
// caller closes it.
type Client struct {
	o     Options
	base  *url.URL
	key   string
	slots chan struct{} // one for each request at the server
	http  http.Client
}

// New returns a client; it sends nothing.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Name, err)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Name, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Parallel
	c := &Client{o: o, base: base, slots: make(chan struct{}, o.Parallel)}
	c.http.Transport = transport
	// A redirect would carry images, and perhaps the key, to a host that nobody
	// configured.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.KeyEnv != "" {
		c.key = strings.TrimSpace(os.Getenv(o.KeyEnv))
	}
	return c, nil
}

// Close gives idle connections back. No call may be under way.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Identity implements [runtime.Model].
func (c *Client) Identity() runtime.Identity {
	return runtime.Identity{Name: c.o.Name, Revision: c.o.Revision}
}

// request is the body of POST v1/score.
type request struct {
	Image  []byte `json:"image"` // base64 of the encoded image
	Prompt string `json:"prompt,omitempty"`
}

// answer is the body of an answer with status 200.
type answer struct {
	Scores  map[string]float64 `json:"scores"`
	Seconds float64            `json:"seconds"`
}

// Generate implements [runtime.Model]: the context is one image and perhaps a
// prompt, and the answer is a text, a JSON object of numbers by name.
func (c *Client) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	var body request
	for i, p := range r.Context {
		switch {
		case p.Image == nil && body.Prompt == "":
			body.Prompt = p.Text
		case p.Image != nil && body.Image == nil:
			if _, err := images.Probe(p.Image.Bytes); err != nil {
				return runtime.Answer{}, c.fail(runtime.Refused, err, "part %d of the context is no image", i+1)
			}
			body.Image = p.Image.Bytes
		default:
			return runtime.Answer{}, c.fail(runtime.Fatal, nil, "a scorer takes one image and one prompt, and part %d of the context is more than that", i+1)
		}
	}
	if r.Want != runtime.Text || body.Image == nil {
		return runtime.Answer{}, c.fail(runtime.Fatal, nil, "a scorer gives numbers for an image, and nothing else")
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return runtime.Answer{}, c.fail(runtime.Fatal, err, "the request cannot be written as JSON")
	}
	start := time.Now()
	got, err := c.exchange(ctx, c.o.Timeout, http.MethodPost, encoded, "v1", "score")
	if err != nil {
		return runtime.Answer{}, err
	}
	text, err := c.numbers(got)
	if err != nil {
		return runtime.Answer{}, err
	}
	return runtime.Answer{Text: text, Finish: "stop", Elapsed: time.Since(start)}, nil
}

// numbers checks an answer and writes its numbers in the order of their names.
func (c *Client) numbers(body []byte) (string, error) {
	var got answer
	switch err := json.Unmarshal(body, &got); {
	case !json.Valid(body):
		return "", c.fail(runtime.Transient, nil, "the answer is not JSON: %s", quote(body))
	case err != nil || got.Scores == nil:
		return "", c.fail(runtime.Fatal, err, "the answer is none of a score server, so `url` may be that of another service: %s", quote(body))
	case len(got.Scores) == 0:
		return "", c.fail(runtime.Empty, nil, "the answer holds no score")
	case len(got.Scores) > maxNumbers:
		return "", c.fail(runtime.Malformed, nil, "the answer holds %d scores: want at most %d", len(got.Scores), maxNumbers)
	}
	for name, value := range got.Scores {
		if !nameForm.MatchString(name) || math.IsInf(value, 0) {
			return "", c.fail(runtime.Malformed, nil, "the answer holds the score %.80q: want lower-case letters, digits and _ for a name, and a finite number", name)
		}
	}
	text, err := json.Marshal(got.Scores) // in the order of the names
	if err != nil {
		return "", c.fail(runtime.Malformed, err, "the scores cannot be kept")
	}
	return string(text), nil
}

// Check asks the server what it serves, so that a wrong address or other
// weights show before a run. What a person must mend is a Fatal error that says
// so; a server that still loads is Transient.
func (c *Client) Check(ctx context.Context) error {
	got, err := c.exchange(ctx, min(c.o.Timeout, checkTimeout), http.MethodGet, nil, "v1", "scorer")
	var failure *runtime.Error
	switch {
	case err == nil:
	case !errors.As(err, &failure):
		return err // the context's
	case failure.Kind == runtime.Transient && failure.Err != nil: // no status came
		return c.fail(runtime.Fatal, failure.Err, "no score server answers at %s: is it running? start it, or mend `url`", c.base)
	default:
		return err
	}
	var about struct {
		Protocol int    `json:"protocol"`
		Revision string `json:"revision"`
	}
	switch err := json.Unmarshal(got, &about); {
	case err != nil || about.Protocol == 0:
		return c.fail(runtime.Fatal, err, "%s is no score server: set `url` to the base address of one", c.base)
	case about.Protocol != protocol:
		return c.fail(runtime.Fatal, nil, "the score server at %s speaks version %d of the protocol: want version %d, that of this program", c.base, about.Protocol, protocol)
	case !strings.HasPrefix(about.Revision, c.o.Revision):
		return c.fail(runtime.Fatal, nil, "the score server at %s has revision %s, and `revision` is %q: set `revision` to that of the server, or start it with the other weights", c.base, quote([]byte(about.Revision)), c.o.Revision)
	}
	return nil
}

// exchange sends one request when there is a slot for it, and returns the whole
// body of the answer. An error is the context's or a *runtime.Error.
func (c *Client) exchange(ctx context.Context, timeout time.Duration, method string, body []byte, path ...string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.o.KeyEnv != "" && c.key == "" {
		return nil, c.fail(runtime.Fatal, nil, "the environment variable %s is not set: put the key into it", c.o.KeyEnv)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, method, c.base.JoinPath(path...).String(), bytes.NewReader(body))
	if err != nil {
		return nil, c.fail(runtime.Fatal, err, "the request cannot be made")
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.transportError(ctx, timeout, err, "no answer came")
	}
	defer response.Body.Close()
	got, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case response.StatusCode != http.StatusOK: // however much of its reason came through
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, c.statusError(response, got)
	case err != nil:
		return nil, c.transportError(ctx, timeout, err, "the answer broke off")
	case len(got) > maxAnswer:
		return nil, c.fail(runtime.Malformed, nil, "the answer has more than %d bytes", maxAnswer)
	}
	return got, nil
}

// transportError is the failure of a request that got no whole answer.
func (c *Client) transportError(ctx context.Context, timeout time.Duration, err error, what string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	trouble := runtime.TransportTrouble(err)
	if trouble == runtime.Slow {
		what = fmt.Sprintf("%s within %v", what, timeout)
	}
	failure := c.fail(runtime.Transient, err, "%s", what)
	failure.Trouble = trouble
	return failure
}

// statusError is the failure that a status other than 200 means. An image that
// the server cannot score is 422, a server that still loads or has a full queue
// answers 503.
func (c *Client) statusError(response *http.Response, body []byte) error {
	said := fmt.Sprintf("the score server answered %d %s: %s", response.StatusCode, http.StatusText(response.StatusCode), quote(complaint(body)))
	switch status := response.StatusCode; {
	case status == http.StatusUnprocessableEntity:
		return c.fail(runtime.Refused, nil, "%s", said)
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
		return c.fail(runtime.Invalid, nil, "%s", said)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return c.fail(runtime.Fatal, nil, "%s; set `key_env` to the environment variable that holds a valid key", said)
	case status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented:
		failure := c.fail(runtime.Transient, nil, "%s", said)
		failure.Trouble = runtime.StatusTrouble(status)
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 63); err == nil {
			failure.RetryAfter = time.Duration(min(seconds, 24*3600)) * time.Second
		}
		return failure
	}
	return c.fail(runtime.Fatal, nil, "%s; this is no answer of a score server, so `url` may be that of another service", said)
}

// complaint is the server's own sentence, or else the whole body.
func complaint(body []byte) []byte {
	var form struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &form) != nil || form.Error.Message == "" {
		return body
	}
	return []byte(form.Error.Message)
}

// quote makes a server's words fit for a sentence: short, and on one line.
func quote(s []byte) string {
	const most = 300 // bytes
	text := strings.TrimSpace(string(s))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}

// fail makes an error, without the key, which a server may have echoed.
func (c *Client) fail(kind runtime.Kind, cause error, format string, args ...any) *runtime.Error {
	reason := fmt.Sprintf(format, args...)
	if c.key != "" {
		reason = strings.ReplaceAll(reason, c.key, "[key]")
	}
	return &runtime.Error{Kind: kind, Model: c.Identity(), Reason: reason, Err: cause}
}
