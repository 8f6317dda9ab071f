package runtime

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// TransportTrouble is what a request without a whole answer tells of the
// server.
func TransportTrouble(err error) Trouble {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial": // also when that took too long
		return Away
	case errors.Is(err, context.DeadlineExceeded):
		return Slow
	}
	return Broken
}

// StatusTrouble is what a status tells of the server. A 500 tells nothing: the
// request itself may be what the server cannot bear.
func StatusTrouble(status int) Trouble {
	switch status {
	case http.StatusTooManyRequests:
		return Busy
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return Away
	case http.StatusGatewayTimeout:
		return Slow
	}
	return ""
}
