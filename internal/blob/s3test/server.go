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
	"strings"
	"testing"
	"time"
)

const (
	accessKey = "irgdata-test"
	secretKey = "irgdata-test-secret"
	install   = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
)

// Server is an S3 server whose buckets are folders of a directory. One goroutine
// uses it.
type Server struct {
	// Endpoint is its URL.
	Endpoint string
	// Dir is the directory.
	Dir     string
	program string
	cmd     *exec.Cmd
	exited  chan struct{}
	log     *bytes.Buffer
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

	return start(t, program)
}

// Another runs one more server, of the same credentials.
func (s *Server) Another(t testing.TB) *Server {
	t.Helper()
	return start(t, s.program)
}

func start(t testing.TB, program string) *Server {
	t.Helper()
	// Asks the kernel for a free port. Another process may take it before the
	// server does; the server's exit then fails the test with its log.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := &Server{Endpoint: "http://" + address, Dir: t.TempDir(), program: program, log: new(bytes.Buffer)}
	t.Cleanup(func() { s.Kill() })
	s.Restart(t)
	return s
}

// Kill ends the server with SIGKILL and returns when it has ended.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may have exited
		<-s.exited
	}
}

// Restart starts a server that was killed, at the same address over the same
// directory, and returns when it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	address := strings.TrimPrefix(s.Endpoint, "http://")
	cmd := exec.Command(s.program, "--port", address, "--access", accessKey, "--secret", secretKey, "--quiet", "posix", s.Dir)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed, so it reports an error
	}()
	if err := s.await(t); err != nil {
		t.Fatalf("versitygw did not start: %v\n%s", err, s.log)
	}
}

// await returns when the server answers.
func (s *Server) await(t testing.TB) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		if r, err := http.Get(s.Endpoint + "/"); err == nil {
			return r.Body.Close()
		}
		select {
		case <-s.exited:
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
	if err := os.Mkdir(filepath.Join(s.Dir, name), 0o755); err != nil {
		t.Fatal(fmt.Errorf("make bucket: %w", err))
	}
}

// Uploads lists the unfinished multipart uploads of a bucket, as files of the
// server.
func (s *Server) Uploads(t testing.TB, bucket string) []string {
	t.Helper()
	// One folder for each key, and in it one for each upload.
	uploads, err := filepath.Glob(filepath.Join(s.Dir, bucket, ".sgwtmp", "multipart", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return uploads
}
