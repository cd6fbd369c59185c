package pgwfeed

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// followTrace opens the span of an event's effect: a part of the trace in which the gateway made the change, so that a sale is one
// trace to its end. Of a reconciled payment the effect is a trace of its own, linked with the matcher's: that one has told of a day's
// payments, and would be one trace of them all. Events of a change that nobody traced begin one too.
func followTrace(ctx context.Context, n *news) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String(names.SpanEvent, n.ID), attribute.String(names.SpanEventType, n.Type))}
	told := telemetry.Within(ctx, n.Traceparent)
	if n.Type == reconciledType {
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.LinkFromContext(told)))
	} else {
		ctx = told
	}
	return telemetry.Tracer().Start(telemetry.WithTags(ctx), "event "+n.Type, options...)
}

// observe counts an event that has taken effect.
func observe(ctx context.Context, n *news, now time.Time) {
	names.FeedEvents.Add(ctx, 1, names.EventType.Is(typeOf(n)))
	names.FeedLag.Record(ctx, max(now.Sub(n.CreatedAt).Seconds(), 0))
}

// typeOf bounds the values of an attribute: a newer gateway may tell more.
func typeOf(n *news) string {
	if strings.HasPrefix(n.Type, intentPrefix) || strings.HasPrefix(n.Type, refundPrefix) {
		return n.Type
	}
	return "other"
}

// contacts is when each shard that this task reads last got an answer.
type contacts struct {
	mu   sync.Mutex
	last map[int32]time.Time
}

// begun notes that this task listens from now on, unless it did already: a gateway that is away interrupts the reading again and
// again, and its silence must go on counting.
func (c *contacts) begun(shard int32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[int32]time.Time{}
	}
	if _, listens := c.last[shard]; !listens {
		c.last[shard] = at
	}
}

// heard notes an answer.
func (c *contacts) heard(shard int32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[shard] = at
}

// gone notes that this task no longer listens.
func (c *contacts) gone(shard int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, shard)
}

// observeContact tells how long the gateway has been silent, by the task that listens.
func (r *Reader) observeContact() (stop func()) {
	return names.Observe(func(_ context.Context, say names.Say) {
		r.contacts.mu.Lock()
		defer r.contacts.mu.Unlock()
		oldest := time.Duration(-1)
		for _, at := range r.contacts.last {
			oldest = max(oldest, r.Clock().Sub(at), 0)
		}
		if oldest >= 0 {
			say(names.FeedContact, oldest.Seconds())
		}
	}, names.FeedContact)
}

// Figures reads how many events are parked: the figure to alarm on.
func (r *Reader) Figures() stats.Read {
	return stats.Read{Name: "feed", Of: []*names.Observed{names.FeedParked}, Take: func(ctx context.Context, say names.Say) error {
		n, err := r.Parked(ctx)
		if err != nil {
			return fmt.Errorf("parked events: %w", err)
		}
		say(names.FeedParked, float64(n))
		return nil
	}}
}
