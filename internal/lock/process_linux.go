package lock

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process names a process of this machine, so that no other process of any machine
// at any time has its name: by the boot, the namespace of process numbers, the
// number, and the time of its start. The name is empty if the system does not tell.
func Process(pid int) string {
	here, err := machine()
	if err != nil {
		return ""
	}
	start, _, err := status(pid)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d %s", here, pid, start)
}

// Ended reports whether a process is known to have ended. Of those of other
// machines, and of namespaces other than this process's, nothing is known.
func Ended(process string) bool {
	here, err := machine()
	if err != nil {
		return false
	}
	there, its, found := strings.Cut(process, " ")
	number, start, whole := strings.Cut(its, " ")
	pid, err := strconv.Atoi(number)
	if !found || !whole || err != nil || pid <= 0 || there != here {
		return false
	}
	// A process of another user may be hidden in /proc, but not from this.
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return true
	}
	now, state, err := status(pid)
	return err == nil && (now != start || state == "Z" || state == "X")
}

// machine names what gives numbers to processes: a namespace of a boot of a kernel.
func machine() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(boot)) + "/" + namespace, nil
}

// status is a process's time of start, in ticks since the boot, and its state
// (proc_pid_stat(5)).
func status(pid int) (start, state string, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	// The second field is a name in parentheses, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return "", "", fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	return fields[19], fields[0], nil
}
