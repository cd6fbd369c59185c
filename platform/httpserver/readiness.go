package httpserver

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Readiness answers /ready: 503 until every check has succeeded once, and again while draining. A later loss of the database
// or Redis shows in the body and in metrics, not in the status; else one failover would replace every task.
type Readiness struct {
	mu       sync.Mutex
	checks   []check
	ready    bool
	draining bool
}

type check struct {
	name string
	run  func(context.Context) error
	err  error
}

// Add names something that the service needs. Call it before Watch.
func (r *Readiness) Add(name string, run func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, check{name: name, run: run, err: context.Canceled})
}

// Watch runs the checks, quickly until the first success and then every five seconds, until ctx is over.
func (r *Readiness) Watch(ctx context.Context) {
	defer names.Observe(r.observe, names.DependencyUp)()
	for {
		wait := 5 * time.Second
		if !r.probe(ctx) {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// observe tells what the checks found last.
func (r *Readiness) observe(_ context.Context, say names.Say) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.checks {
		up := 1.0
		if c.err != nil {
			up = 0
		}
		say(names.DependencyUp, up, names.Dependency.Is(c.name))
	}
}

// probe runs every check once and reports whether the service has become ready, now or before.
func (r *Readiness) probe(ctx context.Context) bool {
	r.mu.Lock()
	checks := append([]check(nil), r.checks...)
	r.mu.Unlock()
	good := true
	for i := range checks {
		limit, cancel := context.WithTimeout(ctx, 2*time.Second)
		checks[i].err = checks[i].run(limit)
		cancel()
		good = good && checks[i].err == nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	copy(r.checks, checks)
	if good && !r.ready {
		slog.Info("ready")
		r.ready = true
	}
	return r.ready
}

// Drain makes /ready say 503 from now on.
func (r *Readiness) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

func (r *Readiness) handle(c *gin.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := gin.H{}
	for _, ch := range r.checks {
		parts[ch.name] = "ok"
		if ch.err != nil {
			// The error itself may name addresses: it is in the log of whoever met it.
			parts[ch.name] = "failing"
		}
	}
	status, word := http.StatusOK, "ready"
	switch {
	case r.draining:
		status, word = http.StatusServiceUnavailable, "draining"
	case !r.ready && len(r.checks) > 0:
		status, word = http.StatusServiceUnavailable, "starting"
	}
	c.JSON(status, gin.H{"status": word, "checks": parts})
}
