package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Database is the pool of the matcher's role.
type Database = pgxpool.Pool

// everybody sees every partner: to find out whose a contract is, and whose a line of a shared one.
var everybody = postgres.CrossTenant("recon.holders")

// store is a session's connection: a pool of one, so that temporary tables and the lock stay with it. When the connection breaks, the
// pool makes another, which has neither: the next statement fails on the missing stage.
type store struct {
	pool *pgxpool.Pool
	own  postgres.Scope
	// reconciled tells the feed of intents, in the transaction of their matches.
	reconciled Reconciled
}

// Reconciled raises the versions of intents and appends their payment_intent.reconciled, within tx.
type Reconciled func(ctx context.Context, tx pgx.Tx, intentIDs []string, now time.Time) error

// openStore opens a session of its own beside the pool.
func openStore(ctx context.Context, pool *pgxpool.Pool, scope recon.Scope, tell Reconciled) (store, error) {
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	cfg.MaxConnLifetime, cfg.MaxConnIdleTime = 7*24*time.Hour, 7*24*time.Hour
	// A day's join is no request: it may take what it takes.
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	one, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return store{}, err
	}
	return store{pool: one, own: postgres.NewScope("partner_id", scope.PartnerID, "mode", scope.Mode), reconciled: tell}, nil
}

func (s store) closeStore() { s.pool.Close() }

func (s store) tx(ctx context.Context, name string, fn func(context.Context, pgx.Tx) error) error {
	return postgres.InTx(ctx, s.pool, s.own, name, fn)
}

func (s store) txAcross(ctx context.Context, name string, fn func(context.Context, pgx.Tx) error) error {
	return postgres.InTx(ctx, s.pool, everybody, name, fn)
}

func ignoreNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

func pgDate(d time.Time) pgtype.Date { return pgtype.Date{Time: d, Valid: true} }

// holder is a partner, in a mode, that has a contract.
type holder struct{ partnerID, mode string }

// holders are those who have the contract, the first of them asked about what nobody knows.
func holders(ctx context.Context, pool *pgxpool.Pool, provider, contract string) ([]holder, error) {
	var all []holder
	err := postgres.InReadTx(ctx, pool, everybody, "recon.holders", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ReconHolders(ctx, pgwdb.ReconHoldersParams{Provider: provider, ContractID: contract})
		for _, r := range rows {
			all = append(all, holder{r.PartnerID, r.Mode})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("holders of %s %s: %w", provider, contract, err)
	}
	return all, nil
}

// contract is one provider's name for one of our merchants.
type contract struct{ provider, id string }

// activeContracts took or gave money in the window.
func activeContracts(ctx context.Context, pool *pgxpool.Pool, provider string, from, until time.Time) ([]contract, error) {
	var all []contract
	err := postgres.InReadTx(ctx, pool, everybody, "recon.contracts", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).ReconActiveContracts(ctx, pgwdb.ReconActiveContractsParams{Provider: provider, FromAt: &from, UntilAt: &until})
		for _, r := range rows {
			all = append(all, contract{r.Provider, r.ContractID})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("active contracts: %w", err)
	}
	return all, nil
}

func (s *session) tryLock(ctx context.Context) (locked bool, err error) {
	err = s.tx(ctx, "recon.lock", func(ctx context.Context, tx pgx.Tx) error {
		locked, err = pgwdb.New(tx).ReconTryLock(ctx, s.lockName())
		return err
	})
	return locked, err
}

func (s *session) lockName() string {
	return s.scope.PartnerID + " " + s.scope.Mode + " " + s.scope.Provider + " " + s.scope.ContractID
}

// unlock gives the contract up now: the server would do so only when it notices that the connection is closed.
func (s *session) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.tx(ctx, "recon.unlock", func(ctx context.Context, tx pgx.Tx) error {
		return pgwdb.New(tx).ReconUnlock(ctx, s.lockName())
	})
}

// begun is what a run finds of itself.
type begun struct {
	version   int32 // complete
	continued bool  // a run before this one was killed or failed while it wrote
}

