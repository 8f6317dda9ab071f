// Package worker drives a worker that serves IRG or BAGEL with the official
// modelling code, and so takes contexts of texts and images in any order: the
// second turn of IRG, which a chat server cannot express. The protocol is in
// docs/worker-protocol.md, and the worker itself in the folder server.
//
// Nothing is tried twice here: the caller repeats what is transient.
package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
)

// Options say where a worker is.
type Options struct {
	// Name and Revision are the model's identity and part of the ledger key.
	// Check wants the revision to be the digest of the checkpoint, as the
	// worker tells it (sha256:…), or the beginning of it.
	Name, Revision string
	// URL is the base address, such as http://127.0.0.1:8095.
	URL string
	// Timeout bounds one request as a whole, without our queue but with the
	// worker's; 0: 20 minutes.
	Timeout time.Duration
	// Parallel is the number of requests that the worker gets at once. It works
	// on one at a time, and a second one waiting there saves it the way to us
	// and back. 0: 2.
	Parallel int
	// MaxAnswer bounds the bytes of one answer; 0: 64 MiB.
	MaxAnswer int64
}

const (
	defaultTimeout   = 20 * time.Minute
	defaultParallel  = 2
	defaultMaxAnswer = 64 << 20
)

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	switch {
	case o.Name == "":
		return errors.New("the model has no name, which is part of the ledger key")
	case o.Revision == "":
		return errors.New("`revision` is missing: name the digest of the checkpoint, which GET /v1/model of the worker tells")
	case o.Timeout < 0:
		return fmt.Errorf("`timeout` is %v: want a positive duration, or 0 for %v", o.Timeout, defaultTimeout)
	case o.Parallel < 0:
		return fmt.Errorf("`parallel` is %d: want at least 1, or 0 for %d", o.Parallel, defaultParallel)
	case o.MaxAnswer < 0:
		return fmt.Errorf("the largest answer has %d bytes: want a positive number, or 0 for %d", o.MaxAnswer, int64(defaultMaxAnswer))
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("`url` is no address of a worker: want scheme, host and perhaps a path, such as http://127.0.0.1:8095")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = defaultMaxAnswer
	}
	return o
}

// Client is a model behind a worker. It is safe for concurrent use, and the
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
	o = o.withDefaults()
	c := &Client{o: o}
	var err error
	c.server, err = exchange.New(exchange.Options{
		Identity: c.Identity(), URL: o.URL, Timeout: o.Timeout, Parallel: o.Parallel, MaxAnswer: o.MaxAnswer,
		Server: "the worker", Kind: "a worker",
	})
	return c, err
}

// Close gives idle connections back. No call may be under way.
func (c *Client) Close() { c.server.Close() }

// Identity implements [runtime.Model].
func (c *Client) Identity() runtime.Identity {
	return runtime.Identity{Name: c.o.Name, Revision: c.o.Revision}
}

// Generate implements [runtime.Model]. A text comes back to the letter, blanks
// at its ends included, because it goes into the next context as it is. The
// context for guidance by the image is the context without its images, as in
// the official inference. Elapsed is the worker's own time, without its queue.
func (c *Client) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	body, err := c.encode(r)
	if err != nil {
		return runtime.Answer{}, err
	}
	got, err := c.server.Do(ctx, exchange.Call{Method: http.MethodPost, Path: "v1/generate", ContentType: "application/json", Body: body})
	if err != nil {
		return runtime.Answer{}, err
	}
	return c.parse(got.Body, r)
}
