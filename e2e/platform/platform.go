// Package platform gives a test a whole platform of real processes, seen from outside: the binaries of bin/, started by
// `mpac up` in a folder of their own on ports that nobody has. It dies with the test.
package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
)

// ReadyWithin is how long Start waits for the whole platform.
const ReadyWithin = 90 * time.Second

// Platform is one that runs.
type Platform struct {
	t   testing.TB
	bin string
	dir string
	env map[string]string
	up  *exec.Cmd
	out *bytes.Buffer
	end chan struct{}
}

// Child is a process of the platform as `mpac status` knows it.
type Child struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"` // 0: not running
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
	Port     int    `json:"port"`
}

type status struct {
	Supervisor int     `json:"supervisor"`
	Ready      bool    `json:"ready"`
	Failure    string  `json:"failure"`
	Children   []Child `json:"children"`
}

// Start runs a platform and stops it with the test. variables are given to all its processes, as NAME=value: to shorten a
// service's waiting times, say.
func Start(tb testing.TB, variables ...string) *Platform {
	tb.Helper()
	p := New(tb)
	p.Up(variables...)
	return p
}

// New makes a platform's folder without starting anything.
func New(tb testing.TB) *Platform {
	tb.Helper()
	// Not tb.TempDir: its folder is closed to the user that PostgreSQL runs as.
	dir, err := os.MkdirTemp("", "mpac-e2e-")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	p := &Platform{t: tb, bin: binaries(tb), dir: filepath.Join(dir, "platform")}
	tb.Cleanup(func() {
		p.cleanup(tb)
		_ = os.RemoveAll(dir)
	})
	return p
}

// binaries is bin/ of the repository.
func binaries(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	bin := filepath.Join(dir, "bin")
	if _, err := os.Stat(filepath.Join(bin, "mpac")); err != nil {
		tb.Fatalf("the tests of whole platforms run what is in bin/: run make build first (%v)", err)
	}
	return bin
}

// Up starts the platform, or starts it again after Stop, and waits until it is ready.
func (p *Platform) Up(variables ...string) {
	p.t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		err := p.start(variables)
		if err == nil {
			break
		}
		if try < tries && p.env == nil && strings.Contains(err.Error(), "busy") {
			continue // somebody took a port between our look and the start
		}
		p.t.Fatalf("the platform does not start: %v", err)
	}
	p.readEnv()
}

func (p *Platform) start(variables []string) error {
	args := []string{"up", "--dir", p.dir}
	if p.env == nil {
		args = append(args, "--port-base", fmt.Sprint(freeBase()))
	}
	p.out, p.end = &bytes.Buffer{}, make(chan struct{})
	p.up = exec.Command(filepath.Join(p.bin, "mpac"), args...)
	p.up.Env = append(append(os.Environ(), "MPAC_OBS=off"), variables...)
	p.up.Stdout, p.up.Stderr, p.up.SysProcAttr = p.out, p.out, withUs()
	if err := p.up.Start(); err != nil {
		return fmt.Errorf("mpac up: %w", err)
	}
	go func(up *exec.Cmd, end chan struct{}) {
		_ = up.Wait()
		close(end)
	}(p.up, p.end)
	for deadline := time.Now().Add(ReadyWithin); !p.ready(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-p.end:
			return errors.New(p.out.String())
		default:
		}
		if time.Now().After(deadline) {
			p.Stop()
			return fmt.Errorf("not ready within %s:\n%s", ReadyWithin, p.out)
		}
	}
	return nil
}

// ready asks whether this very supervisor has said so: its predecessor's word may still lie there.
func (p *Platform) ready() bool {
	s := p.status()
	return s.Ready && s.Supervisor == p.up.Process.Pid
}

// freeBase finds a base whose ports are all free at the moment.
func freeBase() int {
	for {
		base := 10000 + rand.IntN(22000)
		if free(base, base+1, base+2, base+80, base+81, base+90, base+91, base+379, base+432) {
			return base
		}
	}
}

func free(ports ...int) bool {
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

func (p *Platform) readEnv() {
	p.t.Helper()
	p.env = map[string]string{}
	for line := range strings.Lines(p.MPAC("env")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if quoted, isQuoted := strings.CutPrefix(value, "'"); isQuoted {
			value = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), `'\''`, "'")
		}
		p.env[name] = value
	}
}

