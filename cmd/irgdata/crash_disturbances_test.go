package main

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata/manifests"
)

// killed kills one build after another until one comes to its end or there were
// enough: the first at some call, the others at random moments.
func killed(t *testing.T, h *harness, s *site, random *rand.Rand) {
	most := 8
	if testing.Short() {
		most = 3
	}
	for kills := range most {
		var p *process
		kill := func() { _ = p.Process.Kill() } // it may have ended
		if kills == 0 {
			var release func()
			p, release = s.halted(t, random)
			kill()
			p.wait()
			release()
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Float64()*1.2*float64(h.whole)))
			p = s.start(t)
			stop := context.AfterFunc(ctx, kill)
			p.wait()
			stop()
			cancel()
		}
		switch code := p.wait(); code {
		case -1:
			s.check(t)
		case exitDone:
			t.Logf("it came to its end after %d kills", kills)
			return
		default:
			t.Fatalf("after %d kills: code %d\n%s", kills, code, p.said.text())
		}
	}
}

// machineLost kills a build, and with it goes all that its machine had. What the
// store has of its calls is finished.
func machineLost(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	p, release := s.halted(t, random)
	_ = p.Process.Kill()
	p.wait()
	release()
	recorded := len(s.answers(t))
	work := filepath.Join(s.dir, "work")
	err := os.RemoveAll(work)
	if err == nil {
		err = manifests.FillLedger(t.Context(), filepath.Join(work, "ledger-shared.sqlite"), s.store(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the store has %d of %d calls", len(s.answers(t)), recorded)
}

// halted starts a build and halts its models at some call.
func (s *site) halted(t *testing.T, random *rand.Rand) (p *process, release func()) {
	t.Helper()
	asked, release := s.models.halt(1 + random.IntN(s.calls))
	t.Cleanup(release)
	p = s.start(t)
	select {
	case <-asked:
	case <-p.ended:
		t.Fatalf("it ended before its models were halted:\n%s", p.said.text())
	}
	return p, release
}

// signalled ends a build in order: the calls under way are waited for and kept.
func (s *site) signalled(t *testing.T, random *rand.Rand, signal os.Signal) {
	t.Helper()
	p, release := s.halted(t, random)
	_ = p.Process.Signal(signal) // if it has ended, the exit code tells
	if !p.said.await("waited for") {
		t.Error("it does not say that it waits for the calls under way")
	}
	release()
	if code := p.wait(); code != exitInterrupted || !strings.Contains(p.said.text(), "goes on from here") {
		t.Errorf("code %d\n%s", code, p.said.text())
	}
	s.kept(t)
}

func terminated(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	s.signalled(t, random, syscall.SIGTERM)
}

func interrupted(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	s.signalled(t, random, os.Interrupt)
}

// interruptedTwice: the second interrupt ends a build at once that waits for a
// call.
func interruptedTwice(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	p, release := s.halted(t, random)
	_ = p.Process.Signal(os.Interrupt) // if it has ended, the exit code tells
	p.said.await("waited for")
	_ = p.Process.Signal(os.Interrupt)
	if code := p.wait(); code != exitInterrupted {
		t.Errorf("code %d\n%s", code, p.said.text())
	}
	release()
}

// holderKilled: while a build is under way another one in the same work folder is
// refused, for it would make the calls that the first is about to make, and so is
// gc anywhere. A killed one holds nothing.
func holderKilled(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	p, release := s.halted(t, random)
	beside := s.beside(t)
	for _, refused := range []struct {
		at            *site
		command, says string
	}{{s, "build", "a build of this dataset is under way"}, {beside, "gc", "build on "}} {
		out, err := refused.at.command(t.Context(), refused.command).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitTryAgain || !strings.Contains(string(out), refused.says) {
			t.Errorf("%s: %v\n%s", refused.command, err, out)
		}
	}
	_ = p.Process.Kill()
	p.wait()
	release()
	beside.must(t, "gc")
	if locks, err := filepath.Glob(filepath.Join(s.dir, "work", "*.lock")); err != nil || len(locks) != 1 {
		t.Errorf("the killed one left the locks %v (%v)", locks, err)
	}
}

// held is what a build says that holds answers.
const held = "held"

// troubled waits for a build to which something happens that may pass: it ends
// well, or says why not, and no answer is lost. Once it says that it holds
// answers, or has ended, the trouble passes.
func (s *site) troubled(t *testing.T, p *process, pass func(), says *regexp.Regexp) {
	t.Helper()
	t.Logf("holds answers: %v", p.said.await(held))
	pass()
	p.endsWell(t, says)
	s.kept(t)
}

// endsWell waits for the end of a build that must do without something: it may
// manage to, or says what it lacks.
func (p *process) endsWell(t *testing.T, says *regexp.Regexp) {
	t.Helper()
	switch code := p.wait(); {
	case code == exitFailed && says.MatchString(p.said.text()):
		t.Logf("%s", p.said.text())
	case code != exitDone:
		t.Errorf("code %d, want a sentence with %q\n%s", code, says, p.said.text())
	}
}

// What is said of a full disk and of what may not be written. SQLite has words of
// its own.
var (
	saysFull     = regexp.MustCompile("no space left on device|database or disk is full")
	saysReadOnly = regexp.MustCompile("permission denied|attempt to write a readonly database")
	saysAway     = regexp.MustCompile("cannot be reached")
)

// serverKilled kills the S3 server in the middle of a build. It comes back at once,
// or when the build holds answers or has ended.
func serverKilled(t *testing.T, h *harness, s *site, random *rand.Rand) {
	s.server = h.server.Another(t)
	if err := os.Mkdir(filepath.Join(s.server.Dir, s.bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	s.configure(t, s.server.Endpoint)
	p, release := s.halted(t, random)
	s.server.Kill()
	if random.IntN(2) == 0 {
		s.server.Restart(t)
		release()
		p.wait()
	}
	release()
	s.troubled(t, p, func() {
		s.server.Kill()
		s.server.Restart(t)
	}, saysAway)
}

// full fills the disk of a folder in the middle of a build: for a moment, or until
// the build has ended.
func full(folder string, moment bool) func(*testing.T, *harness, *site, *rand.Rand) {
	return func(t *testing.T, _ *harness, s *site, random *rand.Rand) {
		at := filepath.Join(s.dir, folder)
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=16m"); err != nil {
			t.Skipf("needs to mount a small disk: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
		if !moment {
			s.configure(t, "", "hold: 1m", "hold: 1ms")
		}
		p, release := s.halted(t, random)
		pass := fill(t, filepath.Join(at, "space"))
		release()
		if moment {
			s.troubled(t, p, pass, saysFull)
			return
		}
		p.endsWell(t, saysFull)
		pass()
	}
}

// fill fills a disk with a file, and again as soon as something is free, until
// pass is called.
func fill(t *testing.T, path string) (pass func()) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	filled, stop := make(chan struct{}), make(chan struct{})
	var filler conc.WaitGroup
	filler.Go(func() {
		block := make([]byte, 64<<10)
		for first := true; ; {
			n, err := file.Write(block)
			switch {
			case err == nil:
				continue
			case n == 0 && len(block) > 1:
				block = block[:len(block)/2]
				continue
			}
			if first {
				first = false
				close(filled)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	<-filled
	return func() {
		close(stop)
		filler.Wait()
		file.Close()
		os.Remove(path)
	}
}

// readOnly makes a folder read-only, in the middle of a build and then before the
// next one.
func readOnly(folder string) func(*testing.T, *harness, *site, *rand.Rand) {
	return func(t *testing.T, _ *harness, s *site, random *rand.Rand) {
		if os.Geteuid() == 0 {
			if _, err := exec.LookPath("setpriv"); err != nil {
				t.Skip("root needs setpriv to bow to the modes of files")
			}
			s.modest = true
		}
		at := filepath.Join(s.dir, folder)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { chmodFolders(t, at, 0o755) })
		p, release := s.halted(t, random)
		chmodFolders(t, at, 0o555)
		release()
		s.troubled(t, p, func() { chmodFolders(t, at, 0o755) }, saysReadOnly)
		s.check(t)

		chmodFolders(t, at, 0o555)
		p = s.start(t)
		p.endsWell(t, saysReadOnly)
		chmodFolders(t, at, 0o755)
		s.kept(t)
	}
}

func chmodFolders(t *testing.T, root string, mode fs.FileMode) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, mode)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// age moves the times of all that lies in the store: to a store whose clock
// jumped forward its objects are older.
func (s *site) age(t *testing.T, by time.Duration) {
	t.Helper()
	root := filepath.Join(s.dir, "store")
	if s.server != nil {
		root = filepath.Join(s.server.Dir, s.bucket)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				at := info.ModTime().Add(-by)
				err = os.Chtimes(path, at, at)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clockJumps: nothing but the ages of objects goes by the clock of the day, and
// these concern no build.
func clockJumps(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	s.calls /= 2 // of both builds together
	for _, direction := range []time.Duration{1, -1} {
		p, release := s.halted(t, random)
		s.age(t, direction*time.Duration(1+random.IntN(10_000))*time.Hour)
		release()
		if direction > 0 {
			_ = p.Process.Kill()
			p.wait()
			continue
		}
		if code := p.wait(); code != exitDone {
			t.Errorf("code %d\n%s", code, p.said.text())
		}
	}
}

// takenForDead: after a jump forward gc takes a build under way for dead and
// deletes what no snapshot needs yet. That build publishes nothing.
func takenForDead(t *testing.T, _ *harness, s *site, random *rand.Rand) {
	p, release := s.halted(t, random)
	s.age(t, time.Hour)
	t.Log(s.beside(t).must(t, "gc", "--grace", "0"))
	release()
	if code := p.wait(); code != exitTryAgain || !strings.Contains(p.said.text(), "took it for dead") {
		t.Errorf("code %d\n%s", code, p.said.text())
	}
	s.kept(t)
}
