package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/pool"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/scorer"
	"github.com/irgdata/irgdata/runtime/servers"
	"github.com/irgdata/irgdata/runtime/worker"
)

// models opens the models that the wanted steps need, each once.
func (d *dataset) models(ctx context.Context) (map[modes.Role]runtime.Model, error) {
	byName := map[string]runtime.Model{}
	byRole := map[modes.Role]runtime.Model{}
	for _, step := range d.config.calls(d.modes) {
		name := d.config.player(step.Role)
		if byName[name] == nil {
			model, err := d.openModel(ctx, name)
			if err != nil {
				return nil, err
			}
			if byName[name], err = d.counted(name, model); err != nil {
				return nil, err
			}
		}
		byRole[step.Role] = byName[name]
	}
	return byRole, nil
}

// tokenizer opens that of the named model's checkpoint; nil if none is
// configured.
func (c Config) tokenizer(name string) (*tokenizer.Tokenizer, error) {
	folder := c.Models[name].Tokenizer
	if folder == "" {
		return nil, nil
	}
	t, err := tokenizer.Open(os.DirFS(c.path(folder)))
	if err != nil {
		return nil, usage(c.document.Errorf("models."+name+".tokenizer", "open %s: %v", c.path(folder), err))
	}
	return t, nil
}

// counted has the tokens of the model's calls counted, where its server does
// not count them.
func (d *dataset) counted(name string, m runtime.Model) (runtime.Model, error) {
	t, err := d.config.tokenizer(name)
	if t == nil {
		return m, err
	}
	return runtime.Counted(m, t.Count), nil
}

