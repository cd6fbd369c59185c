package payment

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// A job that was running when its process died is taken up again after a minute; a customer does not wait that long. So every
// task looks, over indexes that hold next to nothing, for what is unfinished and not being worked on. Two tasks at once do no
// harm: all that they do carries idempotency keys and takes locks.

const (
	sweepEvery = 2 * time.Second
	lostAfter  = 5 * time.Second    // jobs are faster than that
	lateAfter  = time.Minute        // so is the feed
	lostFor    = 8 * 24 * time.Hour // older ones have their own jobs still, and an alarm
	sweepRows  = 200
	// deepEvery is how many sweeps go by before one that also asks after what the gateway should have told.
	deepEvery = 15
)

// Run sweeps until ctx is over.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := s.sweep(ctx, n%deepEvery == 0); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "payment: sweep interrupted", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep goes once through all that is left behind or overdue.
func (s *Service) Sweep(ctx context.Context) error { return s.sweep(ctx, true) }

// sweep goes on with what has been left behind. It stops at the first that gets no answer: the others would get none either.
func (s *Service) sweep(ctx context.Context, deep bool) error {
	payments, refunds, err := s.lost(ctx, deep)
	if err != nil {
		return err
	}
	for _, p := range payments {
		work := s.report
		if p.method == QR {
			work = s.chase
		}
		if _, _, err := work(ctx, p.Ref); away(err) {
			return err
		}
	}
	for _, r := range refunds {
		work := s.sendRefund
		if r.sent {
			work = s.chaseRefund
		}
		if _, _, err := work(ctx, r.RefundArgs); away(err) {
			return err
		}
	}
	return nil
}

type lostPayment struct {
	Ref
	method Method // QR, or any of those that are reported
}

type lostRefund struct {
	RefundArgs
	sent bool // the gateway knows of it, and has not told its end
}

// leftBehind is the scope in which the sweep sees all tenants: to find whose payments have been left behind.
var leftBehind = postgres.CrossTenant("smarttab.payment.sweep")

// lost are the payments and refunds that nobody may be working on any more; deep also those of which the feed is silent.
func (s *Service) lost(ctx context.Context, deep bool) (payments []lostPayment, refunds []lostRefund, err error) {
	err = postgres.InReadTx(ctx, s.DB, leftBehind, "smarttab.payment.sweep", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		q := smarttabdb.New(tx)
		if payments, err = s.lostPayments(ctx, q, deep); err == nil {
			refunds, err = s.lostRefunds(ctx, q, deep)
		}
		return err
	})
	return payments, refunds, err
}

func (s *Service) lostPayments(ctx context.Context, q *smarttabdb.Queries, deep bool) ([]lostPayment, error) {
	now := s.now()
	before, since := now.Add(-lostAfter), id.UUIDFloor(now.Add(-lostFor))
	var all []lostPayment
	wallet, err := q.LostWalletPayments(ctx, smarttabdb.LostWalletPaymentsParams{Since: since, Before: before, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	for _, row := range wallet {
		all = append(all, lostPayment{ref(row.MerchantID, row.StoreID, row.ID), QR})
	}
	untold, err := q.UnreportedPayments(ctx, smarttabdb.UnreportedPaymentsParams{Since: since, Before: &before, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	for _, row := range untold {
		all = append(all, lostPayment{ref(row.MerchantID, row.StoreID, row.ID), Cash})
	}
	if !deep {
		return all, nil
	}
	overdue := now.Add(-lateAfter)
	late, err := q.OverduePayments(ctx, smarttabdb.OverduePaymentsParams{Since: since, Before: &overdue, MaxRows: sweepRows})
	for _, row := range late {
		all = append(all, lostPayment{ref(row.MerchantID, row.StoreID, row.ID), QR})
	}
	return all, err
}

func (s *Service) lostRefunds(ctx context.Context, q *smarttabdb.Queries, deep bool) ([]lostRefund, error) {
	now := s.now()
	before, since := now.Add(-lostAfter), id.UUIDFloor(now.Add(-lostFor))
	rows, err := q.LostRefunds(ctx, smarttabdb.LostRefundsParams{Since: since, Before: before, MaxRows: sweepRows})
	if err != nil {
		return nil, err
	}
	var all []lostRefund
	for _, row := range rows {
		all = append(all, lostRefund{RefundArgs{ref(row.MerchantID, row.StoreID, row.PaymentID), row.ID}, false})
	}
	if !deep {
		return all, nil
	}
	late, err := q.OverdueRefunds(ctx, smarttabdb.OverdueRefundsParams{Since: since, Before: now.Add(-lateAfter), MaxRows: sweepRows})
	for _, row := range late {
		all = append(all, lostRefund{RefundArgs{ref(row.MerchantID, row.StoreID, row.PaymentID), row.ID}, true})
	}
	return all, err
}

func ref(merchant, store, payment uuid.UUID) Ref {
	return Ref{MerchantID: merchant, StoreID: store, PaymentID: payment}
}

// chaseRefund asks after a refund that the gateway knows of.
func (s *Service) chaseRefund(ctx context.Context, a RefundArgs) (bool, time.Duration, error) {
	p, r, err := s.readRefund(ctx, a)
	if err != nil || r.Status.Ended() {
		return true, 0, err
	}
	in, found, err := s.Gateway.FindRefund(ctx, &p, &r)
	if err != nil || !found {
		return false, s.now().Sub(r.CreatedAt), err
	}
	return true, 0, postgres.InTx(ctx, s.DB, a.Scope(), "smarttab.refund.apply", func(ctx context.Context, tx pgx.Tx) error {
		return s.ApplyRefund(ctx, tx, a.RefundID, in)
	})
}
