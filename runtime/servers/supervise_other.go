//go:build !linux

package servers

import (
	"os"
	"syscall"
)

func ourselves() (string, error) { return os.Executable() }

func serverAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Orphans go to the first process of the system, which reaps them; those that
// left the server's process group are out of reach.
func adopt()      {}
func reap(int)    {}
func killStrays() {}
