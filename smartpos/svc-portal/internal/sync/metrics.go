package sync

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Measure publishes how many changes wait for the gateway and how long the oldest has: an alarm when they do not go out.
func (o *Outbox) Measure() error {
	meter := otel.Meter("sync")
	pending, err := meter.Int64ObservableGauge("mpac.sync.pending", metric.WithDescription("Changes that the payment gateway has yet to hear."))
	if err != nil {
		return err
	}
	oldest, err := meter.Float64ObservableGauge("mpac.sync.oldest.age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest change that the payment gateway has yet to hear."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, observer metric.Observer) error {
		n, age, err := o.Backlog(ctx)
		if err != nil {
			return err
		}
		observer.ObserveInt64(pending, n)
		observer.ObserveFloat64(oldest, age.Seconds())
		return nil
	}, pending, oldest)
	return err
}
