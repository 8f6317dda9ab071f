package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
)

// front is a server before an S3 server. It passes requests on unless disturb
// takes them.
type front struct {
	*httptest.Server
	proxy *httputil.ReverseProxy
	// ahead is by how much the clock of the S3 server seems to be ahead of the
	// others, as a [time.Duration].
	ahead atomic.Int64
}

// newFront starts a server. Disturb is asked about each request, and reports
// whether it has answered it.
func newFront(t *testing.T, server *s3test.Server, disturb func(f *front, w http.ResponseWriter, r *http.Request) bool) *front {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := new(front)
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		Transport:    &ahead{RoundTripper: &http.Transport{DisableCompression: true}, by: &f.ahead},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !disturb(f, w, r) {
			f.proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// ahead makes the clock of the server behind seem to be ahead: requests with its
// time are signed anew with this machine's.
type ahead struct {
	http.RoundTripper
	by *atomic.Int64
}

func (a *ahead) RoundTrip(r *http.Request) (*http.Response, error) {
	by := time.Duration(a.by.Load())
	if by == 0 {
		return a.RoundTripper.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	credentials := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	err := signer.SignHTTP(r.Context(), credentials, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", os.Getenv("AWS_REGION"), time.Now())
	if err != nil {
		return nil, err
	}
	response, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
	}
	return response, err
}

// ownClockJumps moves the clock of the machine in the middle of a build: to an S3
// server its requests are hours old then, or not to be made yet, and it refuses
// them as S3 does.
func ownClockJumps(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	var refused atomic.Int64
	f := newFront(t, s.server, func(f *front, w http.ResponseWriter, r *http.Request) bool {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Error(err)
		}
		now := time.Now().Add(time.Duration(f.ahead.Load()))
		if now.Sub(signed).Abs() < 15*time.Minute {
			return false
		}
		refused.Add(1)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>`)
		return true
	})
	s.configure(t, f.URL)
	p, release := s.halted(t, random)
	jump := time.Duration(1+random.IntN(10_000)) * time.Hour
	if random.IntN(2) == 0 {
		jump = -jump
	}
	f.ahead.Store(int64(jump))
	release()
	if code := p.wait(); code != exitDone || refused.Load() == 0 {
		t.Errorf("code %d, %d requests refused\n%s", code, refused.Load(), p.said.text())
	}
	t.Logf("the server's clock is ahead by %s, %d requests refused", jump, refused.Load())
	s.configure(t, s.server.Endpoint)
}

// lose carries the request out and loses its answer.
func (f *front) lose(r *http.Request) {
	f.proxy.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cutOff disturbs requests to the bucket, each once: the server is busy, the
// connection breaks, or the request is carried out and its answer is lost. A build
// rides this out.
func cutOff(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	everyPut, every := 4+random.IntN(4), 12+random.IntN(20)
	var mu sync.Mutex
	seen, puts, others, lost := map[string]bool{}, 0, 0, 0
	f := newFront(t, s.server, func(f *front, w http.ResponseWriter, r *http.Request) bool {
		id := r.Header.Get("Amz-Sdk-Invocation-Id")
		mu.Lock()
		take, way := false, random.IntN(4)
		switch {
		case seen[id]: // it is tried again
		case r.Method == http.MethodPut:
			puts++
			if take = puts%everyPut == 1; puts == 1 { // the mark of the run
				way = 2
			}
			if take && way > 1 {
				lost++
			}
		default:
			others++
			take = others%every == 0
		}
		seen[id] = true
		mu.Unlock()
		switch {
		case !take:
			return false
		case way == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		case way == 1:
			panic(http.ErrAbortHandler)
		default:
			f.lose(r)
		}
		return true
	})
	s.configure(t, f.URL)
	p := s.start(t)
	if code := p.wait(); code != exitDone {
		t.Errorf("code %d\n%s", code, p.said.text())
	}
	t.Logf("of %d puts the answers of %d were lost", puts, lost)
	if lost == 0 {
		t.Error("no answer to a put was lost")
	}
	s.kept(t)
}

// killedUploading kills a build in the middle of a multipart upload, of which
// there is one because of a large image.
func killedUploading(t *testing.T, _ *harness, s *site, _ *rand.Rand) {
	pairs := samplePairs(t, 8)
	if err := os.WriteFile(filepath.Join(pairs, "large.png"), noise(t, 1800), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pairs, "large.txt"), []byte("grains of sand of all colours"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.pairs, s.undisturbed = pairs, newSite(t, pairs, nil)
	s.undisturbed.must(t, "build")

	s.killedAt(t, func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" }, func(*front, *http.Request) {})
	if left := s.server.Uploads(t, s.bucket); len(left) != 1 {
		t.Errorf("the killed build left the uploads %v, want one", left)
	}
}

// killedPublishing kills a build when its snapshot has just been published. It has
// shared no calls in between, and must have before.
func killedPublishing(t *testing.T, _ *harness, s *site, _ *rand.Rand) {
	s.killedAt(t, func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
	}, func(f *front, r *http.Request) {
		f.proxy.ServeHTTP(httptest.NewRecorder(), r)
	}, "share: 50ms", "share: 1h")
	if _, err := manifests.Latest(t.Context(), s.store(t)); err != nil {
		t.Error(err)
	}
}

// killedAt kills a build, configured with the edits, at its first request of a
// kind. The server before the S3 server handles it and does not answer.
func (s *site) killedAt(t *testing.T, is func(*http.Request) bool, handle func(*front, *http.Request), edits ...string) {
	t.Helper()
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	f := newFront(t, s.server, func(f *front, w http.ResponseWriter, r *http.Request) bool {
		if !is(r) {
			return false
		}
		handle(f, r)
		begin()
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the client goes unseen
		<-r.Context().Done()
		return true
	})
	s.configure(t, f.URL, edits...)
	p := s.start(t)
	select {
	case <-begun:
	case <-p.ended:
		t.Fatalf("no such request\n%s", p.said.text())
	}
	_ = p.Process.Kill()
	p.wait()
	s.configure(t, s.server.Endpoint)
}

// noise is a picture that does not compress.
func noise(t *testing.T, side int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	random := rand.NewChaCha8([32]byte(irgdata.DigestOf([]byte("noise"))))
	_, _ = random.Read(img.Pix) // never fails
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
