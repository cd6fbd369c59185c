// Package up runs the whole platform on one machine: the machine's own PostgreSQL and Redis, the real binaries of every service,
// the first data, and somebody who starts again what dies.
package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/console"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/machine"
	"github.com/mpac-cloud/mpac/internal/ops/stack"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// Options are the flags of `mpac up`.
type Options struct {
	Dir                                           local.Dir
	Bin                                           string // folder of the binaries
	PortBase                                      int    // 0: as before, or the default
	Fresh                                         bool
	SmartposDatabaseURL, PGWDatabaseURL, RedisURL string
}

// ReadyWithin is how long a start may take before it is given up.
const ReadyWithin = 2 * time.Minute

// Run starts the platform, waits until ctx is over, and stops it cleanly.
func Run(ctx context.Context, o Options, out *console.Console) error {
	began := time.Now()
	if o.Fresh {
		if err := o.Dir.Fresh(); err != nil {
			return err
		}
	}
	lock, err := o.Dir.Lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	p, err := prepare(o)
	if err != nil {
		_ = o.Dir.WriteStatus(local.Status{Supervisor: os.Getpid(), Failure: err.Error()}) // for the one who detached us
		return err
	}
	r := newRunner(o, p, out, began)
	defer r.stop()
	observing, endObserving := context.WithCancel(ctx)
	defer endObserving()
	r.observe(observing)
	starting, cancel := context.WithTimeoutCause(ctx, ReadyWithin, fmt.Errorf("not within %s", ReadyWithin))
	err = r.start(starting)
	cancel()
	if ctx.Err() != nil {
		return nil // stopped while starting: as asked
	}
	if err != nil {
		r.fail(err)
		return err
	}
	r.ready()
	r.welcome()
	work, endWork := context.WithCancel(ctx)
	defer endWork()
	go r.followKeys(work)
	go r.matchDaily(work)
	<-ctx.Done()
	out.Printf("\nstopping ...\n")
	return nil
}

// prepare reads or makes what the folder's platform is, and makes sure that it can be started.
func prepare(o Options) (*local.Platform, error) {
	if err := findBinaries(o.Bin); err != nil {
		return nil, err
	}
	p, known, err := o.Dir.Load()
	if err != nil {
		return nil, err
	}
	if !known {
		base := o.PortBase
		if base == 0 {
			base = local.DefaultPortBase
		}
		if p, err = local.NewPlatform(base, time.Now()); err != nil {
			return nil, err
		}
	}
	if o.PortBase != 0 {
		p.PortBase = o.PortBase
	}
	if p.PortBase < 1 || p.PortBase > 65535-432 {
		return nil, fmt.Errorf("--port-base %d: the platform's ports reach from there to %d above it, and 65535 is the last", p.PortBase, 432)
	}
	if !known { // where the data lives is settled with the first start
		p.SmartposDatabaseURL, p.PGWDatabaseURL, p.RedisURL = o.SmartposDatabaseURL, o.PGWDatabaseURL, o.RedisURL
	}
	if p.ClockOffset, err = clockOffset(os.Getenv("MPAC_CLOCK_OFFSET")); err != nil {
		return nil, err
	}
	if err := errors.Join(p.CheckURLs(), findServers(p)); err != nil {
		return nil, err
	}
	if err := freePorts(o.Dir, p); err != nil {
		return nil, err
	}
	return p, o.Dir.Save(p)
}

func clockOffset(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	offset, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("MPAC_CLOCK_OFFSET: %w", err)
	}
	return offset, nil
}

// freePorts checks the ports. Where a supervisor was killed its children may take a moment to follow it.
func freePorts(dir local.Dir, p *local.Platform) error {
	_, err := os.Stat(dir.Path("status.json"))
	patience := time.Duration(0)
	if err == nil { // a clean stop takes it away
		patience = 10 * time.Second
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if err = local.CheckPorts(p.Uses()); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// binaries are what `make build` makes beside mpac.
var binaries = []string{"svc-portal", "svc-smarttab", "pgw-backend", "matcher", "edge", "sandbox"}

func findBinaries(dir string) error {
	var missing []string
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not built yet in %s: %s; run: make build", dir, strings.Join(missing, ", "))
	}
	return nil
}

// findServers makes sure of the machine's own PostgreSQL and Redis, both at once: one command then installs what is missing.
func findServers(p *local.Platform) error {
	var noPostgreSQL, noRedis error
	if p.OwnDatabases() {
		_, noPostgreSQL = machine.FindPostgreSQL()
	}
	if p.RedisURL == "" {
		_, noRedis = machine.FindRedis()
	}
	return errors.Join(noPostgreSQL, noRedis)
}

// runner is a platform while it runs.
type runner struct {
	o       Options
	p       *local.Platform
	out     *console.Console
	began   time.Time
	ports   local.Ports
	inherit []string
	stack   *stack.Stack // nil: the platform runs without
	noStack error        // why

	mu        sync.Mutex // guards p while it is saved, and what follows
	processes map[string]*supervise.Process
	status    local.Status
	ended     bool
	poke      chan struct{}
	written   chan struct{}
}

func newRunner(o Options, p *local.Platform, out *console.Console, began time.Time) *runner {
	r := &runner{
		o: o, p: p, out: out, began: began, ports: local.PortsFrom(p.PortBase), inherit: inherited(os.Environ()),
		processes: map[string]*supervise.Process{}, status: local.Status{Supervisor: os.Getpid(), Since: began.UTC()},
		poke: make(chan struct{}, 1), written: make(chan struct{}),
	}
	r.findStack()
	go r.writeStatus()
	return r
}

// remember changes what the folder's platform knows, and writes it down at once.
func (r *runner) remember(change func(*local.Platform)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.p)
	return r.o.Dir.Save(r.p)
}

