package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/parquet"
)

// TestSecretsStaySecret builds, and fails to build in many ways, with secrets
// in the environment and in the source, and servers that put what they are sent
// into their answers. No secret is in anything that is written or printed.
func TestSecretsStaySecret(t *testing.T) {
	const (
		awsID, awsSecret   = "AKIDoftheusersbucket", "awsSecretOfTheUsersBucket"
		key, wrongKey      = "sk-keyOfTheModelServer", "sk-anotherKeyThatIsWrong"
		password           = "passwordOfTheImageServer"
		signature, onwards = "signatureOfTheImagesURL", "signatureOfTheRedirect"
		visible            = "thisMayBeSeen"
	)
	secrets := []string{awsSecret, key, wrongKey, password, signature, onwards, base64.StdEncoding.EncodeToString([]byte("ann:" + password))}
	t.Setenv("AWS_ACCESS_KEY_ID", awsID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", awsSecret)
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("MODEL_KEY", key)
	t.Setenv("WRONG_KEY", wrongKey)

	var signed, refused, denied atomic.Int32
	models := newModelServer(t)
	answer := models.Config.Handler
	models.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+key {
			refused.Add(1)
			http.Error(w, fmt.Sprintf(`{"error":{"message":"Incorrect API key provided: %s"}}`, got), http.StatusUnauthorized)
			return
		}
		answer.ServeHTTP(w, r)
	})
	photos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch query := r.URL.Query(); {
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(w, r, "/gone.png?token="+onwards, http.StatusFound)
		case !strings.HasPrefix(r.URL.Path, "/good") || query.Get("X-Amz-Signature") != signature:
			http.Error(w, "no "+r.URL.String()+fmt.Sprint(r.Header), http.StatusNotFound)
		default:
			signed.Add(1)
			_, _ = w.Write(paint(irgdata.DigestOf([]byte(r.URL.Path)), 128, 128)) // the client may be gone
		}
	}))
	defer photos.Close()
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		denied.Add(1)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>`, r.Header.Get("Authorization"))
	}))
	defer bucket.Close()

	root := t.TempDir()
	t.Chdir(root)
	var rows strings.Builder
	host := strings.TrimPrefix(photos.URL, "http://")
	for i, name := range []string{"good-1.png", "good-2.png", "gone.png", "moved.png", "bad%zz.png"} {
		fmt.Fprintf(&rows, `{"caption":"a picture of %d plain towers","image_url":"http://ann:%s@%s/%s?size=%s&X-Amz-Signature=%s"}`+"\n", i+2, password, host, name, visible, signature)
	}
	if err := os.MkdirAll("source", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("source/pairs.jsonl", []byte(rows.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	try := func(name string, want int, server, keyEnv, store, endpoint string) {
		t.Helper()
		text := fmt.Sprintf(`
sources: [{name: photos, path: source/pairs.jsonl}]
store: %q
s3: {endpoint: %q, path_style: true}
work: out/%s/work
image: {width: 128, height: 128}
ingest: {download: {allow_private: true, attempts: 1}}
filter: {rules: [{rule: coverage, min: 0}]}
calls: {attempts: 1}
models:
  irg: {kind: omni, url: "%s/v1", revision: "1", key_env: %s}
  vlm: {kind: openai, url: "%s/v1", revision: "1", key_env: %s}
