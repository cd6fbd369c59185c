package event

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Status is how the numbering of events is, as people see it.
type Status struct {
	Waiting int64     // committed events without a position, up to 10000
	Leaders []Session // who holds the lease: one, or none for half a second
	Long    []Session // transactions of the gateway's role that have been open for long: events of theirs come when they end
}

// Session is a connection to the database.
type Session struct {
	PID     int32
	Address string
	At      time.Time // of a leader, when it was last heard of; of a transaction, its begin
	Query   string
}

// longOpen is from when a transaction is worth a look.
const longOpen = 10 * time.Second

// ReadStatus looks.
func ReadStatus(ctx context.Context, db *pgxpool.Pool) (s Status, err error) {
	if s.Waiting, err = (&Sequencer{db: db}).waiting(ctx); err != nil {
		return s, err
	}
	err = postgres.InReadTx(ctx, db, everyFeed, "pgw.event.status", func(ctx context.Context, tx pgx.Tx) error {
		s.Leaders, err = sessions(ctx, tx, `JOIN pg_locks l ON l.pid = a.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND ((l.classid::bigint << 32) | l.objid::bigint) = `+leaseKey, "query_start")
		if err != nil {
			return err
		}
		s.Long, err = sessions(ctx, tx, `WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
			AND a.xact_start < now() - interval '`+longOpen.String()+`'`, "xact_start")
		return err
	})
	return s, err
}

func sessions(ctx context.Context, tx pgx.Tx, which, since string) ([]Session, error) {
	rows, err := tx.Query(ctx, `SELECT a.pid, coalesce(host(a.client_addr), 'local'), a.`+since+`, left(a.query, 80) FROM pg_stat_activity a `+which+` ORDER BY 3`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
}
