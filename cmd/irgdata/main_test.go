package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/irgdata/irgdata/runtime/servers"
)

// TestMain lets the test binary be the irgdata command, for scripts and for
// processes that are killed or measured.
func TestMain(m *testing.M) {
	servers.SuperviseIfAsked()
	if what := os.Getenv(measureWhat); what != "" {
		os.Exit(measure(what, os.Getenv(measureIn)))
	}
	testscript.Main(m, map[string]func(){
		"irgdata": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}
