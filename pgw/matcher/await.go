package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/source"
	"github.com/mpac-cloud/mpac/platform/clock"
)

// yesterday is the date that a schedule names.
const yesterday = "yesterday"

// tokyo is where the providers' days begin.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

func dayBefore(now time.Time) string { return now.In(tokyo).AddDate(0, 0, -1).Format(time.DateOnly) }

// lookEvery is how often files are looked for.
const lookEvery = 5 * time.Minute

// fromBucket makes a source in S3 a folder of this task: mirror brings it up to date, done removes it. For a folder both do nothing.
func fromBucket(ctx context.Context, o *run.Options) (mirror func(context.Context) error, done func(), err error) {
	if !source.InBucket(o.Source) {
		return func(context.Context) error { return nil }, func() {}, nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("source: %w", err)
	}
	dir, err := os.MkdirTemp("", "settlement-*")
	if err != nil {
		return nil, nil, fmt.Errorf("source: %w", err)
	}
	client, bucket, day := s3.NewFromConfig(cfg), o.Source, o.Date
	o.Source = dir
	mirror = func(ctx context.Context) error { return source.Mirror(ctx, client, bucket, day, dir) }
	return mirror, func() { _ = os.RemoveAll(dir) }, nil
}

// awaitFiles matches files as they come and returns when the day can be reported: all are there, one is late, something failed.
func awaitFiles(ctx context.Context, m run.Matcher, o run.Options, mirror func(context.Context) error) error {
	deadline, err := lastHour(o, m.Config.LateAfter)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (run.Summary, error) {
		if err := mirror(ctx); err != nil {
			return run.Summary{}, err
		}
		return m.Day(ctx, o, func(run.Outcome) error { return nil })
	}
	return await(ctx, m.Clock, deadline, look, func(ctx context.Context, sum run.Summary) error {
		m.Say("%s: waiting for %d more, looking again in %s", o.Date, len(sum.Waiting), lookEvery)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
			return nil
		}
	})
}

// lastHour is when the last provider's file of the day is late.
func lastHour(o run.Options, lateAfter time.Duration) (time.Time, error) {
	var last time.Time
	for _, f := range format.All {
		_, to, err := f.Bounds(o.Date)
		if err != nil {
			return last, fmt.Errorf("date %q is not of the form 2026-11-21", o.Date)
		}
		if to = to.Add(lateAfter); to.After(last) {
			last = to
		}
	}
	return last, nil
}

// await looks until nothing is waited for, or the deadline has passed. Failures other than a file's absence end it at once: the run
// that follows tells them.
func await(ctx context.Context, now clock.Clock, deadline time.Time, look func(context.Context) (run.Summary, error), pause func(context.Context, run.Summary) error) error {
	for {
		sum, err := look(ctx)
		absent := errors.Is(err, run.ErrNoFile)
		if err == nil && len(sum.Waiting) == 0 || err != nil && !absent || errors.Is(err, run.ErrLate) || now().After(deadline) {
			return nil
		}
		if err := pause(ctx, sum); err != nil {
			return fmt.Errorf("waiting for files: %w", err)
		}
	}
}
