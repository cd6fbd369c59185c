package event

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/propagation"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
)

// Append writes events in the transaction of the change they tell, in the order given. They get their positions after the
// commit. Call it after the row of the intent is locked or updated: that is what keeps an intent's versions in order.
func Append(ctx context.Context, tx pgx.Tx, events ...Event) error {
	q := pgwdb.New(tx)
	for _, e := range events {
		e = e.withID()
		data, err := e.data()
		if err != nil {
			return err
		}
		err = q.AppendEvent(ctx, pgwdb.AppendEventParams{
			ID: e.ID, PartnerID: e.PartnerID, Mode: e.Mode, MerchantID: e.MerchantID, PaymentIntentID: e.PaymentIntentID,
			Version: e.Version, Type: string(e.Type), Data: data, Traceparent: traceparent(ctx), CreatedAt: e.At,
		})
		if err != nil {
			return fmt.Errorf("append %s of %s: %w", e.Type, e.PaymentIntentID, err)
		}
	}
	return nil
}

// traceparent is the W3C trace context of ctx, nil without a span.
func traceparent(ctx context.Context) *string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if parent := carrier["traceparent"]; parent != "" {
		return &parent
	}
	return nil
}
