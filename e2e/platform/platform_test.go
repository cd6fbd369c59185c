package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// One platform through all that may happen to it on one machine: the demo at once and again and side by side, every process
// killed, the supervisor killed, stopped and started.
func TestPlatform(t *testing.T) {
	t.Parallel()
	p := Start(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T, *Platform)
	}{
		{"a shell reads the environment", aShellReadsTheEnvironment},
		{"ports are taken, and it says by whom", portsAreTaken},
		{"demos side by side", demosSideBySide},
		{"a machine reads the demo", aMachineReadsTheDemo},
		{"each process killed", eachProcessKilled},
		{"a process restarted by its name", aProcessRestarted},
		{"the supervisor killed", theSupervisorKilled},
		{"stopped and started again", stoppedAndStarted},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(t, p.in(t)) }) {
			break
		}
	}
}

// in is the platform with failures told to a subtest.
func (p *Platform) in(tb testing.TB) *Platform {
	tb.Helper()
	p.t = tb
	return p
}

func aShellReadsTheEnvironment(t *testing.T, p *Platform) {
	script := `eval "$("$MPAC" env --dir "$DIR")" && test -s "$MPAC_TERMINAL_KEY_FILE" && printf '%s %s' "$MPAC_EDGE_URL" "$MPAC_SMARTPOS_DATABASE_URL"`
	sh := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	sh.Env = append(os.Environ(), "MPAC="+filepath.Join(p.Bin(), "mpac"), "DIR="+p.Dir())
	out, err := sh.CombinedOutput()
	if want := p.Env("MPAC_EDGE_URL") + " " + p.Env("MPAC_SMARTPOS_DATABASE_URL"); err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
	for name, value := range p.env {
		if value == "" {
			t.Errorf("%s is empty", name)
		}
	}
}

func portsAreTaken(t *testing.T, p *Platform) {
	other := New(t)
	base := strings.TrimPrefix(p.Env("MPAC_EDGE_URL"), "http://127.0.0.1:")
	out, err := exec.CommandContext(t.Context(), filepath.Join(p.Bin(), "mpac"), "up", "--dir", other.Dir(), "--port-base", base).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "busy") || !strings.Contains(string(out), "svc-portal") || !strings.Contains(string(out), "--port-base") {
		t.Errorf("%v: %s", err, out)
	}
}

func demosSideBySide(t *testing.T, p *Platform) {
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if out, err := p.demo(t); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
}

func (p *Platform) demo(t *testing.T, args ...string) ([]byte, error) {
	return exec.CommandContext(t.Context(), filepath.Join(p.bin, "mpac"), append([]string{"demo", "--dir", p.dir}, args...)...).CombinedOutput()
}

func aMachineReadsTheDemo(t *testing.T, p *Platform) {
	out, err := p.demo(t, "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var last struct {
		Done  bool `json:"done"`
		Steps int  `json:"steps"`
	}
	for _, line := range lines {
		if err := json.Unmarshal(line, &last); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
	if !last.Done || last.Steps < 15 {
		t.Errorf("the last line is %s", lines[len(lines)-1])
	}
}

func eachProcessKilled(t *testing.T, p *Platform) {
	for _, name := range []string{"edge", "svc-smarttab", "svc-portal", "pgw-backend", "sandbox", "redis", "postgres"} {
		p.KillAndAwait(name)
	}
	if out, err := p.demo(t); err != nil {
		t.Errorf("after every process was killed: %v\n%s", err, out)
	}
}

// One that ends when it is asked to, one that waits for its clients, one that hangs.
func aProcessRestarted(t *testing.T, p *Platform) {
	p.Signal("svc-portal", syscall.SIGSTOP)
	for _, name := range []string{"edge", "postgres", "svc-portal"} {
		before := p.Child(name)
		out := p.MPAC("restart", name)
		if after := p.Child(name); after.PID == before.PID || !after.Ready || !strings.Contains(out, name+" was started again") {
			t.Errorf("%s: before %+v, after %+v; it said %q", name, before, after, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(p.bin, "mpac"), "restart", "nobody", "--dir", p.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "edge, pgw-backend") {
		t.Errorf("an unknown name: %v, %s", err, out)
	}
}

func theSupervisorKilled(t *testing.T, p *Platform) {
	var pids []int
	for _, c := range p.status().Children {
		pids = append(pids, c.PID)
	}
	p.KillSupervisor()
	p.Up()
	for _, pid := range pids {
		// Nobody may have buried it yet.
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(state), ") Z ") {
			t.Errorf("process %d of the killed supervisor lives on: %s", pid, state)
		}
	}
	if out, err := p.demo(t); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func stoppedAndStarted(t *testing.T, p *Platform) {
	store := p.Env("MPAC_STORE_ID")
	p.MPAC("down")
	select {
	case <-p.end:
	case <-time.After(30 * time.Second):
		t.Fatal("mpac down came back, and the platform runs on")
	}
	began := time.Now()
	p.Up()
	t.Logf("ready again after %s", time.Since(began).Round(time.Millisecond))
	if got := p.Env("MPAC_STORE_ID"); got != store {
		t.Errorf("the store is another: %s, was %s", got, store)
	}
}
