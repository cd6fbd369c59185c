package recon

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Result reads a complete version of a run: the content of its file and its figures. pgx.ErrNoRows when there is none.
func Result(ctx context.Context, tx pgx.Tx, runID string, version int32) (sha256 string, figures Figures, err error) {
	row, err := pgwdb.New(tx).ReconResult(ctx, pgwdb.ReconResultParams{RunID: runID, Version: version})
	if err != nil {
		return "", Figures{}, fmt.Errorf("result of %s version %d: %w", runID, version, err)
	}
	if err := json.Unmarshal(row.Figures, &figures); err != nil {
		return "", Figures{}, fmt.Errorf("result of %s version %d: %w", runID, version, err)
	}
	return row.FileSha256, figures, nil
}

// page is how many rows of a report are read at once.
const page = 1000

// StoredRows are the rows of a complete version, read a page at a time, each in a transaction of its own that run opens: a slow reader
// keeps no snapshot open.
func StoredRows(ctx context.Context, run func(ctx context.Context, fn func(context.Context, pgx.Tx) error) error, runID string, version int32) Rows {
	return Rows{
		Findings: func(yield func(Finding) error) error {
			var after int32
			return pages(func() (int, error) {
				var rows []pgwdb.PgwReconFinding
				err := run(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
					rows, err = pgwdb.New(tx).ReconFindings(ctx, pgwdb.ReconFindingsParams{RunID: runID, Version: version, After: after, MaxRows: page})
					return err
				})
				for _, r := range rows {
					after = r.Number
					var f Finding
					if err := json.Unmarshal(r.Finding, &f); err != nil {
						return 0, fmt.Errorf("finding %d of %s: %w", r.Number, runID, err)
					}
					if err := yield(f); err != nil {
						return 0, err
					}
				}
				return len(rows), err
			})
		},
		Matches: func(yield func(Match) error) error {
			after := ""
			return pages(func() (int, error) {
				var rows []pgwdb.PgwReconMatch
				err := run(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
					rows, err = pgwdb.New(tx).ListReconMatches(ctx, pgwdb.ListReconMatchesParams{RunID: runID, After: after, MaxRows: page})
					return err
				})
				for _, r := range rows {
					after = r.ID
					if err := yield(matchOf(r)); err != nil {
						return 0, err
					}
				}
				return len(rows), err
			})
		},
	}
}

func pages(next func() (int, error)) error {
	for {
		n, err := next()
		if err != nil || n < page {
			return err
		}
	}
}

func matchOf(r pgwdb.PgwReconMatch) Match {
	return Match{
		Entry: r.Entry, GatewayID: r.GatewayID, PaymentIntentID: r.PaymentIntentID, ProviderPaymentID: r.ProviderPaymentID, Reference: r.Reference,
		ProviderStoreID: r.ProviderStoreID, Amount: r.Amount, Currency: r.Currency, LineDay: day(r.LineDay), LineNumber: r.LineNumber,
		LineAcceptedAt: Time{r.LineAcceptedAt}, GatewayAcceptedAt: Time{r.GatewayAcceptedAt}, Rule: r.Rule, Late: r.Late, ExceptionID: pgwdb.Text(r.ExceptionID),
	}
}

func day(d pgtype.Date) string {
	if !d.Valid {
		return ""
	}
	return d.Time.Format(time.DateOnly)
}

// ReportOf reads the head of a run's report; version 0 is the newest. A run that is unknown, or has no such version, is a problem.
func ReportOf(ctx context.Context, tx pgx.Tx, runID string, version int32) (Report, error) {
	run, err := pgwdb.New(tx).ReconRun(ctx, runID)
	if postgres.IsNoRows(err) {
		return Report{}, ErrNoRun.New("There is no run %s.", runID)
	}
	if err != nil {
		return Report{}, fmt.Errorf("run %s: %w", runID, err)
	}
	if version == 0 {
		version = run.Version
	}
	if version == 0 {
		return Report{}, ErrNoResult.New("The run has not been completed; it is %s (%s).", run.Status, run.Stage)
	}
	_, figures, err := Result(ctx, tx, runID, version)
	if postgres.IsNoRows(err) {
		return Report{}, ErrNoRun.New("The run %s has no version %d.", runID, version)
	}
	if err != nil {
		return Report{}, err
	}
	scope := Scope{PartnerID: run.PartnerID, Mode: run.Mode, Provider: run.Provider, ContractID: run.ContractID}
	return NewReport(runID, scope, day(run.Day), version, figures), nil
}

