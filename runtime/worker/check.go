package worker

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

const (
	checkTimeout = 30 * time.Second
	protocol     = 1 // docs/worker-protocol.md
	// shortest is the least of a digest that may stand for the whole:
	// "sha256:" and 12 digits.
	shortest = len("sha256:") + 12
)

// Check asks the worker what it serves, so that a wrong address or checkpoint
// shows before a run. What a person must mend is a Fatal error that says so; a
// worker that still loads is Transient.
func (c *Client) Check(ctx context.Context) error {
	got, err := c.server.Do(ctx, exchange.Call{Method: http.MethodGet, Path: "v1/model", Timeout: min(c.o.Timeout, checkTimeout)})
	var failure *runtime.Error
	switch {
	case err == nil:
	case !errors.As(err, &failure):
		return err // the context's
	case failure.Kind == runtime.Transient && failure.Err != nil: // no status came
		return c.server.Fail(runtime.Fatal, failure.Err, "no worker answers at %s: is it running? start it, or mend `url`", c.server.Base())
	case failure.Kind == runtime.Transient:
		failure.Reason = "wait until the worker is ready and start again: " + failure.Reason
		return failure
	default:
		return err
	}
	var model struct {
		Protocol   int    `json:"protocol"`
		Checkpoint string `json:"checkpoint"`
	}
	switch err := json.Unmarshal(got.Body, &model); {
	case err != nil || model.Protocol == 0:
		return c.server.Fail(runtime.Fatal, err, "%s is no worker: set `url` to the base address of one", c.server.Base())
	case model.Protocol != protocol:
		return c.server.Fail(runtime.Fatal, nil, "the worker at %s speaks version %d of the protocol: want version %d, that of this program", c.server.Base(), model.Protocol, protocol)
	case len(c.o.Revision) < shortest || !strings.HasPrefix(model.Checkpoint, c.o.Revision):
		return c.server.Fail(runtime.Fatal, nil, "the worker at %s serves the checkpoint %s, and `revision` is %q: set `revision` to that digest, or start the worker with the other checkpoint", c.server.Base(), c.server.Quote(model.Checkpoint), c.o.Revision)
	}
	return nil
}
