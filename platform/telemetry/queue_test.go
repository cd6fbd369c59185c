package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// stuck is a receiver that never answers until it is let go.
type stuck struct{ entered, release chan struct{} }

func newStuck() *stuck {
	return &stuck{entered: make(chan struct{}, 1), release: make(chan struct{})}
}

func (s *stuck) wait(ctx context.Context) error {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stuck) ExportSpans(ctx context.Context, _ []trace.ReadOnlySpan) error { return s.wait(ctx) }
func (s *stuck) Shutdown(context.Context) error                                { return nil }

type stuckLogs struct{ *stuck }

func (s stuckLogs) Export(ctx context.Context, _ []sdklog.Record) error { return s.wait(ctx) }
func (s stuckLogs) ForceFlush(context.Context) error                    { return nil }

// While the receiver hangs, spans end at once: they wait in a queue with an end, and what is more is dropped.
func TestSpansOfAReceiverThatHangsAreDroppedNotWaitedFor(t *testing.T) {
	t.Parallel()
	receiver := newStuck()
	queue := newSpanQueue(receiver).(*spanQueue) //nolint:forcetypeassert // ours
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(queue), trace.WithSampler(trace.AlwaysSample()))
	room := int64(most("OTEL_BSP_MAX_QUEUE_SIZE"))
	for i := range 4 * room { // returns: that is the test
		_, span := provider.Tracer("t").Start(t.Context(), fmt.Sprint(i))
		span.End()
	}
	<-receiver.entered
	if n := queue.quota.waiting.Load(); n > room {
		t.Errorf("%d spans wait, at most %d may", n, room)
	}
	close(receiver.release)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := provider.ForceFlush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := queue.quota.waiting.Load(); n != 0 {
		t.Errorf("%d spans are thought to wait after all were sent", n)
	}
}

func TestLogRecordsOfAReceiverThatHangsAreDroppedNotWaitedFor(t *testing.T) {
	t.Parallel()
	receiver := newStuck()
	queue := newLogQueue(stuckLogs{receiver}).(*logQueue) //nolint:forcetypeassert // ours
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(queue))
	room := int64(most("OTEL_BLRP_MAX_QUEUE_SIZE"))
	for range 4 * room {
		var r log.Record
		r.SetBody(attribute.StringValue("line"))
		provider.Logger("t").Emit(t.Context(), r)
	}
	if n := queue.quota.waiting.Load(); n > room {
		t.Errorf("%d records wait, at most %d may", n, room)
	}
	close(receiver.release)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := provider.ForceFlush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := queue.quota.waiting.Load(); n != 0 {
		t.Errorf("%d records are thought to wait after all were sent", n)
	}
}

// Secrets are taken out of every part of a span, and addresses lose their query.
func TestSecretsNeverLeaveInSpans(t *testing.T) {
	t.Parallel()
	const key, token, card = "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "pt_01JD3Q6Z8M4V0S9T2B7N5K1XWC_AbCdEfGh", "4242424242424242"
	sent := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(newSpanQueue(sent)))
	_, span := provider.Tracer("t").Start(t.Context(), "pay with "+card)
	span.SetAttributes(attribute.String("url.full", "https://pgw.example/v1/payment_intents/pi_1?payment_token="+token+"&expand=all"),
		attribute.String("note", "key "+key), attribute.String("customer_code", "12345678901234567"), attribute.String("url.query", "a=b"),
		attribute.String("plain", "stays as it is"), attribute.Int("n", 3))
	span.RecordError(errors.New(`refused: {"api_secret": "hunter2hunter2"}`))
	span.SetStatus(1, "Authorization: Bearer "+token)
	span.End()
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stubs := sent.GetSpans()
	if len(stubs) != 1 {
		t.Fatalf("%d spans", len(stubs))
	}
	text := fmt.Sprintf("%+v", stubs)
	for _, secret := range []string{key, token, card, "12345678901234567", "hunter2hunter2", "expand=all", "a=b"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q left: %s", secret, text)
		}
	}
	for _, kept := range []string{"stays as it is", "/v1/payment_intents/pi_1", "refused"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%q is gone: %s", kept, text)
		}
	}
}