roles: {base: irg, annotator: vlm, painter: irg}
max_rejects: 1
export: {to: out/%s/export, ranks: 1, workers: 1, formats: [irg, jsonl, parquet]}
`, store, endpoint, name, server, keyEnv, server, keyEnv, name)
		if err := os.WriteFile(name+".yaml", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		before := printed.Len()
		for _, command := range [][]string{{"ingest", "--peek"}, {"build"}, {"stats"}, {"rejects"}, {"doctor"}, {"ledger", "stats"}} {
			code := run(append(command, "--config", name+".yaml"), &printed, &printed)
			if command[0] == "build" && code != want {
				t.Errorf("%s: exit code %d, want %d: %s", name, code, want, printed.String()[before:])
			}
		}
	}
	try("good", exitDone, models.URL, "MODEL_KEY", "out/good/store", "")
	try("wrong", exitFailed, models.URL, "WRONG_KEY", "out/wrong/store", "")
	try("unreachable", exitFailed, "http://127.0.0.1:1", "MODEL_KEY", "out/unreachable/store", "")
	try("denied", exitFailed, models.URL, "MODEL_KEY", "s3://bucket/store", bucket.URL)
	try("nowhere", exitFailed, models.URL, "MODEL_KEY", "s3://bucket/store", "http://127.0.0.1:1")
	if signed.Load() == 0 || refused.Load() == 0 || denied.Load() == 0 {
		t.Fatalf("%d signed downloads, %d refused keys, %d denied requests: each secret should have been used", signed.Load(), refused.Load(), denied.Load())
	}

	seen := 0
	look := func(place, content string) {
		t.Helper()
		for _, secret := range secrets {
			if _, after, found := strings.Cut(content, secret); found {
				at := len(content) - len(after)
				t.Errorf("%s holds a secret: …%q", place, content[max(0, at-200):at])
			}
		}
		if strings.Contains(content, "size="+visible) {
			seen++
		}
	}
	look("the output", printed.String())
	err := filepath.WalkDir("out", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		look(path, path+string(content))
		plain, err := uncompressed(t, path, content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		look(path+", uncompressed", plain)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 4 { // in the catalog, a shard, the rejects and an export at the least
		t.Errorf("what may be seen of the URLs was found in %d places: is everything looked into?", seen)
	}
}

// TestSecretsInAddresses: a configuration with a key in an address is refused,
// wherever the address stands, and what refuses it does not say the key.
func TestSecretsInAddresses(t *testing.T) {
	const secret = "passphraseOfTheServer"
	const user, query, rest = "http://ann:" + secret + "@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?api_key=" + secret, "\nsources: [{bundled: sample}]"
	bucket := "s3://KEY:" + secret + "@bucket/x"
	slashed := "s3://KEY:a/" + secret + "/b@bucket/x"
	server := func(kind, address string) string {
		return fmt.Sprintf("{m: {kind: %s, url: %q, model: m, revision: \"1\"}}%s", kind, address, rest)
	}
	for _, tc := range []struct{ key, text string }{
		{"s3.endpoint", fmt.Sprintf("s3: {endpoint: %q}%s", user, rest)},
		{"s3.endpoint", fmt.Sprintf("s3: {endpoint: %q}%s", query, rest)},
		{"s3.endpoint", fmt.Sprintf("s3: {endpoint: %q}%s", "http://KEY:a/"+secret+"@127.0.0.1", rest)},
		{"store", fmt.Sprintf("store: %q%s", bucket, rest)},
		{"store", fmt.Sprintf("store: %q%s", slashed, rest)},
		{"store", fmt.Sprintf("store: %q%s", user, rest)},
		{"store", fmt.Sprintf("store: %q%s", "s3://bucket/x?key="+secret, rest)},
		{"export.to", fmt.Sprintf("export: {to: %q}%s", bucket, rest)},
		{"export.to", fmt.Sprintf("export: {to: %q}%s", query, rest)},
		{"work", fmt.Sprintf("work: %q%s", user, rest)},
		{"sources[0].path", fmt.Sprintf("sources: [{path: %q}]", user)},
		{"sources[0].path", fmt.Sprintf("sources: [{path: %q}]", query)},
		{"sources[0].path", fmt.Sprintf("sources: [{path: %q}]", bucket)},
		{"sources[0].path", fmt.Sprintf("sources: [{path: %q}]", slashed)},
		{"sources[0].path", fmt.Sprintf("sources: [{path: %q}]", "file://ann:"+secret+"@server/photos")},
		{"sources[0].images", fmt.Sprintf("sources: [{path: x.csv, images: %q}]", user)},
		{"sources", fmt.Sprintf("sources: %q", user)},
		{"models.m", "models: " + server("omni", user)},
		{"models.m", "models: " + server("openai", query)},
		{"models.m", "models: " + server("images", user)},
		{"models.m", "models: " + server("worker", user)},
		{"models.m", "models: " + server("scorer", query)},
		{"models.m", fmt.Sprintf("models: {m: {kind: omni, urls: [%q], model: m, revision: \"1\"}}%s", user, rest)},
		{"models.m.tokenizer", fmt.Sprintf("models: {m: {kind: omni, url: \"http://127.0.0.1:1/v1\", model: m, revision: \"1\", tokenizer: %q}}\nmodes: [initial_thinking_generation_learning]%s", user, rest)},
		{"models.m.kind", fmt.Sprintf("models: {m: {kind: %q}}%s", user, rest)},
		{"roles.base", fmt.Sprintf("roles: {base: %q}%s", user, rest)},
		{"prompts.hindsight", fmt.Sprintf("prompts: {hindsight: %q}%s", user, rest)},
		{"ingest.benchmarks.files.b", fmt.Sprintf("ingest: {benchmarks: {files: {b: %q}}}%s", query, rest)},
		{"judge.questions", fmt.Sprintf("judge: {questions: [%q]}%s", query, rest)},
		{"seed", fmt.Sprintf("seed: %q%s", user, rest)},
	} {
		path := filepath.Join(t.TempDir(), "irgdata.yaml")
		if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"config", "check"}, {"build"}} {
			var out bytes.Buffer
			code := run(append(command, "--config", path), &out, &out)
			if code != exitUsage || !strings.Contains(out.String(), ": "+tc.key+": ") || strings.Contains(out.String(), secret[:6]) {
				t.Errorf("%v of\n%s\nends with code %d and says\n%s", command, tc.text, code, out.String())
			}
		}
	}
}

// uncompressed is the text that a file holds, if it is zstd or Parquet.
func uncompressed(t *testing.T, path string, content []byte) (string, error) {
	switch filepath.Ext(path) {
	case ".zst":
		z, err := zstd.NewReader(bytes.NewReader(content))
		if err != nil {
			return "", err
		}
		defer z.Close()
		plain, err := io.ReadAll(z)
		return string(plain), err
	case ".parquet":
		r, err := parquet.NewReader(bytes.NewReader(content))
		if err != nil {
			return "", err
		}
		var names []string
		for _, c := range r.Columns() {
			if c.Kind != parquet.List {
				names = append(names, c.Name)
			}
		}
		var plain strings.Builder
		for row, err := range r.Rows(t.Context(), names...) {
			if err != nil {
				return "", err
			}
			for _, cell := range row {
				if text, ok := cell.(string); ok {
					plain.WriteString(text + "\n")
				}
			}
		}
		return plain.String(), nil
	}
	return "", nil
}
