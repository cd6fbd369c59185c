package provider

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/failpoint"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Operation names a call in deadlines, spans, metrics and failpoints.
type Operation string

// The operations.
const (
	OpCreateCode  Operation = "create_code"
	OpDeleteCode  Operation = "delete_code"
	OpCharge      Operation = "charge"
	OpQuery       Operation = "query"
	OpCancel      Operation = "cancel"
	OpCapture     Operation = "capture"
	OpRefund      Operation = "refund"
	OpQueryRefund Operation = "query_refund"
)

// Operations lists them all.
var Operations = []Operation{OpCreateCode, OpDeleteCode, OpCharge, OpQuery, OpCancel, OpCapture, OpRefund, OpQueryRefund}

// call is the one way out of the process to a provider: with the provider's deadline, the failpoints
// provider.<name>.<operation>.before and .after, a span and the latency metric.
func call[T any](ctx context.Context, p Provider, op Operation, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Deadline(op))
	defer cancel()
	ctx, span := telemetry.Tracer().Start(ctx, "provider "+p.Name()+" "+string(op), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String(names.SpanProvider, p.Name()), attribute.String(names.SpanOperation, string(op))))
	defer span.End()

	point := "provider." + p.Name() + "." + string(op)
	failpoint.Hit(point + ".before")
	start := time.Now() //nolint:forbidigo // a duration for the metric
	out, err := fn(ctx)
	took := time.Since(start)
	failpoint.Hit(point + ".after")

	outcome := "success"
	if err != nil {
		outcome = ClassOf(err).String()
		span.SetStatus(codes.Error, outcome)
		span.RecordError(err)
		err = fmt.Errorf("%s %s: %w", p.Name(), op, err)
	}
	names.ProviderCalls.Record(ctx, took.Seconds(), names.Provider.Is(p.Name()), names.Operation.Is(string(op)), names.CallOutcome.Is(outcome))
	return out, err
}

// none stands for the result of a call that has none.
type none struct{}

// Client calls one provider with one store's credentials. Everything that leaves the process goes through it.
type Client struct {
	provider Provider
	cred     Credentials
}

// NewClient makes a Client of a provider that is in no registry.
func NewClient(p Provider, c Credentials) Client { return Client{provider: p, cred: c} }

// CreateCode asks for a code that the customer scans.
func (c Client) CreateCode(ctx context.Context, r CodeRequest) (Code, error) {
	return call(ctx, c.provider, OpCreateCode, func(ctx context.Context) (Code, error) { return c.provider.CreateCode(ctx, c.cred, r) })
}

// DeleteCode makes a code unpayable.
func (c Client) DeleteCode(ctx context.Context, codeID string) error {
	_, err := call(ctx, c.provider, OpDeleteCode, func(ctx context.Context) (none, error) {
		return none{}, c.provider.DeleteCode(ctx, c.cred, codeID)
	})
	return err
}

// Charge charges the code that the customer shows.
func (c Client) Charge(ctx context.Context, r ChargeRequest) (Payment, error) {
	return call(ctx, c.provider, OpCharge, func(ctx context.Context) (Payment, error) { return c.provider.Charge(ctx, c.cred, r) })
}

// Query asks what became of a payment.
func (c Client) Query(ctx context.Context, r Ref) (Payment, error) {
	return call(ctx, c.provider, OpQuery, func(ctx context.Context) (Payment, error) { return c.provider.Query(ctx, c.cred, r) })
}

// Cancel asks the provider to end a payment, or to give it back.
func (c Client) Cancel(ctx context.Context, r Ref) error {
	_, err := call(ctx, c.provider, OpCancel, func(ctx context.Context) (none, error) {
		return none{}, c.provider.Cancel(ctx, c.cred, r)
	})
	return err
}

// Capture takes held money.
func (c Client) Capture(ctx context.Context, r CaptureRequest) (Payment, error) {
	return call(ctx, c.provider, OpCapture, func(ctx context.Context) (Payment, error) { return c.provider.Capture(ctx, c.cred, r) })
}

// Refund gives money back.
func (c Client) Refund(ctx context.Context, r RefundRequest) (Refund, error) {
	return call(ctx, c.provider, OpRefund, func(ctx context.Context) (Refund, error) { return c.provider.Refund(ctx, c.cred, r) })
}

// QueryRefund asks what became of a refund.
func (c Client) QueryRefund(ctx context.Context, r RefundRequest) (Refund, error) {
	return call(ctx, c.provider, OpQueryRefund, func(ctx context.Context) (Refund, error) { return c.provider.QueryRefund(ctx, c.cred, r) })
}
