package payment

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// Open is a payment that has not ended, as people see it.
type Open struct {
	Ref
	StoreCode, Method, Status, Currency string
	Amount                              int64 // minor unit
	IntentID                            string
	Begun                               time.Time
	CancelAsked                         bool
}

// operators is the scope in which a person finds payments of any store.
var operators = postgres.CrossTenant("smarttab.operator")

// LongOpen reads up to limit payments of all stores that began longer ago and have not ended, the oldest first.
func (s *Service) LongOpen(ctx context.Context, longer time.Duration, limit int32) (all []Open, err error) {
	err = postgres.InReadTx(ctx, s.DB, operators, "smarttab.payment.list-open", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).LongOpenPayments(ctx, smarttabdb.LongOpenPaymentsParams{Before: s.now().Add(-longer), MaxRows: limit})
		for _, r := range rows {
			all = append(all, Open{
				Ref: ref(r.MerchantID, r.StoreID, r.ID), StoreCode: r.StoreCode, Method: r.Method, Status: r.Status, Currency: r.Currency, Amount: r.Amount,
				IntentID: r.IntentID, Begun: r.CreatedAt, CancelAsked: r.CancelRequestedAt != nil,
			})
		}
		return err
	})
	return all, err
}

// tenantOf finds whose a payment is; ErrNoPayment.
func (s *Service) tenantOf(ctx context.Context, id uuid.UUID) (found Ref, err error) {
	err = postgres.InReadTx(ctx, s.DB, operators, "smarttab.payment.tenant", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).PaymentTenants(ctx, []uuid.UUID{id})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return errNoPayment
		}
		found = ref(rows[0].MerchantID, rows[0].StoreID, id)
		return nil
	})
	return found, err
}
