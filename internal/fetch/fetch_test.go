package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(proxy) // hosts of tests are not beyond it
	}
	log.SetOutput(io.Discard) // net/http complains there of servers that say too much
	goleak.VerifyTestMain(m)
}

// noise is an image that no compression makes small.
func noise() image.Image {
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = uint8(r.Uint32())
	}
	return img
}

func encoded(encode func(io.Writer, image.Image) error) []byte {
	var b bytes.Buffer
	if err := encode(&b, noise()); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

var (
	aPNG  = encoded(png.Encode)
	aJPEG = encoded(func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) })
	aGIF  = encoded(func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) })
)

// start returns a fetcher that reaches loopback and pauses for no time worth
// mentioning; it ends with the test.
func start(t *testing.T, edits ...func(*Options)) *Fetcher {
	t.Helper()
	o := Options{AllowPrivate: true, Pause: time.Nanosecond}
	for _, edit := range edits {
		edit(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// serve starts a server on loopback, which ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handlers that misbehave
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// says answers with the body, called a type unless that is empty.
func says(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // else it is guessed
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.Write(body)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, "<html>")
	}
}

// with adds headers to an answer.
func with(handler http.HandlerFunc, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		handler(w, r)
	}
}

// inTurn gives each request the next handler; the last one stays.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(int(n.Add(1)), len(handlers))-1](w, r)
	}
}

// breaksOff announces the whole image and sends half of it.
func breaksOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(aPNG)))
	w.Write(aPNG[:len(aPNG)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// raw answers with these bytes and ends the connection.
func raw(answer string, end func(*net.TCPConn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, answer)
		if end != nil {
			end(conn.(*net.TCPConn))
		}
	}
}

func reset(c *net.TCPConn) { c.SetLinger(0) }

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func redirect(code int, to string) http.HandlerFunc { return status(code, "Location", to) }

// chain redirects n times and then gives the image.
func chain(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if at == n {
			says("image/png", aPNG)(w, r)
			return
		}
		redirect(http.StatusFound, fmt.Sprintf("/%d", at+1))(w, r)
	}
}

type serverCase struct {
	name     string
	handler  http.HandlerFunc
	edit     func(*Options)
	kind     Kind // empty: an image comes
	says     string
	status   int
	requests int
}

