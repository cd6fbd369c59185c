package signing

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
)

// RotateArgs ask whether a key's time is up.
type RotateArgs struct{}

// Kind names the job.
func (RotateArgs) Kind() string { return "rotate_keys" }

// Rotator works the job.
type Rotator struct {
	river.WorkerDefaults[RotateArgs]
	DB *DB
}

// Work rotates the keys whose time is up.
func (w *Rotator) Work(ctx context.Context, _ *river.Job[RotateArgs]) error {
	var all error
	for _, kind := range Kinds() {
		_, err := w.DB.Rotate(ctx, kind, false)
		all = errors.Join(all, err)
	}
	return all
}

// Hourly asks once an hour, whichever task leads.
func Hourly() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(time.Hour), func() (river.JobArgs, *river.InsertOpts) { return RotateArgs{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}
