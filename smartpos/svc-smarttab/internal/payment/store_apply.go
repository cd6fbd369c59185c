package payment

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
)

// gateway is who brings news about payments.
var gateway = actor.Platform("pgw")

// Apply brings a payment to what the gateway said of its intent just now, in a transaction of its own. A ContradictionError
// means that the snapshot cannot be true of the payment; nothing is changed then.
func (s *Service) Apply(ctx context.Context, ref Ref, in Intent) error {
	return postgres.InTx(ctx, s.DB, ref.Scope(), "smarttab.payment.apply", func(ctx context.Context, tx pgx.Tx) error {
		return s.ApplyIntent(ctx, tx, ref.PaymentID, in, false)
	})
}

// Catch brings a payment to its intent's present state whatever the versions say: after events have been lost, or the gateway
// was restored.
func (s *Service) Catch(ctx context.Context, ref Ref, in Intent) error {
	return postgres.InTx(ctx, s.DB, ref.Scope(), "smarttab.payment.catch", func(ctx context.Context, tx pgx.Tx) error {
		return s.ApplyIntent(ctx, tx, ref.PaymentID, in, true)
	})
}

// ApplyIntent brings a payment to the snapshot, within the caller's transaction (the feed's, with its cursor). It may come
// twice, late, and out of order. trusted skips the check of versions, for a resync.
func (s *Service) ApplyIntent(ctx context.Context, tx pgx.Tx, payment uuid.UUID, in Intent, trusted bool) error {
	p, err := lock(ctx, tx, payment)
	if err != nil {
		return err
	}
	now := s.now()
	known := p.IntentID == in.ID && in.Version <= p.IntentVersion
	if p.Method == QR {
		next, moved, err := p.follow(in, trusted)
		if err != nil {
			return err
		}
		if moved {
			if err := s.moveBy(ctx, tx, &p, next, in, now); err != nil {
				return err
			}
			known = false
		}
	} else if err := p.agrees(in); err != nil {
		return err
	}
	if known {
		return nil
	}
	p.IntentID, p.UpdatedAt = in.ID, now
	p.IntentVersion = max(p.IntentVersion, in.Version)
	if !in.ExpiresAt.IsZero() && p.Method == QR {
		p.ExpiresAt = &in.ExpiresAt
	}
	return save(ctx, tx, &p)
}

// moveBy takes a wallet's payment to the state that its intent has reached, with all that follows.
func (s *Service) moveBy(ctx context.Context, tx pgx.Tx, p *Payment, next Status, in Intent, now time.Time) error {
	switch next {
	case Completed:
		occurred := now
		if in.SucceededAt != nil && in.SucceededAt.Before(now) {
			occurred = in.SucceededAt.UTC()
		}
		return complete(ctx, tx, p, gateway, occurred, now)
	case Failed, Cancelled:
		return giveUp(ctx, tx, p, next, why(in), gateway, now)
	default:
		return p.move(next, now)
	}
}

// ApplyLateSuccess notes that the provider was paid after the payment had ended. The gateway returns that money by itself.
func (s *Service) ApplyLateSuccess(ctx context.Context, tx pgx.Tx, payment uuid.UUID) error {
	p, err := lock(ctx, tx, payment)
	if err != nil || p.LateSuccessAt != nil {
		return err
	}
	now := s.now()
	p.LateSuccessAt, p.UpdatedAt = &now, now
	return save(ctx, tx, &p)
}

// ApplyReconciled notes that the payment was found in the provider's own file; the last of a closed day's reconciles the day.
func (s *Service) ApplyReconciled(ctx context.Context, tx pgx.Tx, payment uuid.UUID) error {
	p, err := lock(ctx, tx, payment)
	if err != nil || p.ReconciledAt != nil {
		return err
	}
	if p.SettlementID != nil {
		if err := settlement.Lock(ctx, tx, *p.SettlementID); err != nil {
			return err
		}
	}
	now := s.now()
	p.ReconciledAt, p.UpdatedAt = &now, now
	if err := save(ctx, tx, &p); err != nil {
		return err
	}
	if p.SettlementID == nil {
		return nil
	}
	_, err = settlement.Reconcile(ctx, tx, *p.SettlementID, now)
	return err
}

