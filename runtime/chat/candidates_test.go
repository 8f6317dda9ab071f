package chat

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/runtime"
)

func judgeRequest() runtime.Request {
	r := textRequest(runtime.TextPart("Is it so?"), imageOf(tinyPNG))
	r.Sampling.Candidates = 5
	return r
}

// TestCandidates: those of the first token that is not blank are read, and a
// courtesy in any other form is none.
func TestCandidates(t *testing.T) {
	reply := func(logprobs string) string {
		return fmt.Sprintf(`{"choices":[{"message":{"content":"Yes"},"finish_reason":"stop","logprobs":%s}]}`, logprobs)
	}
	yes, no := runtime.Candidate{Token: "Yes", Logprob: -0.25}, runtime.Candidate{Token: " no", Logprob: -1.5}
	const token = `{"token":"Yes","logprob":-0.25,"bytes":[89],"top_logprobs":[{"token":"Yes","logprob":-0.25,"bytes":[89]},{"token":" no","logprob":-1.5,"bytes":null}]}`
	for _, tc := range []struct {
		name, logprobs string
		want           []runtime.Candidate
	}{
		{"as OpenAI and vLLM give them", `{"content":[` + token + `,{"token":".","logprob":0,"top_logprobs":[]}]}`, []runtime.Candidate{yes, no}},
		{"after a blank", `{"content":[{"token":"\n","logprob":-0.1,"top_logprobs":[{"token":"\n","logprob":-0.1}]},` + token + `]}`, []runtime.Candidate{yes, no}},
		{"of the taken token alone", `{"content":[{"token":"Yes","logprob":-0.25}]}`, []runtime.Candidate{yes}},
		{"null", `null`, nil},
		{"empty", `{"content":[]}`, nil},
		{"in the form of completions", `{"tokens":["Yes"],"token_logprobs":[-0.25]}`, nil},
		{"another thing", `[1]`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var sent string
			c := serve(t, OpenAI, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				sent = string(body)
				io.WriteString(w, reply(tc.logprobs))
			})
			got, err := c.Generate(t.Context(), judgeRequest())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.First); diff != "" || got.Text != "Yes" {
				t.Error(got.Text, diff)
			}
			if !strings.Contains(sent, `"logprobs":true,"top_logprobs":5`) {
				t.Errorf("the request asks for no candidates: %s", sent)
			}
		})
	}
}

// TestNoLogprobs: a server that has none is asked without them, and any other
// complaint stays one.
func TestNoLogprobs(t *testing.T) {
	for complaint, calls := range map[string]int32{"unsupported parameter: logprobs": 2, "the image is too large": 1} {
		var asked atomic.Int32
		c := serve(t, OpenAI, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "logprobs") {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"error":{"message":%q}}`, complaint)
				return
			}
			io.WriteString(w, textReply(`"yes"`, "stop"))
		})
		got, err := c.Generate(t.Context(), judgeRequest())
		if asked.Load() != calls || (err == nil) != (calls == 2) || err == nil && (got.Text != "yes" || got.First != nil) {
			t.Errorf("%s: %d requests gave %+v, %v", complaint, asked.Load(), got, err)
		}
	}
}