// Books read the matcher's books for the gateway's face.
type Books struct{ db *pgxpool.Pool }

// NewBooks reads through the pool of the gateway's role.
func NewBooks(db *pgxpool.Pool) *Books { return &Books{db: db} }

// Tenant is whose books are read.
type Tenant struct{ PartnerID, Mode string }

func (t Tenant) scope() postgres.Scope {
	return postgres.NewScope("partner_id", t.PartnerID, "mode", t.Mode)
}

func (b *Books) read(ctx context.Context, t Tenant, name string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return postgres.InReadTx(ctx, b.db, t.scope(), name, fn)
}

// Run is a run as it stands.
type Run struct {
	ID, Provider, ContractID, Day, Status, Stage, Error string
	Version                                             int32
	Tries                                               int32
	StartedAt, UpdatedAt                                time.Time
	FinishedAt                                          *time.Time
}

func runOf(r pgwdb.PgwReconRun) Run {
	return Run{
		ID: r.ID, Provider: r.Provider, ContractID: r.ContractID, Day: day(r.Day), Status: r.Status, Stage: r.Stage, Error: pgwdb.Text(r.Error),
		Version: r.Version, Tries: r.Tries, StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt, FinishedAt: r.FinishedAt,
	}
}

// RunFilter picks runs; an empty field takes all. After is the last run of the page before.
type RunFilter struct {
	Day, Provider, ContractID, Status string
	AfterDay, AfterID                 string
}

// Runs are up to limit runs, by day, the newest first.
func (b *Books) Runs(ctx context.Context, t Tenant, f RunFilter, limit int32) (all []Run, err error) {
	params := pgwdb.ListReconRunsParams{
		Day: pgDay(f.Day), Provider: f.Provider, ContractID: f.ContractID, Status: f.Status, AfterDay: pgDay(f.AfterDay), AfterID: f.AfterID, MaxRows: limit,
	}
	err = b.read(ctx, t, "recon.runs", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ListReconRuns(ctx, params)
		for _, r := range rows {
			all = append(all, runOf(r))
		}
		return err
	})
	return all, err
}

func pgDay(s string) pgtype.Date {
	d, err := time.Parse(time.DateOnly, s)
	return pgtype.Date{Time: d, Valid: err == nil}
}

// File is a settlement file as it was received.
type File struct {
	Name, SHA256, ReceivedBy string
	Bytes                    int64
	Version                  int32
	ReceivedAt               time.Time
}

// Run is one run with its files and, once it has been complete, the figures of its newest version. An unknown one is a problem.
func (b *Books) Run(ctx context.Context, t Tenant, id string) (run Run, files []File, figures *Figures, err error) {
	err = b.read(ctx, t, "recon.run", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		row, err := q.ReconRun(ctx, id)
		if postgres.IsNoRows(err) {
			return ErrNoRun.New("There is no run %s.", id)
		}
		if err != nil {
			return err
		}
		run = runOf(row)
		received, err := q.ReconFiles(ctx, id)
		if err != nil {
			return err
		}
		for _, f := range received {
			files = append(files, File{f.Name, f.Sha256, f.ReceivedBy, f.Bytes, f.Version, f.ReceivedAt})
		}
		if run.Version == 0 {
			return nil
		}
		_, complete, err := Result(ctx, tx, id, run.Version)
		figures = &complete
		return err
	})
	return run, files, figures, err
}

// Report is a run's report with its rows; version 0 is the newest.
func (b *Books) Report(ctx context.Context, t Tenant, runID string, version int32) (r Report, rows Rows, err error) {
	err = b.read(ctx, t, "recon.report", func(ctx context.Context, tx pgx.Tx) (err error) {
		r, err = ReportOf(ctx, tx, runID, version)
		return err
	})
	rows = StoredRows(ctx, func(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
		return b.read(ctx, t, "recon.report", fn)
	}, r.RunID, r.Version)
	return r, rows, err
}

