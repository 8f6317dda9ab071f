package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/runtime"
)

// server is one server of a group, through all its restarts.
type server struct {
	g   *Group
	gpu string
	// settled is closed when the server was ready for the first time or was
	// given up.
	settled chan struct{}
	settle  func()

	mu    sync.Mutex
	at    string // its address, "" while it is not ready
	state string // why it is not ready
	given error  // why it was given up
}

func newServer(g *Group, gpu string) *server {
	s := &server{g: g, gpu: gpu, settled: make(chan struct{}), state: "it is not started"}
	s.settle = sync.OnceFunc(func() { close(s.settled) })
	return s
}

func (s *server) name() string { return fmt.Sprintf("%s on gpu %s", s.g.o.Name, s.gpu) }

// askEvery is how soon it makes sense to ask again for the address of a server
// that is not ready; asking costs nothing.
const askEvery = 250 * time.Millisecond

func (s *server) address() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.given != nil:
		return "", &runtime.Error{Kind: runtime.Fatal, Reason: "the server " + s.name() + " was given up", Err: s.given}
	case s.at == "":
		return "", &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Away, Reason: s.name() + ": " + s.state, RetryAfter: askEvery}
	}
	return s.at, nil
}

func (s *server) gaveUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given != nil
}

func (s *server) set(at, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.state = at, state
}

func (s *server) giveUp(err error) {
	s.mu.Lock()
	s.given = err
	s.mu.Unlock()
	s.settle()
	s.g.o.Log.Error("a model server was given up", "server", s.name(), "error", err)
}

// keep runs the server, again whenever it dies, until ctx is done or it is
// given up.
func (s *server) keep(ctx context.Context) {
	o := s.g.o
	if err := o.Installed(); err != nil {
		s.giveUp(err)
		return
	}
	young := 0 // deaths in a row before it was ready
	fresh := true
	for pause := o.Pause; ; pause = min(2*pause, maxPause) {
		start := time.Now()
		ready, err := s.run(ctx, fresh)
		fresh = false
		if ctx.Err() != nil {
			s.set("", "it was stopped")
			return
		}
		if young++; ready {
			young = 0
		}
		if time.Since(start) > maxPause && ready {
			pause = o.Pause
		}
		if young >= o.Attempts {
			s.giveUp(fmt.Errorf("it was started %d times and never ready: %w", young, err))
			return
		}
		o.Log.Warn("a model server died and is started again", "server", s.name(), "error", err)
		s.set("", fmt.Sprintf("it died and is started again in %v: %v", pause, err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// run runs the server until it dies or ctx is done, and reports whether it was
// ready. All that it started is gone when run returns. A fresh server
// begins its log anew.
func (s *server) run(ctx context.Context, fresh bool) (ready bool, err error) {
	o := s.g.o
	port, err := freePort()
	if err != nil {
		return false, fmt.Errorf("find a free port: %w", err)
	}
	log, offset, err := s.openLog(fresh)
	if err != nil {
		return false, err
	}
	defer log.Close()
	ours, theirs, err := os.Pipe() // the supervisor reads it, and nobody writes
	if err != nil {
		return false, err
	}
	cmd, err := s.command(port, ours, log)
	if err == nil {
		err = cmd.Start()
	}
	ours.Close()
	if err != nil {
		theirs.Close()
		return false, fmt.Errorf("start the supervisor: %w", err)
	}
	stop := sync.OnceFunc(func() { theirs.Close() })
	defer stop()

	// Both end with the process: the first is it, and the second is cancelled.
	polling, cancel := context.WithTimeoutCause(ctx, o.ReadyTimeout, errLate)
	died := make(chan error, 1)
	var work conc.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() {
		died <- cmd.Wait()
		cancel()
	})
	at := "http://127.0.0.1:" + strconv.Itoa(port)
	s.set("", "it is starting")
	late := false
	if err := s.poll(polling, at+o.Ready); err == nil {
		ready = true
		s.set(at, "")
		s.settle()
		select {
		case err := <-died:
			died <- err
		case <-ctx.Done():
		}
		s.set("", "it is stopping")
	} else {
		late = errors.Is(err, errLate)
	}
	stop()
	err = <-died
	switch {
	case late:
		err = fmt.Errorf("it was not ready within %v", o.ReadyTimeout)
	case err == nil:
		err = errors.New("it ended without an error")
	}
	return ready, fmt.Errorf("%w; the end of %s:\n%s", err, log.Name(), tail(log, offset))
}

var errLate = errors.New("not ready in time")

// command is the supervisor of the server.
func (s *server) command(port int, parent *os.File, log *os.File) (*exec.Cmd, error) {
	program, err := ourselves()
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{port}", strconv.Itoa(port), "{gpu}", s.gpu)
	cmd := exec.Command(program)
	cmd.Args = []string{supervisor, s.g.o.StopTimeout.String()}
	for _, word := range s.g.o.Command {
		cmd.Args = append(cmd.Args, fill.Replace(word))
	}
	cmd.Env = append(os.Environ(), "CUDA_VISIBLE_DEVICES="+s.gpu)
	for _, v := range s.g.o.Env {
		cmd.Env = append(cmd.Env, fill.Replace(v))
	}
	cmd.Dir = s.g.o.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{parent} // as descriptor 3
	// Ctrl-C at a terminal is for this process, which stops its servers when
	// it has come to an end of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// poll asks until the answer is 200, or returns why ctx ended.
func (s *server) poll(ctx context.Context, url string) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := s.g.http.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// freePort finds a port that nobody listens on. Another program may take it
// before the server does; then the server dies and is started with another.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// openLog opens the server's log and returns where its next line will be.
func (s *server) openLog(fresh bool) (*os.File, int64, error) {
	if err := os.MkdirAll(s.g.o.Logs, 0o755); err != nil {
		return nil, 0, fmt.Errorf("open the log: %w", err)
	}
	name := fmt.Sprintf("%s-%s.log", s.g.o.Name, strings.ReplaceAll(s.gpu, ",", "-"))
	flags := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if fresh {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(filepath.Join(s.g.o.Logs, name), flags, 0o644)
	if err != nil {
		return nil, 0, fmt.Errorf("open the log: %w", err)
	}
	info, err := log.Stat()
	if err != nil {
		log.Close()
		return nil, 0, fmt.Errorf("open the log: %w", err)
	}
	return log, info.Size(), nil
}

// tail returns the last lines of the log, none from before offset.
func tail(log *os.File, offset int64) string {
	const most, lines = 4 << 10, 20
	info, err := log.Stat()
	if err != nil {
		return ""
	}
	offset = max(offset, info.Size()-most)
	text := make([]byte, max(info.Size()-offset, 0))
	n, _ := log.ReadAt(text, offset) // as much as there is
	last := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(text[:n]), "")), "\n")
	return strings.Join(last[max(len(last)-lines, 0):], "\n")
}