func (s *session) begin(ctx context.Context, now time.Time) (b begun, err error) {
	err = s.tx(ctx, "recon.begin", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		row, err := pgwdb.New(tx).BeginReconRun(ctx, pgwdb.BeginReconRunParams{
			ID: s.runID, PartnerID: p.PartnerID, Mode: p.Mode, Provider: p.Provider, ContractID: p.ContractID, Day: pgDate(s.day), Now: now,
		})
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		b = begun{version: row.Version, continued: row.Writing != nil}
		return nil
	})
	return b, err
}

// peek is begin for a dry run.
func (s *session) peek(ctx context.Context, b *begun) error {
	return s.tx(ctx, "recon.peek", func(ctx context.Context, tx pgx.Tx) error {
		row, err := pgwdb.New(tx).ReconRun(ctx, s.runID)
		if err == nil {
			*b = begun{version: row.Version, continued: row.Writing != nil}
		}
		return ignoreNone(err)
	})
}

func (s *session) stage(ctx context.Context, stage string, now time.Time) error {
	return s.tx(ctx, "recon.progress", func(ctx context.Context, tx pgx.Tx) error {
		return pgwdb.New(tx).ReconRunStage(ctx, pgwdb.ReconRunStageParams{ID: s.runID, Stage: stage, Now: now})
	})
}

// beginVersion records the file and that a version is being written: from here on a killed run is continued.
func (s *session) beginVersion(ctx context.Context, f source.File, sum, location string, now time.Time) (fileVersion int32, made bool, err error) {
	err = s.tx(ctx, "recon.version", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		row, err := q.KeepReconFile(ctx, pgwdb.KeepReconFileParams{
			RunID: s.runID, Sha256: sum, PartnerID: s.scope.PartnerID, Mode: s.scope.Mode, Name: f.Name, Bytes: f.Bytes, Location: location,
			ReceivedAt: f.ReceivedAt, ReceivedBy: audit.Matcher.ID,
		})
		if err != nil {
			return fmt.Errorf("file: %w", err)
		}
		fileVersion, made = row.Version, row.Made
		if err := q.BeginReconVersion(ctx, pgwdb.BeginReconVersionParams{ID: s.runID, Now: now}); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		if !made {
			return nil
		}
		return audit.Append(ctx, tx, s.entry("file.received", now, map[string]any{
			"name": f.Name, "sha256": sum, "bytes": f.Bytes, "version": row.Version, "location": location, "received_at": f.ReceivedAt,
		}))
	})
	return fileVersion, made, err
}

// unchanged closes a run that found nothing to write.
func (s *session) unchanged(ctx context.Context, version int32, status string, now time.Time) error {
	return s.tx(ctx, "recon.unchanged", func(ctx context.Context, tx pgx.Tx) error {
		if err := pgwdb.New(tx).EndReconRun(ctx, pgwdb.EndReconRunParams{ID: s.runID, Status: status, Version: version, Now: now}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, s.entry("run.repeated", now, map[string]any{"version": version, "status": status}))
	})
}

func (s *session) fail(ctx context.Context, cause error, now time.Time) error {
	return s.tx(ctx, "recon.fail", func(ctx context.Context, tx pgx.Tx) error {
		reason := cause.Error()
		if err := pgwdb.New(tx).FailReconRun(ctx, pgwdb.FailReconRunParams{ID: s.runID, Error: &reason, Now: now}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, s.entry("run.failed", now, map[string]any{"error": reason}))
	})
}

// result reads a complete version.
func (s *session) result(ctx context.Context, version int32) (sum string, figures recon.Figures, err error) {
	err = s.tx(ctx, "recon.result", func(ctx context.Context, tx pgx.Tx) error {
		sum, figures, err = recon.Result(ctx, tx, s.runID, version)
		return err
	})
	return sum, figures, err
}

// rows are the rows of a complete version.
func (s *session) rows(ctx context.Context, version int32) recon.Rows {
	return recon.StoredRows(ctx, func(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
		return s.tx(ctx, "recon.report", fn)
	}, s.runID, version)
}
