package faultproxy_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/png"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/modeltest/faultproxy"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client asks the model in the box through a proxy.
func client(t *testing.T, faults func(int) faultproxy.Fault, o chat.Options) *chat.Client {
	t.Helper()
	handler, err := serve.New(scenes.New(), serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	proxy := faultproxy.New(t, server.URL, faults)
	o.Name, o.Revision, o.URL = scenes.Name, scenes.Revision, proxy.URL+"/v1"
	c, err := chat.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func request(want runtime.Output, parts ...runtime.Part) runtime.Request {
	return runtime.Request{Context: parts, Want: want, Sampling: runtime.Sampling{Width: 64, Height: 64}}
}

// What the pipeline does about a kind.
var actions = map[runtime.Kind]string{
	runtime.Transient: "try again", runtime.Truncated: "give up on this call", runtime.Fatal: "stop the run",
}

func TestFaults(t *testing.T) {
	var narrow bytes.Buffer
	if err := png.Encode(&narrow, image.NewGray(image.Rect(0, 0, 64, 32))); err != nil {
		t.Fatal(err)
	}
	var square bytes.Buffer
	if err := png.Encode(&square, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	wrongSize := base64.StdEncoding.EncodeToString(narrow.Bytes())
	halfImage := base64.StdEncoding.EncodeToString(square.Bytes()[:45])
	write, paint := runtime.Text, runtime.Paint
	for _, tc := range []struct {
		name    string
		fault   faultproxy.Fault
		flavor  chat.Flavor
		want    runtime.Output
		timeout time.Duration
		action  string
		after   time.Duration
		says    string
	}{
		{"failure with status 200", faultproxy.Failed200, chat.Omni, paint, 0, "try again", 0, "no images were produced"},
		{"no image", faultproxy.MissingImage, chat.Omni, paint, 0, "try again", 0, "holds no image"},
		{"no image among images", faultproxy.MissingImage, chat.Images, paint, 0, "try again", 0, "holds no image"},
		{"wrong size", faultproxy.Replace(wrongSize), chat.Omni, paint, 0, "stop the run", 0, "set `image` to a size that the server paints"},
		{"wrong size of images", faultproxy.Replace(wrongSize), chat.Images, paint, 0, "stop the run", 0, "set `image` to a size that the server paints"},
		{"half an image", faultproxy.Replace(halfImage), chat.Omni, paint, 0, "try again", 0, "does not decode"},
		{"rubbish", faultproxy.Rubbish, chat.Omni, paint, 0, "try again", 0, "not base64"},
		{"rubbish of images", faultproxy.Rubbish, chat.Images, paint, 0, "try again", 0, "not base64"},
		{"finish_reason length", faultproxy.FinishLength, chat.OpenAI, write, 0, "give up on this call", 0, "hit its length limit"},
		{"429", faultproxy.Status(429, ""), chat.OpenAI, write, 0, "try again", 0, "429 Too Many Requests: \"injected\""},
		{"429 with Retry-After", faultproxy.Status(429, "7"), chat.OpenAI, write, 0, "try again", 7 * time.Second, "429"},
		{"503", faultproxy.Status(503, ""), chat.Images, paint, 0, "try again", 0, "503"},
		{"503 with Retry-After", faultproxy.Status(503, "9"), chat.Images, paint, 0, "try again", 9 * time.Second, "503"},
		{"401", faultproxy.Status(401, ""), chat.OpenAI, write, 0, "stop the run", 0, "set `key_env`"},
		{"404", faultproxy.Status(404, ""), chat.OpenAI, write, 0, "stop the run", 0, "want `url` to be the base address"},
		{"body cut", faultproxy.CutBody, chat.Omni, paint, 0, "try again", 0, "the answer broke off"},
		{"reset", faultproxy.Reset, chat.OpenAI, write, 0, "try again", 0, "no answer came"},
		{"slow header", faultproxy.SlowHeader, chat.OpenAI, write, 50 * time.Millisecond, "try again", 0, "no answer came within 50ms"},
		{"hang", faultproxy.Hang, chat.OpenAI, write, 50 * time.Millisecond, "try again", 0, "no answer came within 50ms"},
		{"slow body", faultproxy.SlowBody, chat.OpenAI, write, 200 * time.Millisecond, "try again", 0, "within 200ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := client(t, faultproxy.Queue(tc.fault), chat.Options{Flavor: tc.flavor, Timeout: tc.timeout})
			r := request(tc.want, runtime.TextPart("a red circle on a blue background"))
			_, err := c.Generate(t.Context(), r)
			var failure *runtime.Error
			if !errors.As(err, &failure) {
				t.Fatalf("got %v, want a *runtime.Error", err)
			}
			if actions[failure.Kind] != tc.action || failure.RetryAfter != tc.after || !strings.Contains(failure.Reason, tc.says) {
				t.Errorf("got %s (after %v): %s; want to %s after %v, with %q", failure.Kind, failure.RetryAfter, failure.Reason, tc.action, tc.after, tc.says)
			}
			if tc.timeout > 0 {
				return // too short for an answer on a busy machine
			}
			if _, err := c.Generate(t.Context(), r); err != nil {
				t.Errorf("the fault is over, and still: %v", err)
			}
		})
	}
}

// TestDropImage: an image that a server leaves out does not show in the form of
// the answer. What helps is that the client sends no image that a server could
// not read, and filters that look at what came back.
func TestDropImage(t *testing.T) {
	paint := request(runtime.Paint, runtime.TextPart("a red circle on a blue background"))
	painted, err := scenes.New().Generate(t.Context(), paint)
	if err != nil {
		t.Fatal(err)
	}
	look := request(runtime.Text, paint.Context[0], runtime.ImagePart(irgdata.ImageRef{}, painted.Image))
	c := client(t, faultproxy.Queue(faultproxy.DropImage), chat.Options{Flavor: chat.OpenAI})
	dropped, err := c.Generate(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := c.Generate(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	if dropped.Text == seen.Text {
		t.Error("the image made no difference")
	}
}
