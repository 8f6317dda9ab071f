package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

// download is one image under way, through all its attempts.
type download struct {
	*Fetcher
	asked *url.URL

	// The attempt:
	at     *url.URL      // where redirects have led
	left   time.Duration // of its timeout
	status int           // of the last answer at that URL; 0: none yet

	// What has come of the body, and the URL and the strong ETag under which
	// the rest of it can be asked for; etag is empty if it cannot.
	body bytes.Buffer
	from string
	etag string
}

// attempt asks once, along the redirects. An error is the context's or an
// *Error.
func (d *download) attempt(ctx context.Context) (Result, error) {
	d.at, d.left = d.asked, d.o.Timeout
	for hops := 0; ; hops++ {
		d.status = 0
		if err := d.check(); err != nil {
			return Result{}, err
		}
		next, err := d.hop(ctx)
		switch {
		case err != nil:
			return Result{}, err
		case next == nil:
			return d.result()
		case hops == d.o.MaxRedirects:
			return Result{}, d.fail(Permanent, nil, "there are more than %d redirects", d.o.MaxRedirects)
		}
		d.at = next
	}
}

// check refuses URLs that no request is made to.
func (d *download) check() error {
	port := d.at.Port()
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case d.at.Scheme != "http" && d.at.Scheme != "https":
		return d.fail(Permanent, nil, "the scheme is %.20q: want http or https", d.at.Scheme)
	case d.at.Hostname() == "":
		return d.fail(Permanent, nil, "the URL names no host")
	case port != "" && (err != nil || number == 0):
		return d.fail(Permanent, nil, "there is no such port")
	case d.at.User != nil && !d.o.AllowPrivate:
		return d.fail(Policy, nil, "the URL holds credentials")
	}
	return nil
}

// hop makes one request. It returns the URL to go on at, or nil when the body
// has been read.
func (d *download) hop(ctx context.Context) (next *url.URL, err error) {
	release, err := d.slots.take(ctx, strings.TrimSuffix(strings.ToLower(d.at.Hostname()), "."))
	if err != nil {
		return nil, err
	}
	defer release()
	start := time.Now()
	defer func() { d.left -= time.Since(start) }()
	timed, cancel := context.WithTimeoutCause(ctx, d.left, fmt.Errorf("the attempt took longer than %v", d.o.Timeout))
	defer cancel()

	request := (&http.Request{Method: http.MethodGet, URL: d.at, Header: http.Header{}}).WithContext(timed)
	request.Header.Set("User-Agent", d.o.UserAgent)
	request.Header.Set("Accept", strings.Join(d.o.Accept, ", "))
	request.Header.Set("Accept-Encoding", "identity")
	if u := d.at.User; u != nil {
		password, _ := u.Password()
		request.SetBasicAuth(u.Username(), password)
	}
	rest := d.etag != "" && d.body.Len() > 0 && d.from == d.at.String()
	if rest {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.body.Len()))
		request.Header.Set("If-Range", d.etag)
	}
	response, err := d.transport.RoundTrip(request)
	if err != nil {
		return nil, d.broken(ctx, err, "no answer came")
	}
	defer response.Body.Close()
	d.status = response.StatusCode

	switch d.status {
	case http.StatusOK:
		d.forget()
		d.from, d.etag = d.at.String(), resumable(response.Header)
		if err := d.refused(response.Header); err != nil {
			return nil, err
		}
		return nil, d.read(ctx, response, response.ContentLength)
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if !rest {
			break
		}
		first, size, ok := contentRange(response.Header.Get("Content-Range"))
		if etag := response.Header.Get("ETag"); !ok || first != int64(d.body.Len()) || etag != "" && etag != d.etag {
			d.forget()
			return nil, d.fail(Transient, nil, "the server did not give the rest that was asked for")
		}
		if err := d.refused(response.Header); err != nil {
			return nil, err
		}
		return nil, d.read(ctx, response, size)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if err := d.refused(response.Header); err != nil {
			return nil, err
		}
		next, err := response.Location()
		if err != nil {
			return nil, d.fail(Permanent, nil, "it redirects to what is no URL")
		}
		drain(response, cancel)
		return next, nil
	}
	drain(response, cancel)
	return nil, d.statusError(response.Header)
}

// drain reads a short body to its end, without which its connection is not
// used again. It cancels the request if that takes longer than a second.
func drain(response *http.Response, cancel context.CancelFunc) {
	defer time.AfterFunc(time.Second, cancel).Stop()
	_, _ = io.CopyN(io.Discard, response.Body, 16<<10)
}

// refused returns an error if the owner keeps the image out of training data.
func (d *download) refused(h http.Header) error {
	if !d.o.IgnoreNoAI && refusesAI(h.Values("X-Robots-Tag")) {
		return d.fail(Policy, nil, "its owner keeps it out of training data: X-Robots-Tag says noai or noimageai")
	}
	return nil
}

