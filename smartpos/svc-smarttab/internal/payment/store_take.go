package payment

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/bill"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

type database = *pgxpool.Pool

// Draft is what a payment is asked to be.
type Draft struct {
	BillID   uuid.UUID
	SplitID  uuid.UUID // zero: the bill itself
	Method   Method
	Provider string
	Amount   int64 // minor unit; 0: all that remains
	Tendered *int64
	Card     *CardResult // nil: the card application has not answered yet
}

const statusCreated, statusOK = 201, 200

// begin makes the row of a payment and holds its amount on the bill, in the caller's transaction.
func (s *Service) begin(ctx context.Context, tx pgx.Tx, at store.Place, d Draft, now time.Time) (Payment, error) {
	p := Payment{
		ID: id.NewUUID(now), MerchantID: at.MerchantID, StoreID: at.StoreID, BillID: d.BillID, Method: d.Method, Provider: d.Provider,
		Status: Pending, Version: 1, Card: d.Card, By: actor.Of(at.Principal), OccurredAt: now, CreatedAt: now, UpdatedAt: now,
	}
	if d.SplitID != uuid.Nil {
		p.SplitID = &d.SplitID
	}
	if d.Method == QR {
		expires := now.Add(s.Config.QRExpiry)
		p.ExpiresAt = &expires
	}
	held, b, err := bill.Reserve(ctx, tx, bill.Hold{
		BillID: d.BillID, SplitID: d.SplitID, PaymentID: p.ID, Amount: d.Amount, By: p.By, At: now,
	})
	if err != nil {
		return Payment{}, err
	}
	p.Amount, p.Currency = held.Amount(), b.Currency
	if d.Method == Cash {
		if err := p.charge(d.Tendered); err != nil {
			return Payment{}, err
		}
	}
	return p, insert(ctx, tx, &p)
}

// TakeHere takes cash or a card: one transaction, and the job by which the gateway hears of it. A card without a result waits
// for it as processing.
func (s *Service) TakeHere(ctx context.Context, at store.Place, r idempotency.Request, d Draft) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.payment.take", r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		now := s.now()
		p, err := s.begin(ctx, tx, at, d, now)
		if err != nil {
			return 0, nil, err
		}
		if p.Method == Card && p.Card == nil {
			if err := p.move(Processing, now); err != nil {
				return 0, nil, err
			}
			return statusCreated, s.view(&p, nil, ""), save(ctx, tx, &p)
		}
		if err := s.settleHere(ctx, tx, &p, now); err != nil {
			return 0, nil, err
		}
		return statusCreated, s.view(&p, nil, ""), nil
	})
}

// settleHere ends a payment whose outcome is known here, and leaves the job that reports it.
func (s *Service) settleHere(ctx context.Context, tx pgx.Tx, p *Payment, now time.Time) error {
	var err error
	if p.Card != nil && !p.Card.Approved() {
		err = giveUp(ctx, tx, p, Failed, &Failure{Code: "card_declined", Message: "The card was declined."}, p.By, now)
	} else {
		err = complete(ctx, tx, p, p.By, now, now)
	}
	if err != nil {
		return err
	}
	if err := save(ctx, tx, p); err != nil {
		return err
	}
	_, err = s.Jobs.InsertTx(ctx, tx, ReportArgs{Ref: p.ref()}, nil)
	return err
}

// RecordCard takes the result of a card payment that waits for it.
func (s *Service) RecordCard(ctx context.Context, at store.Place, r idempotency.Request, payment uuid.UUID, card CardResult) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.payment.card", r, func(ctx context.Context, tx pgx.Tx) (int, any, error) {
		p, err := lock(ctx, tx, payment)
		if err != nil {
			return 0, nil, err
		}
		if p.Method != Card || p.Status.Ended() {
			return 0, nil, ErrNoResultDue.New("The payment is a %s payment and %s.", p.Method, p.Status)
		}
		p.Card = &card
		if err := s.settleHere(ctx, tx, &p, s.now()); err != nil {
			return 0, nil, err
		}
		return statusOK, s.view(&p, nil, ""), nil
	})
}

