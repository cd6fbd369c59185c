// Package failpoint lets a test stop a real process at a named line: before or after a commit, before or after a call that
// leaves the process. In production it is one comparison of a boolean.
//
// With MPAC_LOCAL=1 and MPAC_FAILPOINT_DIR set, Hit("name") looks for a file of that name in the directory, takes it away
// (so it acts once, also across restarts and tasks) and does what it says: "exit" kills the process as `kill -9` would,
// "sleep 500ms" waits, "panic" panics. Where the directory has a folder "seen", each point leaves a file of its name there when it is passed:
// so a test knows which points its traffic reaches.
package failpoint

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

var directory = sync.OnceValue(func() string {
	if os.Getenv("MPAC_LOCAL") != "1" {
		return ""
	}
	return os.Getenv("MPAC_FAILPOINT_DIR")
})

// Hit does what a test has asked of the point, usually nothing. Names are dotted lower case: pgw.intent.confirm.before-commit.
func Hit(name string) {
	dir := directory()
	if dir == "" {
		return
	}
	if _, known := passed.LoadOrStore(name, true); !known {
		_ = os.WriteFile(filepath.Join(dir, "seen", name), nil, 0o600) // no such folder: nobody asks
	}
	hitIn(dir, name)
}

// passed are the points that this process has reported.
var passed sync.Map

func hitIn(dir, name string) {
	armed := filepath.Join(dir, name)
	taken := armed + ".taken"
	// The rename decides which of several processes takes it.
	if os.Rename(armed, taken) != nil {
		return
	}
	content, err := os.ReadFile(taken)
	if err != nil {
		return
	}
	act(name, strings.TrimSpace(string(content)))
}

func act(name, what string) {
	if d, ok := strings.CutPrefix(what, "sleep "); ok {
		pause, err := time.ParseDuration(d)
		if err != nil {
			slog.Error("failpoint: unreadable duration", "failpoint", name, "content", what)
			return
		}
		time.Sleep(pause)
		return
	}
	if what == "panic" {
		panic("failpoint " + name)
	}
	slog.Warn("failpoint: dying here", "failpoint", name)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // SIGKILL is on its way
}
