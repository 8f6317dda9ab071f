package lock_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/lock"
)

func TestProcess(t *testing.T) {
	cmd := exec.Command("cat") // lives until it is killed
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	self, other := lock.Process(os.Getpid()), lock.Process(cmd.Process.Pid)
	if self == "" || other == "" || self == other || self != lock.Process(os.Getpid()) {
		t.Fatalf("%q and %q", self, other)
	}
	if lock.Ended(self) || lock.Ended(other) {
		t.Error("live processes ended")
	}
	boot, rest, _ := strings.Cut(self, "/")
	start := self[strings.LastIndexByte(self, ' ')+1:]
	for _, unknown := range []string{"", " ", "nonsense", "x/" + rest, boot + "/pid:[1] 1 " + start, boot + "/" + rest[:strings.IndexByte(rest, ' ')] + " -1 " + start} {
		if lock.Ended(unknown) {
			t.Errorf("%q ended", unknown)
		}
	}
	if another := strings.TrimSuffix(self, start) + "1"; !lock.Ended(another) {
		t.Error("an earlier process of the same number lives")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if !lock.Ended(other) {
		t.Error("a killed process lives")
	}
	if lock.Process(cmd.Process.Pid) != "" {
		t.Error("a process that is gone has a name")
	}
}
