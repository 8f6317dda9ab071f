package ingest

import "testing"

func TestWithoutSecrets(t *testing.T) {
	for address, want := range map[string]string{
		"": "",
		"https://example.org/a%20b.jpg?w=1&h=2#top":                                          "https://example.org/a%20b.jpg?w=1&h=2#top",
		"https://ann:pass@example.org/a.jpg":                                                 "https://example.org/a.jpg",
		"https://ann@example.org/a.jpg?w=1":                                                  "https://example.org/a.jpg?w=1",
		"https://b.s3.amazonaws.com/a.jpg?X-Amz-Credential=x&versionId=3&x-amz-signature=yy": "https://b.s3.amazonaws.com/a.jpg?versionId=3",
		"https://storage.googleapis.com/b/a.jpg?X-Goog-Signature=yy":                         "https://storage.googleapis.com/b/a.jpg",
		"https://x.blob.core.windows.net/a.jpg?sv=2024&se=2026&sr=b&sp=r&sig=yy":             "https://x.blob.core.windows.net/a.jpg",
		"https://example.org/a.jpg?%74oken=yy&w=1":                                           "https://example.org/a.jpg?w=1",
		"https://ann:pa%ss@example.org/a.jpg":                                                "",
		"a name, and no address":                                                             "a name, and no address",
	} {
		if got := WithoutSecrets(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
