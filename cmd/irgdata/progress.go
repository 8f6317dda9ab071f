package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/manifests"
)

// plainEvery is how often progress is told where there is no terminal.
const plainEvery = 5 * time.Second

// progress tells how far a build is: a moving line on a terminal, else a plain
// line every few seconds. The sources are streamed, so no total is known.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	bar   *progressbar.ProgressBar // nil without a terminal
	said  time.Time
	begun time.Time

	items, kept int
	taken       int // parts of the snapshot before
	ended       bool
}

func newProgress(out io.Writer) *progress {
	now := time.Now()
	p := &progress{out: out, said: now, begun: now}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(out), progressbar.OptionSpinnerType(14), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("reading"))
	}
	return p
}

// watch calls see on each item that passes.
func watch[T any](items iter.Seq2[irgdata.Item[T], error], see func(irgdata.Item[T])) iter.Seq2[irgdata.Item[T], error] {
	return func(yield func(irgdata.Item[T], error) bool) {
		for item, err := range items {
			if err == nil {
				see(item)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// read sees that an item was read from the sources.
func (p *progress) read() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items++
	if p.bar != nil || time.Since(p.said) >= plainEvery {
		p.say(fmt.Sprintf("read %d", p.items))
	}
}

// judged sees the items that have gone through all stages.
func (p *progress) judged(calls *annotate.Tally, e *examples) func(irgdata.Item[irgdata.Judged]) {
	return func(item irgdata.Item[irgdata.Judged]) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case item.Cut != nil && item.Cut.Known:
			p.taken++
		case item.Cut == nil:
			e.see(item)
			if item.Reject == nil {
				p.kept++
			}
		}
		if p.bar == nil && time.Since(p.said) < plainEvery {
			return
		}
		total := calls.Total()
		taken := ""
		if p.taken > 0 {
			taken = fmt.Sprintf("took over %s, of the others ", plural(int64(p.taken), "part"))
		}
		p.say(fmt.Sprintf("read %d, %skept %d, calls made %d, reused %d", p.items, taken, p.kept, total.Made, total.Reused))
	}
}

// phase tells that another part of the work begins.
func (p *progress) phase(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.say(name)
	}
}

// say is called under the lock.
func (p *progress) say(text string) {
	if p.bar != nil {
		p.bar.Describe(text)
		_ = p.bar.Add(1) // a terminal that is gone is no reason to stop
		return
	}
	p.said = time.Now()
	fmt.Fprintf(p.out, "%s: %s\n", time.Since(p.begun).Round(time.Second), text)
}

// end clears the line. It may be called twice.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && !p.ended {
		_ = p.bar.Finish()
	}
	p.ended = true
}

// examples keeps the first reason of each kind of reject, and the first
// trajectory that went all the way to a reflection.
type examples struct {
	byReason   map[manifests.ReasonCount]string
	trajectory *irgdata.Trajectory
}

func newExamples() *examples { return &examples{byReason: map[manifests.ReasonCount]string{}} }

// see is called by one goroutine.
func (e *examples) see(item irgdata.Item[irgdata.Judged]) {
	if item.Reject != nil {
		e.reject(*item.Reject)
		return
	}
	for _, v := range item.Value.Verdicts {
		if !v.Keep {
			e.reject(irgdata.Reject{Pair: item.Value.Trajectory.Pair, Stage: v.Stage, Rule: v.Rule, Mode: v.Mode, Reason: v.Reason})
		}
	}
	if e.trajectory == nil && !item.Value.Trajectory.Slots[irgdata.SlotReflection].IsZero() {
		e.trajectory = &item.Value.Trajectory
	}
}

func (e *examples) reject(r irgdata.Reject) {
	key := manifests.ReasonCount{Stage: r.Stage, Rule: r.Rule, Mode: r.Mode}
	if _, ok := e.byReason[key]; ok {
		return
	}
	e.byReason[key] = r.Reason
	if r.Pair.Key != "" {
		e.byReason[key] = r.Pair.Key + ": " + r.Reason
	}
}
