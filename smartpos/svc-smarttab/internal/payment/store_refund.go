package payment

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Refund gives amount (0: all that is left) of a payment back. Cash and cards go back here and now; a wallet's refund is set
// aside and sent by a job, and the gateway says what became of it. approval_required when the caller may not give back that
// much of one payment.
func (s *Service) Refund(
	ctx context.Context, at store.Place, k idempotency.Request, payment uuid.UUID, amount int64, reason string,
) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.refund.create", k, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		p, err := lock(ctx, tx, payment)
		if err != nil {
			return 0, nil, err
		}
		if amount, err = p.give(amount); err != nil {
			return 0, nil, err
		}
		if err := s.mayRefund(at, &p); err != nil {
			return 0, nil, err
		}
		now := s.now()
		r := Refund{
			ID: id.NewUUID(now), MerchantID: p.MerchantID, StoreID: p.StoreID, PaymentID: p.ID, BillID: p.BillID, Status: RefundPending,
			Version: 1, Currency: p.Currency, Amount: amount, Reason: reason, By: actor.Of(at.Principal),
			OccurredAt: now, CreatedAt: now, UpdatedAt: now,
		}
		if err := s.startRefund(ctx, tx, &p, &r, now); err != nil {
			return 0, nil, err
		}
		return statusCreated, refundView(&r), nil
	})
}

// startRefund writes the refund, does it when it takes place here, and leaves the job that sends it to the gateway.
func (s *Service) startRefund(ctx context.Context, tx pgx.Tx, p *Payment, r *Refund, now time.Time) error {
	if err := insertRefund(ctx, tx, r); err != nil {
		return err
	}
	p.UpdatedAt = now
	if p.Method != QR {
		if err := completeRefund(ctx, tx, p, r, r.By, now); err != nil {
			return err
		}
		if err := saveRefund(ctx, tx, r); err != nil {
			return err
		}
	}
	if err := save(ctx, tx, p); err != nil {
		return err
	}
	_, err := s.Jobs.InsertTx(ctx, tx, RefundArgs{Ref: p.ref(), RefundID: r.ID}, nil)
	return err
}

// mayRefund holds what would have gone back of the payment against what the caller may give back without approval.
func (s *Service) mayRefund(at store.Place, p *Payment) error {
	if at.Can(access.PaymentsRefund) || p.Returned+p.Returning <= s.Config.RefundLimit {
		return nil
	}
	return ErrApprovalRequired.New("More than %d of one payment is given back by somebody with the permission %s.",
		s.Config.RefundLimit, access.PaymentsRefund).With("limit", s.Config.RefundLimit)
}

// Cancel asks for the end of a wallet's payment. Its final state is the gateway's to say: by its answer here, or by an event.
func (s *Service) Cancel(ctx context.Context, at store.Place, payment uuid.UUID, version int32) (PaymentView, error) {
	var p Payment
	err := postgres.InTx(ctx, s.DB, at.Scope(), "smarttab.payment.cancel", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if p, err = lock(ctx, tx, payment); err != nil {
			return err
		}
		switch {
		case version != 0 && version != p.Version:
			return problem.VersionConflict.New("The payment is at version %d.", p.Version).With("current", s.view(&p, nil, ""))
		case p.Status == Cancelled:
			return nil
		case p.Status.Ended():
			return ErrNotCancellable.New("The payment is %s.", p.Status).With("current", s.view(&p, nil, ""))
		case p.Method != QR:
			return ErrNotCancellable.New("A card payment under way ends by its card's result.").With("current", s.view(&p, nil, ""))
		case p.CancelRequestedAt != nil:
			return nil
		}
		now := s.now()
		p.CancelRequestedAt, p.UpdatedAt = &now, now
		if err := save(ctx, tx, &p); err != nil {
			return err
		}
		_, err = s.Jobs.InsertTx(ctx, tx, OpenArgs{Ref: p.ref()}, soon())
		return err
	})
	if err != nil {
		return PaymentView{}, err
	}
	if !p.Status.Ended() {
		// The job does the same when this gets no answer.
		_, _, _ = s.chase(ctx, p.ref())
	}
	return s.Get(ctx, at, payment)
}

// Get reads a payment with its refunds.
func (s *Service) Get(ctx context.Context, at store.Place, payment uuid.UUID) (PaymentView, error) {
	var view PaymentView
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.payment.get", func(ctx context.Context, tx pgx.Tx) error {
		p, err := find(ctx, tx, payment)
		if err != nil {
			return err
		}
		refunds, err := refundsOf(ctx, tx, p.ID)
		view = s.view(&p, refunds, "")
		return err
	})
	return view, err
}

// Filter picks the payments of a list.
type Filter struct {
	BillID, Before *uuid.UUID
	Status, Method *string
	Limit          int32
}

// List reads payments with their refunds, newest first.
func (s *Service) List(ctx context.Context, at store.Place, f Filter) ([]PaymentView, error) {
	var views []PaymentView
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.payment.list", func(ctx context.Context, tx pgx.Tx) error {
		params := smarttabdb.ListPaymentsParams{BillID: f.BillID, Before: f.Before, Status: f.Status, Method: f.Method, MaxRows: f.Limit}
		if f.BillID != nil {
			params.Since = partition.Since(*f.BillID, partition.Skew)
		}
		if at.StoreID != uuid.Nil {
			params.StoreID = &at.StoreID
		}
		rows, err := smarttabdb.New(tx).ListPayments(ctx, params)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		refunds, err := refundsOf(ctx, tx, ids...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p, err := paymentOf(row, nil)
			if err != nil {
				return err
			}
			views = append(views, s.view(&p, refunds, ""))
		}
		return nil
	})
	return views, err
}
