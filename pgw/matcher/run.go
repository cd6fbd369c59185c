package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	envconfig "github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// openError ends the process with code 2: the work is done, and there is something left for people.
type openError struct {
	date string
	open int64
}

func (e openError) Error() string {
	return fmt.Sprintf("%s: done, %d exceptions are open (exit 2)", e.date, e.open)
}

// ExitCode is for the service's main.
func (openError) ExitCode() int { return 2 }

func runCommand() *cobra.Command {
	var o run.Options
	var asJSON, await bool
	cmd := &cobra.Command{
		Use:   "run --date DAY",
		Short: "Reconcile a day",
		Long: `Reconcile a day: find the providers' settlement files, match them with what the gateway recorded, say what differs.

The day is the provider's (PayPay: Tokyo). It may be run again at any time: the same inputs change nothing, a changed file is a new
version, and a run that was killed is gone on with. A file whose name ends before midnight is matched for its own window.

With --await it looks for files every few minutes, matches each as it comes, and ends when every provider's is there or is late. When no
provider moved money and none sent a file, there is nothing to reconcile, and that is no failure. A source in S3 is s3://bucket/folder.

Exit code: 0 all matched, 2 exceptions are open, 1 it failed; the last line says which. Progress is on the error output.`,
		Example: `  matcher run --date 2026-11-21
  matcher run --date 2026-11-21 --provider paypay --source /var/lib/settlement
  matcher run --date yesterday --await --source s3://settlement/in
  matcher run --date 2026-11-21 --dry-run --json`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{service.Job: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := envconfig.Load[config]()
			if err != nil {
				return err
			}
			if o.Source == "" {
				o.Source = cfg.SourceDir
			}
			if o.Source == "" {
				return errors.New("no source: give --source, or set MATCHER_SOURCE_DIR")
			}
			if o.Date == yesterday {
				o.Date = dayBefore(cfg.Clock()())
			}
			return runDay(cmd.Context(), cmd, cfg, o, asJSON, await)
		},
	}
	cmd.Flags().StringVar(&o.Date, "date", "", "the provider's day, as 2026-11-21, or "+yesterday)
	cmd.Flags().StringVar(&o.Provider, "provider", "", "only this provider (default all)")
	cmd.Flags().StringVar(&o.Source, "source", "", "folder of the files, or one file (default MATCHER_SOURCE_DIR)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "find out and write nothing")
	cmd.Flags().DurationVar(&o.Wait, "wait", 30*time.Second, "wait this long for another run of the same contract")
	cmd.Flags().BoolVar(&await, "await", false, "wait for the files until they are late")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the reports as JSON on the output")
	_ = cmd.MarkFlagRequired("date")
	return cmd
}

func runDay(ctx context.Context, cmd *cobra.Command, cfg config, o run.Options, asJSON, await bool) error {
	pool, err := postgres.Open(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	beginAtZero(ctx)
	m := run.Matcher{
		Pool: pool, Clock: cfg.Clock(), Config: cfg.matcher(), Reconciled: intent.MarkReconciled,
		Say: func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) },
	}
	mirror, done, err := fromBucket(ctx, &o)
	if err != nil {
		return err
	}
	defer done()
	if await {
		err = awaitFiles(ctx, m, o, mirror)
	} else {
		err = mirror(ctx)
	}
	if err != nil {
		return err
	}
	write := forPeople
	if asJSON {
		write = forPrograms
	}
	err = write(ctx, cmd.OutOrStdout(), m, o)
	if await && errors.Is(err, run.ErrNoFile) && !errors.Is(err, run.ErrLate) {
		m.Say("%s: no provider moved money, and none sent a file: nothing to reconcile (exit 0)", o.Date)
		return nil
	}
	return err
}

// beginAtZero shows what a run counts before there is anything, so that what it counts is an increase.
func beginAtZero(ctx context.Context) {
	for _, f := range format.All {
		names.ReconRuns.AtZero(names.Provider.Is(f.Provider))
		intent.ReconciledAtZero(f.Provider)
	}
	telemetry.FlushMetrics(ctx)
}

