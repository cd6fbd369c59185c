package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// newTracer makes spans of what goes to the database. They are called as the query is in queries/*.sql and hold neither its text,
// which is there to be read, nor its values.
func newTracer() pgx.QueryTracer {
	names.DBRepeated.AtZero()
	return otelpgx.NewTracer(otelpgx.WithSpanNameFunc(spanName),
		otelpgx.WithDisableSQLStatementInAttributes(), otelpgx.WithDisableConnectionDetailsInAttributes(), otelpgx.WithDisableAcquireTracer())
}

// spanName is a query's name at sqlc, else its first word.
func spanName(sql string) string {
	if named, ok := strings.CutPrefix(sql, "-- name: "); ok {
		name, _, _ := strings.Cut(named, " ")
		return "db " + name
	}
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	word, _, _ = strings.Cut(word, ";")
	return "db " + strings.ToLower(word)
}

// observePool tells how the pool is used.
func observePool(pool *pgxpool.Pool) {
	names.Observe(func(_ context.Context, say names.Say) {
		s := pool.Stat()
		say(names.DBPoolConnections, float64(s.AcquiredConns()), names.PoolState.Is("used"))
		say(names.DBPoolConnections, float64(s.IdleConns()), names.PoolState.Is("idle"))
		say(names.DBPoolLimit, float64(s.MaxConns()))
		say(names.DBPoolWait, s.EmptyAcquireWaitTime().Seconds())
	}, names.DBPoolConnections, names.DBPoolLimit, names.DBPoolWait)
}

// Figures reads PostgreSQL's own figures of the pool's database. name is the database's in metrics, whatever it is called where it
// runs. sessions is the function that counts the sessions of all roles: a role by itself sees its own alone.
func Figures(pool *pgxpool.Pool, name, sessions string) stats.Read {
	return stats.Read{
		Name: "postgresql",
		Of: []*names.Observed{
			names.PGConnections, names.PGLimit, names.PGTx, names.PGBlocks, names.PGRows, names.PGSize, names.PGDeadlocks, names.PGWaiting,
			names.PGOldestTx, names.PGDead, names.PGWraparound,
		},
		Take: func(ctx context.Context, say names.Say) error {
			f, err := readFigures(ctx, pool, sessions)
			if err != nil {
				return fmt.Errorf("postgresql's figures: %w", err)
			}
			f.say(names.Database.Is(name), say)
			return nil
		},
	}
}

type figures struct {
	Active, Idle, IdleInTransaction, Limit               float64
	Commits, Rollbacks, BlocksHit, BlocksRead            float64
	Inserted, Updated, Deleted, Fetched, Deadlocks, Size float64
	Waiting, OldestTx, Dead, Frozen                      float64
}

func readFigures(ctx context.Context, pool *pgxpool.Pool, sessions string) (figures, error) {
	rows, err := pool.Query(ctx, `
		WITH dead AS (SELECT coalesce(sum(n_dead_tup), 0) AS rows FROM pg_stat_user_tables)
		SELECT s.active::float8 AS active, s.idle::float8 AS idle, s.idle_in_transaction::float8 AS idle_in_transaction,
			current_setting('max_connections')::float8 AS "limit",
			d.xact_commit::float8 AS commits, d.xact_rollback::float8 AS rollbacks, d.blks_hit::float8 AS blocks_hit, d.blks_read::float8 AS blocks_read,
			d.tup_inserted::float8 AS inserted, d.tup_updated::float8 AS updated, d.tup_deleted::float8 AS deleted, d.tup_fetched::float8 AS fetched,
			d.deadlocks::float8 AS deadlocks, pg_database_size(current_database())::float8 AS size,
			(SELECT count(*) FROM pg_locks l WHERE NOT l.granted AND (l.database IS NULL OR l.database = d.datid))::float8 AS waiting,
			s.oldest AS oldest_tx,
			(SELECT rows FROM dead)::float8 AS dead,
			(SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database())::float8 AS frozen
		FROM pg_stat_database d, `+sessions+`() s WHERE d.datname = current_database()`)
	if err != nil {
		return figures{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[figures])
}

func (f figures) say(database attribute.KeyValue, say names.Say) {
	for state, n := range map[string]float64{"active": f.Active, "idle": f.Idle, "idle_in_transaction": f.IdleInTransaction} {
		say(names.PGConnections, n, database, names.ConnectionState.Is(state))
	}
	for outcome, n := range map[string]float64{"committed": f.Commits, "rolled_back": f.Rollbacks} {
		say(names.PGTx, n, database, names.TxOutcome.Is(outcome))
	}
	for source, n := range map[string]float64{"hit": f.BlocksHit, "read": f.BlocksRead} {
		say(names.PGBlocks, n, database, names.BlockSource.Is(source))
	}
	for operation, n := range map[string]float64{"inserted": f.Inserted, "updated": f.Updated, "deleted": f.Deleted, "fetched": f.Fetched} {
		say(names.PGRows, n, database, names.RowOperation.Is(operation))
	}
	for of, n := range map[*names.Observed]float64{
		names.PGLimit: f.Limit, names.PGSize: f.Size, names.PGDeadlocks: f.Deadlocks, names.PGWaiting: f.Waiting,
		names.PGOldestTx: f.OldestTx, names.PGDead: f.Dead, names.PGWraparound: f.Frozen,
	} {
		say(of, n, database)
	}
}
