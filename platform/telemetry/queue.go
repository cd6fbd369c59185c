package telemetry

import (
	"context"
	"sync/atomic"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// quota counts what waits between a request and the exporter, so that what is dropped can be counted exactly: the SDK's own
// queues drop too, but do not tell. At some 2 KB each, what may wait by our defaults is a few MB. One more is dropped at once: nobody
// waits for room.
type quota struct {
	most    int64
	waiting atomic.Int64
	signal  string
}

// take says whether one more may wait.
func (q *quota) take(ctx context.Context) bool {
	if q.waiting.Add(1) <= q.most {
		return true
	}
	q.waiting.Add(-1)
	q.dropped(ctx, 1)
	return false
}

func (q *quota) give(n int) { q.waiting.Add(-int64(n)) }

func (q *quota) dropped(ctx context.Context, n int) {
	names.TelemetryDropped.Add(ctx, int64(n), names.Signal.Is(q.signal))
}

// spanQueue is a batch processor with a quota.
type spanQueue struct {
	trace.SpanProcessor
	quota *quota
}

func newSpanQueue(exporter trace.SpanExporter) trace.SpanProcessor {
	room := most("OTEL_BSP_MAX_QUEUE_SIZE")
	q := &quota{most: int64(room), signal: "traces"}
	return &spanQueue{trace.NewBatchSpanProcessor(&spanExporter{exporter, q}, trace.WithMaxQueueSize(room)), q}
}

// OnEnd queues the span or drops it.
func (s *spanQueue) OnEnd(span trace.ReadOnlySpan) {
	if span.SpanContext().IsSampled() && s.quota.take(context.Background()) {
		s.SpanProcessor.OnEnd(span)
	}
}

// spanExporter takes secrets out of spans on their way out, and counts what could not be sent.
type spanExporter struct {
	next  trace.SpanExporter
	quota *quota
}

// ExportSpans sends a batch.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	e.quota.give(len(spans))
	clean := make([]trace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		clean[i] = redactSpan(s)
	}
	err := e.next.ExportSpans(ctx, clean)
	if err != nil {
		e.quota.dropped(context.WithoutCancel(ctx), len(spans))
	}
	return err
}

// Shutdown ends the exporter.
func (e *spanExporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

// logQueue is a batch processor with a quota.
type logQueue struct {
	sdklog.Processor
	quota *quota
}

func newLogQueue(exporter sdklog.Exporter) sdklog.Processor {
	room := most("OTEL_BLRP_MAX_QUEUE_SIZE")
	q := &quota{most: int64(room), signal: "logs"}
	return &logQueue{sdklog.NewBatchProcessor(&logExporter{exporter, q}, sdklog.WithMaxQueueSize(room)), q}
}

// OnEmit queues the record or drops it.
func (l *logQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !l.quota.take(ctx) {
		return nil
	}
	return l.Processor.OnEmit(ctx, r)
}

// logExporter counts what could not be sent.
type logExporter struct {
	sdklog.Exporter
	quota *quota
}

// Export sends a batch.
func (e *logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	e.quota.give(len(records))
	err := e.Exporter.Export(ctx, records)
	if err != nil {
		e.quota.dropped(context.WithoutCancel(ctx), len(records))
	}
	return err
}
