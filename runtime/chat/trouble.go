package chat

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/irgdata/irgdata/runtime"
)

// transportTrouble is what a request without a whole answer tells of the
// server.
func transportTrouble(err error) runtime.Trouble {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial": // also when that took too long
		return runtime.Away
	case errors.Is(err, context.DeadlineExceeded):
		return runtime.Slow
	}
	return runtime.Broken
}

// statusTrouble is what a status tells of the server. A 500 tells nothing: the
// request itself may be what the server cannot bear.
func statusTrouble(status int) runtime.Trouble {
	switch status {
	case http.StatusTooManyRequests:
		return runtime.Busy
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return runtime.Away
	case http.StatusGatewayTimeout:
		return runtime.Slow
	}
	return ""
}
