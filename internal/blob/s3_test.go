package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/blobtest"
	"github.com/irgdata/irgdata/internal/blob/s3test"
)

func TestS3(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "conformance")
	stores := 0
	blobtest.TestStore(t, func(t testing.TB) blob.Store {
		stores++
		s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "conformance", Prefix: fmt.Sprintf("a prefix/%d", stores), Endpoint: server.Endpoint, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestS3UploadsAtOnce: of two multipart puts of one object, the one that is
// completed first leaves nothing of the other, which finds the object there. So it
// leaves nothing either of one whose process was killed.
func TestS3UploadsAtOnce(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "uploads")
	s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "uploads", Endpoint: server.Endpoint, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	begun, proceed := make(chan struct{}), make(chan struct{})
	slow := io.MultiReader(bytes.NewReader(content[:18<<20]), gate{begun, proceed}, bytes.NewReader(content[18<<20:]))
	ended := make(chan error, 1)
	go func() { ended <- s.Put(t.Context(), "object", slow, blob.PutOptions{CreateOnly: true}) }()
	<-begun
	if err := s.Put(t.Context(), "object", bytes.NewReader(content), blob.PutOptions{CreateOnly: true}); err != nil {
		t.Error(err)
	}
	if left, err := s.Sweep(t.Context(), 0); err != nil || left != 0 {
		t.Errorf("%d uploads are left (%v)", left, err)
	}
	close(proceed)
	if err := <-ended; !errors.Is(err, blob.ErrExists) {
		t.Errorf("got %v", err)
	}
}

// uploads passes requests on to the server, but for parts, which go to part first: it
// reports whether to pass the part on.
func uploads(t *testing.T, server *s3test.Server, part func(http.ResponseWriter, *http.Request) bool) *blob.S3 {
	t.Helper()
	server.Bucket(t, "parts")
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || !r.URL.Query().Has("partNumber") || part(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "parts", Endpoint: front.URL, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestS3PartsGoUpSideBySide: two parts are under way at one time, and come back in
// their order.
func TestS3PartsGoUpSideBySide(t *testing.T) {
	var arrived atomic.Int32
	second := make(chan struct{})
	s := uploads(t, s3test.Start(t), func(http.ResponseWriter, *http.Request) bool {
		if arrived.Add(1) == 2 {
			close(second)
		}
		<-second // of any, or the test takes too long
		return true
	})
	content := make([]byte, 33<<20)
	for i := range content {
		content[i] = byte(i >> 20)
	}
	if err := s.Put(t.Context(), "object", bytes.NewReader(content), blob.PutOptions{Digest: irgdata.DigestOf(content)}); err != nil {
		t.Fatal(err)
	}
	if got, err := blob.ReadAll(t.Context(), s, "object", 1<<30); err != nil || !bytes.Equal(got, content) {
		t.Errorf("another content came back (%v)", err)
	}
}

// TestS3RefusedPartEndsThePut: a put whose upload is refused says so, though the
// writer of its body has nothing more to say, and then hears of it.
func TestS3RefusedPartEndsThePut(t *testing.T) {
	s := uploads(t, s3test.Start(t), func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the client may see the line break first
		w.WriteHeader(http.StatusForbidden)
		return false
	})
	read, write := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		_, err := write.Write(make([]byte, 9<<20)) // of which the put takes as much as it likes
		wrote <- err
	}()
	err := s.Put(t.Context(), "object", read, blob.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "access is denied") {
		t.Errorf("got %v", err)
	}
	<-wrote
	if _, err := write.Write([]byte("more")); err == nil {
		t.Error("the writer does not hear of it")
	}
}

// TestS3SweepsByTheClockOfTheServer: the age of an upload does not depend on the
// clock of this machine.
func TestS3SweepsByTheClockOfTheServer(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "clock")
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Bool
	var aborts atomic.Int32
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
			if r.In.Method == http.MethodDelete && r.In.URL.Query().Has("uploadId") {
				aborts.Add(1)
			}
		},
		Transport: &http.Transport{DisableCompression: true},
		ModifyResponse: func(r *http.Response) error {
			if ahead.Load() {
				r.Header.Set("Date", time.Now().UTC().AddDate(0, 0, 2).Format(http.TimeFormat))
			}
			return nil
		},
	})
	defer front.Close()
	s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "clock", Endpoint: front.URL, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	begun, proceed := make(chan struct{}), make(chan struct{})
	body := io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), gate{begun, proceed})
	ended := make(chan error, 1)
	go func() { ended <- s.Put(t.Context(), "object", body, blob.PutOptions{}) }()
	<-begun
	if swept, err := s.Sweep(t.Context(), 24*time.Hour); err != nil || swept > 0 || aborts.Load() > 0 {
		t.Errorf("swept %d (%v)", swept, err)
	}
	ahead.Store(true)
	// The server, whose own clock is right, takes no request of that time.
	if _, err := s.Sweep(t.Context(), 24*time.Hour); err == nil || aborts.Load() == 0 {
		t.Errorf("%d aborts (%v)", aborts.Load(), err)
	}
	ahead.Store(false)
	close(proceed)
	<-ended
}