// Matches are up to limit matches of a run after the given one, by the gateway's id.
func (b *Books) Matches(ctx context.Context, t Tenant, runID, after string, limit int32) (all []Match, err error) {
	err = b.read(ctx, t, "recon.matches", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ListReconMatches(ctx, pgwdb.ListReconMatchesParams{RunID: runID, After: after, MaxRows: limit})
		for _, r := range rows {
			all = append(all, matchOf(r))
		}
		return err
	})
	return all, err
}

// Exception is an item that does not agree, or did not.
type Exception struct {
	Finding
	ID, Provider, ContractID, Status string
	OpenedRunID, ClearedDay          string
	ClearedRunID                     string
	CreatedAt, UpdatedAt             time.Time
}

func exceptionOf(r pgwdb.PgwReconException) Exception {
	f := Finding{
		Kind: Kind(r.Kind), ExceptionID: r.ID, Entry: pgwdb.Text(r.Entry), GatewayID: pgwdb.Text(r.GatewayID), PaymentIntentID: pgwdb.Text(r.PaymentIntentID),
		GatewayStatus: pgwdb.Text(r.GatewayStatus), GatewayAmount: r.GatewayAmount, GatewayCurrency: pgwdb.Text(r.GatewayCurrency), GatewayAcceptedAt: moment(r.GatewayAcceptedAt),
		ProviderPaymentID: pgwdb.Text(r.ProviderPaymentID), Reference: pgwdb.Text(r.Reference), ProviderStoreID: pgwdb.Text(r.ProviderStoreID),
		ProviderOutcome: pgwdb.Text(r.ProviderOutcome), ProviderAmount: r.ProviderAmount, ProviderCurrency: pgwdb.Text(r.ProviderCurrency),
		LineDay: day(r.LineDay), LineAcceptedAt: moment(r.LineAcceptedAt), Reason: r.Reason, AtStake: r.AtStake, OccurredAt: moment(&r.OccurredAt),
		OpenedDay: day(r.OpenedDay), ClearedBy: pgwdb.Text(r.ClearedBy),
	}
	if r.LineNumber != nil {
		f.LineNumber = *r.LineNumber
	}
	return Exception{
		Finding: f, ID: r.ID, Provider: r.Provider, ContractID: r.ContractID, Status: r.Status, OpenedRunID: r.OpenedRunID,
		ClearedDay: day(r.ClearedDay), ClearedRunID: pgwdb.Text(r.ClearedRunID), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func moment(t *time.Time) *Time {
	if t == nil {
		return nil
	}
	return &Time{*t}
}

// ExceptionFilter picks exceptions; an empty field takes all.
type ExceptionFilter struct {
	Status, Kind, Provider, ContractID, OpenedDay, PaymentIntentID string
	After                                                          string
}

// Exceptions are up to limit exceptions, the oldest first.
func (b *Books) Exceptions(ctx context.Context, t Tenant, f ExceptionFilter, limit int32) (all []Exception, err error) {
	params := pgwdb.ListReconExceptionsParams{
		Status: f.Status, Kind: f.Kind, Provider: f.Provider, ContractID: f.ContractID, OpenedDay: pgDay(f.OpenedDay), PaymentIntentID: f.PaymentIntentID,
		After: f.After, MaxRows: limit,
	}
	err = b.read(ctx, t, "recon.exceptions", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ListReconExceptions(ctx, params)
		for _, r := range rows {
			all = append(all, exceptionOf(r))
		}
		return err
	})
	return all, err
}

// Exception is one exception; an unknown one is a problem.
func (b *Books) Exception(ctx context.Context, t Tenant, id string) (e Exception, err error) {
	err = b.read(ctx, t, "recon.exception", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).ReconException(ctx, id)
		if postgres.IsNoRows(err) {
			return ErrNoException.New("There is no exception %s.", id)
		}
		e = exceptionOf(row)
		return err
	})
	return e, err
}

type auditEntry = audit.Entry

// matchID is the id of an item's match: the item's own ULID.
func matchID(gatewayID string) string { return "rm_" + gatewayID[len("pa_"):] }

// Audit are up to limit entries of the tenant's audit log after the given number.
func (b *Books) Audit(ctx context.Context, t Tenant, after int64, limit int32) (all []audit.Entry, err error) {
	err = b.read(ctx, t, "recon.audit", func(ctx context.Context, tx pgx.Tx) error {
		all, err = audit.List(ctx, tx, t.PartnerID, t.Mode, after, limit)
		return err
	})
	return all, err
}
