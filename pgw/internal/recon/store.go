package recon

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
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
		LineAcceptedAt: Time{r.LineAcceptedAt}, GatewayAcceptedAt: Time{r.GatewayAcceptedAt}, Rule: r.Rule, Late: r.Late, ExceptionID: text(r.ExceptionID),
	}
}

func day(d pgtype.Date) string {
	if !d.Valid {
		return ""
	}
	return d.Time.Format(time.DateOnly)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
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