// serverCases are what each server does, and what becomes of it; docs/ingest.md
// has a row for each.
func serverCases() []serverCase {
	good := says("image/png", aPNG)
	small := func(o *Options) { o.MaxBytes = 1 << 10 }
	return []serverCase{
		// Images.
		{"an image", good, nil, "", "", 0, 1},
		{"an image without a type", says("", aPNG), nil, "", "", 0, 1},
		{"an image of a type that says nothing", says("application/octet-stream", aPNG), nil, "", "", 0, 1},
		{"an image of a broken type", says("Image/PNG; charset", aPNG), nil, "", "", 0, 1},
		{"an image called another", says("image/webp", aPNG), nil, "", "", 0, 1},
		{"as many bytes as may be", good, func(o *Options) { o.MaxBytes = int64(len(aPNG)) }, "", "", 0, 1},
		{"encoded as identity", with(good, "Content-Encoding", "identity"), nil, "", "", 0, 1},

		// Statuses.
		{"400", status(400), nil, Permanent, "400 Bad Request", 400, 1},
		{"401", status(401), nil, Permanent, "401", 401, 1},
		{"403", status(403), nil, Transient, "403", 403, 1},
		{"404", status(404), nil, Permanent, "the server answered 404 Not Found", 404, 1},
		{"410", status(410), nil, Permanent, "410", 410, 1},
		{"451", status(451), nil, Permanent, "451", 451, 1},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, nil, Permanent, "204", 204, 1},
		{"206 unasked", with(status(206), "Content-Range", "bytes 0-5/10"), nil, Permanent, "206", 206, 1},
		{"304 unasked", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, nil, Permanent, "304", 304, 1},
		{"408", status(408), nil, Transient, "408", 408, 3},
		{"425", status(425), nil, Transient, "425", 425, 3},
		{"429", status(429), nil, Transient, "429 Too Many Requests", 429, 3},
		{"429 for an hour", status(429, "Retry-After", "3600"), nil, Transient, "asks to wait 1h0m0s", 429, 1},
		{"429 and then an image", inTurn(status(429, "Retry-After", "0"), good), nil, "", "", 0, 2},
		{"500", status(500), nil, Transient, "500", 500, 3},
		{"500 and one attempt", status(500), func(o *Options) { o.Attempts = 1 }, Transient, "500", 500, 1},
		{"500 and then an image", inTurn(status(500), good), nil, "", "", 0, 2},
		{"500 and then 404", inTurn(status(500), status(404)), nil, Permanent, "404", 404, 2},
		{"503", status(503), nil, Transient, "503", 503, 3},
		{"a status of no name", status(599), nil, Transient, "answered 599", 599, 3},

		// Connections.
		{"hangs up", raw("", nil), nil, Transient, "no answer came: EOF", 0, 3},
		{"resets before headers", raw("", reset), nil, Transient, "connection reset", 0, 3},
		{"resets within the body", raw("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"+string(aPNG[:500]), reset), nil, Transient, "connection reset", -1, 3},
		{"no HTTP", raw("SSH-2.0-OpenSSH_9.9\r\n", nil), nil, Transient, "malformed HTTP", 0, 3},
		{"endless headers", raw("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", maxHeaderBytes+4096), nil), nil, Transient, "headers exceeded", 0, 3},
		{"two lengths", raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", nil), nil, Transient, "no answer came", 0, 3},

		// Bodies that are too short, and too long.
		{"body short of its length", breaksOff, nil, Transient, fmt.Sprintf("broke off after %d bytes", len(aPNG)/2), 200, 3},
		{"body short of its length, then whole", inTurn(breaksOff, good), nil, "", "", 0, 2},
		{"cut chunk", raw("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n"+string(aPNG[:100]), nil), nil, Transient, "broke off after 100 bytes: unexpected EOF", 200, 3},
		{"chunks without an end", raw("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"+string(aPNG[:100])+"\r\n", nil), nil, Transient, "broke off after 100 bytes", 200, 3},
		{"body cut within the magic", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\x89P", nil), nil, Transient, "broke off after 2 bytes", 200, 3},
		{"endless body", func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(aPNG); err == nil; {
				_, err = w.Write(aPNG)
			}
		}, small, Permanent, "more than 1024 bytes", 200, 1},
		{"length that is too large", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<40))
			w.WriteHeader(200)
			http.NewResponseController(w).Flush()
			<-r.Context().Done() // the client does not wait for it
		}, nil, Permanent, "more than 67108864 bytes", 200, 1},
		{"length that is too small", raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n%s%s", aPNG, aPNG), nil), small, "", "", 0, 1},
		{"one byte too many", good, func(o *Options) { o.MaxBytes = int64(len(aPNG)) - 1 }, Permanent, "more than", 200, 1},

		// Bodies that are no image.
		{"gzip bomb", with(says("image/png", gzipped(append(bytes.Clone(aPNG), make([]byte, 8<<20)...))), "Content-Encoding", "gzip"), nil, Permanent, `encoded as "gzip"`, 200, 1},
		{"two encodings", with(good, "Content-Encoding", "identity", "Content-Encoding", "br"), nil, Permanent, `encoded as "br"`, 200, 1},
		{"HTML called an image", says("image/jpeg", []byte("<!DOCTYPE html><html>not found</html>")), nil, Transient, "no known image, it looks like text/html", 200, 1},
		{"image called HTML", says("text/html; charset=utf-8", aPNG), nil, Transient, `calls it "text/html; charset=utf-8": want an image`, 200, 1},
		{"image called JSON", says("application/json", aPNG), nil, Permanent, `calls it "application/json"`, 200, 1},
		{"archive called an image", says("image/png", []byte("PK\x03\x04 and more")), nil, Permanent, "no known image, it looks like application/zip", 200, 1},
		{"rubbish of a type that says nothing", says("binary/octet-stream", make([]byte, 1000)), nil, Permanent, "no known image", 200, 1},
		{"endless rubbish", func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(make([]byte, 1000)); err == nil; {
				_, err = w.Write(make([]byte, 1000))
			}
		}, nil, Permanent, "no known image", 200, 1},
		{"zero bytes", says("image/png", nil), nil, Transient, "the body is empty", 200, 1},
		{"GIF", says("image/gif", aGIF), nil, Permanent, "the image is image/gif: want image/jpeg, image/png, image/webp", 200, 1},
		{"SVG", says("image/svg+xml", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")), nil, Permanent, "no known image", 200, 1},

		// Redirects.
		{"as many redirects as may be", chain(5), nil, "", "", 0, 6},
		{"one redirect too many", chain(6), nil, Permanent, "there are more than 5 redirects", 302, 6},
		{"redirects in a loop", redirect(301, "/"), nil, Permanent, "there are more than 5 redirects", 301, 6},
		{"redirects to a file", redirect(302, "file:///etc/passwd"), nil, Permanent, `redirected to file:/etc/passwd: the scheme is "file": want http or https`, 0, 1},
		{"redirects to data", redirect(302, "data:image/png;base64,AAAA"), nil, Permanent, `redirected to data:…: the scheme is "data"`, 0, 1},
		{"redirects to no URL", redirect(307, "http://[::1/"), nil, Permanent, "redirects to what is no URL", 307, 1},
		{"redirects to no host", redirect(308, "http:///x"), nil, Permanent, "names no host", 0, 1},
		{"redirects nowhere", redirect(302, ""), nil, Permanent, "redirects to what is no URL", 302, 1},
		{"redirects and fails", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				redirect(303, "/b?token=t")(w, r)
				return
			}
			status(404)(w, r)
		}, nil, Permanent, "/b?token=…: the server answered 404", 404, 2},

		// Owners.
		{"noai", with(good, "X-Robots-Tag", "noai"), nil, Policy, "keeps it out of training data", 200, 1},
		{"noimageai in a list", with(good, "X-Robots-Tag", "noindex, NoImageAI"), nil, Policy, "X-Robots-Tag", 200, 1},
		{"noai in the second header", with(good, "X-Robots-Tag", "noindex", "X-Robots-Tag", "noai"), nil, Policy, "X-Robots-Tag", 200, 1},
		{"noai to a robot", with(good, "X-Robots-Tag", "otherbot: noindex, noai"), nil, Policy, "X-Robots-Tag", 200, 1},
		{"noai on the way", with(redirect(302, "/x"), "X-Robots-Tag", "noai"), nil, Policy, "X-Robots-Tag", 302, 1},
		{"noai of what is not there", with(status(404), "X-Robots-Tag", "noai"), nil, Permanent, "404", 404, 1},
		{"noai ignored", with(good, "X-Robots-Tag", "noai"), func(o *Options) { o.IgnoreNoAI = true }, "", "", 0, 1},
		{"noindex alone", with(good, "X-Robots-Tag", "noindex, nofollow"), nil, "", "", 0, 1},
	}
}

