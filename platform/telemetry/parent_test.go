package telemetry

import (
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

const kept = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

//nolint:paralleltest // it sets the process's tracer
func TestRejoin(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	ctx, here := Tracer().Start(WithTags(t.Context()), "notification")
	joined, span := Rejoin(ctx, kept, "outcome")
	told := Traceparent(joined)
	_, again := Rejoin(joined, kept, "outcome of the outcome")
	End(again, nil)
	End(span, errors.New("it failed"))
	here.End()
	if !strings.Contains(told, "0af7651916cd43dd8448eb211c80319c") || len(told) != 55 || told == kept {
		t.Errorf("what is written in it carries %q", told)
	}
	if got := Tagged(ctx, names.SaleTraceID); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the notification's log lines name the trace %q", got)
	}
	ended := recorder.Ended()
	if len(ended) != 2 || ended[0].Name() != "outcome" || ended[1].Name() != "notification" {
		t.Fatalf("%d spans: one trace needs no span to join itself", len(ended))
	}
	outcome, notification := ended[0], ended[1]
	if outcome.Parent().SpanID().String() != "b7ad6b7169203331" || outcome.Status().Code != codes.Error {
		t.Errorf("the outcome is a child of %s, %v", outcome.Parent().SpanID(), outcome.Status())
	}
	if l := outcome.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != notification.SpanContext().SpanID() {
		t.Errorf("the outcome leads to %v", l)
	}
	if l := notification.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != outcome.SpanContext().SpanID() {
		t.Errorf("the notification leads to %v", l)
	}
	for _, none := range []string{"", "nonsense"} {
		if same, span := Rejoin(ctx, none, "x"); same != ctx || span.IsRecording() {
			t.Errorf("%q is a trace", none)
		}
	}
}

// What was not sampled is gone on with as it was.
func TestWithin(t *testing.T) {
	t.Parallel()
	for _, parent := range []string{kept, strings.TrimSuffix(kept, "01") + "00"} {
		if got := Traceparent(Within(t.Context(), parent)); got != parent {
			t.Errorf("%s became %s", parent, got)
		}
	}
	if got := Traceparent(Within(t.Context(), "")); got != "" {
		t.Errorf("nothing became %s", got)
	}
}
