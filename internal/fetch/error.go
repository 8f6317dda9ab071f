package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Kind says what a failed download means for the caller.
type Kind string

const (
	// Transient: the same URL may give the image in a later run.
	Transient Kind = "transient"
	// Permanent: there is no usable image at the URL, and trying again gives
	// the same.
	Permanent Kind = "permanent"
	// Policy: there may be an image, and under these options it is not for us.
	Policy Kind = "policy"
)

// Error is a failed download. Its texts hold no credentials and no values of
// query parameters, where tokens are.
type Error struct {
	Kind Kind
	// URL is the one asked for, without userinfo and fragment, with the values
	// of the query elided; not more than its scheme if it could not be read.
	URL string
	// Reason is one clear sentence. It names the URL where redirects had led.
	Reason string
	// Status is that of the server's last answer; 0 if there was none.
	Status int
	// RetryAfter is how long the server asked to wait; 0 if it said nothing.
	RetryAfter time.Duration
	// Err is the cause, if there is one.
	Err error

	once bool // it may pass, but not within seconds: there is no other attempt
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("fetch %s: %s: %s: %v", e.URL, e.Kind, e.Reason, e.Err)
	}
	return fmt.Sprintf("fetch %s: %s: %s", e.URL, e.Kind, e.Reason)
}

func (e *Error) Unwrap() error { return e.Err }

// maxShown bounds the bytes of a URL or a cause in a message.
const maxShown = 300

// shown is the URL without what may be secret.
func shown(u *url.URL) string {
	if u.Opaque != "" {
		return u.Scheme + ":…" // such as data:, whose content is after the colon
	}
	var b strings.Builder
	if u.Scheme != "" {
		b.WriteString(u.Scheme + ":")
	}
	if u.Host != "" {
		b.WriteString("//" + u.Host)
	}
	b.WriteString(u.EscapedPath())
	for i, parameter := range strings.Split(u.RawQuery, "&") {
		if u.RawQuery == "" {
			break
		}
		b.WriteString([]string{"?", "&"}[min(i, 1)])
		if name, _, ok := strings.Cut(parameter, "="); ok {
			b.WriteString(name + "=")
		}
		b.WriteString("…")
	}
	return cut(b.String())
}

// unreadable is the failure of what is no URL. No part of it is shown, as it
// cannot be told which part is a password.
func unreadable(address string, err error) *Error {
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err // without the URL
	}
	scheme := "…"
	for _, s := range []string{"http", "https"} {
		if strings.HasPrefix(address, s+"://") {
			scheme = s + "://…"
		}
	}
	return &Error{Kind: Permanent, URL: scheme, Reason: "it is no URL", Err: quiet(err)}
}

// quiet is the cause without what others put into it: Go quotes pieces of URLs
// and of answers, which may echo our request.
func quiet(cause error) error {
	if cause == nil {
		return nil
	}
	text := cause.Error()
	told, _, quoted := strings.Cut(text, `"`)
	if told = cut(told); !quoted && told == text {
		return cause
	}
	return errors.New(strings.TrimSpace(told))
}

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}
