// Package fetch downloads images by URL from servers that nobody vouches for.
//
// A download ends with the bytes of an image, with the context's error, or
// with an [*Error] whose [Kind] says what may be done:
//
//	the server or the URL …                         kind       tried again
//	answers 408, 425, 429 or 5xx                    transient  yes, after its Retry-After if that is short
//	does not connect, resets, is no HTTP            transient  yes
//	is slow: to connect, with headers, with a body  transient  yes
//	ends the body before its Content-Length, or
//	within a chunk                                  transient  yes, the rest alone where that is safe
//	has a name that cannot be resolved just now     transient  yes
//	answers 403, ends the TLS handshake by an alert transient  no: not within seconds
//	calls an image text/html, or HTML an image      transient  no
//	sends nothing                                   transient  no
//	has a name that does not exist                  permanent  no
//	answers 401, 404, 410, another 4xx, or anything
//	else that is no 200                             permanent  no
//	has a certificate that is not trusted, no TLS   permanent  no
//	is no URL, or not one of http or https          permanent  no
//	redirects more than MaxRedirects times, in a
//	loop, or to what is no URL                      permanent  no
//	sends more than MaxBytes or announces them      permanent  no
//	sends a Content-Encoding, such as a gzip bomb   permanent  no
//	calls an image another text, such as JSON       permanent  no
//	sends what is not in Accept                     permanent  no
//	is at a private address, or redirects there     policy     no
//	has a user name or password in the URL          policy     no
//	says noai or noimageai in X-Robots-Tag          policy     no
//
// A Content-Length that is too small, or a body that ends with its connection
// and has none, gives an image that is cut and looks whole here; it does not
// decode.
//
// # Addresses
//
// Unless AllowPrivate is set, a connection is made to public addresses alone:
// those in the special-purpose registries of IANA are refused (loopback,
// private, link-local, shared, multicast, unique local, NAT64 and others). The
// address that is about to be dialled is checked, so that no name and no second
// answer of the DNS leads around it, on each hop of a redirect. An IPv4-mapped
// address is dialled, and judged, as the IPv4 address that it holds.
// Proxies of the environment (HTTP_PROXY and its like) are used with
// AllowPrivate alone: a proxy resolves names itself, and the check would see
// no address but the proxy's.
//
// # What is told to servers
//
// There are no cookies and no Referer, and credentials of a URL go to no other
// host. A redirect from https to http is followed: URLs with http are fetched
// as well, and nothing is sent that such a hop could give away.
package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"code.dny.dev/ssrf"
)

// maxHeaderBytes bounds the headers of one answer.
const maxHeaderBytes = 256 << 10

// Fetcher downloads images. It is safe for concurrent use, and the caller
// closes it.
type Fetcher struct {
	o         Options
	slots     *slots
	dialer    net.Dialer
	transport *http.Transport
}

// New returns a fetcher; it sends nothing.
func New(o Options) (*Fetcher, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	f := &Fetcher{o: o, slots: newSlots(o.PerHost, o.Total)}
	f.dialer.Timeout = o.HeaderTimeout
	f.transport = &http.Transport{
		DialContext:            f.dialer.DialContext,
		TLSHandshakeTimeout:    o.HeaderTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           o.Total,
		MaxIdleConnsPerHost:    o.PerHost,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // what is inflated here is not counted
	}
	if o.AllowPrivate {
		f.transport.Proxy = http.ProxyFromEnvironment
	} else {
		f.dialer.Control = ssrf.New(ssrf.WithAnyPort()).Safe
	}
	return f, nil
}

// Close gives idle connections back. No call may be under way.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// Result is a whole image.
type Result struct {
	// Bytes is the encoded image, which the caller may keep and modify.
	Bytes []byte
	// ContentType is the media type that the bytes have, one of the options'
	// Accept. The server may have called it another image or nothing.
	ContentType string
	// URL is where redirects led. Unlike the URLs of errors it is complete, so
	// that it may hold a token.
	URL string
}

// Get downloads the image at the URL. It waits for slots and between attempts,
// and holds no slot between them. It may hold three times MaxBytes of memory,
// and mostly holds less than twice the image.
func (f *Fetcher) Get(ctx context.Context, address string) (Result, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return Result{}, unreadable(address, err)
	}
	d := download{Fetcher: f, asked: asked}
	for attempt := 1; ; attempt++ {
		result, err := d.attempt(ctx)
		var failure *Error
		if err == nil || !errors.As(err, &failure) || failure.Kind != Transient || failure.once || attempt == f.o.Attempts || failure.RetryAfter > f.o.MaxPause {
			return result, err
		}
		select {
		case <-time.After(max(f.pause(attempt), failure.RetryAfter)):
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

// pause is the wait after the given attempt, the first being 1.
func (f *Fetcher) pause(attempt int) time.Duration {
	pause := f.o.Pause
	for range attempt - 1 {
		pause = min(2*pause, f.o.MaxPause)
	}
	return min(pause+rand.N(pause/2+1), f.o.MaxPause)
}
