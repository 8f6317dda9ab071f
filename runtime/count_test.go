package runtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

// answering gives the same answer to every request.
type answering struct {
	answer runtime.Answer
	err    error
}

func (answering) Identity() runtime.Identity { return runtime.Identity{Name: "m", Revision: "1"} }
func (a answering) Generate(context.Context, runtime.Request) (runtime.Answer, error) {
	return a.answer, a.err
}

func TestCounted(t *testing.T) {
	letters := func(s string) int { return len(s) }
	request := runtime.Request{Context: []runtime.Part{runtime.TextPart("four"), runtime.ImagePart(irgdata.ImageRef{}, []byte("an image")), runtime.TextPart("six..."), runtime.TextPart("")}}
	for _, tc := range []struct {
		name    string
		answer  runtime.Answer
		in, out int
	}{
		{"a server that does not count", runtime.Answer{Text: "three"}, 10, 5},
		{"an image", runtime.Answer{Image: []byte("x")}, 10, 0},
		{"a server that counts", runtime.Answer{Text: "three", TokensIn: 7, TokensOut: 2}, 7, 2},
	} {
		m := runtime.Counted(answering{answer: tc.answer}, letters)
		got, err := m.Generate(t.Context(), request)
		if err != nil || got.TokensIn != tc.in || got.TokensOut != tc.out || got.Text != tc.answer.Text {
			t.Errorf("%s: got %+v, %v; want %d in, %d out", tc.name, got, err, tc.in, tc.out)
		}
		if m.Identity().Name != "m" {
			t.Errorf("%s: the identity is %v", tc.name, m.Identity())
		}
	}
	failure := &runtime.Error{Kind: runtime.Refused}
	if got, err := runtime.Counted(answering{err: failure}, letters).Generate(t.Context(), request); !errors.Is(err, failure) || got.TokensIn != 0 {
		t.Errorf("got %+v, %v, want the failure as it is", got, err)
	}
}
