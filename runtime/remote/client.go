// Package chat drives models behind chat servers of the OpenAI kind: vision
// language models on vLLM, SGLang, llama.cpp and hosted ones, which write
// texts; and BAGEL or IRG on vLLM-Omni, which also paints.
package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// Flavor is the dialect that a server speaks.
type Flavor string

const (
	// OpenAI is chat completions with images, texts as answers.
	OpenAI Flavor = "openai"
	// Omni is vLLM-Omni's dialect for BAGEL: texts and images as answers, at
	// most one image in the context.
	Omni Flavor = "omni"
)

const (
	defaultTimeout  = 10 * time.Minute
	defaultParallel = 8
	// maxAnswer bounds an answer's bytes; a 1024×1024 PNG in base64 has about
	// 3 MB.
	maxAnswer = 64 << 20
	// maxError bounds how much of an error's body is read.
	maxError = 64 << 10
	// maxWait bounds a server's Retry-After.
	maxWait = 10 * time.Minute
)

// Options say which model is called, and how.
type Options struct {
	// Name and Revision are the model's identity in the ledger.
	Name, Revision string
	// URL is the base address, "http://127.0.0.1:8000/v1".
	URL string
	// Model is what the server calls it; empty means Name.
	Model  string
	Flavor Flavor
	// KeyEnv names the environment variable that holds the API key; empty means
	// that none is sent.
	KeyEnv string
	// Timeout bounds one request; zero means 10 minutes.
	Timeout time.Duration
	// Parallel is the number of requests at one time; zero means 1 for Omni,
	// whose servers do one at a time, and 8 for OpenAI.
	Parallel int
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	if o.Flavor != OpenAI && o.Flavor != Omni {
		return fmt.Errorf("flavor is %q: want %s or %s", o.Flavor, OpenAI, Omni)
	}
	if o.Name == "" {
		return errors.New("the model has no name")
	}
	if o.Revision == "" {
		return errors.New("`revision` is missing: name the revision of the model's weights, by which its calls are known again")
	}
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("`url` is no address of a server: want one such as http://127.0.0.1:8000/v1")
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("`url` holds credentials or a query: put the key into an environment variable and name that in `key_env`")
	}
	if o.Timeout < 0 || o.Parallel < 0 || o.Parallel > 4096 {
		return fmt.Errorf("`timeout` is %s and `parallel` is %d: want positive values, and at most 4096 requests", o.Timeout, o.Parallel)
	}
	return nil
}

// Client is a model behind a server. It is safe for concurrent use.
type Client struct {
	o     Options
	key   string
	http  *http.Client
	slots chan struct{} // one for each request under way
}