// forPeople prints a short table a run.
func forPeople(ctx context.Context, out io.Writer, m run.Matcher, o run.Options) error {
	sum, err := m.Day(ctx, o, func(done run.Outcome) error { return table(out, done, o.DryRun) })
	for _, w := range sum.Waiting {
		_, _ = fmt.Fprintf(out, "no file yet: %s\n", w)
	}
	if err != nil {
		return fmt.Errorf("%s: failed (exit 1): %w", o.Date, err)
	}
	if sum.Open > 0 {
		return openError{o.Date, sum.Open}
	}
	_, err = fmt.Fprintf(out, "%s: all matched (exit 0)\n", o.Date)
	return err
}

func table(out io.Writer, done run.Outcome, dry bool) error {
	r := done.Report
	note := fmt.Sprintf("version %d, %s", r.Version, r.Reason)
	switch {
	case dry:
		note = "dry run, nothing written"
	case done.Unchanged:
		note = fmt.Sprintf("version %d, unchanged", r.Version)
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s %s %s\t%s\n", r.Provider, r.ContractID, r.Day, note)
	_, _ = fmt.Fprintf(t, "  run\t%s (partner %s, %s)\n", r.RunID, r.PartnerID, r.Mode)
	_, _ = fmt.Fprintf(t, "  file\t%s, %d lines: %d read, %d set aside\n", r.File.Name, r.Lines.Total, r.Lines.Parsed, r.Lines.Rejected)
	_, _ = fmt.Fprintf(t, "  matched\t%d (%d late): charges %s, refunds %s\n", r.Matched.Count, r.Matched.Late, totals(r.Matched.Charges), totals(r.Matched.Refunds))
	if r.NotDue.Count > 0 {
		_, _ = fmt.Fprintf(t, "  not due yet\t%d\n", r.NotDue.Count)
	}
	for _, k := range recon.Kinds {
		if s := r.Exceptions[k]; s.Count > 0 {
			_, _ = fmt.Fprintf(t, "  %s\t%d\n", k, s.Count)
		}
	}
	_, _ = fmt.Fprintf(t, "  open\t%d before + %d opened - %d cleared = %d\n", r.Open.Before, r.Open.Opened, r.Open.Cleared, r.Open.After)
	for _, l := range r.Ledger {
		c := money.Currency(l.Currency)
		_, _ = fmt.Fprintf(t, "  ledger\t%s receivable: %s settled, %s open, %s not due, %s unexplained\n", amount(l.Receivable, c), amount(l.Settled, c),
			amount(l.Open, c), amount(l.NotDue, c), amount(l.Residual, c))
	}
	return t.Flush()
}

func amount(minor int64, c money.Currency) string {
	return money.Amount{Minor: minor, Currency: c}.String()
}

func totals(t recon.Totals) string {
	text := ""
	for _, c := range t.Currencies() {
		text += fmt.Sprintf("%d of %s, ", t[c].Count, amount(t[c].Amount, money.Currency(c)))
	}
	if text == "" {
		return "none"
	}
	return text[:len(text)-2]
}

// forPrograms writes one JSON document with the reports.
func forPrograms(ctx context.Context, out io.Writer, m run.Matcher, o run.Options) error {
	date, err := json.Marshal(o.Date)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "{\"date\": %s, \"dry_run\": %t, \"runs\": [", date, o.DryRun); err != nil {
		return err
	}
	separator := "\n"
	sum, failed := m.Day(ctx, o, func(done run.Outcome) error {
		if _, err := fmt.Fprint(out, separator); err != nil {
			return err
		}
		separator = ","
		return done.Report.WriteJSON(out, done.Rows)
	})
	var end error
	code, reason := 0, "all matched"
	switch {
	case failed != nil:
		end = fmt.Errorf("%s: failed (exit 1): %w", o.Date, failed)
		code, reason = 1, failed.Error()
	case sum.Open > 0:
		end = openError{o.Date, sum.Open}
		code, reason = 2, "exceptions are open"
	}
	tail, err := json.Marshal(struct {
		Waiting []string `json:"waiting"`
		Open    int64    `json:"open"`
		Code    int      `json:"exit_code"`
		Result  string   `json:"result"`
	}{append([]string{}, sum.Waiting...), sum.Open, code, reason})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "],\n%s\n", tail[1:])
	return errors.Join(end, err)
}