func TestServers(t *testing.T) {
	for _, c := range serverCases() {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.handler(w, r)
			})
			var edits []func(*Options)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			got, err := start(t, edits...).Get(t.Context(), server.URL+"/")
			if n := requests.Load(); n != int64(c.requests) {
				t.Errorf("there were %d requests, want %d", n, c.requests)
			}
			if c.kind != "" {
				failure := wantFailure(t, err, c.kind, c.says)
				if c.status >= 0 && failure.Status != c.status {
					t.Errorf("the status is %d, want %d", failure.Status, c.status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ContentType != "image/png" || !strings.HasPrefix(got.URL, server.URL) {
				t.Errorf("got %s of %s", got.ContentType, got.URL)
			}
			want := aPNG
			if c.name == "length that is too small" {
				want = aPNG[:10] // as the package says
			}
			if !bytes.Equal(got.Bytes, want) {
				t.Errorf("got %d bytes, want the %d of the image", len(got.Bytes), len(want))
			}
		})
	}
}

func wantFailure(t *testing.T, err error, kind Kind, says string) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if failure.Kind != kind || !strings.Contains(failure.Error(), says) || len(failure.Error()) > 2000 {
		t.Errorf("got %v, want %s with %q", failure, kind, says)
	}
	return failure
}

// TestURLs: URLs to which no request is made.
func TestURLs(t *testing.T) {
	f := start(t, func(o *Options) { o.AllowPrivate = false })
	for address, want := range map[string]struct {
		kind Kind
		says string
	}{
		"":                             {Permanent, `the scheme is ""`},
		"example.org/a.png":            {Permanent, `fetch example.org/a.png: permanent: the scheme is ""`},
		"file:///etc/passwd":           {Permanent, `fetch file:/etc/passwd: permanent: the scheme is "file"`},
		"ftp://example.org/a.png":      {Permanent, `the scheme is "ftp"`},
		"data:image/png;base64,aGk=":   {Permanent, "fetch data:…: permanent"},
		"http://":                      {Permanent, "names no host"},
		"http://:80/":                  {Permanent, "names no host"},
		"http://example.org:0/":        {Permanent, "there is no such port"},
		"http://example.org:65536/":    {Permanent, "there is no such port"},
		"http://example.org:http/":     {Permanent, "fetch http://…: permanent: it is no URL: invalid port"},
		"http://exa mple.org/":         {Permanent, "it is no URL: invalid character"},
		"https://example.org/%zz":      {Permanent, "fetch https://…: permanent: it is no URL: invalid URL escape"},
		"http://example.org/\x00":      {Permanent, "it is no URL"},
		"http://user@example.org/":     {Policy, "holds credentials"},
		"https://u:secret@example.org": {Policy, "fetch https://example.org: policy: the URL holds credentials"},
		"http://127.0.0.1/":            {Policy, "at an address that is not public: dial tcp 127.0.0.1:80"},
		"https://10.1.2.3/":            {Policy, "not public"},
		"http://169.254.169.254/":      {Policy, "not public"},
		"http://0.0.0.0:8080/":         {Policy, "not public"},
		"http://localhost/":            {Policy, "not public"},
	} {
		_, err := f.Get(t.Context(), address)
		failure := wantFailure(t, err, want.kind, want.says)
		if failure.Status != 0 {
			t.Errorf("%s: the status is %d", address, failure.Status)
		}
	}
}

