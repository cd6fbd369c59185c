package recon

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// lateAfter is how long after its day's end a provider's file may come; what the matcher's MATCHER_LATE_AFTER is by default.
const lateAfter = 10*time.Hour + 30*time.Minute

// lookBack is how far back runs are looked at: over a long week-end.
const lookBack = 8 * 24 * time.Hour

// StatsOf reads the matcher's books for the metrics: the matcher itself is gone between runs.
func StatsOf(db *pgxpool.Pool, now clock.Clock) stats.Read {
	known := settledDays{}
	return stats.Read{
		Name: "reconciliation",
		Of: []*names.Observed{
			names.ReconLate, names.ReconOpen, names.ReconPastDue, names.ReconUnmatched, names.ReconLastRun, names.ReconDayLines, names.ReconDayItems,
			names.ReconDayAmount, names.ReconDayTime, names.ReconDayFailed,
		},
		Take: func(ctx context.Context, say names.Say) error {
			return postgres.InTx(ctx, db, postgres.CrossTenant("recon.figures"), "recon.figures", func(ctx context.Context, tx pgx.Tx) error {
				q, at := pgwdb.New(tx), now()
				if err := sayOpen(ctx, q, at, say); err != nil {
					return fmt.Errorf("open exceptions: %w", err)
				}
				runs, err := q.ReconRunsSince(ctx, id.ULIDFloor(RunPrefix, at.Add(-lookBack)))
				if err != nil {
					return fmt.Errorf("runs: %w", err)
				}
				for _, f := range format.All {
					sayDay(f.Provider, runs, say)
					if err := known.sayLate(ctx, q, f, at, say); err != nil {
						return fmt.Errorf("late runs: %w", err)
					}
				}
				return nil
			})
		},
	}
}

// sayOpen says every severity, also where nothing is open.
func sayOpen(ctx context.Context, q *pgwdb.Queries, at time.Time, say names.Say) error {
	rows, err := q.ReconOpenFigures(ctx, at)
	if err != nil {
		return err
	}
	pastDue := map[string]int64{}
	for _, r := range rows {
		say(names.ReconOpen, float64(r.Open), names.ExceptionKind.Is(r.Kind), names.Severity.Is(r.Severity))
		pastDue[r.Severity] += r.PastDue
	}
	for _, severity := range names.Severity.Values {
		say(names.ReconOpen, 0, names.ExceptionKind.Is("none"), names.Severity.Is(severity))
		say(names.ReconPastDue, float64(pastDue[severity]), names.Severity.Is(severity))
	}
	stakes, err := q.ReconAtStake(ctx)
	if err != nil {
		return err
	}
	said := map[string]bool{}
	for _, s := range stakes {
		said[s.Provider] = true
		say(names.ReconUnmatched, float64(s.AtStake), names.Currency.Is(cmp.Or(s.Currency, "none")), names.Provider.Is(s.Provider))
	}
	for _, f := range format.All {
		if !said[f.Provider] {
			say(names.ReconUnmatched, 0, names.Currency.Is(string(f.Currency)), names.Provider.Is(f.Provider))
		}
	}
	return nil
}

// dayFigures add up the runs of a provider's newest day.
type dayFigures struct {
	parsed, rejected, matched, exceptions, longest, failed float64
	amounts                                                map[[2]string]float64 // by currency and verdict
}

// sayDay says the newest day of a provider, and when its last good run ended. Before the first run there is nothing to say.
func sayDay(provider string, runs []pgwdb.ReconRunsSinceRow, say names.Say) {
	day, last := "", time.Time{}
	sum := dayFigures{amounts: map[[2]string]float64{}}
	for _, r := range runs {
		if r.Provider != provider {
			continue
		}
		if good(r) && r.FinishedAt.After(last) {
			last = *r.FinishedAt
		}
		if day == "" {
			day = dayText(r)
		}
		if dayText(r) == day {
			sum.add(r)
		}
	}
	by := names.Provider.Is(provider)
	if !last.IsZero() {
		say(names.ReconLastRun, float64(last.Unix()), by)
	}
	if day == "" {
		return
	}
	say(names.ReconDayLines, sum.parsed, by, names.LineResult.Is("parsed"))
	say(names.ReconDayLines, sum.rejected, by, names.LineResult.Is("rejected"))
	say(names.ReconDayItems, sum.matched, by, names.Verdict.Is("matched"))
	say(names.ReconDayItems, sum.exceptions, by, names.Verdict.Is("exception"))
	for of, amount := range sum.amounts {
		say(names.ReconDayAmount, amount, by, names.Currency.Is(of[0]), names.Verdict.Is(of[1]))
	}
	say(names.ReconDayTime, sum.longest, by)
	say(names.ReconDayFailed, sum.failed, by)
}

