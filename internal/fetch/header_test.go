package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRefusesAI(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"noindex, nofollow"}, false},
		{[]string{"noai"}, true},
		{[]string{"noimageai"}, true},
		{[]string{"NOAI"}, true},
		{[]string{"noindex,noai"}, true},
		{[]string{"noindex , noimageai , nofollow"}, true},
		{[]string{"noindex", "all", "noai"}, true},
		{[]string{"irgdata: noai"}, true},
		{[]string{"otherbot: noai"}, true},
		{[]string{"otherbot:noindex, noai"}, true},
		{[]string{"googlebot: noindex, otherbot: noai"}, true},
		{[]string{"unavailable_after: 25 Jun 2010 15:00:00 PST, noai"}, true},
		{[]string{"unavailable_after: 25 Jun 2010 15:00:00 PST"}, false},
		{[]string{"max-image-preview: large"}, false},
		{[]string{"noai; noimageai"}, true},
		{[]string{"noai-not, no-ai, xnoai, noais, noai_x"}, false},
		{[]string{"ｎoai, noаi"}, false}, // other alphabets
	} {
		if got := refusesAI(c.values); got != c.want {
			t.Errorf("%q: got %v", c.values, got)
		}
	}
}

// FuzzRefusesAI: no header hides the directive of another, or of the same list.
func FuzzRefusesAI(f *testing.F) {
	f.Add("noai")
	f.Add("otherbot: noindex, noai")
	f.Add("unavailable_after: 25 Jun 2010 15:00:00 PST")
	f.Add("\xff,\"")
	f.Fuzz(func(t *testing.T, value string) {
		got := refusesAI([]string{value})
		if lower := strings.ToLower(value); got && !strings.Contains(lower, "noai") && !strings.Contains(lower, "noimageai") {
			t.Errorf("%q was read as a refusal", value)
		}
		if again := refusesAI([]string{strings.ToUpper(value)}); got && !again {
			t.Errorf("%q refuses, and not in upper case", value)
		}
		for _, values := range [][]string{{value, "noai"}, {"noai", value}, {value + ", noai"}, {"noai," + value}, {value + ",bot:NoImageAI"}} {
			if !refusesAI(values) {
				t.Errorf("%q was read as no refusal", values)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "+1": 0, "1.5": 0, "0": 0, "7": 7 * time.Second, " 120 ": 2 * time.Minute,
		"86401": 24 * time.Hour, "9223372036854775807": 24 * time.Hour, "99999999999999999999": 0,
		"Thu, 02 Jan 2025 03:05:05 GMT": time.Minute, "Thu, 02 Jan 2025 03:04:04 GMT": 0, "Fri, 02 Jan 2099 03:04:05 GMT": 24 * time.Hour,
		"Thursday, 02-Jan-25 03:05:05 GMT": time.Minute, "Thu Jan  2 03:05:05 2025": time.Minute,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

// FuzzRetryAfter: a wait is between nothing and a day, and a date means the
// same wait as its distance in seconds.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, seed := range []string{"7", "-1", "9223372036854775807", "Thu, 02 Jan 2025 03:05:05 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := retryAfter(value, now)
		if got < 0 || got > longest || got%time.Second != 0 {
			t.Errorf("%q: got %v", value, got)
		}
		if again := retryAfter(now.Add(got).Format(http.TimeFormat), now); again != got {
			t.Errorf("%q: %v as seconds, %v as a date", value, got, again)
		}
	})
}

func TestContentRange(t *testing.T) {
	for value, want := range map[string]string{
		"bytes 0-4/10": "0 10 true", "bytes 5-9/10": "5 10 true", "Bytes 5-9/*": "5 -1 true",
		"": "0 0 false", "bytes */10": "0 0 false", "bytes 5-9": "0 0 false", "bytes 9-5/10": "0 0 false", "bytes 5-10/10": "0 0 false",
		"items 0-4/10": "0 0 false", "bytes=0-4/10": "0 0 false", "bytes -4/10": "0 0 false", "bytes 0-4/99999999999999999999": "0 0 false",
		"bytes +0-4/10": "0 0 false", "bytes 0-4/-1": "0 0 false",
	} {
		first, size, ok := contentRange(value)
		if got := fmt.Sprint(first, size, ok); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-4/10")
	f.Add("bytes 5-9/*")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, value string) {
		if first, size, ok := contentRange(value); ok && (first < 0 || size != -1 && size <= first) {
			t.Errorf("%q: the range begins at %d of %d", value, first, size)
		}
	})
}

func TestMayBeImage(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "image/png": true, "IMAGE/JPEG; q=1": true, "image/x-unheard-of": true, "application/octet-stream": true, "binary/octet-stream;": true,
		"text/html": false, "text/plain; charset=utf-8": false, "application/json": false, "image": false, "video/mp4": false, "imaged/png": false, ";": true,
	} {
		if got := mayBeImage(value); got != want {
			t.Errorf("%q: got %v", value, got)
		}
	}
}
