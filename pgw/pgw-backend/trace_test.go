package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/platform/jobs"
)

// recorder keeps the spans of traces that a test's request began; the sweeps' own are not sampled.
var recorder = sync.OnceValue(func() *tracetest.SpanRecorder {
	r := tracetest.NewSpanRecorder()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))))
	return r
})

// caller's trace: a random id, and the header that names it.
func newTrace(flags string) (id, header string) {
	bytes := make([]byte, 24)
	_, _ = rand.Read(bytes)
	id = hex.EncodeToString(bytes[:16])
	return id, "00-" + id + "-" + hex.EncodeToString(bytes[16:]) + "-" + flags
}

// traced is do in a trace.
func (b *bundle) traced(header, method, path, body, key string) reply {
	b.t.Helper()
	r := b.request(method, path, body, key)
	r.Header.Set("Traceparent", header)
	r.Header.Set("Authorization", b.caller.sign(r, body, b.clock.Now()))
	return b.send(r)
}

// shownIn creates and confirms, the confirm in a trace.
func (b *bundle) shownIn(header string) map[string]any {
	b.t.Helper()
	in := b.create(`"qr_mpm"`)
	r := b.traced(header, http.MethodPost, path(in, "/confirm"), `{"payment_method_type":"qr_mpm","provider":"paypay"}`, fresh("key"))
	if got := r.json(b.t); got["status"] != "requires_action" {
		b.t.Fatalf("confirm: %s", r)
	}
	return r.json(b.t)
}

// toldIn is the trace context of an event.
func (b *bundle) toldIn(in map[string]any, kind string) string {
	b.t.Helper()
	var parent *string
	if err := b.admin.QueryRow(context.Background(), "SELECT traceparent FROM pgw.events WHERE payment_intent_id = $1 AND type = $2", in["id"], kind).Scan(&parent); err != nil {
		b.t.Fatalf("%s of %v: %v", kind, in["id"], err)
	}
	if parent == nil {
		return ""
	}
	return *parent
}

func spansOf(trace string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(recorder().Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.SpanContext().TraceID().String() != trace })
}

func linksTo(trace string) func(sdktrace.ReadOnlySpan) bool {
	return func(s sdktrace.ReadOnlySpan) bool {
		return slices.ContainsFunc(s.Links(), func(l sdktrace.Link) bool { return l.SpanContext.TraceID().String() == trace })
	}
}

// outcomeOf is the span of an outcome in a sale's trace.
func (b *bundle) outcomeOf(trace, kind string) sdktrace.ReadOnlySpan {
	b.t.Helper()
	var found sdktrace.ReadOnlySpan
	b.until("the outcome's span has ended", 0, func() bool {
		spans := spansOf(trace)
		i := slices.IndexFunc(spans, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "outcome "+kind })
		if i >= 0 {
			found = spans[i]
		}
		return i >= 0
	})
	return found
}

// Whoever brings the news of a payment, it is written and told in the trace of its sale; the bringer's own trace and the sale's lead
// to each other.
func TestAnOutcomeIsToldInTheTraceOfItsSale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event string
		bring       func(b *bundle, in map[string]any, header string)
	}{
		{"webhook", "payment_intent.succeeded", func(b *bundle, in map[string]any, header string) {
			r := b.request(http.MethodPost, "/v1/providers/paypay/webhooks", `{"notification_type":"Transaction","merchant_id":"`+paypaytest.MerchantID+
				`","merchant_order_id":"`+attempt(in)+`","order_amount":"1200","state":"COMPLETED","paid_at":"2026-11-21T00:00:00Z"}`, "")
			r.Header.Set("Traceparent", header)
			if got := b.send(r); got.status != http.StatusOK {
				b.t.Fatalf("webhook: %s", got)
			}
		}},
		{"sync", "payment_intent.succeeded", func(b *bundle, in map[string]any, header string) {
			b.traced(header, http.MethodPost, path(in, "/sync"), "", "")
		}},
		{"cancel", "payment_intent.cancelled", func(b *bundle, in map[string]any, header string) {
			b.traced(header, http.MethodPost, path(in, "/cancel"), "", fresh("key"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			recorder()
			b := setup(t)
			b.runJobsOnly()
			sale, saleHeader := newTrace("01")
			bringer, bringerHeader := newTrace("01")
			in := b.shownIn(saleHeader)
			if c.event == "payment_intent.succeeded" {
				if err := b.paypay.Pay(attempt(in)); err != nil {
					t.Fatal(err)
				}
			}
			c.bring(b, in, bringerHeader)
			b.until("it is over", 0, func() bool { return b.get(in)["succeeded_at"] != nil || b.status(in) == "cancelled" })
			if got := b.toldIn(in, c.event); !strings.Contains(got, sale) || !strings.HasSuffix(got, "-01") {
				t.Errorf("%s is told in %q, not in the sale's trace %s", c.event, got, sale)
			}
			if !linksTo(bringer)(b.outcomeOf(sale, c.event)) {
				t.Error("the outcome's span does not lead to who brought it")
			}
			b.until("the bringer's trace leads to the sale's", 0, func() bool { return slices.ContainsFunc(spansOf(bringer), linksTo(sale)) })
		})
	}
}

// runJobsOnly works the queue, without the sweeps, until the test ends.
func (b *bundle) runJobsOnly() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { jobs.Run(ctx, b.gateway.jobs); close(done) }()
	b.t.Cleanup(func() { stop(); <-done })
}