// ApplyRefund brings a refund of our own to what the gateway says of it, within the caller's transaction.
func (s *Service) ApplyRefund(ctx context.Context, tx pgx.Tx, refund uuid.UUID, in GatewayRefund) error {
	r, err := findRefund(ctx, tx, refund)
	if err != nil {
		return err
	}
	p, err := lock(ctx, tx, r.PaymentID) // first the payment, then its refund: the same order everywhere
	if err != nil {
		return err
	}
	if r, err = lockRefund(ctx, tx, refund); err != nil {
		return err
	}
	if p.Method != QR && !r.foreign() {
		return s.reported(ctx, tx, &r, in, s.now())
	}
	return s.followRefund(ctx, tx, &p, &r, in)
}

// ApplyForeignRefund books a refund of a payment that was not asked for here but at the gateway itself, within the caller's
// transaction: the customer has that money back, whoever gave it. A ContradictionError when the payment has less left than
// that; it may have more once a refund of our own has failed.
func (s *Service) ApplyForeignRefund(ctx context.Context, tx pgx.Tx, payment uuid.UUID, in GatewayRefund) error {
	p, err := lock(ctx, tx, payment)
	if err != nil {
		return err
	}
	all, err := refundsOf(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.GatewayRefundID == in.ID {
			return s.followRefund(ctx, tx, &p, &r, in)
		}
	}
	if RefundStatus(in.Status) == RefundFailed {
		return nil // nothing was ever held for it
	}
	now := s.now()
	r, err := p.giveForeign(in, now)
	if err != nil {
		return err
	}
	if err := insertRefund(ctx, tx, &r); err != nil {
		return err
	}
	if err := save(ctx, tx, &p); err != nil {
		return err
	}
	return s.followRefund(ctx, tx, &p, &r, in)
}

// followRefund brings a refund whose payment is locked to the gateway's snapshot of it.
func (s *Service) followRefund(ctx context.Context, tx pgx.Tx, p *Payment, r *Refund, in GatewayRefund) error {
	now := s.now()
	next, moved, err := r.follow(in)
	if err != nil {
		return err
	}
	if !moved && r.GatewayRefundID == in.ID && in.Version <= r.GatewayVersion {
		return nil
	}
	r.GatewayRefundID, r.GatewayVersion, r.UpdatedAt = in.ID, max(r.GatewayVersion, in.Version), now
	if r.ReportedAt == nil {
		r.ReportedAt = &now
	}
	if moved {
		if err := s.moveRefund(ctx, tx, p, r, next, failureOf(in), now); err != nil {
			return err
		}
	}
	return saveRefund(ctx, tx, r)
}

func (s *Service) moveRefund(ctx context.Context, tx pgx.Tx, p *Payment, r *Refund, next RefundStatus, why *Failure, now time.Time) error {
	switch next {
	case RefundSucceeded:
		if err := completeRefund(ctx, tx, p, r, gateway, now); err != nil {
			return err
		}
	case RefundFailed:
		p.kept(r.Amount)
		r.Status, r.Failure, r.EndedAt, p.UpdatedAt = next, why, &now, now
	default:
		r.Status = next
		return nil
	}
	return save(ctx, tx, p)
}

// reported notes that the gateway has heard of a refund that took place here.
func (s *Service) reported(ctx context.Context, tx pgx.Tx, r *Refund, in GatewayRefund, now time.Time) error {
	if r.ReportedAt != nil && r.GatewayRefundID == in.ID {
		return nil
	}
	r.GatewayRefundID, r.GatewayVersion, r.ReportedAt, r.UpdatedAt = in.ID, max(r.GatewayVersion, in.Version), &now, now
	return saveRefund(ctx, tx, r)
}
