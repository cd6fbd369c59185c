package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// folder is one that PostgreSQL's user can reach, as t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mpac-machine-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func start(t *testing.T, child supervise.Child) *supervise.Process {
	t.Helper()
	p := supervise.Start(child, func() {})
	t.Cleanup(p.Stop)
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// query asks for one number; it waits while the server is coming back.
func query(t *testing.T, address, sql string) (n int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return 0, fmt.Errorf("%w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

func TestPostgresKeepsWhatWasCommittedThroughKills(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	pg, err := NewPostgreSQL(dir, filepath.Join(dir, "log"), freePort(t), "s3cret'with quote")
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := start(t, pg.Child())
	for range 2 { // the second time finds it there, and changes the password
		if err := pg.Database(t.Context(), "books", "keeper", "pw'1"); err != nil {
			t.Fatal(err)
		}
	}
	address := pg.URL("books", "keeper", "pw'1")
	if _, err := query(t, address, "WITH x AS (SELECT 1) SELECT count(*) FROM x"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"CREATE TABLE sales (n int)", "INSERT INTO sales VALUES (1), (2), (3)"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// The connection stays open: its backend outlives the postmaster and holds the shared memory.
	if err := syscall.Kill(p.State().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is back with all its rows", func() bool {
		n, err := query(t, address, "SELECT count(*) FROM sales")
		return err == nil && n == 3
	})
	if s := p.State(); s.Restarts != 1 {
		t.Errorf("it took %d starts to come back: %s", s.Restarts, s.LastExit)
	}
	p.Stop()
	if left := runningIn(pg.data); len(left) > 0 {
		t.Errorf("%v are still running", left)
	}
	// A pid file with the number of somebody who lives (us) must not keep it from starting.
	if err := os.WriteFile(filepath.Join(pg.data, "postmaster.pid"), fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), pg.data), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, pg.Child())
	if n, err := query(t, address, "SELECT count(*) FROM sales"); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPostgresTakesNobodyWithoutThePassword(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	pg, err := NewPostgreSQL(dir, filepath.Join(dir, "log"), freePort(t), "right")
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, pg.Child())
	if _, err := query(t, pg.URL("postgres", Superuser, "wrong"), "SELECT 1"); err == nil {
		t.Error("any password opens it")
	}
	if n, err := query(t, pg.URL("postgres", Superuser, "right"), "SELECT 1"); err != nil || n != 1 {
		t.Errorf("%v", err)
	}
}

// A start that was cut short leaves half a cluster, which looks like none.
func TestHalfMadeClusterIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	pg, err := NewPostgreSQL(dir, filepath.Join(dir, "log"), freePort(t), "pw")
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.emptyData(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pg.data, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pg.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, pg.Child())
}

// A folder that PostgreSQL's user can't reach, as one in root's home. Only root has PostgreSQL run as somebody else: for anybody
// else the data stays where it was asked for.
func TestDataGoesElsewhereWhereItCanNotBeReached(t *testing.T) {
	t.Parallel()
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	pg, err := NewPostgreSQL(closed, filepath.Join(closed, "log"), port, "pw")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if pg.data != filepath.Join(closed, "postgres") {
			t.Errorf("the data is in %s", pg.data)
		}
		return
	}
	if !strings.HasPrefix(pg.data, away+"/") {
		t.Fatalf("the data is in %s", pg.data)
	}
	if err := pg.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, pg.Child()).Stop()
	again, err := NewPostgreSQL(closed, filepath.Join(closed, "log"), port, "pw")
	if err != nil || again.data != pg.data {
		t.Errorf("the next start looks in %s: %v", again.data, err)
	}
	if err := Remove(closed); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(pg.data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestRedisKeepsWhatItWasTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := NewRedis(dir, filepath.Join(dir, "log"), freePort(t), "pw")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Init(); err != nil {
		t.Fatal(err)
	}
	p := start(t, r.Child())
	options, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	start(t, r.Child())
	if got, err := client.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("%q, %v", got, err)
	}
	options.Password = "wrong"
	if err := goredis.NewClient(options).Ping(t.Context()).Err(); err == nil {
		t.Error("any password opens it")
	}
}

func TestVersionFromAPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{"/usr/lib/postgresql/15/bin": 15, "/usr/pgsql-17/bin": 17, "/opt/homebrew/opt/postgresql@16/bin": 16, "/usr/bin": 0} {
		if got := majorIn(path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
}