// TestAddresses asks the dialer itself, so that it holds without IPv6 and
// without a network.
func TestAddresses(t *testing.T) {
	f := start(t, func(o *Options) { o.AllowPrivate = false })
	if f.transport.Proxy != nil {
		t.Error("a proxy would dial where the check does not see it")
	}
	for address, public := range map[string]bool{
		"1.1.1.1:80": true, "93.184.215.14:443": true, "172.32.0.1:80": true, "100.128.0.1:8080": true, "[2606:4700::1111]:443": true,
		"0.0.0.0:80": false, "0.1.2.3:80": false, "10.0.0.1:80": false, "100.64.0.1:80": false, "127.0.0.1:80": false, "127.9.9.9:80": false,
		"169.254.169.254:80": false, "172.16.0.1:80": false, "172.31.255.255:80": false, "192.168.0.1:80": false, "192.0.0.170:80": false,
		"198.18.0.1:80": false, "203.0.113.1:80": false, "224.0.0.1:80": false, "239.255.255.255:80": false, "255.255.255.255:80": false,
		"[::]:80": false, "[::1]:80": false, "[::7f00:1]:80": false, "[::ffff:127.0.0.1]:80": false, "[::ffff:1.1.1.1]:80": false,
		"[64:ff9b::7f00:1]:80": false, "[64:ff9b::101:101]:80": false, "[64:ff9b:1::1]:80": false, "[fc00::1]:80": false, "[fd12::1]:80": false,
		"[fe80::1]:80": false, "[fe80::1%eth0]:80": false, "[2606:4700::1111%eth0]:80": false, "[fec0::1]:80": false, "[ff02::1]:80": false,
		"[2002:7f00:1::]:80": false, "[2001::1]:80": false, "[2001:db8::1]:80": false, "[3fff::1]:80": false,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		if err := f.dialer.Control(network, address, nil); (err == nil) != public {
			t.Errorf("%s: got %v, want it public: %v", address, err, public)
		}
	}
}

