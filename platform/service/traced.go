package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// What a command says of itself in its Annotations, for its telemetry.
const (
	// Job is a command that works for long, whose metrics and log are sent too.
	Job = "mpac.job"
	// Counts is a command that settles payments as the service does: what it counts is sent too, as the service's. Whoever opens what
	// it works on shows its counters at zero first (telemetry.FlushMetrics).
	Counts = "mpac.counts"
	// Untraced is a command that runs until it is stopped, or every few seconds: it has no span.
	Untraced = "mpac.untraced"
)

// flushWithin is how long a command waits at its end for its own telemetry to leave.
const flushWithin = 2 * time.Second

// traced makes each run of a command, or of those below it, a span of the command's name.
func (s Service[C]) traced(all ...*cobra.Command) {
	for _, cmd := range all {
		s.traced(cmd.Commands()...)
		if _, not := cmd.Annotations[Untraced]; not || cmd.RunE == nil {
			continue
		}
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.runTraced(cmd, args, run) }
	}
}

func (s Service[C]) runTraced(cmd *cobra.Command, args []string, run func(*cobra.Command, []string) error) error {
	if _, job := cmd.Annotations[Job]; job {
		return WithTelemetry(cmd.Context(), s.Name, func(ctx context.Context) error { return inSpan(ctx, cmd, args, run) })
	}
	_, counts := cmd.Annotations[Counts]
	stop, err := telemetry.StartCommand(cmd.Context(), s.Name, Version, counts)
	if err != nil || stop == nil { // told nonsense, or nothing: the command does its work
		return run(cmd, args)
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), flushWithin)
		defer cancel()
		telemetry.FlushMetrics(last) // before what only explains
		if err := stop(last); err != nil {
			slog.Debug("telemetry: flush", "error", err)
		}
	}()
	return inSpan(cmd.Context(), cmd, args, run)
}

func inSpan(ctx context.Context, cmd *cobra.Command, args []string, run func(*cobra.Command, []string) error) error {
	ctx, span := telemetry.Tracer().Start(ctx, cmd.CommandPath(), trace.WithAttributes(attribute.String(names.SpanCommand, cmd.CommandPath())))
	cmd.SetContext(ctx)
	err := run(cmd, args)
	// Who ends with a code of its own has done its work and says something by it.
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		span.SetAttributes(attribute.Int(names.SpanExitCode, coded.ExitCode()))
		span.End()
		return err
	}
	telemetry.End(span, err)
	return err
}
