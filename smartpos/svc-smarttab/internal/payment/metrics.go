package payment

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// count counts a payment that has come into a state, and the sale when it is that, when it is committed.
func count(ctx context.Context, p *Payment) {
	state, method := names.PaymentState.Is(string(p.Status)), names.Method.Is(string(p.Method))
	sale, amount, currency := p.Status == Completed, p.Amount, names.Currency.Is(string(p.Currency))
	postgres.AfterCommit(ctx, func() {
		names.StorePayments.Add(ctx, 1, state, method)
		if sale {
			names.StoreSales.Add(ctx, amount, currency, method)
		}
	})
}

// methods are those of payments.
var methods = []string{"cash", "qr", "card"}

func beginAtZero() {
	for _, m := range methods {
		names.StorePayments.AtZero(names.Method.Is(m))
		names.StoreSales.AtZero(names.Currency.Is("JPY"), names.Method.Is(m))
	}
}
