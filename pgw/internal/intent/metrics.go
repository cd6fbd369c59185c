package intent

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
)

var (
	meter    = otel.Meter("pgw/intent")
	moves, _ = meter.Int64Counter("pgw.intent.events",
		metric.WithDescription("What happened to PaymentIntents and refunds, by event, provider and method"))
	moved, _ = meter.Int64Counter("pgw.money.moved", metric.WithUnit("{minor_unit}"),
		metric.WithDescription("Money taken, minor unit, by currency, provider and method"))
)

// count is called when the events are written. A transaction that is undone after that is counted too: rare, and not money.
func (in *Intent) count(ctx context.Context) {
	for _, t := range in.told {
		by := metric.WithAttributes(attribute.String("event", string(t.kind)), attribute.String("provider", in.Provider), attribute.String("method", in.MethodType))
		moves.Add(ctx, 1, by)
		if t.kind == event.IntentSucceeded {
			moved.Add(ctx, in.CapturedAmount, metric.WithAttributes(attribute.String("currency", string(in.Amount.Currency)),
				attribute.String("provider", in.Provider), attribute.String("method", in.MethodType)))
		}
	}
}
