// Package s3test runs a real S3 server, versitygw, over loopback for tests.
package s3test

import (
	"bytes"
	"errors"
	"fmt"
	"go/build"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	accessKey = "irgdata-test"
	secretKey = "irgdata-test-secret"
	install   = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
)

// Server is a running S3 server whose buckets are folders of a directory.
type Server struct {
	// Endpoint is its URL.
	Endpoint string
	dir      string
	cmd      *exec.Cmd
	log      *bytes.Buffer
}

// Start runs a server and sets the environment's credentials to its own; the
// test's cleanup stops it. Without versitygw the test is skipped, or fails if
// IRGDATA_REQUIRE_S3 is set, as CI does.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		program = filepath.Join(build.Default.GOPATH, "bin", "versitygw")
		if _, err := os.Stat(program); err != nil {
			if os.Getenv("IRGDATA_REQUIRE_S3") != "" {
				t.Fatalf("versitygw is not installed: %s", install)
			}
			t.Skipf("versitygw is not installed: %s", install)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)

	// Asks the kernel for a free port. Another process may take it before the
	// server does; the server's exit then fails the test with its log.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()

	s := &Server{Endpoint: "http://" + address, dir: t.TempDir(), log: new(bytes.Buffer)}
	s.cmd = exec.Command(program, "--port", address, "--access", accessKey, "--secret", secretKey, "--quiet", "posix", s.dir)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = s.cmd.Wait() // killed, so it reports an error
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have exited
		<-exited
	})
	if err := s.await(t, exited); err != nil {
		t.Fatalf("versitygw did not start: %v\n%s", err, s.log)
	}
	return s
}

// await returns when the server answers.
func (s *Server) await(t testing.TB, exited <-chan struct{}) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		if r, err := http.Get(s.Endpoint + "/"); err == nil {
			return r.Body.Close()
		}
		select {
		case <-exited:
			return errors.New("it exited")
		case <-deadline.C:
			return errors.New("it does not answer")
		case <-t.Context().Done():
			return t.Context().Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Bucket makes a bucket.
func (s *Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		t.Fatal(fmt.Errorf("make bucket: %w", err))
	}
}
