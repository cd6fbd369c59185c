package command

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// flushWithin is how long a command waits at its end for its own telemetry to leave.
const flushWithin = time.Second

// traced runs the command line as one span, sent where the standard OTEL_ variables say; with none of them set it costs nothing.
// What the command asks of the platform is a part of its trace.
func traced(ctx context.Context, root *cobra.Command) error {
	stop, err := telemetry.Start(ctx, "mpac", service.Version)
	if err != nil {
		return root.ExecuteContext(ctx)
	}
	// mpac speaks to people by itself and keeps no log.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer cancel()
		_ = stop(last)
	}()
	ctx, span := telemetry.Tracer().Start(ctx, "mpac")
	defer span.End()
	ran, err := root.ExecuteContextC(ctx)
	if ran != nil {
		span.SetName(ran.CommandPath())
		span.SetAttributes(attribute.String(names.SpanCommand, ran.CommandPath()))
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
