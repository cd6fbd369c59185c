package jobs

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

const testRole = "jobs_test"

// testMigration is a database with nothing but a queue and the role that works it.
func testMigration() postgres.Migration {
	return postgres.Migration{
		Files: fstest.MapFS{"0001_role.sql": {Data: []byte(`-- +goose Up
-- +goose StatementBegin
DO $$ BEGIN CREATE ROLE jobs_test NOSUPERUSER NOBYPASSRLS; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- +goose StatementEnd
`)}},
		Queues: []postgres.JobQueue{{Schema: "queue", Role: testRole}}, Roles: []string{testRole},
	}
}

type chore struct {
	Of string `json:"of"`
}

func (chore) Kind() string { return "chore" }

// queueOf is a queue with jobs, of which the first `discarded` were given up.
func queueOf(t *testing.T, jobs, discarded int) (Queue, *pgtest.DB, []int64) {
	t.Helper()
	db := pgtest.New(t, testMigration())
	q := Queue{DB: db.Pool(testRole), Schema: "queue"}
	client, err := New(q.DB, Options{Schema: "queue"})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for i := range jobs {
		put, err := client.Insert(t.Context(), chore{Of: "example"}, &river.InsertOpts{MaxAttempts: 3})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, put.Job.ID)
		if i >= discarded {
			continue
		}
		_, err = q.DB.Exec(t.Context(), `UPDATE queue.river_job SET state = 'discarded', attempt = 3, finalized_at = now(),
			errors = ARRAY['{"attempt": 3, "error": "nobody answers\nand more"}'::jsonb] WHERE id = $1`, put.Job.ID)
		if err != nil {
			t.Fatal(err)
		}
	}
	return q, db, ids
}

func (q Queue) stateOf(t *testing.T, id int64) (state string, spare int, metadata string) {
	t.Helper()
	err := q.DB.QueryRow(t.Context(), `SELECT state::text, max_attempts - attempt, metadata::text FROM queue.river_job WHERE id = $1`, id).Scan(&state, &spare, &metadata)
	if err != nil {
		t.Fatal(err)
	}
	return state, spare, metadata
}

func TestWhatWasGivenUpIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	q, _, ids := queueOf(t, 3, 2)
	if err := q.Retry(t.Context(), ids); !errors.Is(err, ErrNotDiscarded) {
		t.Fatalf("one of three is not discarded: %v", err)
	}
	if state, _, _ := q.stateOf(t, ids[0]); state != "discarded" {
		t.Errorf("a refused retry has left it %s", state)
	}
	if err := q.Retry(t.Context(), []int64{ids[0], ids[1], ids[0]}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:2] {
		if state, spare, _ := q.stateOf(t, id); state != "available" || spare < 1 {
			t.Errorf("job %d is %s with %d attempts to spare", id, state, spare)
		}
	}
}

func TestDroppedIsKeptWithWhoAndWhy(t *testing.T) {
	t.Parallel()
	q, _, ids := queueOf(t, 1, 1)
	if err := q.Drop(t.Context(), ids, "A. Sato", "closed"); err != nil {
		t.Fatal(err)
	}
	state, _, metadata := q.stateOf(t, ids[0])
	if state != "cancelled" || !strings.Contains(metadata, "A. Sato") || !strings.Contains(metadata, "closed") {
		t.Errorf("%s %s", state, metadata)
	}
	if err := q.Drop(t.Context(), ids, "A. Sato", "again"); !errors.Is(err, ErrNotDiscarded) {
		t.Errorf("dropped twice: %v", err)
	}
}

// The commands as an operator types them.
func TestCommands(t *testing.T) {
	q, db, ids := queueOf(t, 4, 3)
	t.Setenv("DATABASE_URL", db.URL(testRole))
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := Commands("svc-example", q.Schema)
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		err := cmd.ExecuteContext(context.Background())
		return out.String(), err
	}
	listed, err := run("list", "--state", "discarded")
	if err != nil || strings.Count(listed, "chore") != 3 || !strings.Contains(listed, "nobody answers") || strings.Contains(listed, "and more") {
		t.Errorf("%v\n%s", err, listed)
	}
	for _, wrong := range [][]string{{"list", "--state", "lost"}, {"retry"}, {"retry", "--all", "1"}, {"retry", "x"}, {"drop", strconv.FormatInt(ids[0], 10)}, {"drop", strconv.FormatInt(ids[0], 10), "--by", "A. Sato", "--because", "an example"}} {
		if out, err := run(wrong...); err == nil {
			t.Errorf("%v: taken\n%s", wrong, out)
		}
	}
	if out, err := run("drop", strconv.FormatInt(ids[0], 10), "--by", "Sato@example.com", "--because", "an example"); err != nil || !strings.Contains(out, "1 jobs are dropped") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run("retry", "--all"); err != nil || !strings.Contains(out, "2 jobs are due again") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run("list", "--state", "discarded"); err != nil || !strings.Contains(out, "no jobs") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What an operator changes by hand, River's own worker then works.
func TestARetriedJobIsWorked(t *testing.T) {
	t.Parallel()
	q, db, ids := queueOf(t, 1, 1)
	if err := q.Retry(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	done := make(chan int64, 1)
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[chore]) error {
		done <- job.ID
		return nil
	}))
	client, err := New(db.Pool(testRole), Options{Schema: "queue", Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := client.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if id := <-done; id != ids[0] {
		t.Errorf("worked %d", id)
	}
	if err := client.Stop(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		t.Error(err)
	}
}
