// Package partition makes the daily partitions of the gateway's large tables ahead of time and drops those past retention.
//
// A row of a day without a partition goes to its table's DEFAULT partition. Nothing is lost then: it is found and counted as
// everywhere else, the gauge mpac.partition.strays rises (an alarm when it stays up), and the next run makes the day's
// partition and moves the row there. Which tables, and how long each keeps its days, is in pgw.partitioned_tables.
package partition

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Config is how far ahead partitions are made.
type Config struct {
	Ahead int32 `env:"PARTITION_DAYS_AHEAD" envDefault:"7" doc:"days for which partitions are made ahead"`
}

// Keeper looks after the partitions.
type Keeper struct {
	db    *pgxpool.Pool
	now   clock.Clock
	ahead int32
}

// New makes a Keeper.
func New(db *pgxpool.Pool, now clock.Clock, cfg Config) *Keeper {
	return &Keeper{db: db, now: now, ahead: cfg.Ahead}
}

var allTenants = postgres.CrossTenant("pgw.partitions")

// rounds bounds one run: each round finds one more day in a DEFAULT partition.
const rounds = 10

// Report is what one run did.
type Report struct{ Made, Dropped int }

// Maintain makes and drops what is due. Each partition is a transaction of its own that waits two seconds at most for its
// locks; what could not be done is in the error and left to the next run.
func (k *Keeper) Maintain(ctx context.Context) (Report, error) {
	var report Report
	for range rounds {
		work, err := k.work(ctx)
		if err != nil || len(work) == 0 {
			return report, errors.Join(err, k.count(ctx))
		}
		var failed []error
		for _, w := range work {
			if err := k.do(ctx, w); err != nil {
				failed = append(failed, err)
				continue
			}
			if w.Action == "drop" {
				report.Dropped++
			} else {
				report.Made++
			}
		}
		if len(failed) > 0 {
			return report, errors.Join(append(failed, k.count(ctx))...)
		}
	}
	return report, k.count(ctx)
}

func (k *Keeper) work(ctx context.Context) (work []pgwdb.PartitionWorkRow, err error) {
	err = postgres.InReadTx(ctx, k.db, allTenants, "pgw.partition.work", func(ctx context.Context, tx pgx.Tx) error {
		work, err = pgwdb.New(tx).PartitionWork(ctx, pgwdb.PartitionWorkParams{At: k.now(), Ahead: k.ahead})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	return work, nil
}

func (k *Keeper) do(ctx context.Context, w pgwdb.PartitionWorkRow) error {
	err := postgres.InTx(ctx, k.db, allTenants, "pgw.partition."+w.Action, func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		if w.Action == "drop" {
			return q.PartitionDrop(ctx, pgwdb.PartitionDropParams{TableName: w.TableName, Day: w.Day})
		}
		return q.PartitionMake(ctx, pgwdb.PartitionMakeParams{TableName: w.TableName, Day: w.Day})
	})
	if err != nil {
		return fmt.Errorf("%s partition %s of %s: %w", w.Action, day(w.Day), w.TableName, err)
	}
	slog.InfoContext(ctx, "partition", "action", w.Action, "table", w.TableName, "day", day(w.Day))
	return nil
}

func day(d pgtype.Date) string { return d.Time.Format(time.DateOnly) }

// count measures what is still in DEFAULT partitions.
func (k *Keeper) count(ctx context.Context) error {
	return postgres.InReadTx(ctx, k.db, allTenants, "pgw.partition.strays", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).PartitionStrays(ctx)
		for _, r := range rows {
			if r.Strays > 0 {
				slog.ErrorContext(ctx, "rows in a DEFAULT partition", "table", r.TableName, "rows", r.Strays)
			}
		}
		return err
	})
}

// Figures reads how many rows are in DEFAULT partitions, counted up to 1000 a table.
func (k *Keeper) Figures() stats.Read {
	return stats.Read{Name: "partitions", Of: []*names.Observed{names.PartitionStrays}, Take: func(ctx context.Context, say names.Say) error {
		var strays int64
		err := postgres.InReadTx(ctx, k.db, allTenants, "pgw.partition.figures", func(ctx context.Context, tx pgx.Tx) error {
			rows, err := pgwdb.New(tx).PartitionStrays(ctx)
			for _, r := range rows {
				strays += r.Strays
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("rows in DEFAULT partitions: %w", err)
		}
		say(names.PartitionStrays, float64(strays), names.Database.Is("pgw"))
		return nil
	}}
}

// AfterMigrate makes the next days' partitions as the owner of the database, at the end of a migration. Rows may then land in
// them before any service runs.
func AfterMigrate(ctx context.Context, url string, progress io.Writer) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return errors.New("DATABASE_URL cannot be parsed")
	}
	defer pool.Close()
	report, err := New(pool, clock.System(0), Config{Ahead: 2}).Maintain(ctx)
	_, _ = fmt.Fprintf(progress, "partitions: %d made, %d dropped\n", report.Made, report.Dropped)
	return err
}
