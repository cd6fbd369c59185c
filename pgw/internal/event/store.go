package event

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Append writes events in the transaction of the change they tell, in the order given, in one round trip. They get their
// positions after the commit. Call it after the row of the intent is locked or updated: that is what keeps an intent's versions
// in order.
func Append(ctx context.Context, tx pgx.Tx, events ...Event) error {
	switch len(events) {
	case 0:
		return nil
	case 1:
		return appendOne(ctx, tx, events[0].withID())
	}
	var all pgwdb.AppendEventsParams
	for _, e := range events {
		e = e.withID()
		data, err := e.data()
		if err != nil {
			return err
		}
		all.Ids, all.PartnerIds, all.Modes = append(all.Ids, e.ID), append(all.PartnerIds, e.PartnerID), append(all.Modes, e.Mode)
		all.MerchantIds, all.PaymentIntentIds = append(all.MerchantIds, e.MerchantID), append(all.PaymentIntentIds, e.PaymentIntentID)
		all.Versions, all.Types = append(all.Versions, e.Version), append(all.Types, string(e.Type))
		all.Data, all.CreatedAt = append(all.Data, string(data)), append(all.CreatedAt, e.At)
	}
	all.Traceparent = traceparent(ctx)
	if err := pgwdb.New(tx).AppendEvents(ctx, all); err != nil {
		return fmt.Errorf("append %d events, the first %s of %s: %w", len(events), events[0].Type, events[0].PaymentIntentID, err)
	}
	return nil
}

func appendOne(ctx context.Context, tx pgx.Tx, e Event) error {
	data, err := e.data()
	if err != nil {
		return err
	}
	err = pgwdb.New(tx).AppendEvent(ctx, pgwdb.AppendEventParams{
		ID: e.ID, PartnerID: e.PartnerID, Mode: e.Mode, MerchantID: e.MerchantID, PaymentIntentID: e.PaymentIntentID,
		Version: e.Version, Type: string(e.Type), Data: data, Traceparent: traceparent(ctx), CreatedAt: e.At,
	})
	if err != nil {
		return fmt.Errorf("append %s of %s: %w", e.Type, e.PaymentIntentID, err)
	}
	return nil
}

// traceparent is the W3C trace context of ctx, nil without a span.
func traceparent(ctx context.Context) *string {
	if parent := telemetry.Traceparent(ctx); parent != "" {
		return &parent
	}
	return nil
}
