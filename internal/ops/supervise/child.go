// Package supervise keeps processes alive: it starts them, says when they are ready, starts them again when they die, and stops
// them. They die with the supervisor, however it dies.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Child says what to run and how to know that it works.
type Child struct {
	Name    string
	Path    string
	Args    []string
	Env     []string // the whole environment
	Dir     string
	LogFile string
	// User runs the process as somebody else; nil: as we are.
	User *syscall.Credential
	// Ready returns nil when the process does its work. It is asked until it does, and every second from then on.
	Ready func(context.Context) error
	// Before runs before each start: it clears away what a dead predecessor left. May be nil.
	Before func(context.Context) error
	// Stop is the signal that ends the process cleanly; OnOrphan the one it gets when the supervisor dies.
	Stop, OnOrphan syscall.Signal
	// Grace is how long it may take to end before it is killed.
	Grace time.Duration
}

// State is what is known of a child at a moment.
type State struct {
	Name     string    `json:"name"`
	PID      int       `json:"pid"` // 0: not running
	Ready    bool      `json:"ready"`
	Since    time.Time `json:"since"` // start of the running process
	Restarts int       `json:"restarts"`
	LastExit string    `json:"last_exit,omitempty"` // why the one before ended
}

const (
	firstPause = 100 * time.Millisecond
	// A process that ran this long was not failing at its start: the next pause is short again.
	settled    = 10 * time.Second
	readyPoll  = 40 * time.Millisecond
	statusPoll = time.Second
)

// longestPause is how long a process that keeps dying is left alone at most. Tests that kill on purpose make it short by
// MPAC_UP_LONGEST_PAUSE.
var longestPause = sync.OnceValue(func() time.Duration {
	if pause, err := time.ParseDuration(os.Getenv("MPAC_UP_LONGEST_PAUSE")); err == nil && pause > 0 {
		return pause
	}
	return 5 * time.Second
})

// Process is a child under supervision.
type Process struct {
	child   Child
	changed func()

	mu    sync.Mutex
	state State
	cmd   *exec.Cmd

	firstReady chan struct{}
	once       sync.Once
	cancel     context.CancelFunc
	ended      chan struct{}
}

// Start runs the child until Stop. changed is called, from several goroutines, whenever its state is another.
func Start(child Child, changed func()) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{
		child: child, changed: changed, state: State{Name: child.Name},
		firstReady: make(chan struct{}), cancel: cancel, ended: make(chan struct{}),
	}
	go p.keep(ctx)
	return p
}

// Ready is closed when the child has been ready for the first time.
func (p *Process) Ready() <-chan struct{} { return p.firstReady }

// State is the child's state now.
func (p *Process) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Await waits for the first ready. A child that keeps dying before it is an error that says where to look.
func (p *Process) Await(ctx context.Context) error {
	const tries = 5
	check := time.NewTicker(statusPoll)
	defer check.Stop()
	for {
		select {
		case <-p.firstReady:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; see %s", p.child.Name, context.Cause(ctx), p.child.LogFile)
		case <-check.C:
			if s := p.State(); s.Restarts >= tries {
				return fmt.Errorf("%s does not start: it %s, %d times; the end of %s:\n%s",
					p.child.Name, s.LastExit, s.Restarts, p.child.LogFile, tail(p.child.LogFile))
			}
		}
	}
}

// tail is the end of a log, for a message.
func tail(path string) string {
	const most = 2000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// keep starts the child again and again.
func (p *Process) keep(ctx context.Context) {
	defer close(p.ended)
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		why := p.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > settled {
			pause = firstPause
		}
		p.set(func(s *State) { s.PID, s.Ready, s.LastExit = 0, false, why; s.Restarts++ })
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause())
	}
}

// runOnce starts the child and waits for its end, which it describes.
func (p *Process) runOnce(ctx context.Context) string {
	if p.child.Before != nil {
		if err := p.child.Before(ctx); err != nil {
			return "could not be started: " + err.Error()
		}
	}
	log, err := os.OpenFile(p.child.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "could not be started: " + err.Error()
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.child.Path, p.child.Args...) //nolint:gosec,noctx // the platform's own programs, ended by Stop
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.child.Env, p.child.Dir, log, log
	cmd.SysProcAttr = attributes(p.child)
	if err := spawn(ctx, p, cmd); err != nil {
		return "could not be started: " + err.Error()
	}
	watching, stopWatching := context.WithCancel(ctx)
	go p.watch(watching)
	err = cmd.Wait()
	stopWatching()
	if err == nil {
		return "ended by itself"
	}
	return "ended: " + err.Error()
}

