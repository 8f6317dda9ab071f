package blob_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/blobtest"
	"github.com/irgdata/irgdata/internal/blob/s3test"
)

func TestS3(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "conformance")
	stores := 0
	blobtest.TestStore(t, func(t testing.TB) blob.Store {
		stores++
		s, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "conformance", Prefix: fmt.Sprintf("a prefix/%d", stores), Endpoint: server.Endpoint, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestS3Mistakes: each mistake gives one sentence that says what to do, and no
// secret.
func TestS3Mistakes(t *testing.T) {
	server := s3test.Start(t)
	server.Bucket(t, "there")
	right := blob.S3Options{Bucket: "there", Endpoint: server.Endpoint, PathStyle: true}
	for _, tc := range []struct {
		name string
		env  map[string]string
		edit func(*blob.S3Options)
		want string
	}{
		{"unknown key", map[string]string{"AWS_ACCESS_KEY_ID": "nobody"}, nil, "check AWS_ACCESS_KEY_ID"},
		{"wrong secret", map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, nil, "check AWS_ACCESS_KEY_ID"},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, nil, "no credentials were found"},
		{"missing bucket", nil, func(o *blob.S3Options) { o.Bucket = "missing" }, `there is no bucket "missing"`},
		{"wrong region", nil, func(o *blob.S3Options) { o.Region = "eu-west-7" }, "set `region`"},
		{"unreachable", nil, func(o *blob.S3Options) { o.Endpoint = "http://127.0.0.1:1" }, "endpoint http://127.0.0.1:1 cannot be reached"},
		{"no region", map[string]string{"AWS_REGION": ""}, func(o *blob.S3Options) { o.Endpoint = "" }, "no region is set"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			o := right
			if tc.edit != nil {
				tc.edit(&o)
			}
			_, err := blob.NewS3(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "s3://"+o.Bucket) {
				t.Fatalf("got  %v\nwant a sentence with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