// TakeQR starts a wallet's payment. Its row and the job that goes on with it are committed before the gateway is called; no
// answer leaves it pending. The same key again goes on with the same payment.
func (s *Service) TakeQR(ctx context.Context, at store.Place, r idempotency.Request, d Draft) (PaymentView, error) {
	var p Payment
	first := false
	err := postgres.InTx(ctx, s.DB, at.Scope(), "smarttab.payment.start", func(ctx context.Context, tx pgx.Tx) error {
		kept, found, err := idempotency.Lookup(ctx, tx, r)
		if err != nil {
			return err
		}
		if found {
			first = false
			p, err = find(ctx, tx, kept.Subject)
			return err
		}
		now := s.now()
		if p, err = s.begin(ctx, tx, at, d, now); err != nil {
			return err
		}
		first = true
		if _, err := idempotency.Start(ctx, tx, r, p.ID); err != nil {
			return err
		}
		_, err = s.Jobs.InsertTx(ctx, tx, OpenArgs{Ref: p.ref()}, soon())
		return err
	})
	if err != nil {
		return PaymentView{}, err
	}
	token := ""
	if !p.Status.Ended() {
		token = s.open(ctx, &p, first)
	}
	return s.view(&p, nil, s.tokenFor(at, &p, token)), nil
}

// tokenFor hands the token to the terminal (or person) that made the payment, and to nobody else.
func (s *Service) tokenFor(at store.Place, p *Payment, token string) string {
	if actor.Of(at.Principal) != p.By || p.Status.Ended() {
		return ""
	}
	return token
}

// open brings a QR payment and its intent together and returns a token for it; "" when there is none to be had now. Whatever
// goes wrong here is the job's to put right.
func (s *Service) open(ctx context.Context, p *Payment, first bool) string {
	if p.IntentID != "" {
		token, err := s.Gateway.Token(ctx, p.IntentID)
		if err != nil {
			slog.WarnContext(ctx, "payment: no new token", "payment_id", p.ID, "error", err)
		}
		return token
	}
	in, err := s.Gateway.Create(ctx, p)
	if why, no := refusal(err); no && first {
		// The first request and a clear no: nothing was made there.
		if err := s.fail(ctx, p, why); err != nil {
			slog.WarnContext(ctx, "payment: refused by the gateway, not yet failed", "payment_id", p.ID, "error", err)
		}
		return ""
	}
	if err != nil {
		slog.WarnContext(ctx, "payment: the gateway has not answered", "payment_id", p.ID, "error", err)
		return ""
	}
	if err := s.Apply(ctx, p.ref(), in); err != nil {
		slog.WarnContext(ctx, "payment: intent not kept", "payment_id", p.ID, "error", err)
		return ""
	}
	if err := s.reread(ctx, p); err != nil {
		slog.WarnContext(ctx, "payment: not read again", "payment_id", p.ID, "error", err)
	}
	return in.PaymentToken
}

// reread brings p up to date.
func (s *Service) reread(ctx context.Context, p *Payment) error {
	return postgres.InReadTx(ctx, s.DB, p.ref().Scope(), "smarttab.payment.get", func(ctx context.Context, tx pgx.Tx) error {
		fresh, err := find(ctx, tx, p.ID)
		if err == nil {
			*p = fresh
		}
		return err
	})
}

// fail ends a QR payment of which it is certain that no intent exists.
func (s *Service) fail(ctx context.Context, p *Payment, why *Failure) error {
	return postgres.InTx(ctx, s.DB, p.ref().Scope(), "smarttab.payment.fail", func(ctx context.Context, tx pgx.Tx) error {
		fresh, err := lock(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if !fresh.Status.Ended() && fresh.IntentID == "" {
			if err := giveUp(ctx, tx, &fresh, Failed, why, fresh.By, s.now()); err != nil {
				return err
			}
			if err := save(ctx, tx, &fresh); err != nil {
				return err
			}
		}
		*p = fresh
		return nil
	})
}