func good(r pgwdb.ReconRunsSinceRow) bool {
	return r.FinishedAt != nil && (r.Status == "matched" || r.Status == "exceptions_open")
}

func dayText(r pgwdb.ReconRunsSinceRow) string { return day(r.Day) }

func (d *dayFigures) add(r pgwdb.ReconRunsSinceRow) {
	if r.Status == "failed" {
		d.failed = 1
	}
	if r.FinishedAt != nil {
		d.longest = max(d.longest, r.FinishedAt.Sub(r.StartedAt).Seconds())
	}
	var f Figures
	if len(r.Figures) == 0 || json.Unmarshal(r.Figures, &f) != nil {
		return // not complete yet
	}
	d.parsed, d.rejected, d.matched = d.parsed+float64(f.Lines.Parsed), d.rejected+float64(f.Lines.Rejected), d.matched+float64(f.Matched.Count)
	for _, s := range f.Exceptions {
		d.exceptions += float64(s.Count)
	}
	for _, totals := range []Totals{f.Matched.Charges, f.Matched.Refunds} {
		for currency, s := range totals {
			d.amounts[[2]string{currency, "matched"}] += float64(s.Amount)
		}
	}
	for _, l := range f.Ledger {
		d.amounts[[2]string{l.Currency, "unexplained"}] += float64(l.Residual)
	}
}

// settledDays are days of a provider whose runs are done, of every contract that moved money, with when that was asked last.
type settledDays map[string]time.Time

// askAgain is how often a day is asked for again that was found done: the gateway may learn of money of that day afterwards.
const askAgain = time.Minute

// sayLate says how long the oldest run is overdue that is not done; 0 when all is done or not due. A day stays late until it is run:
// one that was seen without a run is kept, and asked for also when it is older than those that are looked back at.
func (known settledDays) sayLate(ctx context.Context, q *pgwdb.Queries, f *format.Format, at time.Time, say names.Say) error {
	dates, err := datesOf(ctx, q, f, at)
	if err != nil {
		return err
	}
	oldest := time.Duration(0)
	for _, date := range dates {
		from, to, err := f.Bounds(date)
		if err != nil {
			return err
		}
		overdue := at.Sub(to.Add(lateAfter))
		if overdue <= 0 || at.Sub(known[f.Provider+date]) < askAgain {
			continue
		}
		without, err := withoutRun(ctx, q, f, date, from, to)
		if err != nil {
			return err
		}
		if len(without) == 0 {
			known[f.Provider+date] = at
			err = q.ReconDayDone(ctx, pgwdb.ReconDayDoneParams{Provider: f.Provider, Day: pgDay(date)})
		} else {
			oldest = max(oldest, overdue)
			err = q.ReconKeepDayMissing(ctx, pgwdb.ReconKeepDayMissingParams{Provider: f.Provider, Day: pgDay(date), At: at})
		}
		if err != nil {
			return err
		}
	}
	say(names.ReconLate, oldest.Seconds(), names.Provider.Is(f.Provider))
	return nil
}

// datesOf are the provider's days that are asked for: those looked back at, and older ones that were seen without a run.
func datesOf(ctx context.Context, q *pgwdb.Queries, f *format.Format, at time.Time) (dates []string, err error) {
	for back := 1; back < int(lookBack/(24*time.Hour)); back++ {
		dates = append(dates, f.Day(at.AddDate(0, 0, -back)))
	}
	older, err := daysMissing(ctx, q, f, dates[len(dates)-1])
	return append(dates, older...), err
}

// daysMissing are the provider's days before a date that were seen without a run.
func daysMissing(ctx context.Context, q *pgwdb.Queries, f *format.Format, before string) (dates []string, err error) {
	kept, err := q.ReconDaysMissing(ctx, f.Provider)
	for _, d := range kept {
		if date := day(d); date < before {
			dates = append(dates, date)
		}
	}
	return dates, err
}

// withoutRun are the contracts that moved money on the day, which has these bounds, and have no complete run of it.
func withoutRun(ctx context.Context, q *pgwdb.Queries, f *format.Format, date string, from, to time.Time) ([]pgwdb.ReconContractsWithoutRunRow, error) {
	const around = 24 * time.Hour // a run's id is born on its day, in whichever zone
	return q.ReconContractsWithoutRun(ctx, pgwdb.ReconContractsWithoutRunParams{
		Provider: f.Provider, Day: pgDay(date), FromAt: &from, UntilAt: &to,
		FromID: id.ULIDFloor(RunPrefix, from.Add(-around)), UntilID: id.ULIDFloor(RunPrefix, to.Add(around)),
	})
}
