package pgwfeed

import (
	"testing"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mpac-cloud/mpac/pgw/client"
)

// An event's effect is a part of the trace of the change, so that a sale is one trace to its end; the matcher's one trace leads to
// those of all payments that it reconciles.
func TestAnEventsEffectIsInTheTraceOfItsChange(t *testing.T) {
	t.Parallel()
	otel.SetTracerProvider(sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample())))
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, c := range []struct {
		kind, parent string
		in, links    bool
	}{
		{"payment_intent.succeeded", "00-" + trace + "-b7ad6b7169203331-01", true, false},
		{"refund.succeeded", "00-" + trace + "-b7ad6b7169203331-01", true, false},
		{"payment_intent.reconciled", "00-" + trace + "-b7ad6b7169203331-01", false, true},
		{"payment_intent.reconciled", "", false, false},
		{"payment_intent.succeeded", "", false, false},
		{"payment_intent.succeeded", "nonsense", false, false},
	} {
		n := &news{Event: client.Event{Type: c.kind, Traceparent: c.parent}}
		_, span := followTrace(t.Context(), n)
		span.End()
		ended := span.(sdk.ReadOnlySpan) //nolint:forcetypeassert // ours
		if in := ended.SpanContext().TraceID().String() == trace; in != c.in {
			t.Errorf("%s of %q: in the trace %v", c.kind, c.parent, in)
		}
		if links := len(ended.Links()) == 1 && ended.Links()[0].SpanContext.TraceID().String() == trace; links != c.links {
			t.Errorf("%s of %q: leads to the trace %v", c.kind, c.parent, links)
		}
	}
}
