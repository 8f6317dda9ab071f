package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the irgdata command, for scripts and for
// processes that are killed or measured.
func TestMain(m *testing.M) {
	if root := os.Getenv(measureIn); root != "" {
		os.Exit(measure(root))
	}
	testscript.Main(m, map[string]func(){
		"irgdata": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}
