package intent

import (
	"cmp"
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Returned is implemented by snapshots of what gives money back.
type Returned interface{ ReturnedAmount() int64 }

// tally prepares what is counted when the events that are told now are committed.
func (in *Intent) tally() func(context.Context) {
	told, amount, currency := in.told, in.CapturedAmount, names.Currency.Is(string(in.Amount.Currency))
	provider, method := names.Provider.Is(cmp.Or(in.Provider, "none")), names.Method.Is(cmp.Or(in.MethodType, "none"))
	waited, begun := confirmTime(in)
	return func(ctx context.Context) {
		for _, t := range told {
			family, state, _ := strings.Cut(string(t.kind), ".")
			if family == "refund" {
				names.Refunds.Add(ctx, 1, names.RefundState.Is(state), provider, method)
			} else {
				names.PaymentIntents.Add(ctx, 1, names.IntentState.Is(state), provider, method)
			}
			switch t.kind {
			case event.IntentSucceeded:
				names.MoneyMoved.Add(ctx, amount, names.Direction.Is("taken"), currency, provider, method)
			case event.RefundSucceeded:
				if r, ok := t.snapshot.(Returned); ok {
					names.MoneyMoved.Add(ctx, r.ReturnedAmount(), names.Direction.Is("returned"), currency, provider, method)
				}
			case event.IntentLateSuccess:
				names.LateSuccesses.Add(ctx, 1, provider)
			default: // the others move no money
			}
			if begun && isFinal(t.kind) {
				names.ConfirmDuration.Record(ctx, waited.Seconds(), provider, method, names.FinalState.Is(state))
			}
		}
	}
}

// countCreated counts an intent that was made: its row, its event and its key are one statement, which nothing else tells of.
func countCreated(ctx context.Context) {
	names.PaymentIntents.Add(ctx, 1, names.IntentState.Is("created"), names.Provider.Is("none"), names.Method.Is("none"))
}

// countReconciled counts intents that the matcher has found in their provider's settlement.
func countReconciled(ctx context.Context, all []Intent) {
	counts := map[[2]string]int64{}
	for _, in := range all {
		counts[[2]string{cmp.Or(in.Provider, "none"), cmp.Or(in.MethodType, "none")}]++
	}
	for of, n := range counts {
		names.PaymentIntents.Add(ctx, n, names.IntentState.Is("reconciled"), names.Provider.Is(of[0]), names.Method.Is(of[1]))
	}
}

// ReconciledAtZero shows the matcher's counter before its first payment: the process ends soon, and an increase needs a beginning.
func ReconciledAtZero(providers ...string) {
	for _, p := range providers {
		for _, method := range []string{QRMPM, QRCPM} {
			names.PaymentIntents.AtZero(names.IntentState.Is("reconciled"), names.Provider.Is(p), names.Method.Is(method))
		}
	}
}

// SettledAtZero shows what a person's settlement of one payment or refund may count, before it does: the process ends soon.
func SettledAtZero(providerName string, currency money.Currency) {
	provider := names.Provider.Is(providerName)
	names.LateSuccesses.AtZero(provider)
	for _, m := range []string{QRMPM, QRCPM} {
		method := names.Method.Is(m)
		names.PaymentIntents.AtZero(provider, method)
		names.Refunds.AtZero(provider, method)
		names.MoneyMoved.AtZero(names.Currency.Is(string(currency)), provider, method)
	}
}

// confirmTime is how long ago the confirm came whose attempt was the last: the attempt was made for it.
func confirmTime(in *Intent) (waited time.Duration, known bool) {
	begun, err := id.ParseULID(AttemptPrefix, in.LatestAttemptID)
	return max(in.UpdatedAt.Sub(begun), 0), err == nil
}

func isFinal(t event.Type) bool {
	return t == event.IntentSucceeded || t == event.IntentFailed || t == event.IntentCancelled
}

// beginAtZero shows the counters of every provider before the first payment.
func beginAtZero(providers []string) {
	for _, p := range append([]string{"none"}, providers...) {
		names.LateSuccesses.AtZero(names.Provider.Is(p))
	}
	none := []attribute.KeyValue{names.Provider.Is("none"), names.Method.Is("none")}
	names.PaymentIntents.AtZero(none...)
	names.Refunds.AtZero(none...)
}

// rejoin begins the span of an outcome in the sale's trace, whoever brought the news. Call it when the outcome is known, and write it
// in the returned context: its event carries the trace on.
func rejoin(ctx context.Context, in *Intent, a *Attempt) (context.Context, trace.Span) {
	kind := in.told[len(in.told)-1].kind
	return telemetry.Rejoin(ctx, a.Traceparent, "outcome "+string(kind), trace.WithAttributes(
		attribute.String(names.SpanEventType, string(kind)), attribute.String(names.SpanProvider, a.Provider)))
}
