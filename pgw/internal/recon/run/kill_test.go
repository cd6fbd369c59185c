package run_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the real process once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "matcher-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "matcher")
	out, err := exec.Command("go", "build", "-o", path, "github.com/mpac-cloud/mpac/pgw/matcher").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binaryIfBuilt(); err == nil && path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

var built sync.Map

func binaryIfBuilt() (string, error) {
	if _, ok := built.Load("matcher"); !ok {
		return "", nil
	}
	return binary()
}

// process runs the matcher as a process and returns its exit code (-9 when it was killed) and what it said.
func (b *book) process(armed string, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	points := b.t.TempDir()
	if armed != "" {
		if err := os.WriteFile(filepath.Join(points, armed), []byte("exit"), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.processWith(points, args...)
}

// processWith is process with a folder of failpoints.
func (b *book) processWith(points string, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	path, err := binary()
	if err != nil {
		b.t.Fatal(err)
	}
	built.Store("matcher", true)
	offset := time.Until(b.clock.Now()).Round(time.Second)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+b.db.URL("matcher"), "MPAC_LOCAL=1", "MPAC_FAILPOINT_DIR="+points,
		"MPAC_CLOCK_OFFSET="+offset.String(), "MATCHER_SOURCE_DIR="+b.dir, "MATCHER_BATCH=3")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = -int(status.Signal())
		}
	default:
		b.t.Fatal(err)
	}
	return code, out.String(), said.String()
}

// aDay is a day of twenty payments with its settlement file, in which one is missing.
func (b *book) aDay() (missing payment) {
	b.t.Helper()
	for n := range 20 {
		p := b.take("succeeded", int64(100+n), noon)
		if n == 7 {
			missing = p
		} else {
			b.settle(p)
		}
	}
	b.write(today, midnight)
	return missing
}

// points are those that a run passes: its transactions' and its calls'.
func points(t *testing.T) []string {
	t.Helper()
	b := setup(t)
	b.aDay()
	dir := b.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "seen"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, said := b.processWith(dir, "run", "--date", today); code != 2 {
		t.Fatalf("exit %d\n%s", code, said)
	}
	seen, err := os.ReadDir(filepath.Join(dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, point := range seen {
		names = append(names, point.Name())
	}
	if !slices.Contains(names, "recon.finish.after-commit") {
		t.Fatalf("a run passes %v only", names)
	}
	return names
}

// Killed at any commit or call, a run is picked up by the next, and everything is there once.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, point := range points(t) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			missing := b.aDay()
			if code, _, said := b.process(point, "run", "--date", today); code != -9 {
				t.Fatalf("exit %d\n%s", code, said)
			}
			code, out, said := b.process("", "run", "--date", today)
			if code != 2 || !strings.Contains(lastLine(said), "1 exceptions are open") {
				t.Fatalf("exit %d\n%s\n%s", code, out, said)
			}
			if n := one[int64](b, "SELECT count(*) FROM pgw.events"); n != 19 {
				t.Errorf("%d events", n)
			}
			if n := one[int64](b, "SELECT count(*) FROM pgw.recon_matches WHERE withdrawn_version IS NULL"); n != 19 {
				t.Errorf("%d matches", n)
			}
			if _, status := b.exception(missing.attempt); status != "open" {
				t.Error(status)
			}
			if n := one[int64](b, "SELECT count(*) FROM pgw.recon_results"); n != 1 {
				t.Errorf("%d results", n)
			}
			if code, out, said := b.process("", "run", "--date", today); code != 2 || !strings.Contains(out, "unchanged") {
				t.Errorf("exit %d\n%s\n%s", code, out, said)
			}
			if code, out, said := b.process("", "audit", "verify"); code != 0 {
				t.Errorf("exit %d\n%s\n%s", code, out, said)
			}
		})
	}
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// What the process says and how it ends.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if code, _, said := b.process("", "run", "--date", today); code != 1 || !strings.Contains(lastLine(said), "failed (exit 1)") {
		t.Errorf("exit %d\n%s", code, said)
	}
	b.settle(b.take("succeeded", 1200, noon))
	b.write(today, midnight)
	code, out, said := b.process("", "run", "--date", today)
	if code != 0 || lastLine(out) != today+": all matched (exit 0)" {
		t.Errorf("exit %d\n%s\n%s", code, out, said)
	}
	code, out, _ = b.process("", "run", "--date", today, "--json")
	if code != 0 || !strings.Contains(out, `"exit_code":0`) || !strings.Contains(out, `"matched": {`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	id := one[string](b, "SELECT id FROM pgw.recon_runs")
	code, out, _ = b.process("", "report", id, "--format", "csv")
	if code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, "matched,,,,charge") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, said = b.process("", "run", "--date", "21.11.2026"); code != 1 || !strings.Contains(said, "2026-11-21") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if code, out, _ = b.process("", "run", "--help"); code != 0 || !strings.Contains(out, "matcher run --date 2026-11-21") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
