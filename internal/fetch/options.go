package fetch

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Options bound what a [Fetcher] asks of servers and takes from them. The zero
// value is usable.
type Options struct {
	// PerHost is the number of requests that one host gets at a time, whatever
	// its ports; others queue here. 0: 4.
	PerHost int
	// Total is the number of requests at a time to all hosts. 0: 64.
	Total int

	// Attempts is how often a download is tried that fails for transient
	// reasons. 0: 3.
	Attempts int
	// Pause is the wait before the second attempt, doubled for each one after
	// it; up to half of it is added at random. 0: 1 second.
	Pause time.Duration
	// MaxPause is the longest wait between attempts. A server that asks for a
	// longer one by Retry-After is not asked again. 0: 1 minute.
	MaxPause time.Duration
	// Timeout bounds one attempt as a whole, with its redirects and without
	// our queues. 0: 30 seconds.
	Timeout time.Duration
	// HeaderTimeout bounds each of these: to connect, with the name's
	// resolution; the TLS handshake; the wait for the headers of an answer.
	// 0: 10 seconds.
	HeaderTimeout time.Duration

	// MaxBytes bounds the bytes of one image. 0: 64 MiB.
	MaxBytes int64
	// MaxRedirects is how often one attempt is sent elsewhere. 0: 5.
	MaxRedirects int
	// Accept lists the media types of the images that are taken, of those that
	// are known by their magic. Empty: image/jpeg, image/png and image/webp,
	// which the pipeline decodes. Servers that can choose choose among them.
	Accept []string

	// UserAgent is how servers know us. Empty: [DefaultUserAgent].
	UserAgent string
	// AllowPrivate lets downloads reach addresses that are not public, carry
	// credentials of the URL, and use the proxies of the environment. It is
	// for URLs that are trusted.
	AllowPrivate bool
	// IgnoreNoAI takes images whose server says noai or noimageai in
	// X-Robots-Tag, to whichever robot.
	IgnoreNoAI bool
}

// DefaultUserAgent names the project and where its people are found.
const DefaultUserAgent = "irgdata (+https://github.com/irgdata/irgdata)"

const (
	defaultPerHost       = 4
	defaultTotal         = 64
	defaultAttempts      = 3
	defaultPause         = time.Second
	defaultMaxPause      = time.Minute
	defaultTimeout       = 30 * time.Second
	defaultHeaderTimeout = 10 * time.Second
	defaultMaxBytes      = 64 << 20
	defaultMaxRedirects  = 5
)

const (
	longest   = 24 * time.Hour // of each duration
	mostBytes = 4 << 30        // of MaxBytes: an image is held in memory
)

// Validate returns an error that says which option to mend, and how.
func (o Options) Validate() error {
	for _, n := range []struct {
		name         string
		value, usual int
	}{
		{"the number of requests to one host", o.PerHost, defaultPerHost},
		{"the number of requests to all hosts", o.Total, defaultTotal},
		{"the number of attempts", o.Attempts, defaultAttempts},
		{"the number of redirects", o.MaxRedirects, defaultMaxRedirects},
	} {
		if n.value < 0 {
			return fmt.Errorf("%s is %d: want at least 1, or 0 for %d", n.name, n.value, n.usual)
		}
	}
	for _, d := range []struct {
		name         string
		value, usual time.Duration
	}{
		{"the pause between attempts", o.Pause, defaultPause},
		{"the longest pause between attempts", o.MaxPause, defaultMaxPause},
		{"the timeout of an attempt", o.Timeout, defaultTimeout},
		{"the timeout of headers", o.HeaderTimeout, defaultHeaderTimeout},
	} {
		if d.value < 0 || d.value > longest {
			return fmt.Errorf("%s is %v: want a positive duration up to %v, or 0 for %v", d.name, d.value, longest, d.usual)
		}
	}
	if o.MaxBytes < 0 || o.MaxBytes > mostBytes {
		return fmt.Errorf("the largest image has %d bytes: want a positive number up to %d, or 0 for %d", o.MaxBytes, int64(mostBytes), int64(defaultMaxBytes))
	}
	if filled := o.withDefaults(); filled.Pause > filled.MaxPause {
		return fmt.Errorf("the pause between attempts is %v and the longest is %v: want the first no longer than the second", filled.Pause, filled.MaxPause)
	}
	for _, t := range o.Accept {
		if !slices.Contains(mediaTypes, t) {
			return fmt.Errorf("the media type %q is not known: want some of %s", t, strings.Join(mediaTypes, ", "))
		}
	}
	if strings.ContainsFunc(o.UserAgent, unicode.IsControl) {
		return fmt.Errorf("the user agent is %q: want one line without control characters", o.UserAgent)
	}
	return nil
}

// Limits names the options that decide which images are refused for good, so
// that what was refused under others can be asked for again.
func (o Options) Limits() string {
	o = o.withDefaults()
	return fmt.Sprintf("bytes=%d redirects=%d private=%t noai=%t accept=%s", o.MaxBytes, o.MaxRedirects, o.AllowPrivate, o.IgnoreNoAI, strings.Join(o.Accept, ","))
}

func (o Options) withDefaults() Options {
	fill(&o.PerHost, defaultPerHost)
	fill(&o.Total, defaultTotal)
	fill(&o.Attempts, defaultAttempts)
	fill(&o.Pause, defaultPause)
	fill(&o.MaxPause, defaultMaxPause)
	fill(&o.Timeout, defaultTimeout)
	fill(&o.HeaderTimeout, defaultHeaderTimeout)
	fill(&o.MaxBytes, defaultMaxBytes)
	fill(&o.MaxRedirects, defaultMaxRedirects)
	fill(&o.UserAgent, DefaultUserAgent)
	if len(o.Accept) == 0 {
		o.Accept = []string{"image/jpeg", "image/png", "image/webp"}
	}
	return o
}

// fill gives an option that is not set its default.
func fill[T comparable](option *T, value T) {
	var unset T
	if *option == unset {
		*option = value
	}
}
