// Package serve puts any [runtime.Model] behind the wire forms that model
// servers speak: chat completions as vLLM-Omni serves BAGEL and IRG, chat
// completions as OpenAI-compatible servers of vision-language models have
// them, and OpenAI's images. It is the other side of package chat.
//
// It asks for no key and speaks no TLS: it is meant for this machine.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	goruntime "runtime"
	"time"

	"github.com/irgdata/irgdata/runtime"
)

// Options bound what is served.
type Options struct {
	// MaxRequest bounds the bytes of one request; 0: 64 MiB.
	MaxRequest int64
	// Parallel is the number of requests worked on at once, bodies included;
	// others wait. 0: as many as there are processors.
	Parallel int
	// Stages is the number of stages that an Omni deployment is taken for: with
	// 2, the painter's seed is the one of sampling_params_list, and a fixed one
	// without it, as in vLLM-Omni. 0: 1.
	Stages int
	// Log gets one line a request; nil for none.
	Log *slog.Logger
}

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	switch {
	case o.MaxRequest < 0:
		return fmt.Errorf("the largest request has %d bytes: want a positive number, or 0 for the default", o.MaxRequest)
	case o.Parallel < 0:
		return fmt.Errorf("%d requests at once: want at least 1, or 0 for the default", o.Parallel)
	case o.Stages < 0 || o.Stages > 2:
		return fmt.Errorf("%d stages: want 1 or 2", o.Stages)
	}
	return nil
}

const defaultMaxRequest = 64 << 20

// server is the handler's state.
type server struct {
	model runtime.Model
	o     Options
	slots chan struct{} // one for each request that is worked on
}

// New returns a handler that serves the model under the name of its identity.
func New(model runtime.Model, o Options) (http.Handler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxRequest == 0 {
		o.MaxRequest = defaultMaxRequest
	}
	if o.Parallel == 0 {
		o.Parallel = goruntime.GOMAXPROCS(0)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{model: model, o: o, slots: make(chan struct{}, o.Parallel)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("POST /v1/chat/completions", s.endpoint(s.chat, openAIError))
	mux.HandleFunc("POST /v1/images/generations", s.endpoint(s.generations, fastAPIError))
	mux.HandleFunc("POST /v1/images/edits", s.endpoint(s.edits, fastAPIError))
	return mux, nil
}

func (s *server) models(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, map[string]any{"object": "list", "data": []any{
		map[string]any{"id": s.model.Identity().Name, "object": "model", "owned_by": "irgdata"},
	}})
}

// endpoint bounds a request, answers it and logs it. A request gets its slot
// before its body is read, so that bodies in memory are bounded as well.
func (s *server) endpoint(answer func(*http.Request) (any, error), form func(*failure) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-r.Context().Done():
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.o.MaxRequest)
		body, err := answer(r)
		status, reason := http.StatusOK, ""
		if err != nil {
			f := failureOf(err)
			status, reason, body = f.status, f.reason, form(f)
			if f.retryAfter != "" {
				w.Header().Set("Retry-After", f.retryAfter)
			}
		}
		if r.Context().Err() != nil {
			status, reason = 499, "the client is gone" // nginx's number for it
		}
		send(w, status, body)
		s.o.Log.Info("request", "path", r.URL.Path, "status", status, "took", time.Since(start).Round(time.Millisecond), "reason", reason)
	}
}

// send writes JSON; a client that is gone is its own business.
func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Serve serves on the listener, which it closes, until ctx is done. Requests
// under way then have the grace to finish; what is left is broken off.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, grace time.Duration) error {
	work, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return work },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	timed, cancel := context.WithTimeout(work, grace)
	defer cancel()
	err := server.Shutdown(timed)
	<-served
	if errors.Is(err, context.DeadlineExceeded) {
		breakOff()
		_ = server.Close() // the listener is closed already
		return fmt.Errorf("some requests took longer than %v to finish and were broken off", grace)
	}
	return err
}
