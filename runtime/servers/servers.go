// Package servers starts model servers on this machine, one for each GPU, and
// keeps them running.
//
// Each server runs under a small process of ours, the supervisor: the program
// itself, started once more ([SuperviseIfAsked]). It holds one end of a pipe
// whose other end is in this process alone. When that is closed, be it because
// the servers are to stop or because this process was killed, the supervisor
// ends the server and all that it started. So no GPU is left occupied by a
// server that nobody asks.
package servers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
)

// Options say what is started and how.
type Options struct {
	// Name of the model; it stands in messages and in the names of log files.
	Name string
	// Command is the program and its arguments. In each word {port} stands for
	// the port on which the server is to listen at 127.0.0.1, and {gpu} for its
	// GPUs. No shell reads it.
	Command []string
	// GPUs has one server for each item, the value of its
	// CUDA_VISIBLE_DEVICES: an index such as "0", or "0,1" for a server that
	// uses two.
	GPUs []string
	// Env is added to the environment, as KEY=value with {port} and {gpu}.
	Env []string
	// Dir is the working folder; empty: that of this process.
	Dir string
	// Ready is the path that answers 200 when the server can be asked, such as
	// /health.
	Ready string
	// ReadyTimeout is how long a server may take to be ready; 0: 10 minutes.
	ReadyTimeout time.Duration
	// Logs is the folder for what the servers print, a file for each.
	Logs string
	// Attempts is how often in a row a server is started that does not become
	// ready; 0: 3.
	Attempts int
	// Pause is that before a server is started again, doubled up to 1 minute
	// with each time that it dies young; 0: 1 second.
	Pause time.Duration
	// StopTimeout is how long a server may take to end itself before it is
	// killed; 0: 15 seconds.
	StopTimeout time.Duration
	// Log is told of servers that die; nil: none.
	Log *slog.Logger
}

const (
	defaultReadyTimeout = 10 * time.Minute
	defaultAttempts     = 3
	defaultPause        = time.Second
	maxPause            = time.Minute
	defaultStopTimeout  = 15 * time.Second
)

// Words splits a command that is written as one string at its spaces. What only
// a shell would understand is an error.
func Words(command string) ([]string, error) {
	if i := strings.IndexAny(command, "\"'\\$`|&;<>*?~#()\n"); i >= 0 {
		return nil, fmt.Errorf("the command has a %q, and no shell reads it: write it as a list of its words", command[i])
	}
	return strings.Fields(command), nil
}

// GPUs returns the indexes of the first n GPUs.
func GPUs(n int) []string {
	var gpus []string
	for i := range n {
		gpus = append(gpus, strconv.Itoa(i))
	}
	return gpus
}

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	switch {
	case o.Name == "" || strings.ContainsAny(o.Name, `/\`):
		return fmt.Errorf("the name is %q: want a word without slashes", o.Name)
	case len(o.Command) == 0 || o.Command[0] == "":
		return errors.New("`command` is missing: want the program that serves the model and its arguments, such as [vllm, serve, checkpoint, --port, \"{port}\"]")
	case !strings.Contains(strings.Join(o.Command, " ")+strings.Join(o.Env, " "), "{port}"):
		return errors.New("`command` does not say {port}: want it where the program takes the port to listen on")
	case len(o.GPUs) == 0:
		return errors.New("`gpus` is empty: want a server for at least one")
	case !strings.HasPrefix(o.Ready, "/"):
		return fmt.Errorf("`ready` is %q: want the path that answers 200 when the server can be asked, such as /health", o.Ready)
	case o.Logs == "":
		return errors.New("there is no folder for the logs")
	case o.ReadyTimeout < 0 || o.Pause < 0 || o.StopTimeout < 0 || o.Attempts < 0:
		return errors.New("a time or the number of attempts is negative: want positive ones, or 0 for the default")
	}
	for _, v := range o.Env {
		if key, _, ok := strings.Cut(v, "="); !ok || key == "" {
			return errors.New("`env` has an item that is not of the form KEY=value")
		}
	}
	seen := map[string]bool{}
	for _, gpu := range o.GPUs {
		if seen[gpu] || strings.ContainsAny(gpu, `/\`) {
			return fmt.Errorf("`gpus` has %q twice or with a slash: want each once, as CUDA_VISIBLE_DEVICES takes it", gpu)
		}
		seen[gpu] = true
	}
	return nil
}

// Installed returns the sentence for a program that is not on this machine. It
// is no part of Validate: what starts no server needs none.
func (o Options) Installed() error {
	program := o.Command[0]
	if strings.Contains(program, "{") || strings.Contains(program, "/") && !filepath.IsAbs(program) {
		return nil // known when it is started, in Dir
	}
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("there is no program %s: install it, or give its whole path", program)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = defaultReadyTimeout
	}
	if o.Attempts == 0 {
		o.Attempts = defaultAttempts
	}
	if o.Pause == 0 {
		o.Pause = defaultPause
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = defaultStopTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Group is the servers of one model. It is safe for concurrent use, and the
// caller stops it.
type Group struct {
	o       Options
	servers []*server
	http    http.Client // asks whether they are ready

	mu      sync.Mutex
	started bool
	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	keepers conc.WaitGroup // one for each server
}

// New returns the servers; it starts none.
func New(o Options) (*Group, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("servers of %s: %w", o.Name, err)
	}
	g := &Group{o: o.withDefaults()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.http.Timeout = 5 * time.Second
	g.http.Transport = &http.Transport{DisableKeepAlives: true}
	for _, gpu := range o.GPUs {
		g.servers = append(g.servers, newServer(g, gpu))
	}
	return g, nil
}

// Start starts the servers unless they are started or stopped, and does not
// wait for them. It is for the first call: a run that makes none needs no GPU.
func (g *Group) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started || g.ctx.Err() != nil {
		return
	}
	g.started = true
	for _, s := range g.servers {
		g.keepers.Go(func() { s.keep(g.ctx) })
	}
}

// Len is the number of servers.
func (g *Group) Len() int { return len(g.servers) }

// Name is that of a server for messages, such as "bagel on gpu 0".
func (g *Group) Name(i int) string { return g.servers[i].name() }

// Address returns the address of a server, such as http://127.0.0.1:40123; it
// is another after a restart. The error is a *[runtime.Error] without a model:
// Transient while the server is not ready, with the time to ask again, and
// Fatal when it was given up, with the last lines that it printed.
func (g *Group) Address(i int) (string, error) { return g.servers[i].address() }

// Ready waits until every server is ready or given up, and returns the errors
// of those that were given up. Start comes before it.
func (g *Group) Ready(ctx context.Context) error {
	var failed []error
	for _, s := range g.servers {
		select {
		case <-s.settled:
			if _, err := s.address(); s.gaveUp() {
				failed = append(failed, err)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-g.ctx.Done():
			return errStopped
		}
	}
	return errors.Join(failed...)
}

var errStopped = errors.New("the servers were stopped")

// Stop ends the servers and waits until all that they started is gone. It may be
// called more than once.
func (g *Group) Stop() {
	g.mu.Lock()
	g.cancel()
	g.mu.Unlock()
	g.keepers.Wait()
}
