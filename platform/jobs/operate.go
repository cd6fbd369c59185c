package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Queue is a service's queue as its operators see it: no worker, only the rows.
type Queue struct {
	DB     *pgxpool.Pool
	Schema string // River's tables
}

// Row is a job.
type Row struct {
	ID          int64
	Kind, Args  string
	State       string
	Attempt     int
	ScheduledAt time.Time
	LastError   string // of its last attempt; "" when there was none
}

func (q Queue) table() string { return pgx.Identifier{q.Schema, "river_job"}.Sanitize() }

// List reads jobs of a state, or of all that are not done ("" as the state), of a kind ("": any), those due first, first.
func (q Queue) List(ctx context.Context, state, kind string, limit int) ([]Row, error) {
	var all []Row
	err := postgres.InReadTx(ctx, q.DB, postgres.Scope{}, "jobs.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, kind, args::text, state::text, attempt, scheduled_at, coalesce(errors[array_upper(errors, 1)]->>'error', '')
			FROM `+q.table()+` WHERE state NOT IN ('completed', 'cancelled') AND ($1 = '' OR state::text = $1) AND ($2 = '' OR kind = $2)
			ORDER BY scheduled_at, id LIMIT $3`, state, kind, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Row])
		return err
	})
	return all, err
}

// ErrNotDiscarded says that not all are discarded: only what was given up is taken up again or dropped by hand.
var ErrNotDiscarded = errors.New("no such job, or it is not discarded")

// Retry makes discarded jobs due at once, each with one more attempt to spare. All of them, or ErrNotDiscarded and none.
func (q Queue) Retry(ctx context.Context, ids []int64) error {
	return q.change(ctx, ids, `UPDATE `+q.table()+` SET state = 'available', scheduled_at = now(), finalized_at = NULL,
		max_attempts = greatest(max_attempts, attempt + 1) WHERE id = ANY($1) AND state = 'discarded'`)
}

// Drop gives discarded jobs up for good: they are kept as cancelled, with who said so and why, for as long as the queue keeps
// those. All of them, or ErrNotDiscarded and none.
func (q Queue) Drop(ctx context.Context, ids []int64, by, why string) error {
	return q.change(ctx, ids, `UPDATE `+q.table()+` SET state = 'cancelled', finalized_at = now(),
		metadata = metadata || jsonb_build_object('dropped_by', $2::text, 'dropped_because', $3::text)
		WHERE id = ANY($1) AND state = 'discarded'`, by, why)
}

func (q Queue) change(ctx context.Context, ids []int64, sql string, more ...any) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	return postgres.InTx(ctx, q.DB, postgres.Scope{}, "jobs.change", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, append([]any{ids}, more...)...)
		if err == nil && tag.RowsAffected() != int64(len(ids)) {
			err = ErrNotDiscarded
		}
		return err
	})
}

// states are those that an operator may ask for.
var states = []string{
	"", string(rivertype.JobStateAvailable), string(rivertype.JobStateDiscarded), string(rivertype.JobStateRetryable),
	string(rivertype.JobStateRunning), string(rivertype.JobStateScheduled),
}

func checkState(state string) error {
	if !slices.Contains(states, state) {
		return fmt.Errorf("--state %q: one of%s", state, strings.Join(states, " "))
	}
	return nil
}

// show writes jobs as a table; errors are cut to their first line.
func show(out io.Writer, rows []Row) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "no jobs")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ID\tKIND\tSTATE\tATTEMPT\tDUE\tARGUMENTS\tLAST ERROR")
	for _, r := range rows {
		first, _, _ := strings.Cut(r.LastError, "\n")
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.Kind, r.State, r.Attempt, r.ScheduledAt.UTC().Format(time.RFC3339), r.Args, first)
	}
	return t.Flush()
}