// prices are those of the configured models by their identity.
func (c Config) prices() (manifests.Prices, error) {
	prices := manifests.Prices{}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m := c.Models[name]
		if m.Kind == kindScenes {
			continue
		}
		p := manifests.Price{PerCall: m.Price.PerCall, PerMillionIn: m.Price.PerMillionIn, PerMillionOut: m.Price.PerMillionOut, PerGPUHour: m.Price.PerGPUHour, GPUs: m.GPUs}
		id := c.identity(name).String()
		other, taken := prices[id]
		switch {
		case !taken || other == manifests.Price{}:
			prices[id] = p
		case p != manifests.Price{} && p != other:
			return nil, fmt.Errorf("two models are %s and have different prices or GPUs: give them the same", id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m, id := c.Models[name], c.identity(name).String()
		if p := prices[id]; p.GPUs == 0 && len(m.Serve.Command) > 0 {
			p.GPUs = m.Serve.gpusPerServer() / float64(c.parallel(name))
			prices[id] = p
		}
	}
	return prices, prices.Validate()
}

func (c Config) budget() manifests.Budget { return manifests.Budget(c.Budget) }

// client is a model behind one address.
type client interface {
	pool.Client
	// Check asks the server for its model.
	Check(ctx context.Context) error
}

// dial opens the named model at an address, without a word to the server.
func (c Config) dial(name, address string) (client, error) {
	switch c.Models[name].Kind {
	case kindWorker:
		o := c.workerOptions(name)
		o.URL = address
		return worker.New(o)
	case kindScorer:
		o := c.scorerOptions(name)
		o.URL = address
		return scorer.New(o)
	}
	o := c.chatOptions(name)
	o.URL = address
	return chat.New(o)
}

func (d *dataset) configuredModel(_ context.Context, name string) (runtime.Model, error) {
	m := d.config.Models[name]
	switch {
	case m.Kind == kindScenes:
		return scenes.New(), nil
	case len(m.Serve.Command) > 0:
		return d.startedModel(name)
	}
	var clients []client
	var endpoints []pool.Endpoint
	for _, address := range m.addresses() {
		c, err := d.config.dial(name, address)
		if err != nil {
			return nil, usage(err)
		}
		d.closers = append(d.closers, c.Close)
		clients = append(clients, c)
		endpoints = append(endpoints, d.config.endpoint(name, address, c))
	}
	p, err := d.pool(endpoints)
	return &checked{Model: p, clients: clients}, err
}

// startedModel is a model whose servers are started at its first call.
func (d *dataset) startedModel(name string) (runtime.Model, error) {
	group, err := servers.New(d.config.serverOptions(name, d.log))
	if err != nil {
		return nil, usage(err)
	}
	d.closers = append(d.closers, group.Stop)
	base := d.config.Models[name].base()
	id := d.config.identity(name)
	var endpoints []pool.Endpoint
	for i := range group.Len() {
		address := func() (string, error) {
			group.Start()
			return group.Address(i)
		}
		moving := pool.NewMoving(id, address, func(address string) (pool.Client, error) {
			c, err := d.config.dial(name, address+base)
			return &started{checked: checked{Model: c, clients: []client{c}}, client: c}, err
		})
		d.closers = append(d.closers, moving.Close)
		e := d.config.endpoint(name, group.Name(i), moving)
		e.Starting = true
		endpoints = append(endpoints, e)
	}
	return d.pool(endpoints)
}

// endpoint is a server of the named model as the pool sees it.
func (c Config) endpoint(name, title string, m runtime.Model) pool.Endpoint {
	kind := c.Models[name].Kind
	return pool.Endpoint{Name: title, Model: m, Limit: c.parallel(name), Fixed: kind == kindOmni || kind == kindWorker}
}

func (d *dataset) pool(endpoints []pool.Endpoint) (*pool.Pool, error) {
	p, err := pool.New(pool.Options{Patience: time.Duration(d.config.Calls.Patience), Drain: true, Log: d.log}, endpoints...)
	if err == nil {
		d.pools = append(d.pools, p)
	}
	return p, err
}

// serverOptions say how the servers of the named model are started.
func (c Config) serverOptions(name string, log *slog.Logger) servers.Options {
	s := c.Models[name].Serve
	o := servers.Options{
		Name: name, Command: s.Command, Env: s.Env, Ready: s.Ready,
		Dir: c.dir, Logs: filepath.Join(c.path(c.Work), "servers"),
		ReadyTimeout: time.Duration(s.ReadyTimeout), StopTimeout: time.Duration(s.StopTimeout), Log: log,
	}
	if o.Ready == "" {
		o.Ready = "/health"
	}
	for _, gpu := range s.GPUs {
		o.GPUs = append(o.GPUs, string(gpu))
	}
	if len(o.GPUs) == 0 {
		o.GPUs = servers.GPUs(1)
	}
	return o
}

// checked asks the servers for their model before the first call, so that a
// wrong address, key or name shows there. One that is as it should be is
// enough: the pool leaves the others. What needs no call needs no server.
type checked struct {
	runtime.Model
	clients []client

	mu    sync.Mutex
	sound bool
}

// Generate implements [runtime.Model].
func (m *checked) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	if err := m.check(ctx); err != nil {
		return runtime.Answer{}, err
	}
	return m.Model.Generate(ctx, r)
}

// started is the model of a server that we started: it is asked for its model
// too, but that it does not answer means that it died and will be back.
type started struct {
	checked
	client client
}

// Generate implements [runtime.Model].
func (m *started) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	answer, err := m.checked.Generate(ctx, r)
	var failure *runtime.Error
	var transport *url.Error
	if errors.As(err, &failure) && failure.Kind == runtime.Fatal && errors.As(failure.Err, &transport) {
		gone := *failure
		gone.Kind, gone.Trouble = runtime.Transient, runtime.Away
		return answer, &gone
	}
	return answer, err
}

// Close gives idle connections back.
func (m *started) Close() { m.client.Close() }

func (m *checked) check(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sound {
		return nil
	}
	errs := make([]error, len(m.clients))
	var asked conc.WaitGroup
	for i, c := range m.clients {
		asked.Go(func() { errs[i] = c.Check(ctx) })
	}
	asked.Wait()
	for _, err := range errs {
		m.sound = m.sound || err == nil
	}
	if m.sound {
		return nil
	}
	// A server that is busy or loading may be asked again; else a person must
	// mend something.
	for _, err := range errs {
		var failure *runtime.Error
		if errors.As(err, &failure) && failure.Kind == runtime.Transient {
			return err
		}
	}
	return errs[0]
}
