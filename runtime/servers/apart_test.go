package servers_test

import (
	goruntime "runtime"
	"testing"
)

// apartOnLinux skips what only Linux lets a supervisor find.
func apartOnLinux(t *testing.T, how string) {
	if how == "begets apart" && goruntime.GOOS != "linux" {
		t.Skip("a process that left the server's group is found on Linux alone")
	}
}
