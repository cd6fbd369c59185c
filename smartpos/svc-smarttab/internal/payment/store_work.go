package payment

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

// The work of the jobs. Each says whether it is done; undone work is taken up again.

// report tells the gateway of a cash or card payment.
func (s *Service) report(ctx context.Context, ref Ref) (bool, time.Duration, error) {
	p, err := s.read(ctx, ref)
	if err != nil || p.ReportedAt != nil || !p.Status.Ended() {
		return true, 0, err
	}
	age := s.now().Sub(p.CreatedAt)
	in, err := s.Gateway.Create(ctx, &p)
	if err != nil {
		return false, age, err
	}
	if in, err = s.Gateway.Confirm(ctx, &p, in); err != nil {
		return false, age, err
	}
	if err := p.agrees(in); err != nil {
		return false, age, err
	}
	return true, age, postgres.InTx(ctx, s.DB, ref.Scope(), "smarttab.payment.reported", func(ctx context.Context, tx pgx.Tx) error {
		p, err := lock(ctx, tx, ref.PaymentID)
		if err != nil || p.ReportedAt != nil {
			return err
		}
		now := s.now()
		p.IntentID, p.IntentVersion, p.ReportedAt, p.UpdatedAt = in.ID, max(p.IntentVersion, in.Version), &now, now
		return save(ctx, tx, &p)
	})
}

// chase finds out what became of a QR payment for which the gateway has not answered, or cancels it there.
func (s *Service) chase(ctx context.Context, ref Ref) (bool, time.Duration, error) {
	p, err := s.read(ctx, ref)
	if err != nil || p.Status.Ended() {
		return true, 0, err
	}
	age := s.now().Sub(p.CreatedAt)
	if p.IntentID == "" && age > s.Config.OpenWithin && p.CancelRequestedAt == nil {
		// Nobody has a token for it: give it up. Written down first, so that a crash does not forget it.
		if err := s.requestCancel(ctx, &p); err != nil {
			return false, age, err
		}
	}
	if p.IntentID == "" {
		if ended, err := s.findIntent(ctx, &p, age); ended || err != nil {
			return ended, age, err
		}
	}
	in, err := s.latest(ctx, &p)
	if err != nil {
		return false, age, err
	}
	return true, age, s.Apply(ctx, ref, in)
}

// latest asks for the intent's state, after cancelling it when that is due. The answer to a cancel is kept over there under its
// key: while it says that the provider is still being asked, the present state is asked for.
func (s *Service) latest(ctx context.Context, p *Payment) (Intent, error) {
	if p.CancelRequestedAt != nil {
		if in, err := s.Gateway.Cancel(ctx, p); err != nil || in.Final() {
			return in, err
		}
	}
	return s.Gateway.Get(ctx, p.IntentID)
}

// findIntent makes sure of the payment's intent: by the same request under the same key. A clear no, when nothing is found by
// the payment's id either and no earlier request can still be under way, ends the payment.
func (s *Service) findIntent(ctx context.Context, p *Payment, age time.Duration) (ended bool, err error) {
	in, err := s.Gateway.Create(ctx, p)
	if why, no := refusal(err); no {
		var found bool
		if in, found, err = s.Gateway.Find(ctx, p); err != nil {
			return false, err
		}
		if !found {
			if age < requestGone {
				return false, errNotCertain
			}
			return true, s.fail(ctx, p, why)
		}
	}
	if err != nil {
		return false, err
	}
	if err := s.Apply(ctx, p.ref(), in); err != nil {
		return false, err
	}
	return false, s.reread(ctx, p)
}

// requestGone is the age from which no request that made a payment's intent can still be under way.
const requestGone = time.Minute

