package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/pool"
	"github.com/irgdata/irgdata/runtime/servers"
)

// role is the environment variable that makes another program of the test
// binary.
const role = "IRGDATA_SERVERS_TEST"

func TestMain(m *testing.M) {
	servers.SuperviseIfAsked()
	switch os.Getenv(role) {
	case "server":
		serve(os.Args[1], os.Args[2], os.Args[3])
	case "child":
		hold(os.Args[1], unix.LOCK_SH)
		if os.Args[2] == "stubborn" {
			signal.Ignore(syscall.SIGTERM)
		}
		fmt.Println("holding")
		time.Sleep(time.Hour) // until it is killed
	case "parent":
		parent(os.Args[1], os.Args[2])
	default:
		goleak.VerifyTestMain(m)
	}
}

// hold takes a lock on the file until the process ends.
func hold(file string, how int) {
	fd, err := unix.Open(file, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err == nil {
		err = unix.Flock(fd, how)
	}
	if err != nil {
		panic(err)
	}
}

// serve is a model server that holds the lock as long as it lives.
func serve(port, lock, how string) {
	hold(lock, unix.LOCK_SH)
	switch how {
	case "dies":
		for i := range 30 {
			fmt.Println("line", i)
		}
		fmt.Fprintln(os.Stderr, "out of memory")
		os.Exit(3)
	case "sleeps":
		time.Sleep(time.Hour)
	case "stubborn": // as its child is
		signal.Ignore(syscall.SIGTERM)
		beget(lock, "stubborn", nil)
	case "begets":
		beget(lock, "", nil)
	case "begets apart": // in a session of its own
		beget(lock, "", &syscall.SysProcAttr{Setsid: true})
	}
	http.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/gpu", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, os.Getenv("CUDA_VISIBLE_DEVICES"), os.Getenv("MORE"))
	})
	http.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, nil))
}

// beget starts a child that holds the lock, and returns when it does.
func beget(lock, how string, attributes *syscall.SysProcAttr) {
	cmd := exec.Command(os.Args[0], lock, how)
	cmd.Env = append(os.Environ(), role+"=child")
	cmd.SysProcAttr = attributes
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		panic(err)
	}
}

// parent has servers that the test finds when it has killed the parent.
func parent(dir, how string) {
	g, err := servers.New(options(dir, how))
	if err == nil {
		g.Start()
		err = g.Ready(context.Background())
	}
	fmt.Println("ready:", err)
	time.Sleep(time.Hour)
}

// options have two servers that hold the lock at dir/lock.
func options(dir, how string) servers.Options {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return servers.Options{
		Name: "irg", Command: []string{program, "{port}", filepath.Join(dir, "lock"), how}, GPUs: []string{"0", "2,3"},
		Env: []string{role + "=server", "MORE=-at-{port}"}, Ready: "/health", Logs: filepath.Join(dir, "logs"), Pause: time.Millisecond, StopTimeout: time.Second,
	}
}

func newGroup(t *testing.T, o servers.Options) *servers.Group {
	t.Helper()
	g, err := servers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

// nothingLives waits until no process holds the lock any more.
func nothingLives(dir string) { hold(filepath.Join(dir, "lock"), unix.LOCK_EX) }

// somethingLives fails unless a process holds the lock, without which the other
// checks would say nothing.
func somethingLives(t *testing.T, dir string) {
	t.Helper()
	if err := tryLock(t, dir); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("no process holds the lock: %v", err)
	}
}

func tryLock(t *testing.T, dir string) error {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// nothingLivesNow fails unless no process holds the lock.
func nothingLivesNow(t *testing.T, dir string) {
	t.Helper()
	if err := tryLock(t, dir); err != nil {
		t.Errorf("a process is left: %v", err)
	}
}

func get(url string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestServers(t *testing.T) {
	dir := t.TempDir()
	g := newGroup(t, options(dir, ""))
	var failure *runtime.Error
	if _, err := g.Address(0); !errors.As(err, &failure) || failure.Kind != runtime.Transient || failure.RetryAfter == 0 {
		t.Errorf("before the start: got %v", err)
	}
	g.Start()
	g.Start()
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, gpu := range []string{"0", "2,3"} {
		at, err := g.Address(i)
		if err != nil {
			t.Fatal(err)
		}
		port := at[strings.LastIndex(at, ":")+1:]
		if got, err := get(at + "/gpu"); err != nil || got != gpu+"-at-"+port {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if g.Len() != 2 || g.Name(1) != "irg on gpu 2,3" {
		t.Errorf("%d servers, the second is %s", g.Len(), g.Name(1))
	}
	g.Stop()
	nothingLivesNow(t, dir)
	if _, err := g.Address(0); err == nil {
		t.Error("a stopped server has an address")
	}
	g.Start()
	g.Stop()
	if err := g.Ready(t.Context()); err != nil && !strings.Contains(err.Error(), "stopped") {
		t.Error(err)
	}
}

// TestStopLeavesNothing: also not the children of a server, whether they heed
// SIGTERM or are in the server's process group or not.
func TestStopLeavesNothing(t *testing.T) {
	for _, how := range []string{"begets", "stubborn", "begets apart"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			apartOnLinux(t, how)
			o := options(dir, how)
			o.StopTimeout = 50 * time.Millisecond
			g := newGroup(t, o)
			g.Start()
			if err := g.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			somethingLives(t, dir)
			g.Stop()
			nothingLivesNow(t, dir)
		})
	}
}

// TestStopWhileLoading does not wait for the server to be ready.
func TestStopWhileLoading(t *testing.T) {
	dir := t.TempDir()
	g := newGroup(t, options(dir, "sleeps"))
	g.Start()
	g.Stop()
	if err := g.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("got %v", err)
	}
	nothingLives(dir)
}

// TestKilledParent: after kill -9 of the process that started servers, nothing
// of them is left.
func TestKilledParent(t *testing.T) {
	for _, how := range []string{"", "stubborn", "begets apart"} {
		t.Run(how, func(t *testing.T) {
			apartOnLinux(t, how)
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], dir, how)
			cmd.Env = append(os.Environ(), role+"=parent")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready: <nil>\n" {
				t.Errorf("got %q, %v", line, err)
			}
			somethingLives(t, dir)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
			nothingLives(dir)
		})
	}
}