// TestS3ClocksDiffer: a server that refuses requests of another time than its own,
// with no word of why where an answer has no body, gets them with its time. If it
// does not tell that, the error names the clock.
func TestS3ClocksDiffer(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var ahead atomic.Int64
	var tells atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(time.Duration(ahead.Load()))
		if w.Header()["Date"] = nil; tells.Load() {
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		}
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Error(err)
		}
		if now.Sub(signed).Abs() > 15*time.Minute {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
			return
		}
		w.Header().Set("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
		}
	}))
	defer server.Close()
	s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "clock", Endpoint: server.URL, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, differ := range []time.Duration{100 * time.Hour, -100 * time.Hour, 0} {
		ahead.Store(int64(differ))
		tells.Store(false)
		if err := blob.PutBytes(t.Context(), s, "object", nil, blob.PutOptions{}); differ != 0 && (err == nil || !strings.Contains(err.Error(), "the clock of this machine")) {
			t.Errorf("ahead by %s, untold: put: %v", differ, err)
		}
		tells.Store(true)
		if _, err := s.Stat(t.Context(), "object"); err != nil {
			t.Errorf("ahead by %s: %v", differ, err)
		}
		if err := blob.PutBytes(t.Context(), s, "object", nil, blob.PutOptions{}); err != nil {
			t.Errorf("ahead by %s: %v", differ, err)
		}
	}
}

// gate says that it is read, and ends when it may.
type gate struct{ begun, proceed chan struct{} }

func (g gate) Read([]byte) (int, error) {
	close(g.begun)
	<-g.proceed
	return 0, io.EOF
}

// TestS3Mistakes: each mistake gives one sentence that says what to do, and no
// secret.
func TestS3Mistakes(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "there")
	right := blob.S3Options{Bucket: "there", Endpoint: server.Endpoint, PathStyle: true}
	for _, tc := range []struct {
		name string
		env  map[string]string
		edit func(*blob.S3Options)
		want string
	}{
		{"unknown key", map[string]string{"AWS_ACCESS_KEY_ID": "nobody"}, nil, "check AWS_ACCESS_KEY_ID"},
		{"wrong secret", map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, nil, "check AWS_ACCESS_KEY_ID"},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, nil, "no credentials were found"},
		{"missing bucket", nil, func(o *blob.S3Options) { o.Bucket = "missing" }, `there is no bucket "missing"`},
		{"wrong region", nil, func(o *blob.S3Options) { o.Region = "eu-west-7" }, "set `region`"},
		{"unreachable", nil, func(o *blob.S3Options) { o.Endpoint = "http://127.0.0.1:1" }, "endpoint http://127.0.0.1:1 cannot be reached"},
		{"no region", map[string]string{"AWS_REGION": ""}, func(o *blob.S3Options) { o.Endpoint = "" }, "no region is set"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			o := right
			if tc.edit != nil {
				tc.edit(&o)
			}
			_, err := blob.NewS3(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "s3://"+o.Bucket) {
				t.Fatalf("got  %v\nwant a sentence with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
