// Package pgtest gives each test a fresh, migrated PostgreSQL database on a real server. One server serves a whole `go test`
// run: the first test binary that needs it starts it, and it goes away when the run ends. MPAC_TEST_POSTGRES_URL names
// a running server to use instead (its role must be a superuser).
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverURL is the address of the run's server, as its superuser, database postgres.
var serverURL = sync.OnceValues(func() (string, error) {
	if url := os.Getenv("MPAC_TEST_POSTGRES_URL"); url != "" {
		return url, nil
	}
	return startShared()
})

// startShared starts the server, or finds the one that another test binary of this run has started. All binaries of a run
// are children of the same `go test`, so its process id names the run.
func startShared() (string, error) {
	run := os.Getppid()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("mpac-pgtest-%d-%d", os.Getuid(), run))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	urlFile := filepath.Join(dir, "url")
	if url, err := os.ReadFile(urlFile); err == nil && answers(string(url)) {
		return string(url), nil
	}
	url, err := start(dir, run)
	if err != nil {
		return "", err
	}
	return url, os.WriteFile(urlFile, []byte(url), 0o600)
}

func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

func answers(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx) == nil
}

// script makes the cluster, runs the server, and ends it when the `go test` that asked for it is gone.
const script = `set -e
cd "$DIR"
rm -rf data
"$BIN/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1
"$BIN/postgres" -D data -p "$PORT" -k "$DIR" -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off \
  -c full_page_writes=off -c max_connections=1000 -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off \
  -c log_min_messages=warning -c max_locks_per_transaction=512 -c wal_level=minimal -c max_wal_senders=0 >server.log 2>&1 &
server=$!
while [ -d "/proc/$RUN" ] && kill -0 "$server" 2>/dev/null; do sleep 1; done
kill -INT "$server" 2>/dev/null || true
wait "$server" 2>/dev/null || true
rm -rf "$DIR" "$DIR.lock" 2>/dev/null || rm -rf "$DIR"/* 2>/dev/null || true
`

func start(dir string, run int) (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DIR="+dir, "BIN="+bin, "PORT="+strconv.Itoa(port), "RUN="+strconv.Itoa(run))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := asUnprivileged(cmd, dir); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }()
	url := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	for range 300 {
		if answers(url) {
			return url, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
	return "", fmt.Errorf("pgtest: PostgreSQL did not start within 30 s:\n%s", log)
}

// asUnprivileged makes the server run as user postgres when the tests run as root: PostgreSQL refuses root.
func asUnprivileged(cmd *exec.Cmd, dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("pgtest: PostgreSQL refuses to run as root and there is no user postgres: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// binaries finds the folder of initdb and postgres: the newest of Debian's, or whatever is on the PATH.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	sort.Slice(found, func(a, b int) bool { return major(found[a]) > major(found[b]) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("pgtest: no PostgreSQL server on this machine: `make deps` installs it")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(path), nil
}

func major(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
