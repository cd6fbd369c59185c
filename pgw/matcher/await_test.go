package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/run"
	"github.com/mpac-cloud/mpac/platform/clock"
)

func TestDayBefore(t *testing.T) {
	t.Parallel()
	// 02:00 in Tokyo is still the day before in UTC, and the day to reconcile.
	if got := dayBefore(time.Date(2026, 11, 21, 17, 0, 0, 0, time.UTC)); got != "2026-11-21" {
		t.Errorf("at 02:00 in Tokyo yesterday is %s", got)
	}
	if got := dayBefore(time.Date(2026, 12, 31, 14, 59, 0, 0, time.UTC)); got != "2026-12-30" {
		t.Errorf("a minute before midnight in Tokyo yesterday is %s", got)
	}
}

func TestLastHour(t *testing.T) {
	t.Parallel()
	got, err := lastHour(run.Options{Date: "2026-11-21"}, 10*time.Hour+30*time.Minute)
	if want := time.Date(2026, 11, 22, 10, 30, 0, 0, tokyo); err != nil || !got.Equal(want) {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if _, err := lastHour(run.Options{Date: "today"}, 0); err == nil {
		t.Error("no error of a date that is none")
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 2, 0, 0, 0, tokyo)
	deadline := start.Add(8*time.Hour + 30*time.Minute)
	waiting := run.Summary{Waiting: []string{"paypay contract 1"}}
	broken := errors.New("the file is not a settlement file")
	for _, c := range []struct {
		what   string
		looks  []error // what each look finds; nil with waiting until the last
		pauses int
	}{
		{"all there at once", []error{nil}, 0},
		{"there at the third look", []error{run.ErrNoFile, run.ErrNoFile, nil}, 2},
		{"late", []error{run.ErrNoFile, fmt.Errorf("%w: %w", run.ErrNoFile, run.ErrLate)}, 1},
		{"broken", []error{run.ErrNoFile, broken}, 1},
	} {
		now := clock.NewManual(start)
		looked, paused := 0, 0
		err := await(context.Background(), now.Now, deadline, func(context.Context) (run.Summary, error) {
			looked++
			return run.Summary{}, c.looks[looked-1]
		}, func(context.Context, run.Summary) error { paused++; now.Advance(lookEvery); return nil })
		if err != nil || paused != c.pauses || looked != len(c.looks) {
			t.Errorf("%s: %v, %d looks, %d pauses", c.what, err, looked, paused)
		}
	}
	// Nobody ever sends a file, and nobody is late: it ends with the hour.
	now := clock.NewManual(start)
	if err := await(context.Background(), now.Now, deadline, func(context.Context) (run.Summary, error) { return waiting, nil },
		func(context.Context, run.Summary) error { now.Advance(lookEvery); return nil }); err != nil || now.Now().Before(deadline) {
		t.Errorf("ended at %s (%v)", now.Now(), err)
	}
	// A task that is stopped does not wait.
	if err := await(context.Background(), clock.NewManual(start).Now, deadline, func(context.Context) (run.Summary, error) { return waiting, nil },
		func(context.Context, run.Summary) error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
