package chat

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/exchange"
)

// checkTimeout is enough for a list, unlike for an image.
const checkTimeout = 30 * time.Second

// Check asks the server for its models, so that a wrong address, key or model
// name shows before a run instead of in every pair of it. What a person must
// mend is a Fatal error that says so, a server that does not answer included;
// one that answers that it is overloaded or still loading is Transient.
func (c *Client) Check(ctx context.Context) error {
	got, err := c.server.Do(ctx, exchange.Call{Method: http.MethodGet, Path: "models", Timeout: min(c.o.Timeout, checkTimeout)})
	var failure *runtime.Error
	switch {
	case err == nil:
	case !errors.As(err, &failure):
		return err // the context's
	case failure.Kind == runtime.Transient && failure.Err != nil: // no status came
		return c.server.Fail(runtime.Fatal, failure.Err, "no server answers at %s: is it running? start it, or mend `url`", c.server.Base())
	case failure.Kind == runtime.Transient:
		failure.Reason = "wait until the server is ready and start again: " + failure.Reason
		return failure
	case failure.Kind != runtime.Fatal:
		return c.server.Fail(runtime.Fatal, failure.Err, "%s; want `url` to be the base address of a chat server, which mostly ends in /v1", failure.Reason)
	default:
		return err
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(got.Body, &list); err != nil || list.Data == nil {
		return c.server.Fail(runtime.Fatal, err, "%s/models is no list of models: set `url` to the base address of a chat server, which mostly ends in /v1", c.server.Base())
	}
	var names []string
	for _, m := range list.Data {
		if m.ID == c.o.Model {
			return nil
		}
		names = append(names, m.ID)
	}
	return c.server.Fail(runtime.Fatal, nil, "the server at %s has no model %q: set `model` to one of %s", c.server.Base(), c.o.Model, strings.Trim(c.server.Quote(strings.Join(names, ", ")), `"`))
}
