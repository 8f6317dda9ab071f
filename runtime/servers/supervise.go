package servers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"syscall"
	"time"
)

// supervisor is the name under which this program is started as one.
const supervisor = "irgdata-supervisor"

// SuperviseIfAsked runs this process as the supervisor of a model server if it
// was started as one, and does not return then. It must be the first thing
// that main does, and TestMain of tests that start servers.
func SuperviseIfAsked() {
	if len(os.Args) < 3 || os.Args[0] != supervisor {
		return
	}
	timeout, err := time.ParseDuration(os.Args[1])
	if err == nil {
		var code int
		if code, err = supervise(os.Args[2:], timeout); err == nil {
			os.Exit(code)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", supervisor, err)
	os.Exit(1)
}

// supervise runs the command until it ends, the parent is gone or a signal
// says so, and returns its exit code when all that it started has ended too.
func supervise(command []string, timeout time.Duration) (int, error) {
	// The server is killed by the kernel when the thread that started it ends.
	goruntime.LockOSThread()
	const parentFD = 3
	syscall.CloseOnExec(parentFD)
	parent := os.NewFile(parentFD, "parent")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	adopt()

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = serverAttributes()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// Nobody joins the two: they end with the process.
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state is read below
		close(ended)
	}()
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, parent) // ends with the parent
		close(gone)
	}()
	select {
	case <-ended:
	case <-gone:
	case <-stop:
	}
	group := cmd.Process.Pid
	_ = syscall.Kill(-group, syscall.SIGTERM) // it may be gone
	deadline := time.Now().Add(timeout)
	await(ended, deadline)
	for ; groupLives(group) && time.Now().Before(deadline); time.Sleep(pollEvery) {
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
	<-ended
	for deadline := time.Now().Add(timeout); groupLives(group) && time.Now().Before(deadline); time.Sleep(pollEvery) {
	}
	killStrays()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		fmt.Fprintf(os.Stderr, "%s: the server was ended by signal %d (%v)\n", supervisor, status.Signal(), status.Signal())
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

const pollEvery = 10 * time.Millisecond

func await(ended <-chan struct{}, deadline time.Time) {
	select {
	case <-ended:
	case <-time.After(time.Until(deadline)):
	}
}

// groupLives reports whether a process of the group is left.
func groupLives(group int) bool {
	reap(group)
	return !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH)
}
