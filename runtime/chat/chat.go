// Package chat drives models behind OpenAI-compatible chat servers: it turns a
// [runtime.Request] into one POST of chat/completions, and whatever comes back
// into a finished answer or a failure whose kind is right.
//
// Three dialects are spoken. [OpenAI] servers (vLLM, SGLang, llama.cpp and the
// services that follow them) write texts from texts and images. [Omni] is
// vLLM-Omni serving BAGEL or IRG, which paints as well. [Images] servers paint
// through images/generations and images/edits. Nothing is tried twice here:
// the caller repeats what is transient.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
)

// Flavor is the dialect of a server.
type Flavor string

// The dialects.
const (
	OpenAI Flavor = "openai" // writes texts from texts and images
	Omni   Flavor = "omni"   // vLLM-Omni with BAGEL or IRG: writes and paints, sees one image at most
	Images Flavor = "images" // images/generations and images/edits: paints, from one image at most
)

// Options say where a model is served and how it is spoken to.
type Options struct {
	// Name and Revision are the model's identity and part of the ledger key:
	// the revision must change when the weights or the server's settings do.
	Name, Revision string
	// URL is the base address, such as http://127.0.0.1:8091/v1.
	URL string
	// Model is the name by which the server knows the model; Name if empty.
	Model  string
	Flavor Flavor
	// Stages is the number of stages of an Omni server's deployment: 1 (or 0)
	// for one process that thinks and paints, 2 for a thinker before the painter.
	Stages int
	// KeyEnv names the environment variable that holds the API key, which
	// stands nowhere else; none if empty.
	KeyEnv string
	// Timeout bounds one request as a whole, without our queue; 0: 10 minutes.
	Timeout time.Duration
	// Parallel is the number of requests that the server gets at once; others
	// queue here. 0: 8 for OpenAI; 1 for the others, which paint one at a time.
	Parallel int
	// MaxAnswer bounds the bytes of one answer; 0: 256 MiB.
	MaxAnswer int64
}

// Only upper case is taken for a name, so that a key put here by mistake is
// seen as such and does not get into a message as the name of a variable.
var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	switch {
	case o.Name == "":
		return errors.New("the model has no name, which is part of the ledger key")
	case o.Revision == "":
		return errors.New("`revision` is missing: name the revision of the weights, which is part of the ledger key")
	case o.Flavor != OpenAI && o.Flavor != Omni && o.Flavor != Images:
		return fmt.Errorf("`kind` is %q: want %q, %q or %q", o.Flavor, OpenAI, Omni, Images)
	case o.Stages < 0 || o.Stages > 2 || o.Stages == 2 && o.Flavor != Omni:
		return fmt.Errorf("`stages` is %d: want 1, or 2 for a server of kind %s whose deployment has a thinker before the painter", o.Stages, Omni)
	case o.KeyEnv != "" && !variable.MatchString(o.KeyEnv):
		return errors.New("`key_env` is no name of an environment variable in upper case, such as OPENAI_API_KEY: put the key into a variable, and its name here")
	case o.Timeout < 0:
		return fmt.Errorf("`timeout` is %v: want a positive duration, or 0 for %v", o.Timeout, defaultTimeout)
	case o.Parallel < 0:
		return fmt.Errorf("`parallel` is %d: want at least 1, or 0 for the default", o.Parallel)
	case o.MaxAnswer < 0:
		return fmt.Errorf("the largest answer has %d bytes: want a positive number, or 0 for %d", o.MaxAnswer, int64(defaultMaxAnswer))
	}
	// The address is not repeated before it is known to hold no secret.
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("`url` is no address of a server: want something like http://127.0.0.1:8091/v1")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("`url` holds more than scheme, host and path: put the key into an environment variable, and its name into `key_env`")
	}
	return nil
}

const (
	defaultTimeout   = 10 * time.Minute
	defaultParallel  = 8
	defaultMaxAnswer = 256 << 20
)

func (o Options) withDefaults() Options {
	if o.Model == "" {
		o.Model = o.Name
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Parallel == 0 {
		o.Parallel = 1
		if o.Flavor == OpenAI {
			o.Parallel = defaultParallel
		}
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = defaultMaxAnswer
	}
	return o
}

// Client is a model behind a chat server. It is safe for concurrent use, and
// the caller closes it.
type Client struct {
	o      Options
	server *exchange.Exchange
}

// New returns a client; it reads the key and sends nothing. A key that is
// missing shows at the first request, so that what needs no model needs no
// key.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Name, err)
	}
	o = o.withDefaults()
	c := &Client{o: o}
	var err error
	c.server, err = exchange.New(exchange.Options{
		Identity: c.Identity(), URL: o.URL, Keyed: true, KeyEnv: o.KeyEnv, Timeout: o.Timeout, Parallel: o.Parallel, MaxAnswer: o.MaxAnswer,
		Server: "the server", Kind: "a chat server", Sort: c.sort,
	})
	return c, err
}

// sort says what statuses mean of a chat server alone.
func (c *Client) sort(s exchange.Status) *runtime.Error {
	switch {
	case s.Code == http.StatusNotFound:
		return c.server.Fail(runtime.Fatal, nil, "%s; want `url` to be the base address, which mostly ends in /v1, and `model` %q to be one that it serves", s.Said, c.o.Model)
	case s.Code == http.StatusBadRequest && moderated(s.Body):
		return c.server.Fail(runtime.Refused, nil, "%s", s.Said)
	}
	return nil
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

// Close gives idle connections back. No call may be under way.
func (c *Client) Close() { c.server.Close() }

// Identity implements [runtime.Model].
func (c *Client) Identity() runtime.Identity {
	return runtime.Identity{Name: c.o.Name, Revision: c.o.Revision}
}

// Generate implements [runtime.Model]. Images of the context that do not
// decode are refused before they are sent, because a server may leave them
// out without a word. Tokens are counted for OpenAI servers only; the counts
// of Omni servers are of words.
//
// An Omni server may say "stop" of a text that hit its limit; whether such a
// text is whole, only its form tells.
func (c *Client) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	call, err := c.encode(r)
	if err != nil {
		return runtime.Answer{}, err
	}
	reply, err := c.server.Do(ctx, call)
	if r.Sampling.Candidates > 0 && wantsNoLogprobs(err) {
		r.Sampling.Candidates = 0
		return c.Generate(ctx, r)
	}
	if err != nil {
		return runtime.Answer{}, err
	}
	answer, err := c.parse(reply.Body, r)
	var failure *runtime.Error
	if errors.As(err, &failure) {
		failure.TokensIn, failure.TokensOut, failure.Elapsed = answer.TokensIn, answer.TokensOut, reply.Elapsed
	}
	if err != nil {
		return runtime.Answer{}, err
	}
	answer.Elapsed = reply.Elapsed
	return answer, nil
}

// wantsNoLogprobs reports whether a server did not take a request because of
// the log-probabilities that it asks for.
func wantsNoLogprobs(err error) bool {
	var failure *runtime.Error
	return errors.As(err, &failure) && failure.Kind == runtime.Invalid && strings.Contains(strings.ToLower(failure.Reason), "logprob")
}