// requestCancel writes down that the payment is to be cancelled.
func (s *Service) requestCancel(ctx context.Context, p *Payment) error {
	return postgres.InTx(ctx, s.DB, p.ref().Scope(), "smarttab.payment.give-up", func(ctx context.Context, tx pgx.Tx) error {
		fresh, err := lock(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if !fresh.Status.Ended() && fresh.CancelRequestedAt == nil {
			now := s.now()
			fresh.CancelRequestedAt, fresh.UpdatedAt = &now, now
			err = save(ctx, tx, &fresh)
		}
		*p = fresh
		return err
	})
}

// sendRefund sends a refund to the gateway, after its payment: of a wallet to have it done, of cash or a card to have it told.
func (s *Service) sendRefund(ctx context.Context, a RefundArgs) (bool, time.Duration, error) {
	p, r, err := s.readRefund(ctx, a)
	if err != nil || r.ReportedAt != nil || r.Status == RefundFailed {
		return true, 0, err
	}
	age := s.now().Sub(r.CreatedAt)
	if p.Method != QR && p.ReportedAt == nil {
		if done, _, err := s.report(ctx, a.Ref); !done || err != nil {
			return false, age, err
		}
		if p, r, err = s.readRefund(ctx, a); err != nil {
			return false, age, err
		}
	}
	first := r.Status == RefundPending
	if err := s.asking(ctx, &p, &r); err != nil {
		return false, age, err
	}
	in, err := s.Gateway.Refund(ctx, &p, &r)
	if why, no := refusal(err); no {
		var found bool
		if in, found, err = s.Gateway.FindRefund(ctx, &p, &r); err == nil && !found {
			return s.refundRefused(ctx, &p, &r, why, first || age > requestGone)
		}
	}
	if err != nil {
		return false, age, err
	}
	return true, age, postgres.InTx(ctx, s.DB, a.Scope(), "smarttab.refund.apply", func(ctx context.Context, tx pgx.Tx) error {
		return s.ApplyRefund(ctx, tx, a.RefundID, in)
	})
}

// asking writes down that the gateway is being asked for a wallet's refund: from here on a clear no may follow a yes whose answer
// was lost.
func (s *Service) asking(ctx context.Context, p *Payment, r *Refund) error {
	if r.Status != RefundPending {
		return nil
	}
	return postgres.InTx(ctx, s.DB, p.ref().Scope(), "smarttab.refund.send", func(ctx context.Context, tx pgx.Tx) error {
		fresh, err := lockRefund(ctx, tx, r.ID)
		if err == nil && fresh.Status == RefundPending {
			fresh.Status, fresh.UpdatedAt = RefundProcessing, s.now()
			err = saveRefund(ctx, tx, &fresh)
		}
		*r = fresh
		return err
	})
}

// refundRefused ends a wallet's refund that the gateway will not make, when that is certain. One that took place here stays, and
// its report is tried again: the books there are wrong until somebody puts them right.
func (s *Service) refundRefused(ctx context.Context, p *Payment, r *Refund, why *Failure, certain bool) (bool, time.Duration, error) {
	age := s.now().Sub(r.CreatedAt)
	if p.Method != QR {
		slog.ErrorContext(ctx, "refund: refused by the gateway after it took place", "refund_id", r.ID, "code", why.Code)
		return false, age, errRefused
	}
	if !certain {
		return false, age, errNotCertain
	}
	return true, age, postgres.InTx(ctx, s.DB, p.ref().Scope(), "smarttab.refund.fail", func(ctx context.Context, tx pgx.Tx) error {
		p, err := lock(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		fresh, err := lockRefund(ctx, tx, r.ID)
		if err != nil || fresh.Status.Ended() || fresh.GatewayRefundID != "" {
			return err
		}
		now := s.now()
		fresh.UpdatedAt = now
		if err := s.moveRefund(ctx, tx, &p, &fresh, RefundFailed, why, now); err != nil {
			return err
		}
		return saveRefund(ctx, tx, &fresh)
	})
}

func (s *Service) read(ctx context.Context, ref Ref) (Payment, error) {
	p := Payment{ID: ref.PaymentID, MerchantID: ref.MerchantID, StoreID: ref.StoreID}
	err := s.reread(ctx, &p)
	return p, err
}

func (s *Service) readRefund(ctx context.Context, a RefundArgs) (Payment, Refund, error) {
	var p Payment
	var r Refund
	err := postgres.InReadTx(ctx, s.DB, a.Scope(), "smarttab.refund.get", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if p, err = find(ctx, tx, a.PaymentID); err == nil {
			r, err = findRefund(ctx, tx, a.RefundID)
		}
		return err
	})
	return p, r, err
}