// The sweep has nobody's trace: a code that is paid without a word, or runs out, and an intent whose attempt the provider did not take
// end in the sale's all the same; a refund ends in the trace of its request.
func TestTheSweepTellsInTheTraceOfTheSale(t *testing.T) {
	t.Parallel()
	recorder()
	b := setup(t)
	paidTrace, paidHeader := newTrace("01")
	unpaidTrace, unpaidHeader := newTrace("01")
	throttledTrace, throttledHeader := newTrace("01")
	paid, unpaid := b.shownIn(paidHeader), b.shownIn(unpaidHeader)
	throttled := b.create(`"qr_mpm"`)
	b.paypay.Fail("create_code", paypaytest.RateLimit)
	if r := b.traced(throttledHeader, http.MethodPost, path(throttled, "/confirm"), `{"payment_method_type":"qr_mpm","provider":"paypay"}`, fresh("key")); r.status != http.StatusServiceUnavailable {
		t.Fatalf("confirm: %s", r)
	}
	if err := b.paypay.Pay(attempt(paid)); err != nil {
		t.Fatal(err)
	}
	b.sweep()
	b.until("the paid one has succeeded", time.Second, func() bool { return b.status(paid) == "succeeded" })
	b.until("the others are over", time.Minute, func() bool { return b.status(unpaid) == "cancelled" && b.status(throttled) == "cancelled" })
	for _, want := range []struct {
		in          map[string]any
		event, sale string
	}{
		{paid, "payment_intent.succeeded", paidTrace},
		{unpaid, "payment_intent.cancelled", unpaidTrace},
		{throttled, "payment_intent.cancelled", throttledTrace},
	} {
		if got := b.toldIn(want.in, want.event); !strings.Contains(got, want.sale) {
			t.Errorf("%s is told in %q, want %s", want.event, got, want.sale)
		}
		if len(b.outcomeOf(want.sale, want.event).Links()) != 1 {
			t.Errorf("%s: the outcome's span does not lead to the sweep", want.event)
		}
	}
	asked, askedHeader := newTrace("01")
	b.paypay.Fail("refund", paypaytest.DropAfter)
	b.paypay.Fail("query_refund", paypaytest.DropBefore)
	r := b.traced(askedHeader, http.MethodPost, path(paid, "/refunds"), `{"amount":300,"merchant_refund_ref_id":"`+fresh("r")+`"}`, fresh("key"))
	if r.json(t)["status"] != "processing" {
		t.Fatalf("refund: %s", r)
	}
	id := r.json(t)["id"].(string)
	b.until("the refund is certain", time.Second, func() bool { return b.do("GET", "/v1/refunds/"+id, "", "").json(t)["status"] == "succeeded" })
	if got := b.toldIn(paid, "refund.succeeded"); !strings.Contains(got, asked) {
		t.Errorf("the refund is told in %q, want %s", got, asked)
	}
	b.outcomeOf(asked, "refund.succeeded")
}

// Who was not sampled stays so, and who was not traced has no trace: neither holds a payment up.
func TestOutcomesOfSalesWithoutATrace(t *testing.T) {
	t.Parallel()
	recorder()
	b := setup(t)
	sale, header := newTrace("00")
	in := b.shownIn(header)
	if err := b.paypay.Pay(attempt(in)); err != nil {
		t.Fatal(err)
	}
	b.do(http.MethodPost, path(in, "/sync"), "", "")
	if got := b.toldIn(in, "payment_intent.succeeded"); !strings.Contains(got, sale) || !strings.HasSuffix(got, "-00") {
		t.Errorf("told in %q, want %s, not sampled", got, sale)
	}
	if spans := spansOf(sale); len(spans) != 0 {
		t.Errorf("%d spans of a trace that is not sampled", len(spans))
	}
	if _, err := b.admin.Exec(t.Context(), "UPDATE pgw.payment_attempts SET traceparent = 'nonsense'"); err == nil {
		t.Error("the database takes nonsense for a trace context")
	}
	if _, err := b.admin.Exec(t.Context(), "UPDATE pgw.payment_attempts SET traceparent = NULL"); err != nil {
		t.Fatal(err)
	}
	b.paid()
}
