// Package faultproxy stands between a client and a model server, over a real
// socket, and does to an exchange what networks and servers do.
package faultproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
)

// Fault stands before the server as a handler does before another. What is
// slow ends when the client gives up, or with the proxy.
type Fault func(server http.Handler) http.Handler

// Proxy forwards requests; each POST gets its fault.
type Proxy struct {
	// URL is the address of the proxy, in place of the server's.
	URL   string
	posts atomic.Int64
}

// Posts counts the POSTs that have come.
func (p *Proxy) Posts() int { return int(p.posts.Load()) }

// New starts a proxy before a server, until the test ends. faults is called
// with the number of each POST, from 0 on and from many goroutines, and returns
// nil for none.
func New(t testing.TB, server string, faults func(n int) Fault) *Proxy {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	quiet := log.New(io.Discard, "", 0) // of clients that leave
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, ErrorLog: quiet,
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var handler http.Handler = forward
		if r.Method == http.MethodPost {
			if fault := faults(int(p.posts.Add(1)) - 1); fault != nil {
				handler = fault(forward)
			}
		}
		handler.ServeHTTP(w, r)
	}))
	front.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	front.Config.ErrorLog = quiet
	front.Start()
	p.URL = front.URL
	t.Cleanup(func() {
		cancel()
		front.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Always gives each POST the fault.
func Always(f Fault) func(int) Fault { return func(int) Fault { return f } }

// Queue gives the POSTs the faults in turn, and none when they are used up.
func Queue(faults ...Fault) func(int) Fault {
	return func(n int) Fault {
		if n < len(faults) {
			return faults[n]
		}
		return nil
	}
}

// Status answers with a status, and with Retry-After unless it is "".
func Status(code int, retryAfter string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"detail":"injected"}`)
		})
	}
}

// Hang never answers.
func Hang(http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { wait(r) })
}

// wait returns when the client is gone, which is noticed only after its body.
func wait(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// SlowHeader sends half of a header and then nothing.
func SlowHeader(http.Handler) http.Handler { return raw("HTTP/1.1 200 OK\r\nContent-Ty", true) }

// Reset resets the connection instead of answering.
func Reset(http.Handler) http.Handler { return raw("", false) }

// raw writes bytes and then resets the connection: at once, or when the client
// is gone.
func raw(head string, linger bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // no test can go on
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, head)
		if linger {
			stop := context.AfterFunc(r.Context(), func() { conn.Close() })
			defer stop()
			_, _ = conn.Read(make([]byte, 1)) // nothing comes but the end
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	})
}

// SlowBody sends half of the answer and then nothing.
func SlowBody(server http.Handler) http.Handler { return half(server, wait) }

// CutBody sends half of the answer and hangs up.
func CutBody(server http.Handler) http.Handler { return half(server, func(*http.Request) {}) }

func half(server http.Handler, then func(*http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := record(server, r)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		then(r)
		panic(http.ErrAbortHandler)
	})
}

// record is the body of the server's answer.
func record(server http.Handler, r *http.Request) []byte {
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, r)
	return answer.Body.Bytes()
}

// answer is what is changed of answers: of a chat or of images.
type answer struct {
	Choices []map[string]any `json:"choices,omitempty"`
	Data    []map[string]any `json:"data,omitempty"`
}

// changed has the first choice or image of the answer changed, which is sent
// with status 200.
func changed(change func(*answer)) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var a answer
			if err := json.Unmarshal(record(server, r), &a); err != nil || len(a.Choices)+len(a.Data) == 0 {
				panic(http.ErrAbortHandler) // the test expects another failure than this
			}
			change(&a)
			_ = json.NewEncoder(w).Encode(a)
		})
	}
}

func content(c any) Fault {
	return changed(func(a *answer) {
		for _, choice := range a.Choices {
			choice["message"] = map[string]any{"role": "assistant", "content": c}
		}
	})
}

// Failed200 answers with the sentence that vLLM-Omni says, with status 200,
// when painting failed.
func Failed200(server http.Handler) http.Handler {
	return content("Image generation completed but no images were produced.")(server)
}

// FinishLength says that the text hit its limit.
func FinishLength(server http.Handler) http.Handler {
	return changed(func(a *answer) {
		for _, choice := range a.Choices {
			choice["finish_reason"] = "length"
		}
	})(server)
}

// MissingImage leaves the image out of the answer.
func MissingImage(server http.Handler) http.Handler { return image("")(server) }

// Rubbish puts what is no base64 in the image's place.
func Rubbish(server http.Handler) http.Handler { return image("%%%")(server) }

// Replace puts an encoded image, as base64, in the image's place: one of a
// wrong size, or half of one.
func Replace(base64 string) Fault { return image(base64) }

func image(base64 string) Fault {
	return func(server http.Handler) http.Handler {
		return changed(func(a *answer) {
			for _, choice := range a.Choices {
				parts := []any{}
				if base64 != "" {
					parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]string{"url": "data:image/png;base64," + base64}})
				}
				choice["message"] = map[string]any{"role": "assistant", "content": parts}
			}
			for _, data := range a.Data {
				data["b64_json"] = base64
			}
		})(server)
	}
}

// DropImage takes the images out of a chat request before the server sees it,
// as servers do with what they cannot fetch or decode: the answer is to another
// question, and looks like any other.
func DropImage(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request map[string]any
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			panic(http.ErrAbortHandler)
		}
		messages, _ := request["messages"].([]any)
		for _, m := range messages {
			message, _ := m.(map[string]any)
			parts, _ := message["content"].([]any)
			var kept []any
			for _, p := range parts {
				if part, _ := p.(map[string]any); part["type"] != "image_url" {
					kept = append(kept, p)
				}
			}
			message["content"] = kept
		}
		body, err := json.Marshal(request)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		server.ServeHTTP(w, r)
	})
}