// TestRedirectToPrivate: a public server does not lead to a private one, and
// the private one is not even connected to.
func TestRedirectToPrivate(t *testing.T) {
	var connected atomic.Int64
	private := httptest.NewUnstartedServer(says("image/png", aPNG))
	private.Config.ConnState = func(net.Conn, http.ConnState) { connected.Add(1) }
	private.Start()
	defer private.Close()
	var to string
	public := serve(t, func(w http.ResponseWriter, r *http.Request) { redirect(302, to)(w, r) })
	f := start(t, func(o *Options) { o.AllowPrivate = false })
	safe := f.dialer.Control
	f.dialer.Control = func(network, address string, c syscall.RawConn) error {
		if address == public.Listener.Addr().String() {
			return nil // as if it were public
		}
		return safe(network, address, c)
	}
	_, port, _ := net.SplitHostPort(private.Listener.Addr().String())
	for _, to = range []string{private.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port} {
		_, err := f.Get(t.Context(), public.URL)
		wantFailure(t, err, Policy, "redirected to "+to+": the host is at an address that is not public")
	}
	to = strings.Replace(public.URL, "http://", "http://user:hunter2@", 1)
	_, err := f.Get(t.Context(), public.URL)
	wantFailure(t, err, Policy, "redirected to "+public.URL+": the URL holds credentials")
	if n := connected.Load(); n != 0 {
		t.Errorf("the private server saw %d changes of connections", n)
	}
}

// TestRequests: what servers are told, and what they are not.
func TestRequests(t *testing.T) {
	type told struct{ UserAgent, Accept, Encoding, Authorization, Referer, Cookie string }
	var seen []told
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		seen = append(seen, told{h.Get("User-Agent"), h.Get("Accept"), h.Get("Accept-Encoding"), h.Get("Authorization"), h.Get("Referer"), h.Get("Cookie")})
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		switch r.URL.Path {
		case "/":
			redirect(302, "/same?token=t")(w, r)
		case "/same":
			redirect(302, fmt.Sprintf("http://localhost:%d/other", r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port))(w, r)
		default:
			says("image/gif", aGIF)(w, r)
		}
	})
	f := start(t, func(o *Options) { o.UserAgent, o.Accept = "tester/1", []string{"image/gif", "image/png"} })
	got, err := f.Get(t.Context(), strings.Replace(server.URL, "http://", "http://user:hunter2@", 1))
	if err != nil || got.ContentType != "image/gif" || !strings.HasSuffix(got.URL, "/other") {
		t.Fatalf("got %s of %s, %v", got.ContentType, got.URL, err)
	}
	usual := told{UserAgent: "tester/1", Accept: "image/gif, image/png", Encoding: "identity"}
	authorized := usual
	authorized.Authorization = "Basic dXNlcjpodW50ZXIy"
	if diff := cmp.Diff([]told{authorized, authorized, usual}, seen); diff != "" {
		t.Error(diff)
	}
	seen = nil
	if _, err := start(t, func(o *Options) { o.Accept = []string{"image/gif"} }).Get(t.Context(), server.URL+"/x"); err != nil || seen[0].UserAgent != DefaultUserAgent {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// TestTLS: HTTP/2, and a redirect from https to http.
func TestTLS(t *testing.T) {
	plain := serve(t, says("image/jpeg", aJPEG))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor != 2:
			t.Errorf("the request is %s", r.Proto)
		case r.URL.Path == "/down":
			redirect(301, plain.URL)(w, r)
		case r.URL.Path == "/broken" && r.Header.Get("Range") == "":
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Accept-Ranges", "bytes")
			breaksOff(w, r)
		default:
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "a.png", time.Time{}, bytes.NewReader(aPNG))
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	f := start(t)
	_, err := f.Get(t.Context(), server.URL)
	wantFailure(t, err, Permanent, "no TLS connection comes about")
	_, err = f.Get(t.Context(), strings.Replace(plain.URL, "http:", "https:", 1))
	wantFailure(t, err, Permanent, "no TLS connection comes about")

	f = start(t)
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	f.transport.TLSClientConfig = trusting.Clone()
	for path, want := range map[string][]byte{"/": aPNG, "/broken": aPNG, "/down": aJPEG} {
		if got, err := f.Get(t.Context(), server.URL+path); err != nil || !bytes.Equal(got.Bytes, want) {
			t.Errorf("%s: got %d bytes, %v", path, len(got.Bytes), err)
		}
	}

	f = start(t)
	f.transport.TLSClientConfig = trusting.Clone()
	f.transport.TLSClientConfig.MaxVersion = tls.VersionTLS12
	_, err = f.Get(t.Context(), server.URL)
	wantFailure(t, err, Transient, "no TLS connection comes about: remote error")
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := start(t).Get(t.Context(), server.URL)
	wantFailure(t, err, Transient, "connection refused")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error("the cause is lost")
	}
}

