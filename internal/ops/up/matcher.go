package up

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// The matcher's clock. Providers write a day's file between 01:30 and 10:00 of the next, Tokyo; from 02:00 on it is looked for.
const (
	matcherHour  = 2
	matcherPause = 10 * time.Minute // until the file is there
	dayFormat    = "2006-01-02"
)

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60) // Japan keeps one time all year

// dueDay is the newest business day whose file may be looked for at a moment.
func dueDay(now time.Time) string {
	return now.In(tokyo).Add(-matcherHour*time.Hour).AddDate(0, 0, -1).Format(dayFormat)
}

// nextDay is the first day to do at a moment: the one after the last that is done, none before the platform was made, none that is
// not due. "" is none.
func nextDay(done string, created, now time.Time) string {
	next := created.In(tokyo).Format(dayFormat)
	if last, err := time.Parse(dayFormat, done); err == nil {
		next = last.AddDate(0, 0, 1).Format(dayFormat)
	}
	if next > dueDay(now) {
		return ""
	}
	return next
}

// matchDaily runs the matcher for each day that is due, one after the other, and again until it could.
func (r *runner) matchDaily(ctx context.Context) {
	for {
		pause := time.Minute
		if day := nextDay(r.p.Matched, r.p.Created, r.p.Now()); day != "" {
			pause = time.Second
			if err := r.match(ctx, day); err != nil {
				pause = matcherPause
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// match has the sandbox write the day's file, as the provider would by now, and runs the matcher. Exceptions (exit code 2) are a
// report for people, not a failure of the run.
func (r *runner) match(ctx context.Context, day string) error {
	provider := api.Client{Base: local.URL(r.ports.SandboxConsole)}
	if err := provider.Post(ctx, "/api/paypay/settlement_files", "", map[string]string{"date": day}, nil); err != nil {
		return err
	}
	_, err := supervise.Run(ctx, supervise.Child{
		Name: "matcher run", Path: filepath.Join(r.o.Bin, "matcher"), Args: []string{"run", "--date", day}, Dir: string(r.o.Dir),
		Env: r.environment(MatcherEnvironment(r.o.Dir, r.p)...), LogFile: r.o.Dir.Log("matcher"), Stop: syscall.SIGTERM,
	})
	switch supervise.ExitCode(err) {
	case 0:
		r.out.Printf("  %s  %s: all matched\n", r.out.Good("match"), day)
	case 2:
		r.out.Printf("  %s  %s: exceptions are open; see /v1/reconciliation/exceptions\n", r.out.Warn("match"), day)
	default:
		return fmt.Errorf("matcher: %w", err)
	}
	return r.remember(func(p *local.Platform) { p.Matched = day })
}

// MatcherEnvironment is what the matcher needs to run against a folder's platform.
func MatcherEnvironment(dir local.Dir, p *local.Platform) []string {
	return []string{
		"DATABASE_URL=" + p.DatabaseURL(local.PGW, "matcher"), "MATCHER_SOURCE_DIR=" + dir.Path("settlement"),
		"MATCHER_ARCHIVE_DIR=" + dir.Path("archive"), "MPAC_LOCAL=1", "MPAC_CLOCK_OFFSET=" + p.ClockOffset.String(),
	}
}
