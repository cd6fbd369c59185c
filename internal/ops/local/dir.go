// Package local knows a platform of one machine from outside: its folder, its ports, its secrets, whether it runs, and what
// `mpac env` tells of it.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/machine"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// Dir is a platform's folder, .mpac by default. Everything that a platform keeps is in it.
type Dir string

// Open returns the folder as an absolute path.
func Open(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("--dir: %w", err)
	}
	return Dir(abs), nil
}

// Path is a file in the folder.
func (d Dir) Path(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// Log is the log of a process.
func (d Dir) Log(name string) string { return d.Path("logs", name+".log") }

// folders are made at each start. Others may walk through the top one, which is what PostgreSQL's user needs.
func (d Dir) folders() error {
	if err := os.MkdirAll(string(d), 0o755); err != nil { //nolint:gosec // what is secret in it is 0600
		return fmt.Errorf("--dir: %w", err)
	}
	for _, name := range []string{"logs", "keys", "failpoints", "settlement", "archive", "sandbox", "gateway", "obs"} {
		if err := os.MkdirAll(d.Path(name), 0o700); err != nil {
			return fmt.Errorf("--dir: %w", err)
		}
	}
	return d.rotateLogs()
}

// rotateLogs sets a log aside that has grown large, in place of the one before.
func (d Dir) rotateLogs() error {
	const large = 32 << 20
	logs, _ := filepath.Glob(d.Path("logs", "*.log")) // the pattern is well formed
	for _, log := range logs {
		info, err := os.Stat(log)
		if err != nil || info.Size() < large {
			continue
		}
		if err := os.Rename(log, log+".1"); err != nil {
			return fmt.Errorf("--dir: %w", err)
		}
	}
	return nil
}

// ErrRunning says that the folder's platform runs already.
var ErrRunning = errors.New("a platform is running here")

// Lock makes us the one supervisor of the folder until the process ends, however it ends; ErrRunning. The returned file must
// be kept open.
func (d Dir) Lock() (*os.File, error) {
	if err := d.folders(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.Path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w (%s); stop it with: mpac down --dir %s", ErrRunning, d, d)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid()))); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("--dir: %w", err)
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// Supervisor is the pid of the running supervisor; 0 when there is none. What counts is the lock, not the number in it.
func (d Dir) Supervisor() int {
	f, err := os.Open(d.Path("lock"))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0 // nobody holds it; closing the file gives it back
	}
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// Stop asks the running supervisor to end and waits until it has.
func (d Dir) Stop(ctx context.Context) error {
	pid := d.Supervisor()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("the platform's supervisor (pid %d) can't be told to stop: %w", pid, err)
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for d.Supervisor() != 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the platform (pid %d) has not stopped: %w", pid, context.Cause(ctx))
		case <-poll.C:
		}
	}
	return nil
}

// Fresh takes everything away that a platform kept here. It must not be running.
func (d Dir) Fresh() error {
	if d.Supervisor() != 0 {
		return fmt.Errorf("%w (%s), so it can't be started over; stop it first: mpac down --dir %s", ErrRunning, d, d)
	}
	if err := machine.Remove(string(d)); err != nil {
		return fmt.Errorf("--fresh: %w", err)
	}
	for _, name := range []string{
		"postgres", "redis", "logs", "keys", "failpoints", "settlement", "archive", "sandbox", "gateway", "obs", "platform.json", "status.json", "lock",
	} {
		if err := os.RemoveAll(d.Path(name)); err != nil {
			return fmt.Errorf("--fresh: %w", err)
		}
	}
	return nil
}

// Status is what the supervisor writes down whenever something changes.
type Status struct {
	Supervisor int       `json:"supervisor"`
	Ready      bool      `json:"ready"` // first readiness of the whole platform, seed and all
	Since      time.Time `json:"since"`
	Children   []Child   `json:"children"`
	// Failure is why the start was given up.
	Failure string `json:"failure,omitempty"`
}

// Child is a process and where it listens.
type Child struct {
	supervise.State
	Port int `json:"port"`
}

// ErrNotRunning says that nothing runs in the folder.
var ErrNotRunning = errors.New("no platform is running here")

// Status reads what the running supervisor last wrote; ErrNotRunning.
func (d Dir) Status() (Status, error) {
	var s Status
	pid := d.Supervisor()
	if pid == 0 {
		return s, fmt.Errorf("%w (%s); start it with: mpac up --dir %s", ErrNotRunning, d, d)
	}
	text, err := os.ReadFile(d.Path("status.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || s.Supervisor != pid { // this one has only just begun
		s = Status{Supervisor: pid}
	}
	return s, nil
}

// WriteStatus is for the supervisor.
func (d Dir) WriteStatus(s Status) error { return writeJSON(d.Path("status.json"), s) }

// writeJSON replaces a file in one step.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
