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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
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
	o      Options
	server *exchange.Exchange
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
	c := &Client{o: o}
	var err error
	c.server, err = exchange.New(exchange.Options{
		Identity: c.Identity(), URL: o.URL, Keyed: true, KeyEnv: o.KeyEnv, Timeout: o.Timeout, Parallel: o.Parallel, MaxAnswer: maxAnswer,
		Server: "the score server", Kind: "a score server", Sort: c.sort,
	})
	return c, err
}

// sort says what a status means of a score server alone: an image that it cannot
// score is 422.
func (c *Client) sort(s exchange.Status) *runtime.Error {
	if s.Code == http.StatusUnprocessableEntity {
		return c.server.Fail(runtime.Refused, nil, "%s", s.Said)
	}
	return nil
}

// Close gives idle connections back. No call may be under way.
func (c *Client) Close() { c.server.Close() }

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
				return runtime.Answer{}, c.server.Fail(runtime.Refused, err, "part %d of the context is no image", i+1)
			}
			body.Image = p.Image.Bytes
		default:
			return runtime.Answer{}, c.server.Fail(runtime.Fatal, nil, "a scorer takes one image and one prompt, and part %d of the context is more than that", i+1)
		}
	}
	if r.Want != runtime.Text || body.Image == nil {
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, nil, "a scorer gives numbers for an image, and nothing else")
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return runtime.Answer{}, c.server.Fail(runtime.Fatal, err, "the request cannot be written as JSON")
	}
	start := time.Now()
	got, err := c.server.Do(ctx, exchange.Call{Method: http.MethodPost, Path: "v1/score", ContentType: "application/json", Body: encoded})
	if err != nil {
		return runtime.Answer{}, err
	}
	text, err := c.numbers(got.Body)
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
		return "", c.server.Fail(runtime.Transient, nil, "the answer is not JSON: %s", c.server.Quote(string(body)))
	case err != nil || got.Scores == nil:
		return "", c.server.Fail(runtime.Fatal, err, "the answer is none of a score server, so `url` may be that of another service: %s", c.server.Quote(string(body)))
	case len(got.Scores) == 0:
		return "", c.server.Fail(runtime.Empty, nil, "the answer holds no score")
	case len(got.Scores) > maxNumbers:
		return "", c.server.Fail(runtime.Malformed, nil, "the answer holds %d scores: want at most %d", len(got.Scores), maxNumbers)
	}
	for name, value := range got.Scores {
		if !nameForm.MatchString(name) || math.IsInf(value, 0) {
			return "", c.server.Fail(runtime.Malformed, nil, "the answer holds the score %.80q: want lower-case letters, digits and _ for a name, and a finite number", name)
		}
	}
	text, err := json.Marshal(got.Scores) // in the order of the names
	if err != nil {
		return "", c.server.Fail(runtime.Malformed, err, "the scores cannot be kept")
	}
	return string(text), nil
}

// Check asks the server what it serves, so that a wrong address or other
// weights show before a run. What a person must mend is a Fatal error that says
// so; a server that still loads is Transient.
func (c *Client) Check(ctx context.Context) error {
	got, err := c.server.Do(ctx, exchange.Call{Method: http.MethodGet, Path: "v1/scorer", Timeout: min(c.o.Timeout, checkTimeout)})
	var failure *runtime.Error
	switch {
	case err == nil:
	case !errors.As(err, &failure):
		return err // the context's
	case failure.Kind == runtime.Transient && failure.Err != nil: // no status came
		return c.server.Fail(runtime.Fatal, failure.Err, "no score server answers at %s: is it running? start it, or mend `url`", c.server.Base())
	default:
		return err
	}
	var about struct {
		Protocol int    `json:"protocol"`
		Revision string `json:"revision"`
	}
	switch err := json.Unmarshal(got.Body, &about); {
	case err != nil || about.Protocol == 0:
		return c.server.Fail(runtime.Fatal, err, "%s is no score server: set `url` to the base address of one", c.server.Base())
	case about.Protocol != protocol:
		return c.server.Fail(runtime.Fatal, nil, "the score server at %s speaks version %d of the protocol: want version %d, that of this program", c.server.Base(), about.Protocol, protocol)
	case !strings.HasPrefix(about.Revision, c.o.Revision):
		return c.server.Fail(runtime.Fatal, nil, "the score server at %s has revision %s, and `revision` is %q: set `revision` to that of the server, or start it with the other weights", c.server.Base(), c.server.Quote(about.Revision), c.o.Revision)
	}
	return nil
}
