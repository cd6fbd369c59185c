package recon

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/money"
)

// OpenException is an exception that is open, of any partner, as people see it.
type OpenException struct {
	ID, PartnerID, Provider, ContractID, IntentID, Reference, StoreID, Reason string
	Kind                                                                      Kind
	Day                                                                       string // of the run that found it first
	AtStake                                                                   money.Amount
	Severity                                                                  Severity
	Due                                                                       time.Time
}

// OpenExceptions reads what is open of every partner, graded as of now, those due first, first; at most ten thousand.
func OpenExceptions(ctx context.Context, tx pgx.Tx, now time.Time) ([]OpenException, error) {
	const most = 10_000
	rows, err := pgwdb.New(tx).OpenExceptions(ctx, most)
	if err != nil {
		return nil, err
	}
	all := make([]OpenException, len(rows))
	for i, r := range rows {
		x := OpenException{
			ID: r.ID, PartnerID: r.PartnerID, Provider: r.Provider, ContractID: r.ContractID, IntentID: r.PaymentIntentID, Reference: r.Reference,
			StoreID: r.ProviderStoreID, Reason: r.Reason, Kind: Kind(r.Kind), Day: day(r.OpenedDay),
			AtStake: money.Amount{Minor: r.AtStake, Currency: money.Currency(r.Currency)},
		}
		x.Severity, x.Due = Grade(r.AtStake, r.OccurredAt, r.CreatedAt, now)
		all[i] = x
	}
	return byDue(all), nil
}