// read appends the body of the answer to what is there, size bytes in all; -1
// if that is not known.
func (d *download) read(ctx context.Context, response *http.Response, size int64) error {
	for _, encoding := range response.Header.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return d.fail(Permanent, nil, "the body is encoded as %.40q: want it as it is, as was asked for", encoding)
		}
	}
	switch contentType := response.Header.Get("Content-Type"); {
	case mayBeImage(contentType):
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), html):
		return d.failOnce(nil, "the server calls it %.60q: want an image", contentType)
	default:
		return d.fail(Permanent, nil, "the server calls it %.60q: want an image", contentType)
	}
	if size > d.o.MaxBytes {
		return d.tooLarge()
	}
	// A size is believed, and the memory taken, up to 1 MiB.
	d.body.Grow(int(min(max(size-int64(d.body.Len()), 0), 1<<20)) + bytes.MinRead)
	// The magic is looked at before the rest is asked for.
	for _, enough := range []int64{min(magicBytes, d.o.MaxBytes), d.o.MaxBytes + 1} {
		_, err := io.CopyN(&d.body, response.Body, max(enough-int64(d.body.Len()), 0))
		if err != nil && err != io.EOF {
			return d.brokenBody(ctx, err)
		}
		if int64(d.body.Len()) > d.o.MaxBytes {
			return d.tooLarge()
		}
		if came := int64(d.body.Len()); err == io.EOF && size >= 0 && came != size {
			if came > size { // the rest is not the rest of this
				d.etag = ""
			}
			return d.brokenBody(ctx, io.ErrUnexpectedEOF)
		}
		if _, err := d.result(); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
	}
	return nil
}

// result is the image of the body.
func (d *download) result() (Result, error) {
	b := d.body.Bytes()
	found := mediaType(b)
	switch looks := http.DetectContentType(b); {
	case len(b) == 0:
		return Result{}, d.failOnce(nil, "the body is empty")
	case found == "" && strings.HasPrefix(looks, html):
		return Result{}, d.failOnce(nil, "the body is no known image, it looks like %s: want %s", looks, strings.Join(d.o.Accept, ", "))
	case found == "":
		return Result{}, d.fail(Permanent, nil, "the body is no known image, it looks like %s: want %s", looks, strings.Join(d.o.Accept, ", "))
	case !slices.Contains(d.o.Accept, found):
		return Result{}, d.fail(Permanent, nil, "the image is %s: want %s", found, strings.Join(d.o.Accept, ", "))
	}
	return Result{Bytes: b, ContentType: found, URL: d.at.String()}, nil
}

func (d *download) tooLarge() error {
	return d.fail(Permanent, nil, "the image has more than %d bytes", d.o.MaxBytes)
}

// brokenBody keeps what came only if the rest can be asked for.
func (d *download) brokenBody(ctx context.Context, err error) error {
	came := d.body.Len()
	if d.etag == "" {
		d.forget()
	}
	return d.broken(ctx, err, fmt.Sprintf("the body broke off after %d bytes", came))
}

// forget drops what came of a body.
func (d *download) forget() { d.body, d.from, d.etag = bytes.Buffer{}, "", "" }

// broken is the failure of a request that got no whole answer.
func (d *download) broken(ctx context.Context, err error, what string) error {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ssrf.ErrProhibitedIP):
		return d.fail(Policy, err, "the host is at an address that is not public")
	case errors.As(err, &name) && name.IsNotFound:
		return d.fail(Permanent, err, "there is no such host")
	case errors.As(err, &op) && op.Op == "remote error": // an alert, also of a server that is overloaded
		return d.failOnce(err, "no TLS connection comes about")
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return d.fail(Permanent, err, "no TLS connection comes about")
	}
	return d.fail(Transient, err, "%s", what)
}

// statusError is the failure that a status means.
func (d *download) statusError(h http.Header) error {
	kind := Permanent
	switch {
	case d.status >= 500, d.status == http.StatusRequestTimeout, d.status == http.StatusTooEarly, d.status == http.StatusTooManyRequests,
		d.status == http.StatusForbidden: // also said to those who ask too often
		kind = Transient
	}
	failure := d.fail(kind, nil, "the server answered %s", strings.TrimSpace(fmt.Sprintf("%d %s", d.status, http.StatusText(d.status))))
	if kind == Transient {
		failure.RetryAfter = retryAfter(h.Get("Retry-After"), time.Now())
	}
	failure.once = d.status == http.StatusForbidden
	if failure.RetryAfter > 0 {
		failure.Reason += fmt.Sprintf(" and asks to wait %v", failure.RetryAfter)
	}
	return failure
}

// html is how the media type of a web page begins: servers put one in the place
// of an image that they do not give just now.
const html = "text/html"

// failOnce is a transient failure after which there is no other attempt.
func (d *download) failOnce(cause error, format string, args ...any) *Error {
	failure := d.fail(Transient, cause, format, args...)
	failure.once = true
	return failure
}

// fail is the one place where errors of a download are made.
func (d *download) fail(kind Kind, cause error, format string, args ...any) *Error {
	reason := fmt.Sprintf(format, args...)
	if d.at != d.asked {
		reason = fmt.Sprintf("redirected to %s: %s", shown(d.at), reason)
	}
	return &Error{Kind: kind, URL: shown(d.asked), Reason: reason, Status: d.status, Err: quiet(cause)}
}
