package up

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
)

// touch asks for the status to be written: something changed.
func (r *runner) touch() {
	select {
	case r.poke <- struct{}{}:
	default: // one is on its way
	}
}

// writeStatus writes the status whenever it is another, until the runner has ended.
func (r *runner) writeStatus() {
	defer close(r.written)
	for range r.poke {
		r.mu.Lock()
		s, ended := r.status, r.ended
		s.Children = r.children()
		r.mu.Unlock()
		_ = r.o.Dir.WriteStatus(s) // a full disk must not end the platform
		if ended {
			return
		}
	}
}

// children are the states in the order of the names. The caller holds r.mu.
func (r *runner) children() []local.Child {
	ports := map[string]int{
		"postgres": r.ports.Postgres, "redis": r.ports.Redis, "sandbox": r.ports.SandboxConsole, "pgw-backend": r.ports.PGW,
		"svc-portal": r.ports.Portal, "svc-smarttab": r.ports.Smarttab, "edge": r.ports.Edge,
	}
	maps.Copy(ports, r.ports.OfStack())
	var all []local.Child
	for _, name := range slices.Sorted(maps.Keys(r.processes)) {
		all = append(all, local.Child{State: r.processes[name].State(), Port: ports[name]})
	}
	return all
}

func (r *runner) ready() {
	r.mu.Lock()
	r.status.Ready = true
	r.mu.Unlock()
	r.touch()
}

func (r *runner) fail(err error) {
	r.mu.Lock()
	r.status.Failure = err.Error()
	r.mu.Unlock()
	r.touch()
}

// welcome is the short table at the end of a start.
func (r *runner) welcome() {
	c, p := r.out, r.p
	c.Printf("\n%s in %.1f s\n\n", c.Strong("The platform is ready"), time.Since(r.began).Seconds())
	c.Table("  ",
		[]string{"gateway", local.URL(r.ports.Edge), c.Faint("documentation at /portal/docs and /smarttab/docs")},
		[]string{"payment gateway", local.URL(r.ports.PGW), c.Faint("documentation at /docs")},
		[]string{"sandbox", local.URL(r.ports.SandboxConsole), c.Faint("the wallets and their books")},
		[]string{"PSP admin", p.Admin.Email, c.Faint("password and TOTP secret: mpac env")},
		[]string{"merchant", p.Seed.Owner.Email, c.Faint("password: " + r.o.Dir.Path("platform.json"))},
		[]string{"logs", r.o.Dir.Path("logs"), ""},
		r.whereMetrics(),
	)
	c.Printf("\n  next: %s\n", c.Strong(fmt.Sprintf("mpac demo%s", r.dirFlag())))
}

func (r *runner) whereMetrics() []string {
	if r.stack == nil {
		return []string{"metrics", "none", r.out.Faint("the observability stack: make obs")}
	}
	return []string{"metrics", local.URL(r.ports.Prometheus), r.out.Faint("Prometheus; Loki and Alertmanager: mpac env")}
}

func (r *runner) dirFlag() string {
	if standard, err := local.Open(DefaultDir); err == nil && standard == r.o.Dir {
		return ""
	}
	return " --dir " + local.Quote(string(r.o.Dir))
}

// DefaultDir is where a platform lives unless --dir says otherwise.
const DefaultDir = ".mpac"
