package pgwfeed

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var meter = otel.Meter("github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/pgwfeed")

var (
	applied = must(meter.Int64Counter("smarttab.feed.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events of the payment gateway's feed that have taken effect, by type")))
	lag = must(meter.Float64Histogram("smarttab.feed.lag", metric.WithUnit("s"),
		metric.WithDescription("From an event's making at the gateway to its effect here"),
		metric.WithExplicitBucketBoundaries(.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300)))
)

func must[T any](instrument T, err error) T {
	if err != nil {
		panic(err) // a name that OpenTelemetry does not take: a programmer's error
	}
	return instrument
}

func observe(ctx context.Context, n *news, now time.Time) {
	applied.Add(ctx, 1, metric.WithAttributes(attribute.String("type", n.Type)))
	lag.Record(ctx, max(now.Sub(n.CreatedAt).Seconds(), 0))
}

// observeParked publishes how many events are parked: the figure to alarm on.
func (r *Reader) observeParked() error {
	_, err := meter.Int64ObservableGauge("smarttab.feed.parked", metric.WithUnit("{event}"),
		metric.WithDescription("Events of the payment gateway's feed that could not be applied"),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			n, err := r.Parked(ctx)
			if err == nil {
				o.Observe(n)
			}
			return err
		}))
	return err
}
