// Package run is a run of the matcher: fetch, parse, stage, match, classify, post, report. It may be repeated at any time: the same
// inputs change nothing, other inputs make a new version, and a run that was killed is gone on with.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Options are what a run is asked to do.
type Options struct {
	Date     string // yyyy-mm-dd, the provider's day
	Provider string // empty: all
	Source   string // folder or file
	DryRun   bool   // find out, write nothing
	// Wait is how long to wait for another run of the same contract.
	Wait time.Duration
}

// Config is how runs behave.
type Config struct {
	// Grace keeps gateway items accepted this close to the end of an unfinished day's window from being due.
	Grace time.Duration
	// Settling is how long the gateway may take to learn what the provider has accepted.
	Settling time.Duration
	// Chunk is how many lines are parsed and copied at once; Batch how many matches one transaction posts.
	Chunk, Batch int
	// Archive is a folder that keeps files as received; empty: they stay where they are.
	Archive string
	// LateAfter is how long after the day's end a provider's file is late.
	LateAfter time.Duration
}

// Defaults are sensible for every size of day.
func Defaults() Config {
	return Config{Grace: 2 * time.Second, Settling: 30 * time.Second, Chunk: 20_000, Batch: 1_000, LateAfter: 10*time.Hour + 30*time.Minute}
}

// Matcher runs days.
type Matcher struct {
	Pool       *Database
	Clock      clock.Clock
	Config     Config
	Reconciled Reconciled
	// Say shows progress to whoever watches.
	Say func(format string, args ...any)
}

// Outcome is what became of one contract's day.
type Outcome struct {
	Report recon.Report
	// Unchanged: the same inputs were complete already; Report is of that version.
	Unchanged bool
	// Rows are the report's rows; good until Close.
	Rows recon.Rows
}

// Summary is what became of all of them.
type Summary struct {
	Outcomes []Outcome
	// Waiting are contracts that moved money on the day and have no file yet, which is not late.
	Waiting []string
	// Open counts the open exceptions of the contracts that ran.
	Open int64
}

// ErrNoFile is in the error of a day whose file is not there.
var ErrNoFile = errors.New("no settlement file")

// ErrLate is in the error of a file that is not there though its provider's hour has passed.
var ErrLate = errors.New("late")

// ErrLedger is in the error of a run whose results are written and do not tie to the ledger.
var ErrLedger = errors.New("the ledger does not tie")

// Day runs a day. each is called with every outcome while its rows can be read. The errors of several contracts are joined: one that
// fails does not keep the others from being run.
func (m *Matcher) Day(ctx context.Context, o Options, each func(Outcome) error) (Summary, error) {
	if _, err := time.Parse(time.DateOnly, o.Date); err != nil {
		return Summary{}, fmt.Errorf("date %q is not of the form 2026-11-21", o.Date)
	}
	if _, known := format.Of(o.Provider); o.Provider != "" && !known {
		return Summary{}, fmt.Errorf("provider %q has no format here", o.Provider)
	}
	found, err := source.Folder(o.Source, o.Date, o.Provider, m.Clock)
	if err != nil {
		return Summary{}, err
	}
	for _, note := range found.Notes {
		m.Say("%s", note)
	}
	var sum Summary
	var failures []error
	for _, f := range found.Files {
		if err := m.file(ctx, o, f, &sum, each); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
	if err := m.missing(ctx, o, found, &sum); err != nil {
		failures = append(failures, err)
	}
	return sum, errors.Join(failures...)
}

// missing looks for contracts that moved money and have no file.
func (m *Matcher) missing(ctx context.Context, o Options, found source.Found, sum *Summary) error {
	have := map[contract]bool{}
	for _, f := range found.Files {
		have[contract{f.Format.Provider, f.Info.Contract}] = true
	}
	var late []error
	for _, f := range format.All {
		if o.Provider != "" && o.Provider != f.Provider {
			continue
		}
		from, to, err := f.Bounds(o.Date)
		if err != nil {
			return err
		}
		active, err := activeContracts(ctx, m.Pool, f.Provider, from, to)
		if err != nil {
			return err
		}
		for _, c := range active {
			if have[c] {
				continue
			}
			what := fmt.Sprintf("%s contract %s, %s", c.provider, c.id, o.Date)
			if m.Clock().After(to.Add(m.Config.LateAfter)) {
				late = append(late, fmt.Errorf("%w: %s: %w", ErrNoFile, what, ErrLate))
			} else {
				sum.Waiting = append(sum.Waiting, what)
			}
		}
	}
	if len(late) == 0 && len(found.Files) == 0 {
		return fmt.Errorf("%w of %s in %s", ErrNoFile, o.Date, o.Source)
	}
	return errors.Join(late...)
}

// file runs a file for everyone who holds its contract.
func (m *Matcher) file(ctx context.Context, o Options, f source.File, sum *Summary, each func(Outcome) error) error {
	all, err := holders(ctx, m.Pool, f.Format.Provider, f.Info.Contract)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no partner has the %s contract %s", f.Format.Provider, f.Info.Contract)
	}
	var failures []error
	for i, h := range all {
		scope := recon.Scope{PartnerID: h.partnerID, Mode: h.mode, Provider: f.Format.Provider, ContractID: f.Info.Contract}
		out, err := m.contract(ctx, o, f, scope, share{first: i == 0, shared: len(all) > 1}, each)
		sum.Open += out.Report.Open.After
		if err != nil {
			failures = append(failures, err)
			continue
		}
		sum.Outcomes = append(sum.Outcomes, out)
	}
	return errors.Join(failures...)
}

