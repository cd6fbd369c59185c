// Package partition makes the days to come of svc-smarttab's large tables, and drops the days past their retention. The tables,
// and what may be done to them, are the database's to say: migration 0020 explains it.
package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Ahead is how many days are made before they begin: the upkeep may be down for a long week-end.
const Ahead = 7

// scope sees every tenant: the functions look for rows of any of them.
var scope = postgres.CrossTenant("smarttab.partitions")

// Keeper keeps the partitions.
type Keeper struct {
	db    *pgxpool.Pool
	clock clock.Clock
	kept  atomic.Bool
}

// New keeps the partitions of the database.
func New(db *pgxpool.Pool, now clock.Clock) *Keeper { return &Keeper{db: db, clock: now} }

// Report counts what one upkeep did. Stray days stay in DEFAULT, because rows of them were there first.
type Report struct{ Made, Dropped, Stray int }

type task struct {
	action, table string
	day           time.Time
}

// Keep does what there is to do now, each in a transaction of its own. An error does not keep the rest from being done.
func (k *Keeper) Keep(ctx context.Context) (Report, error) {
	today := k.clock().UTC()
	var tasks []task
	err := postgres.InReadTx(ctx, k.db, scope, "smarttab.partition.work", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT action, table_name, day FROM smarttab.partition_work($1::date, $2)", today, Ahead)
		if err != nil {
			return err
		}
		tasks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (task, error) {
			var t task
			return t, row.Scan(&t.action, &t.table, &t.day)
		})
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("partitions: %w", err)
	}
	var report Report
	var failed []error
	for _, t := range tasks {
		if err := k.do(ctx, t, today, &report); err != nil {
			failed = append(failed, fmt.Errorf("partition %s of %s: %w", t.day.Format(time.DateOnly), t.table, err))
		}
	}
	if len(failed) == 0 {
		k.kept.Store(true)
	}
	if report != (Report{}) {
		slog.InfoContext(ctx, "partitions", "made", report.Made, "dropped", report.Dropped, "stray", report.Stray)
	}
	return report, errors.Join(failed...)
}

func (k *Keeper) do(ctx context.Context, t task, today time.Time, report *Report) error {
	return postgres.InTx(ctx, k.db, scope, "smarttab.partition."+t.action, func(ctx context.Context, tx pgx.Tx) error {
		if t.action == "drop" {
			var dropped bool
			err := tx.QueryRow(ctx, "SELECT smarttab.partition_drop($1, $2::date, $3::date)", t.table, t.day, today).Scan(&dropped)
			if dropped {
				report.Dropped++
			}
			return err
		}
		var outcome string
		if err := tx.QueryRow(ctx, "SELECT smarttab.partition_make($1, $2::date)", t.table, t.day).Scan(&outcome); err != nil {
			return err
		}
		switch outcome {
		case "made":
			report.Made++
		case "stray":
			report.Stray++
			slog.WarnContext(ctx, "rows came before their day's partition", "table", t.table, "day", t.day.Format(time.DateOnly))
		}
		return nil
	})
}

// Ready is nil once the partitions have been made by this process: before that, rows would land in DEFAULT.
func (k *Keeper) Ready(ctx context.Context) error {
	if k.kept.Load() {
		return nil
	}
	_, err := k.Keep(ctx)
	return err
}

// Figures reads how many rows are in DEFAULT partitions, counted up to 1000 a table.
func (k *Keeper) Figures() stats.Read {
	return stats.Read{Name: "partitions", Of: []*names.Observed{names.PartitionStrays}, Take: func(ctx context.Context, say names.Say) error {
		var strays int64
		err := postgres.InReadTx(ctx, k.db, scope, "smarttab.partition.figures", func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT coalesce(sum(strays), 0)::bigint FROM smarttab.partition_strays()").Scan(&strays)
		})
		if err != nil {
			return fmt.Errorf("rows in DEFAULT partitions: %w", err)
		}
		say(names.PartitionStrays, float64(strays), names.Database.Is("mpacdb"))
		return nil
	}}
}

// KeepAt is Keep with the owner's address, for the end of a migration.
func KeepAt(ctx context.Context, url string, now clock.Clock) (Report, error) {
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		return Report{}, errors.New("DATABASE_URL cannot be parsed")
	}
	defer db.Close()
	return New(db, now).Keep(ctx)
}