// TestSecrets: no text of an error holds a password or the value of a query
// parameter, not even when the server echoes them.
func TestSecrets(t *testing.T) {
	const secret = "hunter2"
	hide := func(address string) string {
		return strings.Replace(address, "http://", "http://user:"+secret+"@", 1) + "/a?token=" + secret + "&" + secret + "#" + secret
	}
	for name, handler := range map[string]http.HandlerFunc{
		"404":       status(404),
		"echo":      raw("GET /a?token="+secret+" HTTP/1.1\r\n\r\n", nil),
		"echo type": raw("HTTP/1.1 200 OK\r\n"+secret+"\r\n\r\n", nil),
		"redirect":  redirect(302, "ftp://user:"+secret+"@example.org/a?b="+secret),
		"elsewhere": redirect(302, "http://user:"+secret+"@[::1"),
	} {
		_, err := start(t).Get(t.Context(), hide(serve(t, handler).URL))
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "/a?token=…&…: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, address := range []string{"http://user:" + secret + "/x@example.org/", "http://user:" + secret + " @example.org/", "user:" + secret, "http://user:" + secret + "?@example.org/", "http://h/%zz?" + secret} {
		_, err := start(t).Get(t.Context(), address)
		if failure := wantFailure(t, err, Permanent, ""); strings.Contains(failure.Error(), secret) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// TestCancel: everything is joined when the context is done, whether it waits
// for headers, for a body, or for a slot.
func TestCancel(t *testing.T) {
	entered := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Write(aPNG[:100])
			http.NewResponseController(w).Flush()
		}
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	f, err := New(Options{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var gets conc.WaitGroup
	for i := range 10 {
		gets.Go(func() {
			if _, err := f.Get(ctx, server.URL+[]string{"/body", "/headers"}[i%2]); err != context.Canceled {
				t.Errorf("got %v", err)
			}
		})
	}
	for range defaultPerHost {
		<-entered
	}
	cancel()
	gets.Wait()
	if n := len(f.slots.hosts) + len(f.slots.total); n != 0 {
		t.Errorf("%d slots were not given back", n)
	}
	if _, err := f.Get(ctx, server.URL); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	f.Close()
	server.Close()
	goleak.VerifyNone(t)
}

func TestOptions(t *testing.T) {
	for says, o := range map[string]Options{
		"requests to one host is -1: want at least 1, or 0 for 4":  {PerHost: -1},
		"requests to all hosts is -2":                              {Total: -2},
		"attempts is -1":                                           {Attempts: -1},
		"redirects is -1":                                          {MaxRedirects: -1},
		"the pause between attempts is -1s":                        {Pause: -time.Second},
		"longest pause between attempts is 25h0m0s":                {MaxPause: 25 * time.Hour},
		"timeout of an attempt is -1s: want a positive duration":   {Timeout: -time.Second},
		"timeout of headers is -1s":                                {HeaderTimeout: -time.Second},
		"pause between attempts is 2m0s and the longest is 1m0s":   {Pause: 2 * time.Minute},
		"largest image has -1 bytes: want a positive number up to": {MaxBytes: -1},
		"largest image has 9223372036854775807 bytes":              {MaxBytes: 1<<63 - 1},
		`media type "image/jpg" is not known: want some of image/`: {Accept: []string{"image/png", "image/jpg"}},
		"user agent is \"a\\r\\nCookie: b\": want one line":        {UserAgent: "a\r\nCookie: b"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	body := append(bytes.Clone(aJPEG), make([]byte, 300<<10)...)
	server := httptest.NewServer(says("image/jpeg", body))
	defer server.Close()
	f, err := New(Options{AllowPrivate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := f.Get(b.Context(), server.URL); err != nil {
			b.Fatal(err)
		}
	}
}