// share says whether others hold the contract too, and whether this holder answers for what nobody knows.
type share struct{ first, shared bool }

// contract runs one holder's day.
func (m *Matcher) contract(ctx context.Context, o Options, f source.File, scope recon.Scope, sh share, each func(Outcome) error) (Outcome, error) {
	ctx, span := telemetry.Tracer().Start(ctx, "recon.run", trace.WithAttributes(
		attribute.String(names.SpanProvider, scope.Provider), attribute.String(names.SpanContract, scope.ContractID), attribute.String(names.SpanDay, o.Date),
		attribute.String(names.PartnerID, scope.PartnerID), attribute.Bool(names.SpanDryRun, o.DryRun),
	))
	defer span.End()
	began := time.Now() //nolint:forbidigo // a duration
	st, err := openStore(ctx, m.Pool, scope, m.Reconciled)
	if err != nil {
		return Outcome{}, err
	}
	defer st.closeStore()
	s, err := m.session(st, scope, f)
	if err != nil {
		return Outcome{}, err
	}
	busy := func() { m.say(s, "another run is at work, waiting up to %s", o.Wait) }
	if err := s.lock(ctx, o.Wait, busy); err != nil {
		return Outcome{}, err
	}
	defer s.unlock(ctx)
	out, err := m.work(ctx, s, o, f, sh)
	span.SetAttributes(attribute.Int64(names.SpanLines, out.Report.Lines.Total), attribute.Int64(names.SpanMatched, out.Report.Matched.Count),
		attribute.Int64(names.SpanOpen, out.Report.Open.After))
	measure(ctx, scope.Provider, time.Since(began), out.Report, err)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		// A run that fails says so, also when its own context is over.
		if !o.DryRun {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			err = errors.Join(err, s.fail(ctx, err, m.Clock()))
		}
		return out, err
	}
	if each != nil {
		err = each(out)
	}
	return out, errors.Join(err, residual(out.Report))
}

// measure counts a run. The process ends soon after, so what is asked of the figures later is read from the books instead.
func measure(ctx context.Context, provider string, took time.Duration, r recon.Report, err error) {
	outcome := "matched"
	switch {
	case err != nil:
		outcome = "failed"
	case r.Open.After > 0:
		outcome = "exceptions"
	}
	names.ReconRuns.Add(ctx, 1, names.Provider.Is(provider), names.RunOutcome.Is(outcome))
	names.ReconRunSeconds.Record(ctx, took.Seconds(), names.Provider.Is(provider))
}

func residual(r recon.Report) error {
	for _, l := range r.Ledger {
		if l.Residual != 0 {
			return fmt.Errorf("%w: receivable %d %s, items %d: %d unexplained", ErrLedger, l.Receivable, l.Currency, l.Receivable-l.Residual, l.Residual)
		}
	}
	return nil
}

func (m *Matcher) session(st store, scope recon.Scope, f source.File) (*session, error) {
	from, to, err := f.Format.Bounds(f.Info.Day)
	if err != nil {
		return nil, err
	}
	s := &session{
		store: st, scope: scope, runID: scope.RunID(from), date: f.Info.Day, day: dateOf(f.Info.Day), dayFrom: from, dayTo: to,
		window: window{from: f.Info.From, until: f.Info.To},
	}
	// A file that was written before its window's end speaks of what was until then.
	if f.ReceivedAt.After(f.Info.From) && f.ReceivedAt.Before(f.Info.To) {
		s.window.until = f.ReceivedAt
	}
	s.window.due = s.window.until
	if s.window.until.Before(to) {
		s.window.due = s.window.until.Add(-m.Config.Grace)
	}
	return s, nil
}

func (m *Matcher) say(s *session, text string, args ...any) {
	m.Say("%s %s %s: "+text, append([]any{s.scope.Provider, s.scope.ContractID, s.date}, args...)...)
}