// spawn starts cmd unless the child is being stopped: between the two nothing may slip.
func spawn(ctx context.Context, p *Process, cmd *exec.Cmd) error {
	p.mu.Lock()
	if ctx.Err() != nil {
		p.mu.Unlock()
		return ctx.Err()
	}
	err := startOnItsThread(cmd)
	if err == nil {
		p.cmd = cmd
		p.state.PID, p.state.Since = cmd.Process.Pid, time.Now().UTC()
	}
	p.mu.Unlock()
	p.changed()
	return err
}

// watch asks whether the child is ready.
func (p *Process) watch(ctx context.Context) {
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	was := false
	for {
		limit, cancel := context.WithTimeout(ctx, 2*time.Second)
		ready := p.child.Ready(limit) == nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		if ready != was {
			p.set(func(s *State) { s.Ready = ready })
			was = ready
			poll.Reset(map[bool]time.Duration{true: statusPoll, false: readyPoll}[ready])
		}
		if ready {
			p.once.Do(func() { close(p.firstReady) })
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

func (p *Process) set(change func(*State)) {
	p.mu.Lock()
	change(&p.state)
	p.mu.Unlock()
	p.changed()
}

// Stop ends the child: its own way first, by force after its grace. It returns when it is gone.
func (p *Process) Stop() {
	p.cancel()
	p.mu.Lock()
	cmd := p.cmd
	if cmd != nil {
		_ = cmd.Process.Signal(p.child.Stop) // it may be gone already
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
	case <-time.After(p.child.Grace):
		if cmd != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		<-p.ended
	}
	p.set(func(s *State) { s.PID, s.Ready = 0, false })
}

// StopAll ends several at once and waits for all.
func StopAll(processes ...*Process) {
	var wg sync.WaitGroup
	for _, p := range processes {
		if p != nil {
			wg.Go(p.Stop)
		}
	}
	wg.Wait()
}

// starts hands commands to the one thread that starts them. A child dies with the thread that made it (that is how the kernel
// reads "with its parent"), so the thread must live as long as the supervisor.
var starts = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startOnItsThread(cmd *exec.Cmd) error {
	outcome := make(chan error, 1)
	starts() <- func() { outcome <- cmd.Start() }
	if err := <-outcome; err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// Run runs a command to its end, as a child that dies with the supervisor, and returns what it wrote; an error carries its
// last words.
func Run(ctx context.Context, child Child) ([]byte, error) {
	cmd := exec.CommandContext(ctx, child.Path, child.Args...) //nolint:gosec // the platform's own programs
	cmd.Env, cmd.Dir, cmd.SysProcAttr = child.Env, child.Dir, attributes(child)
	out, problems := &limited{}, &limited{}
	cmd.Stdout, cmd.Stderr = out, problems
	if err := startOnItsThread(cmd); err != nil {
		return nil, fmt.Errorf("%s: %w", child.Name, err)
	}
	err := cmd.Wait()
	if child.LogFile != "" {
		appendLog(child.LogFile, out.kept, problems.kept)
	}
	if err != nil {
		return out.kept, &FailedError{Name: child.Name, Err: err, Words: string(problems.kept), Code: cmd.ProcessState.ExitCode()}
	}
	return out.kept, nil
}

// FailedError is a command that ended with another code than 0.
type FailedError struct {
	Name  string
	Err   error
	Words string // what it said on standard error
	Code  int
}

// Error tells name, code and last words.
func (e *FailedError) Error() string { return fmt.Sprintf("%s: %v\n%s", e.Name, e.Err, e.Words) }

// Unwrap is the error of os/exec.
func (e *FailedError) Unwrap() error { return e.Err }

// ExitCode of a failed Run; 0 for nil, -1 when it never ran.
func ExitCode(err error) int {
	var failed *FailedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return failed.Code
	}
	return -1
}

// limited keeps what a command writes, up to a size that no honest command reaches.
type limited struct{ kept []byte }

// Write never fails: a full buffer must not break the command.
func (l *limited) Write(p []byte) (int, error) {
	const most = 4 << 20
	if room := most - len(l.kept); room > 0 {
		l.kept = append(l.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func appendLog(path string, texts ...[]byte) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	for _, text := range texts {
		_, _ = f.Write(text)
	}
	_ = f.Close()
}