// Env is a variable of `mpac env`, such as MPAC_EDGE_URL.
func (p *Platform) Env(name string) string {
	p.t.Helper()
	value, known := p.env[name]
	if !known {
		p.t.Fatalf("mpac env says nothing of %s", name)
	}
	return value
}

// Dir is the platform's folder.
func (p *Platform) Dir() string { return p.dir }

// Bin is the folder of the binaries.
func (p *Platform) Bin() string { return p.bin }

// MPAC runs mpac with arguments on this platform and returns what it wrote; a failure fails the test.
func (p *Platform) MPAC(args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), filepath.Join(p.bin, "mpac"), append(args, "--dir", p.dir)...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("mpac %s: %v\n%s%s", strings.Join(args, " "), err, out, &problems)
	}
	return string(out)
}

func (p *Platform) status() status {
	var s status
	text, err := os.ReadFile(filepath.Join(p.dir, "status.json"))
	if err == nil {
		_ = json.Unmarshal(text, &s) // the writer replaces it whole
	}
	return s
}

// Child is the state of a process by its name: postgres, redis, sandbox, pgw-backend, svc-portal, svc-smarttab, edge.
func (p *Platform) Child(name string) Child {
	p.t.Helper()
	for _, c := range p.status().Children {
		if c.Name == name {
			return c
		}
	}
	p.t.Fatalf("no process is called %s", name)
	return Child{}
}

// Kill ends a process as kill -9 does and returns at once. Its supervisor starts it again.
func (p *Platform) Kill(name string) {
	p.t.Helper()
	c := p.Child(name)
	if c.PID == 0 {
		p.t.Fatalf("%s is not running", name)
	}
	if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
		p.t.Fatalf("kill -9 %s: %v", name, err)
	}
}

// KillAndAwait kills a process and waits until its successor is ready.
func (p *Platform) KillAndAwait(name string) {
	p.t.Helper()
	restarts := p.Child(name).Restarts
	p.Kill(name)
	p.Eventually(30*time.Second, name+" is ready again", func() bool {
		c := p.Child(name)
		return c.Restarts > restarts && c.Ready
	})
}

// Signal sends a signal to a process: SIGSTOP and SIGCONT play one that hangs.
func (p *Platform) Signal(name string, signal syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.Child(name).PID, signal); err != nil {
		p.t.Fatalf("%s %s: %v", signal, name, err)
	}
}

// Failpoint arms a failpoint: "exit" kills the process that comes by, "sleep 500ms" holds it. It acts once.
func (p *Platform) Failpoint(name, what string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "failpoints", name), []byte(what), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// FailpointTaken reports whether somebody came by an armed failpoint.
func (p *Platform) FailpointTaken(name string) bool {
	_, err := os.Stat(filepath.Join(p.dir, "failpoints", name))
	return errors.Is(err, os.ErrNotExist)
}

// Eventually polls until the condition holds, and fails the test when it does not in time.
func (p *Platform) Eventually(within time.Duration, what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// Log is what a process wrote so far.
func (p *Platform) Log(name string) string {
	text, err := os.ReadFile(filepath.Join(p.dir, "logs", name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Stop stops the platform cleanly; Up starts it again with what it kept.
func (p *Platform) Stop() {
	if p.up == nil {
		return
	}
	_ = p.up.Process.Signal(syscall.SIGTERM) // it may be gone already
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	select {
	case <-p.end:
	case <-ctx.Done():
		p.t.Error("the platform did not stop within a minute")
		_ = p.up.Process.Kill()
		<-p.end
	}
	p.up = nil
}

// KillSupervisor ends `mpac up` itself as kill -9 does. Its children die with it.
func (p *Platform) KillSupervisor() {
	_ = p.up.Process.Kill()
	<-p.end
	p.up = nil
}

// cleanup stops the platform, and after a failure shows the ends of the logs.
func (p *Platform) cleanup(tb testing.TB) {
	tb.Helper()
	p.t = tb
	p.Stop()
	if !tb.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(p.dir, "logs", "*.log")) // the pattern is well formed
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err == nil {
			tb.Logf("the end of %s:\n%s", filepath.Base(log), text[max(0, len(text)-3000):])
		}
	}
}

// Remembered is what the platform's folder remembers: people, contracts, secrets.
func (p *Platform) Remembered() local.Platform {
	p.t.Helper()
	remembered, known, err := local.Dir(p.dir).Load()
	if err != nil || !known {
		p.t.Fatalf("the platform's folder: known %v, %v", known, err)
	}
	return *remembered
}
