package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/irgdata/irgdata"
)

// modelServer speaks both dialects of package chat and answers each request
// from a digest of it: equal requests have equal answers, others differ.
type modelServer struct {
	*httptest.Server
	mu sync.Mutex
	// requests counts the calls by what was answered: a text, or the digest of
	// an image.
	requests map[string]int
	// countdown, unless nil, is called when wait more requests have come, before
	// the last of them is answered.
	wait      int
	countdown func()
}

func newModelServer(t testing.TB) *modelServer {
	s := &modelServer{requests: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":"irg"},{"id":"vlm"}]}`)
	})
	mux.HandleFunc("/v1/chat/completions", s.answer)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *modelServer) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client was killed
	}
	var request struct {
		Modalities []string
		Width      int
		Height     int
	}
	if err := json.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	countdown := func() {}
	if s.wait--; s.wait == 0 && s.countdown != nil {
		countdown = s.countdown
	}
	s.mu.Unlock()
	countdown()
	digest := irgdata.DigestOf(body)
	var content any
	var answered string
	switch {
	case len(request.Modalities) > 0 && request.Modalities[0] == "image":
		picture := paint(digest, request.Width, request.Height)
		answered = irgdata.DigestOf(picture).String()
		content = []any{map[string]any{"type": "image_url", "image_url": map[string]string{"url": "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)}}}
	default:
		answered = thought(digest, bytes.Contains(body, []byte("Step-by-Step")))
		content = answered
	}
	s.mu.Lock()
	s.requests[answered]++
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"choices": []any{map[string]any{"message": map[string]any{"content": content}, "finish_reason": "stop"}},
	})
}

// onRequest calls f when the nth request from now on comes.
func (s *modelServer) onRequest(n int, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait, s.countdown = n, f
}

// halt stops all answers when the nth request from now on comes, until release
// is called; halted is closed then.
func (s *modelServer) halt(n int) (halted <-chan struct{}, release func()) {
	asked, released := make(chan struct{}), make(chan struct{})
	s.onRequest(n, func() { close(asked); <-released })
	return asked, sync.OnceFunc(func() { close(released) })
}

// asked is what was answered since the last forget, and how often.
func (s *modelServer) asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

func (s *modelServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.requests)
}

// made sums the requests.
func (s *modelServer) made() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.requests {
		n += times
	}
	return n
}

// thought is a thinking text, in the form of a reflection if that is asked.
func thought(d irgdata.Digest, reflection bool) string {
	if !reflection {
		return "<think>" + sentence(d, 0) + " " + sentence(d, 1) + "</think>"
	}
	return "<think>" + sentence(d, 0) + "\n\n### Detailed Explanation of Required Improvements:\n" + sentence(d, 1) +
		"\n\n### Step-by-Step Modification Guidance:\n1. " + sentence(d, 2) + "\n\n### Final Comprehensive Prompt for the Improved Image:\n" + sentence(d, 3) + "</think>"
}

// sentence is the nth of a text; texts of other digests have others.
func sentence(d irgdata.Digest, n int) string {
	pick := func(i int, of ...string) string { return of[int(d[4*n+i])%len(of)] }
	return fmt.Sprintf("A %s %s, number %x, stands %s while %s light falls on it.",
		pick(0, "plain", "tall", "worn", "bright", "narrow"), pick(1, "tower", "table", "garden", "river", "window"), d[4*n:4*n+4],
		pick(2, "on the left", "in the middle", "far behind", "near the edge"), pick(3, "warm", "cold", "soft", "hard", "low"))
}

// paint is a small picture of the digest's colours.
func paint(d irgdata.Digest, width, height int) []byte {
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{
		color.RGBA{d[0], d[1], d[2], 255}, color.RGBA{d[3], d[4], d[5], 255}, color.RGBA{d[6], d[7], d[8], 255}, color.RGBA{d[9], d[10], d[11], 255},
	})
	for i := range img.Pix {
		img.Pix[i] = uint8(i%width/11+i/width/11) % 4 // no squares of a JPEG
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // into memory
	}
	return out.Bytes()
}
