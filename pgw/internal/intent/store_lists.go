package intent

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Lists are what people look at: payments of every partner that need eyes.
type Lists struct {
	DB    *pgxpool.Pool
	Clock clock.Clock
}

var eyes = postgres.CrossTenant("pgw.operator")

// UnknownItem is a payment whose outcome nobody knows. AttemptID is what the provider knows it by.
type UnknownItem struct {
	AttemptID, IntentID, MerchantID, StoreID, Provider, ContractID, Status string
	Amount                                                                 money.Amount
	Asked                                                                  int32
	Since                                                                  time.Time
	Operator                                                               bool // a person has to find out
}

// Unknown reads up to limit payments whose outcome has been unknown for longer, the longest first.
func (l Lists) Unknown(ctx context.Context, longer time.Duration, limit int32) (all []UnknownItem, err error) {
	err = postgres.InReadTx(ctx, l.DB, eyes, "pgw.intent.list_unknown", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).UnknownAttempts(ctx, pgwdb.UnknownAttemptsParams{Since: l.Clock().Add(-longer), MaxRows: limit})
		for _, r := range rows {
			all = append(all, UnknownItem{
				AttemptID: r.ID, IntentID: r.PaymentIntentID, MerchantID: r.MerchantID, StoreID: r.MerchantStoreID, Provider: r.Provider, ContractID: r.ContractID,
				Status: r.Status, Amount: money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}, Asked: r.Asks, Since: r.StatusSince,
				Operator: r.OperatorAt != nil,
			})
		}
		return err
	})
	return all, err
}

// LateItem is money that came after its payment was given up, and its way back.
type LateItem struct {
	AttemptID, IntentID, MerchantID, StoreID, Provider string
	Amount                                             money.Amount
	At                                                 time.Time
	ReturnID, ReturnStatus                             string // "": there is none yet
}

// Late reads up to limit late successes of so long ago until now, the newest first.
func (l Lists) Late(ctx context.Context, since time.Duration, limit int32) (all []LateItem, err error) {
	from := l.Clock().Add(-since)
	err = postgres.InReadTx(ctx, l.DB, eyes, "pgw.intent.list_late", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := pgwdb.New(tx).LateAttempts(ctx, pgwdb.LateAttemptsParams{
			// An attempt is older than its late success: a code lives for minutes, a charge that is asked after for days.
			Since: from, FromID: id.ULIDFloor(AttemptPrefix, from.Add(-lateWithin)), ReturnFromID: id.ULIDFloor("re", from), MaxRows: limit,
		})
		for _, r := range rows {
			all = append(all, LateItem{
				AttemptID: r.ID, IntentID: r.PaymentIntentID, MerchantID: r.MerchantID, StoreID: r.MerchantStoreID, Provider: r.Provider,
				Amount: money.Amount{Minor: r.CapturedAmount, Currency: money.Currency(r.Currency)}, At: *r.LateSuccessAt, ReturnID: r.ReturnID, ReturnStatus: r.ReturnStatus,
			})
		}
		return err
	})
	return all, err
}

// lateWithin is how long after its attempt a success may come.
const lateWithin = 30 * 24 * time.Hour