// task is a step of the start and what must be done before it.
type task struct {
	name  string
	after []string
	do    func(context.Context) error
}

// start runs everything that can run at once at once.
func (r *runner) start(ctx context.Context) error {
	for _, name := range []string{"pgw.seal", "portal.seal"} {
		if err := r.sealKey(name); err != nil {
			return err
		}
	}
	return runTasks(ctx, r.tasks())
}

func (r *runner) tasks() []task {
	return []task{
		{"postgres", nil, r.postgres},
		{"redis", nil, r.redis},
		{"sandbox", nil, r.sandbox},
		{"database pgw", []string{"postgres"}, r.migratePGW},
		{"database mpacdb", []string{"postgres"}, r.migrateSmartpos},
		{"partners", []string{"database pgw"}, r.partners},
		{"pgw-backend", []string{"database pgw", "redis"}, r.pgwBackend},
		{"svc-portal", []string{"database mpacdb", "partners", "redis"}, r.svcPortal},
		{"svc-smarttab", []string{"database mpacdb", "partners", "redis"}, r.svcSmarttab},
		{"edge", []string{"svc-portal", "redis"}, r.edge},
		{"first data", []string{"edge", "pgw-backend", "svc-smarttab", "sandbox"}, r.seed},
	}
}

// runTasks returns the first failure, or nil when all is done.
func runTasks(ctx context.Context, tasks []task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := map[string]chan struct{}{}
	for _, t := range tasks {
		done[t.name] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for _, t := range tasks {
		wg.Go(func() {
			for _, before := range t.after {
				select {
				case <-done[before]:
				case <-ctx.Done():
					return
				}
			}
			if err := t.do(ctx); err != nil {
				cancel(err) // the first stays the cause: the others follow from it
				return
			}
			close(done[t.name])
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// run starts a process, waits until it is ready and says so.
func (r *runner) run(ctx context.Context, child supervise.Child, port int) error {
	began := time.Now()
	process := supervise.Start(child, r.touch)
	r.mu.Lock()
	r.processes[child.Name] = process
	r.mu.Unlock()
	if err := process.Await(ctx); err != nil {
		return err
	}
	r.out.Printf("  %s  %-13s %s  %s\n", r.out.Good("ready"), child.Name, local.Address(port),
		r.out.Faint(fmt.Sprintf("%.1f s", time.Since(began).Seconds())))
	return nil
}

func (r *runner) postgres(ctx context.Context) error {
	if !r.p.OwnDatabases() {
		return nil
	}
	pg, err := machine.NewPostgreSQL(string(r.o.Dir), r.o.Dir.Log("postgres"), r.ports.Postgres, r.p.PostgresPassword)
	if err != nil {
		return err
	}
	if err := pg.Init(ctx); err != nil {
		return err
	}
	if err := r.run(ctx, pg.Child(), r.ports.Postgres); err != nil {
		return err
	}
	for _, d := range []local.Database{local.Smartpos, local.PGW} {
		if err := pg.Database(ctx, d.Name, d.Owner, r.p.RolePasswords[d.Owner]); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) redis(ctx context.Context) error {
	if r.p.RedisURL != "" {
		return nil
	}
	server, err := machine.NewRedis(string(r.o.Dir), r.o.Dir.Log("redis"), r.ports.Redis, r.p.RedisPassword)
	if err != nil {
		return err
	}
	if err := server.Init(); err != nil {
		return err
	}
	return r.run(ctx, server.Child(), r.ports.Redis)
}

// stop ends everything, what others need last.
func (r *runner) stop() {
	order := [][]string{{"edge"}, {"svc-smarttab", "svc-portal"}, {"pgw-backend"}, {"sandbox"}, {"redis", "postgres"}, {"collector"}, {"prometheus", "alertmanager", "loki"}}
	for _, names := range order {
		var together []*supervise.Process
		r.mu.Lock()
		for _, name := range names {
			together = append(together, r.processes[name])
		}
		r.mu.Unlock()
		supervise.StopAll(together...)
	}
	r.mu.Lock()
	r.ended = true
	failed := r.status.Failure != ""
	r.mu.Unlock()
	r.touch()
	<-r.written
	if !failed {
		_ = os.Remove(r.o.Dir.Path("status.json"))
	}
}
