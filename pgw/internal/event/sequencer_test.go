package event_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Several sequencers at once, and each leader's connection cut again and again: positions stay dense and nothing is lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		b.startSequencer(t)
	}
	admin := b.database.AdminPool()
	// Writers have connections of their own: one that a sequencer has just given back may be the one that is cut.
	b.db = b.database.Pool(pgwdb.RoleBackend)
	const writers, each = 6, 60
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for v := range int64(each) {
				b.append(t, anEvent(fmt.Sprintf("pi_%d", n), v+1))
				if v%20 == 10 && n == 0 {
					_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(l.pid) FROM pg_locks l
						WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	checkOrder(t, b.readAll(t, writers*each))
}

// Sequencers that ignore the lease altogether only take turns.
func TestSequencersWithoutALease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const writers, each = 6, 40
	numbering, stop := context.WithCancel(t.Context())
	var sequencers, wg sync.WaitGroup
	for range 3 {
		s := event.NewSequencer(b.db, clock.System(0))
		sequencers.Go(func() {
			if err := s.NumberAlone(numbering); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range writers {
		wg.Go(func() {
			for v := range int64(each) {
				b.append(t, anEvent(fmt.Sprintf("pi_%d", n), v+1))
			}
		})
	}
	wg.Wait()
	checkOrder(t, b.readAll(t, writers*each))
	stop()
	sequencers.Wait()
}

// A leader that holds the lease and says nothing loses it.
func TestSilentLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	silent, err := pgx.Connect(t.Context(), b.database.URL(pgwdb.RoleBackend))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close(context.Background())
	if _, err := silent.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('pgw.event.lease', 0))"); err != nil {
		t.Fatal(err)
	}
	b.startSequencer(t)
	b.append(t, anEvent("pi_a", 1))
	b.readAll(t, 1)
}

// The sequencer's process is killed just before and just after each of its commits, and frozen in the middle of one.
func TestSequencerProcessDies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	version := int64(0)
	for _, failpoint := range []string{
		"pgw.event.number.before-commit", "pgw.event.number.after-commit", "pgw.event.waiting.before-commit", "pgw.event.waiting.after-commit",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, failpoint), []byte("exit"), 0o600); err != nil {
			t.Fatal(err)
		}
		version++
		b.append(t, anEvent("pi_a", version))
		cmd, output := sequencerProcess(t, b.database.URL(pgwdb.RoleBackend), dir)
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: the process ended with %v\n%s", failpoint, err, output)
		}
		version++
		b.append(t, anEvent("pi_a", version))
		stop := b.startSequencer(t)
		checkOrder(t, b.readAll(t, int(version)))
		stop()
	}
}

// sequencerProcess runs this test binary as nothing but a sequencer.
func sequencerProcess(t *testing.T, url, failpoints string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MPAC_TEST_SEQUENCER="+url, "MPAC_LOCAL=1", "MPAC_FAILPOINT_DIR="+failpoints)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, &output
}

func TestMain(m *testing.M) {
	if url := os.Getenv("MPAC_TEST_SEQUENCER"); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// A test that hangs must not leave a process behind.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	db, err := postgres.Open(ctx, postgres.Config{URL: config.Secret(url), MaxConns: 4, LockTimeout: time.Second, StatementTO: 10 * time.Second})
	if err != nil {
		return err
	}
	event.NewSequencer(db, clock.System(0)).Run(ctx)
	return errors.New("nobody killed it")
}
