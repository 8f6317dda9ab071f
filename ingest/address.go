package ingest

import (
	"net/url"
	"slices"
	"strings"
)

// signing are parameters of queries, in lower case, that let whoever has the
// URL have what is there: of signed URLs (S3, CloudFront, Google Cloud Storage,
// Azure), and tokens.
var signing = []string{
	"signature", "awsaccesskeyid", "googleaccessid", "key-pair-id", "policy", "expires",
	"sig", "se", "sp", "sv", "sr", "st", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv",
	"token", "access_token", "api_key", "apikey", "auth", "password", "secret",
}

// WithoutSecrets is the address of an image as datasets keep it: without user
// name and password, and without the parameters that sign a URL, which are
// secret or soon mean nothing. All else stays as the source has it. Of what is
// no URL nothing is kept, as it cannot be told which part is a password.
func WithoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	parameters := strings.Split(u.RawQuery, "&")
	kept := slices.DeleteFunc(slices.Clone(parameters), func(parameter string) bool {
		name, _, _ := strings.Cut(parameter, "=")
		if unescaped, err := url.QueryUnescape(name); err == nil {
			name = unescaped
		}
		name = strings.ToLower(name)
		return strings.HasPrefix(name, "x-amz-") || strings.HasPrefix(name, "x-goog-") || slices.Contains(signing, name)
	})
	if u.User == nil && len(kept) == len(parameters) {
		return address
	}
	u.User, u.RawQuery = nil, strings.Join(kept, "&")
	return u.String()
}