// New returns a client, which the caller closes. No request is made.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("model %s: %w", o.Name, err)
	}
	if o.Model == "" {
		o.Model = o.Name
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
		if o.Flavor == Omni {
			o.Parallel = 1
		}
	}
	c := &Client{o: o, slots: make(chan struct{}, o.Parallel)}
	if o.KeyEnv != "" {
		if c.key = os.Getenv(o.KeyEnv); c.key == "" {
			return nil, fmt.Errorf("model %s: the environment variable %s, which `key_env` names, is not set", o.Name, o.KeyEnv)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Parallel
	c.http = &http.Client{
		Transport: transport,
		Timeout:   o.Timeout,
		// A model server does not redirect, and the key must not follow.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Identity implements [runtime.Model].
func (c *Client) Identity() runtime.Identity {
	return runtime.Identity{Name: c.o.Name, Revision: c.o.Revision}
}

// fail makes an error of the model.
func (c *Client) fail(kind runtime.Kind, err error, format string, args ...any) *runtime.Error {
	return &runtime.Error{Kind: kind, Model: c.Identity(), Reason: fmt.Sprintf(format, args...), Err: err}
}

// Check asks the server for its models, so that a wrong address, key or name
// shows before a run.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(c.o.Timeout, 30*time.Second))
	defer cancel()
	body, err := c.send(ctx, http.MethodGet, "/models", nil)
	if err != nil {
		return err
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return c.fail(runtime.Fatal, nil, "%s/models does not list models: is `url` the address of a chat server, with its /v1?", c.o.URL)
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	if !slices.Contains(names, c.o.Model) {
		return c.fail(runtime.Fatal, nil, "the server at %s has no model %q: set `model` to one of %s", c.o.URL, c.o.Model, strings.Join(names, ", "))
	}
	return nil
}

// Generate implements [runtime.Model]. It waits for a free place among the
// client's parallel requests; that time is not part of the answer's Elapsed.
func (c *Client) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	request, err := c.request(r)
	if err != nil {
		return runtime.Answer{}, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return runtime.Answer{}, c.fail(runtime.Fatal, err, "the request cannot be written as JSON")
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return runtime.Answer{}, ctx.Err()
	}
	start := time.Now()
	reply, err := c.send(ctx, http.MethodPost, "/chat/completions", body)
	if err != nil {
		return runtime.Answer{}, err
	}
	answer, err := c.answer(r, reply)
	answer.Elapsed = time.Since(start)
	return answer, err
}

// send makes one request and returns the body of a success.
func (c *Client) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.o.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, c.fail(runtime.Fatal, nil, "the address %s cannot be used", c.o.URL)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxError)) // as much as there is
		return nil, c.refusal(response, text)
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if len(reply) > maxAnswer {
		return nil, c.fail(runtime.Malformed, nil, "the answer has more than %d bytes", maxAnswer)
	}
	return reply, nil
}

// lost explains a request without an answer. All of these may pass: a server
// that restarts refuses connections too.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text repeats the address
	}
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return c.fail(runtime.Transient, nil, "the server at %s gave no answer within %s", c.o.URL, c.o.Timeout)
	case strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "HTTP response to HTTPS"):
		return c.fail(runtime.Fatal, err, "no secure connection to %s: check http or https and the certificate", c.o.URL)
	}
	return c.fail(runtime.Transient, err, "the server at %s cannot be reached or broke off: is it running?", c.o.URL)
}

// refusal explains an answer with another status than 200.
func (c *Client) refusal(response *http.Response, text []byte) error {
	status := response.StatusCode
	said := c.redact(message(text))
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return c.fail(runtime.Fatal, nil, "the server at %s does not accept the key (status %d): set `key_env` to the variable that holds it", c.o.URL, status)
	case status == http.StatusNotFound:
		return c.fail(runtime.Fatal, nil, "the server at %s knows no such address or no model %q (%s): check `url` and `model`", c.o.URL, c.o.Model, said)
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		failure := c.fail(runtime.Transient, nil, "the server said status %d: %s", status, said)
		failure.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
		return failure
	case status >= 400:
		return c.fail(runtime.Refused, nil, "the server refused the request (status %d): %s", status, said)
	}
	return c.fail(runtime.Fatal, nil, "the server at %s answered with status %d, which no chat server does: check `url`", c.o.URL, status)
}

// redact takes the key out of what a server said.
func (c *Client) redact(s string) string {
	if c.key == "" {
		return s
	}
	return strings.ReplaceAll(s, c.key, "(key)")
}

// message is the sentence in the body of an error: OpenAI's error.message or
// FastAPI's detail.
func message(text []byte) string {
	var body struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	said := string(text)
	if json.Unmarshal(text, &body) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(body.Error, &inner) == nil && inner.Message != "":
			said = inner.Message
		case len(body.Error) > 0:
			said = string(body.Error)
		case len(body.Detail) > 0:
			said = string(body.Detail)
		}
	}
	if said = strings.Join(strings.Fields(strings.ToValidUTF8(said, "?")), " "); len(said) > 300 {
		said = said[:300] + "…"
	}
	if said == "" {
		return "it gave no reason"
	}
	return strings.ToValidUTF8(said, "")
}

// retryAfter reads seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		wait = time.Duration(min(seconds, int(maxWait/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxWait)
}
