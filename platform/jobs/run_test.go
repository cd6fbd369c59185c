package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// slow is at work until somebody says that it may end.
type slow struct {
	river.WorkerDefaults[chore]
	began, mayEnd chan struct{}
}

func (w *slow) Work(ctx context.Context, _ *river.Job[chore]) error {
	close(w.began)
	<-w.mayEnd
	return ctx.Err()
}

func TestTheEndWaitsForJobsUnderWay(t *testing.T) {
	t.Parallel()
	q, _, ids := queueOf(t, 1, 0)
	worker := &slow{began: make(chan struct{}), mayEnd: make(chan struct{})}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	client, err := New(q.DB, Options{Schema: q.Schema, Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := Begin(ctx, client)
	<-worker.began
	cancel() // the service is told to stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	select {
	case <-ended:
		t.Error("it ended with a job under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(worker.mayEnd)
	<-ended
	if state, _, _ := q.stateOf(t, ids[0]); state != "completed" {
		t.Errorf("the job is %s", state)
	}
}

func TestWithoutADatabaseItEndsAllTheSame(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	client, err := New(pool, Options{Schema: "queue", Workers: river.NewWorkers()})
	if err != nil {
		t.Fatal(err)
	}
	Begin(t.Context(), client)()
}
