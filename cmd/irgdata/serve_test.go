package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// TestServe serves the model in the box, asks it, and stops it.
func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var stderr bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"serve", "--address", "127.0.0.1:0"})
	root.SetOut(in)
	root.SetErr(&stderr)
	done := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		in.CloseWithError(err)
		done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	c, err := chat.New(chat.Options{Name: scenes.Name, Revision: scenes.Revision, URL: url, Flavor: chat.Omni})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := runtime.Request{Context: []runtime.Part{runtime.TextPart("a red circle on a blue background")}, Want: runtime.Paint}
	got, err := c.Generate(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	want, err := scenes.New().Generate(ctx, request)
	if err != nil || !bytes.Equal(got.Image, want.Image) {
		t.Errorf("the served image is not the direct one (%v)", err)
	}
	c.Close()
	stop()
	if err := <-done; err != nil {
		t.Errorf("stopped by %v", err)
	}
	if n := strings.Count(stderr.String(), "\n"); n != 1 || !strings.Contains(stderr.String(), "path=/v1/chat/completions status=200") {
		t.Errorf("want one line a request and no warning, got %s", &stderr)
	}
}
