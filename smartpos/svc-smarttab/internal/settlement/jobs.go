package settlement

import (
	"context"

	"github.com/riverqueue/river"
)

// AddWorkers registers the package's jobs.
func (s *Service) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &reconcileWorker{service: s})
}

type reconcileWorker struct {
	river.WorkerDefaults[ReconcileArgs]
	service *Service
}

// Work looks whether a day that has just been closed is reconciled already.
func (w *reconcileWorker) Work(ctx context.Context, job *river.Job[ReconcileArgs]) error {
	return w.service.reconcileClosed(ctx, job.Args)
}
