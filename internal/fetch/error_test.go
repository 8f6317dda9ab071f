package fetch

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	for address, want := range map[string]string{
		"http://h":                               "http://h",
		"https://user:pass@h:8443/a%20b?x=1#top": "https://h:8443/a%20b?x=…",
		"http://h/a?token=t&w=100&flag&=":        "http://h/a?token=…&w=…&…&=…",
		"http://h/a?":                            "http://h/a",
		"http://h/?" + strings.Repeat("a", 1000): "http://h/?…",
		"data:image/png;base64,AAAA":             "data:…",
		"mailto:someone@example.org?subject=x":   "mailto:…",
		"http://h/" + strings.Repeat("é", 1000):  "http://h/" + strings.Repeat("%C3%A9", 48) + "%C3…",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(u); got != want {
			t.Errorf("%s: got %s", address, got)
		}
	}
}

// FuzzShown: neither a password nor the value of a parameter is seen, and what
// is seen is short.
func FuzzShown(f *testing.F) {
	f.Add("http", "h", "/a", "token=")
	f.Add("data", "", "x", "")
	f.Add("http", "[::1]:80", "/%zz", "&&=a=")
	f.Fuzz(func(t *testing.T, scheme, host, path, query string) {
		const secret = "hunter2hunter2"
		u, err := url.Parse(scheme + "://user:" + secret + "@" + host + path + "?" + query + "=" + secret + "#" + secret)
		if err != nil || u.User == nil || u.RawQuery == "" || strings.Contains(u.Host+u.Path, secret) {
			t.Skip("the secret is elsewhere")
		}
		if got := shown(u); strings.Contains(got, secret) || len(got) > maxShown+len("…") {
			t.Errorf("got %s", got)
		}
	})
}

func TestQuiet(t *testing.T) {
	plain := errors.New("connection reset by peer")
	if quiet(nil) != nil || quiet(plain) != plain {
		t.Error("what holds nothing of others is changed")
	}
	if got := quiet(errors.New(`malformed HTTP response "GET /?token=t"`)).Error(); got != "malformed HTTP response" {
		t.Errorf("got %s", got)
	}
	if got := quiet(errors.New(strings.Repeat("x", 10_000))).Error(); len(got) > maxShown+len("…") {
		t.Errorf("got %d bytes", len(got))
	}
}
