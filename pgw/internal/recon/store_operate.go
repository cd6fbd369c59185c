package recon

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
)

// OpenException is an exception that is open, of any partner, as people see it.
type OpenException struct {
	ID, PartnerID, Provider, ContractID, IntentID, Reference, StoreID, Reason string
	Kind                                                                      Kind
	Day                                                                       string // of the run that found it first
	AtStake                                                                   money.Amount
	Severity                                                                  Severity
	Due                                                                       time.Time
}

// OpenExceptions reads what is open of every partner, graded as of now, those due first, first; at most ten thousand.
func OpenExceptions(ctx context.Context, tx pgx.Tx, now time.Time) ([]OpenException, error) {
	const most = 10_000
	rows, err := pgwdb.New(tx).OpenExceptions(ctx, most)
	if err != nil {
		return nil, err
	}
	all := make([]OpenException, len(rows))
	for i, r := range rows {
		x := OpenException{
			ID: r.ID, PartnerID: r.PartnerID, Provider: r.Provider, ContractID: r.ContractID, IntentID: r.PaymentIntentID, Reference: r.Reference,
			StoreID: r.ProviderStoreID, Reason: r.Reason, Kind: Kind(r.Kind), Day: day(r.OpenedDay),
			AtStake: money.Amount{Minor: r.AtStake, Currency: money.Currency(r.Currency)},
		}
		x.Severity, x.Due = Grade(r.AtStake, r.OccurredAt, r.CreatedAt, now)
		all[i] = x
	}
	return byDue(all), nil
}

// RunRow is a run of any partner, as people see it.
type RunRow struct {
	ID, Provider, ContractID, Day, Status, Stage, Error string
	Tries                                               int32
	StartedAt                                           time.Time
	FinishedAt                                          *time.Time
}

// Runs reads the runs of so many days back, the newest day first, at most a thousand; and, with the status missing or late, the days of
// contracts that moved money and have none. Older days that were seen without a complete run and still are, are late.
func Runs(ctx context.Context, tx pgx.Tx, now time.Time, days int) (all []RunRow, err error) {
	q, had := pgwdb.New(tx), map[[3]string]bool{}
	rows, err := q.RecentRuns(ctx, id.ULIDFloor(RunPrefix, now.AddDate(0, 0, -days)))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		all = append(all, RunRow{
			ID: r.ID, Provider: r.Provider, ContractID: r.ContractID, Day: day(r.Day), Status: r.Status, Stage: r.Stage, Error: r.Error, Tries: r.Tries,
			StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		})
		had[[3]string{r.Provider, r.ContractID, day(r.Day)}] = true
	}
	for _, f := range format.All {
		for back := 1; back < days; back++ {
			without, err := missingRuns(ctx, q, f, now.In(f.Zone).AddDate(0, 0, -back).Format(time.DateOnly), now, had)
			if err != nil {
				return nil, err
			}
			all = append(all, without...)
		}
		older, err := lateLong(ctx, q, f, f.Day(now.AddDate(0, 0, 1-days)))
		if err != nil {
			return nil, err
		}
		all = append(all, older...)
	}
	slices.SortStableFunc(all, func(a, b RunRow) int { return strings.Compare(b.Day, a.Day) })
	return all, nil
}

func missingRuns(ctx context.Context, q *pgwdb.Queries, f *format.Format, date string, now time.Time, had map[[3]string]bool) (all []RunRow, err error) {
	from, to, err := f.Bounds(date)
	if err != nil {
		return nil, err
	}
	active, err := q.ReconActiveContracts(ctx, pgwdb.ReconActiveContractsParams{Provider: f.Provider, FromAt: &from, UntilAt: &to})
	for _, c := range active {
		if had[[3]string{c.Provider, c.ContractID, date}] {
			continue
		}
		status := "missing"
		if now.After(to.Add(lateAfter)) {
			status = "late"
		}
		all = append(all, RunRow{Provider: c.Provider, ContractID: c.ContractID, Day: date, Status: status})
	}
	return all, err
}

// lateLong are the contracts of days before a date that were seen without a complete run and still are.
func lateLong(ctx context.Context, q *pgwdb.Queries, f *format.Format, before string) (all []RunRow, err error) {
	dates, err := daysMissing(ctx, q, f, before)
	if err != nil {
		return nil, err
	}
	for _, date := range dates {
		from, to, err := f.Bounds(date)
		if err != nil {
			return nil, err
		}
		without, err := withoutRun(ctx, q, f, date, from, to)
		if err != nil {
			return nil, err
		}
		for _, c := range without {
			all = append(all, RunRow{Provider: c.Provider, ContractID: c.ContractID, Day: date, Status: "late"})
		}
	}
	return all, nil
}
