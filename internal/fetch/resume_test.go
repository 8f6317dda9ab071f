package fetch

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type resumeCase struct {
	name    string
	handler http.HandlerFunc
	edit    func(*Options)
	asked   []string // Range and If-Range of each request
	kind    Kind     // empty: the image comes
	says    string
}

// resumeCases are bodies that broke off, and what is asked for then;
// docs/ingest.md has a row for each.
func resumeCases() []resumeCase {
	half, whole := len(aPNG)/2, len(aPNG)
	strong := with(breaksOff, "ETag", `"1"`, "Accept-Ranges", "bytes")
	content := func(etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", etag)
			http.ServeContent(w, r, "a.png", time.Time{}, bytes.NewReader(aPNG))
		}
	}
	// part answers with bytes first to last, whatever was asked for.
	part := func(first, last, size int, header ...string) http.HandlerFunc {
		return with(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(aPNG[first : last+1])
		}, header...)
	}
	from := func(n int) string { return fmt.Sprintf(`bytes=%d- if "1"`, n) }
	return []resumeCase{
		{"the rest", inTurn(strong, content(`"1"`)), nil, []string{"", from(half)}, "", ""},
		{"the rest of an unknown whole", inTurn(strong, part(half, whole-1, whole, "Content-Range", "")), nil, []string{"", from(half)}, "", ""},
		{"the rest after an error", inTurn(strong, status(500), content(`"1"`)), nil, []string{"", from(half), from(half)}, "", ""},
		{"the rest in two parts", inTurn(strong, part(half, half+9, whole), content(`"1"`)), nil, []string{"", from(half), from(half + 10)}, "", ""},
		{"another image by now", inTurn(strong, content(`"2"`)), nil, []string{"", from(half)}, "", ""},
		{"no ranges any more", inTurn(strong, says("image/png", aPNG)), nil, []string{"", from(half)}, "", ""},
		{"breaks off twice", inTurn(strong, with(breaksOff, "ETag", `"2"`, "Accept-Ranges", "bytes"), content(`"2"`)), nil, []string{"", from(half), fmt.Sprintf(`bytes=%d- if "2"`, half)}, "", ""},
		{"gone by now", inTurn(strong, status(404)), nil, []string{"", from(half)}, Permanent, "404"},
		{"noai by now", inTurn(strong, with(content(`"1"`), "X-Robots-Tag", "noai")), nil, []string{"", from(half)}, Policy, "noai"},

		{"a weak ETag", inTurn(with(breaksOff, "ETag", `W/"1"`, "Accept-Ranges", "bytes"), content(`W/"1"`)), nil, []string{"", ""}, "", ""},
		{"no ETag", inTurn(with(breaksOff, "Accept-Ranges", "bytes"), content(`"1"`)), nil, []string{"", ""}, "", ""},
		{"no ranges", inTurn(with(breaksOff, "ETag", `"1"`, "Accept-Ranges", "none"), content(`"1"`)), nil, []string{"", ""}, "", ""},

		{"another part", inTurn(strong, part(half+1, whole-1, whole), content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"a part of another image", inTurn(strong, part(half, whole-1, whole, "ETag", `"2"`), content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"a part without a range", inTurn(strong, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206) }, content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"more than the whole", inTurn(strong, part(half, whole-1, whole-5), content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"a rest that is too long", inTurn(strong, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", half, whole-1, whole))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(aPNG[half-1:])
		}, content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"416", inTurn(strong, status(416, "Content-Range", fmt.Sprintf("bytes */%d", whole)), content(`"1"`)), nil, []string{"", from(half), ""}, "", ""},
		{"416 always", inTurn(strong, status(416)), nil, []string{"", from(half), ""}, Permanent, "416"},
		{"a whole that is too large", inTurn(strong, part(half, whole-1, 1<<30)), nil, []string{"", from(half)}, Permanent, "more than"},
		{"a rest that is too large", inTurn(with(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "600")
			w.Write(aPNG[:500])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "ETag", `"1"`, "Accept-Ranges", "bytes"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 500-599/*")
			w.WriteHeader(206)
			w.Write(aPNG)
		}), func(o *Options) { o.MaxBytes = 1000 }, []string{"", `bytes=500- if "1"`}, Permanent, "more than 1000 bytes"},
	}
}

// TestResume: a body that broke off is asked for from there, and only where
// the rest is sure to belong to it.
func TestResume(t *testing.T) {
	for _, c := range resumeCases() {
		t.Run(c.name, func(t *testing.T) {
			var asked []string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				line := r.Header.Get("Range")
				if line != "" {
					line += " if " + r.Header.Get("If-Range")
				}
				asked = append(asked, line)
				c.handler(w, r)
			})
			var edits []func(*Options)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			got, err := start(t, edits...).Get(t.Context(), server.URL)
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("asked: %s", diff)
			}
			if c.kind != "" {
				wantFailure(t, err, c.kind, c.says)
			} else if err != nil || !bytes.Equal(got.Bytes, aPNG) {
				t.Errorf("got %d bytes, %v", len(got.Bytes), err)
			}
		})
	}
}

// TestResumeElsewhere: an ETag says nothing of another URL, so the rest is not
// asked for where a redirect leads to another place by now.
func TestResumeElsewhere(t *testing.T) {
	var asked []string
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			n++
			redirect(302, "/copy/"+strconv.Itoa(min(n, 2)))(w, r)
			return
		}
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Range"))
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		if len(asked) < 3 {
			breaksOff(w, r)
		}
		http.ServeContent(w, r, "a.png", time.Time{}, bytes.NewReader(aPNG))
	}))
	defer server.Close()
	got, err := start(t).Get(t.Context(), server.URL)
	if err != nil || !bytes.Equal(got.Bytes, aPNG) || got.URL != server.URL+"/copy/2" {
		t.Errorf("got %d bytes of %s, %v", len(got.Bytes), got.URL, err)
	}
	want := []string{"/copy/1 ", "/copy/2 ", fmt.Sprintf("/copy/2 bytes=%d-", len(aPNG)/2)}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}