func TestGivenUp(t *testing.T) {
	for _, tc := range []struct {
		how  string
		edit func(*servers.Options)
		says []string
	}{
		{"dies", nil, []string{"was given up: it was started 3 times and never ready: exit status 3; the end of ", "line 29\nout of memory"}},
		{"sleeps", func(o *servers.Options) { o.Attempts, o.ReadyTimeout = 1, 50*time.Millisecond }, []string{"it was started 1 times and never ready: it was not ready within 50ms"}},
		{"", func(o *servers.Options) { o.Command = []string{"./nowhere", "{port}"} }, []string{"no such file"}},
	} {
		t.Run(tc.how, func(t *testing.T) {
			dir := t.TempDir()
			o := options(dir, tc.how)
			if tc.edit != nil {
				tc.edit(&o)
			}
			g := newGroup(t, o)
			g.Start()
			err := g.Ready(t.Context())
			var failure *runtime.Error
			if !errors.As(err, &failure) || failure.Kind != runtime.Fatal {
				t.Fatalf("got %v", err)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("got %v, want %q in it", err, s)
				}
			}
			if strings.Contains(err.Error(), "line 5\n") {
				t.Errorf("got more than the last lines: %v", err)
			}
			nothingLives(dir)
		})
	}
}

// asked is a client that asks a server for a path, the request's text.
type asked struct{ address string }

var identity = runtime.Identity{Name: "irg", Revision: "1"}

func (asked) Identity() runtime.Identity { return identity }
func (asked) Close()                     {}

func (a asked) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	text, err := get(a.address + r.Context[0].Text)
	if err != nil {
		return runtime.Answer{}, &runtime.Error{Kind: runtime.Transient, Trouble: runtime.Broken, Model: identity, Reason: "no answer came", Err: err}
	}
	return runtime.Answer{Text: text}, nil
}

// TestPoolOfServers: a pool takes its endpoints from servers, which begin with
// the first call, and follows one that dies to where it is when it is back.
func TestPoolOfServers(t *testing.T) {
	o := options(t.TempDir(), "")
	o.GPUs = []string{"7"}
	g := newGroup(t, o)
	var endpoints []pool.Endpoint
	for i := range g.Len() {
		m := pool.NewMoving(identity, func() (string, error) {
			g.Start()
			return g.Address(i)
		}, func(address string) (pool.Client, error) { return asked{address}, nil })
		defer m.Close()
		endpoints = append(endpoints, pool.Endpoint{Name: g.Name(i), Model: m, Limit: 1, Fixed: true})
	}
	p, err := pool.New(pool.Options{Rest: time.Millisecond}, endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) (string, error) {
		answer, err := p.Generate(t.Context(), runtime.Request{Context: []runtime.Part{runtime.TextPart(path)}})
		return answer.Text, err
	}
	first, err := ask("/gpu")
	if err != nil || !strings.HasPrefix(first, "7-at-") {
		t.Fatalf("got %q, %v", first, err)
	}
	if _, err := ask("/die"); err == nil {
		t.Error("want the call under which servers die to be given up")
	}
	second, err := ask("/gpu")
	if err != nil || !strings.HasPrefix(second, "7-at-") || second == first {
		t.Errorf("got %q, %v after %q: want another port", second, err, first)
	}
}

// TestNoProgram: a server whose program is not there is given up at once.
func TestNoProgram(t *testing.T) {
	o := options(t.TempDir(), "")
	o.Command = []string{"nowhere-to-be-found", "{port}"}
	g, err := servers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	g.Start()
	if err := g.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no program nowhere-to-be-found") {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	for says, edit := range map[string]func(*servers.Options){
		`the name is "a/b"`:         func(o *servers.Options) { o.Name = "a/b" },
		"`command` is missing":      func(o *servers.Options) { o.Command = nil },
		"does not say {port}":       func(o *servers.Options) { o.Command, o.Env = []string{"sh"}, nil },
		"`gpus` is empty":           func(o *servers.Options) { o.GPUs = nil },
		"`gpus` has \"1\" twice":    func(o *servers.Options) { o.GPUs = []string{"1", "1"} },
		"`ready` is \"health\"":     func(o *servers.Options) { o.Ready = "health" },
		"no folder for the logs":    func(o *servers.Options) { o.Logs = "" },
		"is negative":               func(o *servers.Options) { o.Pause = -1 },
		"not of the form KEY=value": func(o *servers.Options) { o.Env = []string{"KEY"} },
	} {
		o := options(t.TempDir(), "")
		edit(&o)
		if _, err := servers.New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if words, err := servers.Words("vllm serve  m --port {port}"); err != nil || len(words) != 5 {
		t.Errorf("got %q, %v", words, err)
	}
	if _, err := servers.Words(`sh -c "a b"`); err == nil || !strings.Contains(err.Error(), "as a list") {
		t.Errorf("got %v", err)
	}
	if gpus := servers.GPUs(2); len(gpus) != 2 || gpus[1] != "1" {
		t.Errorf("got %q", gpus)
	}
}
