package servers

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ourselves is the path of this program, also when its file was replaced.
func ourselves() (string, error) { return "/proc/self/exe", nil }

// serverAttributes have the server killed with its supervisor.
func serverAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// adopt makes this process the parent of descendants whose own has ended, so
// that those which left the server's process group are found too.
func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// reap takes the status of adopted processes of the group that have ended: as
// long as nobody does they are in it. The server itself is not among them, since
// its status is waited for elsewhere.
func reap(group int) {
	for _, child := range children() {
		if child == group {
			continue
		}
		_, _ = syscall.Wait4(child, nil, syscall.WNOHANG, nil)
	}
}

// killStrays kills the descendants that are left, and theirs, which are adopted
// as their parents end.
func killStrays() {
	for range 100 {
		left := children()
		if len(left) == 0 {
			return
		}
		for _, child := range left {
			_ = syscall.Kill(child, syscall.SIGKILL)
			_, _ = syscall.Wait4(child, nil, syscall.WNOHANG, nil)
		}
		time.Sleep(pollEvery)
	}
}

// children lists the child processes of this one.
func children() (pids []int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", task.Name()))
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
