package stats_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

var migration = postgres.Migration{Files: fstest.MapFS{"0001_nothing.sql": {Data: []byte("-- +goose Up\nCREATE TABLE nothing ();\n")}}}

const soon = 5 * time.Millisecond

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(soon) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// counted reads how often it was read.
func counted(n *atomic.Int64) stats.Read {
	return stats.Read{Name: "sync", Of: []*names.Observed{names.SyncPending}, Take: func(_ context.Context, say names.Say) error {
		say(names.SyncPending, float64(n.Add(1)))
		return nil
	}}
}

// Of two tasks one reads; when it ends the other does, and what the first showed is gone.
func TestOneTaskAtATime(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).AdminPool()
	var reads [2]atomic.Int64
	var tasks [2]stats.Task
	var stop [2]context.CancelFunc
	for i := range tasks {
		ctx, cancel := context.WithCancel(t.Context())
		tasks[i], stop[i] = stats.NewTask(counted(&reads[i])), cancel
		go tasks[i].Run(ctx, pool, "test", soon)
		if i == 0 {
			eventually(t, "the first leads", func() bool { return reads[0].Load() > 0 })
		}
	}
	before := reads[0].Load()
	eventually(t, "it goes on", func() bool { return reads[0].Load() > before+3 })
	if n := reads[1].Load(); n != 0 || len(tasks[1].Shown()) != 0 {
		t.Errorf("the second has read %d times and shows %v", n, tasks[1].Shown())
	}
	stop[0]()
	eventually(t, "the second takes over", func() bool { return len(tasks[1].Shown()) == 1 })
	eventually(t, "the first shows nothing any more", func() bool { return len(tasks[0].Shown()) == 0 })
	stop[1]()
}

// A read that fails shows nothing but that it fails, and takes nothing from the others.
func TestAReadThatFails(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).AdminPool()
	var n atomic.Int64
	var broken atomic.Bool
	task := stats.NewTask(counted(&n), stats.Read{Name: "jobs", Of: []*names.Observed{names.SyncOldest}, Take: func(_ context.Context, say names.Say) error {
		say(names.SyncOldest, 1)
		if broken.Load() {
			return errors.New("no answer")
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go task.Run(ctx, pool, "test", soon)
	eventually(t, "both are shown", func() bool { return len(task.Shown()) == 2 })
	if got := task.Failing(); len(got) != 2 || got["sync"] || got["jobs"] {
		t.Errorf("failing: %v", got)
	}
	broken.Store(true)
	eventually(t, "one is shown", func() bool {
		_, there := task.Shown()[names.SyncOldest]
		return !there && len(task.Shown()) == 1
	})
	if got := task.Failing(); len(got) != 2 || got["sync"] || !got["jobs"] {
		t.Errorf("failing: %v", got)
	}
	broken.Store(false)
	eventually(t, "both again", func() bool { return len(task.Shown()) == 2 && !task.Failing()["jobs"] })
	cancel()
	eventually(t, "it says nothing when another may read", func() bool { return len(task.Failing()) == 0 })
}

// A read that hangs ends in its own time, and fails.
func TestAReadThatHangs(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migration).AdminPool()
	var n atomic.Int64
	task := stats.NewTask(stats.Read{Name: "ledger", Within: soon, Of: []*names.Observed{names.LedgerImbalance}, Take: func(ctx context.Context, _ names.Say) error {
		<-ctx.Done()
		return ctx.Err()
	}}, counted(&n))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go task.Run(ctx, pool, "test", soon)
	eventually(t, "the other is read again and again", func() bool { return n.Load() > 3 })
	if got := task.Failing(); !got["ledger"] || got["sync"] {
		t.Errorf("failing: %v", got)
	}
}

var readLiteral = regexp.MustCompile(`stats\.Read\{(?:\s*Name: "(\w+)")?`)

// Each read of the services has a name that the metric of failing reads knows, and each name is some read's.
func TestReadsHaveTheirNames(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, root := range []string{"../../pgw", "../../smartpos", "../../platform"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range readLiteral.FindAllStringSubmatch(string(text), -1) {
				if strings.Contains(string(text), "[]"+m[0]) && m[1] == "" {
					continue // a list of them
				}
				if !slices.Contains(names.FiguresRead.Values, m[1]) {
					t.Errorf("%s: a read is called %q", path, m[1])
				}
				used[m[1]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names.FiguresRead.Values {
		if !used[name] {
			t.Errorf("no read is called %s", name)
		}
	}
}
