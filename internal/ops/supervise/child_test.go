package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sh is a child that runs a script and is ready when the file "ready" is in its folder.
func sh(t *testing.T, script string) (Child, string) {
	t.Helper()
	dir := t.TempDir()
	return Child{
		Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, LogFile: filepath.Join(dir, "log"), Env: os.Environ(),
		Ready: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "ready"))
			return err
		},
		Stop: syscall.SIGTERM, Grace: 5 * time.Second,
	}, dir
}

func nothing() {}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestDiesAndComesBack(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "touch ready; exec sleep 100")
	p := Start(child, nothing)
	defer p.Stop()
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.State()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a successor is ready", func() bool {
		s := p.State()
		return s.PID != first.PID && s.PID != 0 && s.Ready && s.Restarts == 1
	})
	if why := p.State().LastExit; !strings.Contains(why, "killed") {
		t.Errorf("the last exit is %q", why)
	}
}

func TestStopIsClean(t *testing.T) {
	t.Parallel()
	child, dir := sh(t, `trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.05; done`)
	p := Start(child, nothing)
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := p.State().PID
	p.Stop()
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	if alive(pid) || p.State().PID != 0 || p.State().Ready || p.State().Restarts != 0 || string(log) != "bye\n" {
		t.Errorf("alive %v, %+v, log %q", alive(pid), p.State(), log)
	}
}

func TestWhatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, `trap '' TERM; touch ready; while :; do sleep 0.05; done`)
	child.Grace = 200 * time.Millisecond
	p := Start(child, nothing)
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := p.State().PID
	p.Stop()
	if alive(pid) {
		t.Error("it lives on")
	}
}

func TestStopBetweenTwoLives(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "exit 3")
	p := Start(child, nothing)
	eventually(t, "it has failed", func() bool { return p.State().Restarts > 0 })
	began := time.Now()
	p.Stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestNeverReadyIsTold(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "echo the reason; exit 3")
	p := Start(child, nothing)
	defer p.Stop()
	err := p.Await(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "exec sleep 100")
	p := Start(child, nothing)
	defer p.Stop()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("too late"))
	defer cancel()
	if err := p.Await(ctx); err == nil || !strings.Contains(err.Error(), "too late") || !strings.Contains(err.Error(), child.LogFile) {
		t.Errorf("got %v", err)
	}
}

func TestBeforeRunsEachTime(t *testing.T) {
	t.Parallel()
	child, dir := sh(t, "touch ready; exec sleep 100")
	runs := filepath.Join(dir, "runs")
	child.Before = func(context.Context) error {
		f, err := os.OpenFile(runs, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("x")
		return errors.Join(err, f.Close())
	}
	p := Start(child, nothing)
	defer p.Stop()
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(p.State().PID, syscall.SIGKILL)
	eventually(t, "it ran twice", func() bool {
		text, _ := os.ReadFile(runs)
		return string(text) == "xx"
	})
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "")
	child.Path = "/nonexistent/program"
	p := Start(child, nothing)
	defer p.Stop()
	eventually(t, "it says so", func() bool { return strings.Contains(p.State().LastExit, "could not be started") })
}

func TestRun(t *testing.T) {
	t.Parallel()
	child, _ := sh(t, "echo out; echo problems >&2; exit $CODE")
	for _, code := range []int{0, 2} {
		child.Env = append(os.Environ(), "CODE="+strconv.Itoa(code))
		out, err := Run(t.Context(), child)
		if string(out) != "out\n" || ExitCode(err) != code || code != 0 && !strings.Contains(err.Error(), "problems") {
			t.Errorf("code %d: %q, %v", code, out, err)
		}
	}
	child.Path = "/nonexistent/program"
	if _, err := Run(t.Context(), child); ExitCode(err) != -1 {
		t.Errorf("a program that is not there: %v", err)
	}
}

// The child must not outlive whoever supervises it, even if that is killed.
func TestChildrenDieWithTheSupervisor(t *testing.T) {
	if os.Getenv("SUPERVISE_THIS") != "" {
		supervisorToBeKilled()
		return
	}
	t.Parallel()
	dir := t.TempDir()
	child := Child{
		Name: "supervisor", Path: os.Args[0], Args: []string{"-test.run=^TestChildrenDieWithTheSupervisor$"}, Dir: dir, LogFile: filepath.Join(dir, "log"),
		Env: append(os.Environ(), "SUPERVISE_THIS="+dir), Stop: syscall.SIGKILL, Grace: time.Second,
		Ready: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "pid"))
			return err
		},
	}
	p := Start(child, nothing)
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pid int
	eventually(t, "the grandchild's pid can be read", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	p.Stop()
	eventually(t, "the grandchild is gone too", func() bool { return !alive(pid) })
}

func supervisorToBeKilled() {
	dir := os.Getenv("SUPERVISE_THIS")
	Start(Child{
		Name: "grandchild", Path: "/bin/sh", Args: []string{"-c", "echo $$ > pid.part; mv pid.part pid; exec sleep 100"}, Dir: dir,
		LogFile: filepath.Join(dir, "log2"), Ready: func(context.Context) error { return nil },
	}, nothing)
	select {}
}
