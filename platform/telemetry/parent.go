package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// traceparent is the member of the W3C trace context that is kept: in jobs, events and rows.
const traceparent = "traceparent"

// Traceparent is the W3C trace context of ctx, for a row or an event that somebody goes on with later: 55 characters, or "" without
// a span.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// Within goes on with a trace that was kept by Traceparent: what begins in the returned context is a part of it, sampled or not as
// it was. ctx itself when there is none.
func Within(ctx context.Context, parent string) context.Context {
	kept := parse(parent)
	if !kept.IsValid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, kept)
}

func parse(parent string) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: parent})
	return trace.SpanContextFromContext(ctx)
}

// Relate notes on the span and the log lines of ctx that this is about the payment of another trace.
func Relate(ctx context.Context, parent string) {
	if kept := parse(parent); kept.IsValid() && kept.TraceID() != trace.SpanContextFromContext(ctx).TraceID() {
		Tag(ctx, names.SaleTraceID, kept.TraceID().String())
	}
}

// Rejoin begins a span in the trace that was kept by Traceparent, for the end of what that trace began. It is linked with the span of
// ctx, whose own trace goes on, and that one with it. Where ctx is in that trace already, or none was kept, there is nothing to
// join: ctx, and a span that is none. End ends either.
func Rejoin(ctx context.Context, parent, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	kept, here := parse(parent), trace.SpanFromContext(ctx)
	if !kept.IsValid() || kept.TraceID() == here.SpanContext().TraceID() {
		return ctx, noop.Span{}
	}
	if here.SpanContext().IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: here.SpanContext()}))
	}
	Relate(ctx, parent)
	ctx, span := Tracer().Start(trace.ContextWithRemoteSpanContext(ctx, kept), name, options...)
	here.AddLink(trace.Link{SpanContext: span.SpanContext()})
	return ctx, span
}

// End ends a span with what came of it.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
