package fetch

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// refusesAI reports whether X-Robots-Tag headers hold noai or noimageai, the
// directives by which owners keep images out of training data. A directive
// that names a robot ("otherbot: noai") counts as well: owners know the names
// of few robots, and who refuses one kind of training hardly wants ours.
//
// The form is that of
// https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag#xrobotstag
func refusesAI(values []string) bool {
	for _, value := range values {
		for word := range strings.FieldsFuncSeq(value, func(r rune) bool {
			return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			if strings.EqualFold(word, "noai") || strings.EqualFold(word, "noimageai") {
				return true
			}
		}
	}
	return false
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or
// a date. It is 0 for what is neither, and at most a day.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), 0), longest)
	}
	return 0
}

// contentRange reads a Content-Range header (RFC 9110, section 14.4): the
// first byte, and the size of the whole, -1 if the server does not know it.
func contentRange(value string) (first, size int64, ok bool) {
	unit, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	span, whole, ok := strings.Cut(rest, "/")
	from, to, isSpan := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !ok || !isSpan {
		return 0, 0, false
	}
	start, err1 := strconv.ParseUint(from, 10, 63)
	end, err2 := strconv.ParseUint(to, 10, 63)
	if err1 != nil || err2 != nil || end < start {
		return 0, 0, false
	}
	if whole == "*" {
		return int64(start), -1, true
	}
	total, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || total <= end {
		return 0, 0, false
	}
	return int64(start), int64(total), true
}

// resumable returns the ETag under which the rest of a body can be asked for,
// "" if it cannot. A weak one does not do: it allows for other bytes.
func resumable(h http.Header) string {
	etag := h.Get("ETag")
	if !strings.EqualFold(h.Get("Accept-Ranges"), "bytes") || len(etag) < 2 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		return ""
	}
	return etag
}

// mayBeImage reports whether a Content-Type is that of an image, or says
// nothing, as storage servers do that were not told.
func mayBeImage(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil { // in the parameters, mostly
		mediaType, _, _ = strings.Cut(contentType, ";")
		mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	}
	switch mediaType {
	case "", "application/octet-stream", "binary/octet-stream":
		return true
	}
	return strings.HasPrefix(mediaType, "image/")
}
