package pool

import (
	"context"
	"errors"
	"sync"

	"github.com/irgdata/irgdata/runtime"
)

// Client is a model behind an address, such as *chat.Client.
type Client interface {
	runtime.Model
	// Close gives idle connections back.
	Close()
}

// Moving is a model whose server's address changes, as it does when the server
// is started again. It is safe for concurrent use, and the caller closes it.
type Moving struct {
	identity runtime.Identity
	address  func() (string, error)
	open     func(address string) (Client, error)

	mu     sync.Mutex
	at     string
	client Client // nil before the first call
}

// NewMoving returns a model that asks for its address before each call and
// opens a client for it when it has changed. An error of address is the call's
// failure: as *[runtime.Error] with a RetryAfter it says when to ask again, and
// as Fatal that the server will not come back.
func NewMoving(id runtime.Identity, address func() (string, error), open func(address string) (Client, error)) *Moving {
	return &Moving{identity: id, address: address, open: open}
}

// Identity implements [runtime.Model].
func (m *Moving) Identity() runtime.Identity { return m.identity }

// Generate implements [runtime.Model].
func (m *Moving) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	c, err := m.current()
	if err != nil {
		return runtime.Answer{}, err
	}
	return c.Generate(ctx, r)
}

// current returns the client of the present address. Calls under way keep the
// one that they have: its server is gone, and they will hear of it.
func (m *Moving) current() (Client, error) {
	address, err := m.address()
	if err != nil {
		var failure *runtime.Error
		if !errors.As(err, &failure) {
			return nil, &runtime.Error{Kind: runtime.Fatal, Model: m.identity, Reason: "the server has no address", Err: err}
		}
		named := *failure
		named.Model = m.identity
		return nil, &named
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil && m.at == address {
		return m.client, nil
	}
	c, err := m.open(address)
	if err != nil {
		return nil, &runtime.Error{Kind: runtime.Fatal, Model: m.identity, Reason: "the server's address is of no use", Err: err}
	}
	if m.client != nil {
		m.client.Close()
	}
	m.at, m.client = address, c
	return c, nil
}

// Close gives idle connections back. No call may be under way.
func (m *Moving) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		m.client.Close()
	}
}
