package up

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/internal/ops/local"
)

func TestTasksWaitForWhatTheyNeed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	do := func(name string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}
	}
	err := runTasks(t.Context(), []task{{"roof", []string{"walls"}, do("roof")}, {"walls", []string{"ground"}, do("walls")}, {"ground", nil, do("ground")}})
	if diff := cmp.Diff([]string{"ground", "walls", "roof"}, order); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestTheFirstFailureIsTheOneTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("no ground")
	err := runTasks(t.Context(), []task{
		{"waiting", nil, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }},
		{"ground", nil, func(context.Context) error { return broken }},
		{"walls", []string{"ground"}, func(context.Context) error { t.Error("built on nothing"); return nil }},
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// Every dependency of the start is a task of it: a misspelt one would be waited for in vain.
func TestStartHasNoLooseEnds(t *testing.T) {
	t.Parallel()
	tasks := (&runner{}).tasks()
	var names []string
	for _, task := range tasks {
		names = append(names, task.name)
	}
	for _, task := range tasks {
		for _, before := range task.after {
			if !slices.Contains(names, before) {
				t.Errorf("%s waits for %q", task.name, before)
			}
		}
	}
}

func TestMatcherDays(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	made := at("2026-11-20T15:30:00Z") // 00:30 of the 21st in Tokyo
	for _, tc := range []struct{ done, now, want string }{
		{"", "2026-11-20T16:00:00Z", ""},                     // the day it was made is not over
		{"", "2026-11-21T16:59:59Z", ""},                     // 01:59:59 of the 22nd
		{"", "2026-11-21T17:00:00Z", "2026-11-21"},           // 02:00
		{"2026-11-21", "2026-11-21T17:00:01Z", ""},           // done
		{"2026-11-21", "2026-11-25T00:00:00Z", "2026-11-22"}, // the machine was off: one day after the other
		{"2026-11-23", "2026-11-25T00:00:00Z", "2026-11-24"},
		{"2026-11-24", "2026-11-25T00:00:00Z", ""},
	} {
		if got := nextDay(tc.done, made, at(tc.now)); got != tc.want {
			t.Errorf("done %q at %s: %q, want %q", tc.done, tc.now, got, tc.want)
		}
	}
}

func TestStrangersVariablesLeadNobodyAstray(t *testing.T) {
	t.Parallel()
	got := inherited([]string{"PGHOST=x", "PGPASSWORD=x", "PGSSLMODE=x", "DATABASE_URL=x", "REDIS_URL=x", "LISTEN_ADDR=x", "PATH=p", "OTEL_EXPORTER_OTLP_ENDPOINT=o", "PGW_X=y"})
	if diff := cmp.Diff(append(slices.Clone(ofOneMachine), "PATH=p", "OTEL_EXPORTER_OTLP_ENDPOINT=o", "PGW_X=y"), got); diff != "" {
		t.Error(diff)
	}
}

func TestTracesEndpoint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318/"}, "http://a:4318/v1/traces"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}, "http://b/t"},
	} {
		if got := tracesEndpoint(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%v: %q", tc.env, got)
		}
	}
}

// freeBase finds ports that nobody has, below those that the system gives to anybody.
func freeBase() int {
	for {
		p := &local.Platform{PortBase: 10000 + rand.IntN(22000)}
		if local.CheckPorts(p.Uses()) == nil {
			return p.PortBase
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	bin, dir := t.TempDir(), local.Dir(t.TempDir())
	if _, err := prepare(Options{Dir: dir, Bin: bin}); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("nothing is built: %v", err)
	}
	for _, name := range binaries {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := prepare(Options{Dir: dir, Bin: bin, PortBase: 65400}); err == nil || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("ports past the last: %v", err)
	}
	base := freeBase()
	first, err := prepare(Options{Dir: dir, Bin: bin, PortBase: base})
	if err != nil {
		t.Fatal(err)
	}
	again, err := prepare(Options{Dir: dir, Bin: bin})
	if err != nil || again.PortBase != base || again.PostgresPassword != first.PostgresPassword {
		t.Errorf("the second start forgot the first: %+v, %v", again, err)
	}
	base = freeBase()
	moved, err := prepare(Options{Dir: dir, Bin: bin, PortBase: base})
	if err != nil || moved.PortBase != base || moved.RedisPassword != first.RedisPassword {
		t.Errorf("moved: %+v, %v", moved, err)
	}
}
