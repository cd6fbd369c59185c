package intent

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// Confirm chooses method and provider. Cash and external cards are recorded in one transaction; QR goes through a provider.
func (s *Service) Confirm(ctx context.Context, call partner.Call, intentID string, c Confirmation) (idempotency.Answer, error) {
	if err := c.check(s.clock()); err != nil {
		return idempotency.Answer{}, err
	}
	if modeOf(c.Method) == PGWProcessed {
		return s.confirmQR(ctx, call, intentID, c)
	}
	return s.keyed(ctx, call, "pgw.intent.record", func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error) {
		in, err := Lock(ctx, tx, intentID)
		if err != nil {
			return idempotency.Answer{}, err
		}
		if err := s.record(ctx, tx, &in, c); err != nil {
			return idempotency.Answer{}, err
		}
		answer, err := confirmAnswer(in)
		if err != nil {
			return idempotency.Answer{}, err
		}
		return s.keys.Finish(ctx, tx, keyID, answer)
	})
}

// record books what was taken without a provider.
func (s *Service) record(ctx context.Context, tx pgx.Tx, in *Intent, c Confirmation) error {
	now := s.clock()
	if err := in.mayConfirm(c, now); err != nil {
		return err
	}
	in.MethodType, in.ProcessingMode, in.OccurredAt, in.Card, in.CashTendered = c.Method, modeOf(c.Method), c.OccurredAt, c.Card, c.Tendered
	in.Provider = "" // of a try that the provider did not take
	if c.Card != nil && c.Card.Result == "declined" {
		in.FailureCode, in.FailureMessage = provider.CodeDeclined, "declined at the terminal"
		if err := in.moveTell(Failed, now); err != nil {
			return err
		}
		return Save(ctx, tx, in)
	}
	in.CapturedAmount = in.Amount.Minor
	if err := in.moveTell(Succeeded, now); err != nil {
		return err
	}
	if err := Save(ctx, tx, in); err != nil {
		return err
	}
	if c.Method == Cash {
		return ledger.Post(ctx, tx, ledger.CashTaken(Booking(*in, now)))
	}
	return ledger.Post(ctx, tx, ledger.CardRecorded(Booking(*in, now)))
}

// confirmQR commits the attempt, calls the provider, and writes what came of it.
func (s *Service) confirmQR(ctx context.Context, call partner.Call, intentID string, c Confirmation) (idempotency.Answer, error) {
	seen, err := s.Retrieve(ctx, call.Identity, intentID)
	if err != nil {
		return idempotency.Answer{}, err
	}
	p, err := pickProvider(s.providers, seen, c)
	if err != nil {
		return idempotency.Answer{}, err
	}
	// A transaction must not wait for a second connection, so this comes before it. What is wrong here is told only when the
	// key is free: a repetition gets its answer whatever has become of the configuration.
	cred, credErr := s.merchants.Credentials(ctx, tenant(call.Identity),
		merchant.Place{MerchantID: seen.MerchantID, StoreID: seen.StoreID, Provider: p.Name()}, merchant.NewPayment)
	var a Attempt
	begun, err := s.keyed(ctx, call, "pgw.intent.begin_attempt", func(ctx context.Context, tx pgx.Tx, keyID string) (idempotency.Answer, error) {
		a, err = s.beginAttempt(ctx, tx, intentID, keyID, c, p.Name(), cred, credErr)
		return idempotency.Answer{}, err
	})
	if err != nil || begun.Status != 0 {
		return begun, err // refused, or answered before
	}
	// From here on the outcome is written whatever becomes of the caller.
	ctx = context.WithoutCancel(ctx)
	stop := s.keepLease(ctx, call.Scope(), intentID)
	n := s.firstCall(ctx, seen, a, c)
	stop()
	out, err := s.settle(ctx, call.Scope(), a.ID, n, settling{finishConfirm: true, confirmKeyID: a.ConfirmKeyID})
	if err != nil {
		return idempotency.Answer{}, err
	}
	if n.kind == newsNotNow && out.intent.Status == RequiresPaymentMethod {
		return idempotency.Answer{}, notNow(n)
	}
	return out.confirm, nil
}

func notNow(n news) error {
	return ProviderNotNow.New("Nothing was begun; try again, the same Idempotency-Key will do.").WithHeader("Retry-After", seconds(n.retryAfter))
}

func (s *Service) beginAttempt(ctx context.Context, tx pgx.Tx, intentID, keyID string, c Confirmation, providerName string, cred provider.Credentials, credErr error) (Attempt, error) {
	in, err := Lock(ctx, tx, intentID)
	if err != nil {
		return Attempt{}, err
	}
	now := s.clock()
	if err := in.mayConfirm(c, now); err != nil {
		return Attempt{}, err
	}
	if credErr != nil {
		return Attempt{}, credErr
	}
	a := Attempt{
		ID: id.NewULID(AttemptPrefix, now), IntentID: in.ID, PartnerID: in.PartnerID, Mode: in.Mode, MerchantID: in.MerchantID, StoreID: in.StoreID,
		Provider: providerName, ContractID: cred.ContractID, ProviderStoreID: cred.StoreID, MethodType: c.Method, Status: Creating, Amount: in.Amount,
		CaptureLater: in.CaptureMethod == CaptureManual, ConfirmKeyID: keyID,
		Traceparent: telemetry.Traceparent(ctx), CreatedAt: now,
	}
	in.MethodType, in.ProcessingMode, in.Provider = c.Method, PGWProcessed, providerName
	in.LiveAttemptID, in.LatestAttemptID, in.DueAt = a.ID, a.ID, now.Add(s.cfg.Lease)
	if c.Method == QRCPM {
		// Money may move with the first call.
		a.Status = Charging
		if err := in.moveTell(Processing, now); err != nil {
			return Attempt{}, err
		}
	}
	if err := createAttempt(ctx, tx, a); err != nil {
		return Attempt{}, err
	}
	return a, Save(ctx, tx, &in)
}

// settling says what else a settlement has to do.
type settling struct {
	finishConfirm bool   // the confirm's caller waits: answer with whatever is known now
	confirmKeyID  string // with finishConfirm: the caller's key, which somebody else may have answered meanwhile
	finishSecond  bool   // the same for cancel and capture
	continues     bool   // the caller goes on with the attempt itself
	verdict       bool   // the news are an operator's, not a provider's
}

// settled is what a settlement left.
type settled struct {
	intent          Intent
	attempt         Attempt
	confirm, second idempotency.Answer // zero: not finished now
	span            trace.Span         // of the outcome in the sale's trace
}

// settle writes what news mean, under the locks of intent and attempt, with the events, bookings and kept answers that
// belong to it. Any number of bringers of the same news may call it at once.
func (s *Service) settle(ctx context.Context, scope postgres.Scope, attemptID string, n news, o settling) (settled, error) {
	out := settled{span: noop.Span{}}
	err := postgres.InTx(ctx, s.db, scope, "pgw.intent.settle", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		out, err = s.settleIn(ctx, tx, attemptID, n, o)
		return err
	})
	telemetry.End(out.span, err)
	return out, err
}

func (s *Service) settleIn(ctx context.Context, tx pgx.Tx, attemptID string, n news, o settling) (settled, error) {
	out := settled{span: noop.Span{}}
	in, a, err := lockBoth(ctx, tx, attemptID)
	if err != nil {
		return out, err
	}
	now := s.clock()
	wasOver, hadOperator := a.Over(), !a.OperatorAt.IsZero()
	tick(&in, &a, now, s.cfg)
	if o.verdict {
		a.heed(n, now)
	}
	fx, err := apply(&in, &a, n, now, s.cfg)
	if err != nil {
		return out, err
	}
	if n.kind == newsNotNow && a.Status == Creating && a.Asks == 0 && o.finishConfirm {
		// The provider did not take the first call: the attempt never was.
		a.FailureCode, a.FailureMessage = provider.CodeThrottled, n.text
		a.become(AttemptFailed, now)
		in.LiveAttemptID, in.DueAt = "", in.ExpiresAt
		if err := s.keys.Drop(ctx, tx, a.ConfirmKeyID); err != nil {
			return out, err
		}
		a.ConfirmKeyID, o.confirmKeyID = "", ""
	}
	s.plan(&in, &a, n, now, o)
	if len(in.told) > 0 {
		ctx, out.span = rejoin(ctx, &in, &a)
	}
	if out.confirm, out.second, err = s.finishKeys(ctx, tx, in, &a, o); err != nil {
		return out, err
	}
	if err := saveAttempt(ctx, tx, a, now); err != nil {
		return out, err
	}
	if err := Save(ctx, tx, &in); err != nil {
		return out, err
	}
	if a.Status == AttemptFailed && !wasOver {
		if err := s.askLater(ctx, tx, a); err != nil {
			return out, err
		}
	}
	if !hadOperator && !a.OperatorAt.IsZero() {
		s.log.ErrorContext(ctx, "an operator is needed", "payment_intent", in.ID, "payment_attempt", a.ID, "provider", a.Provider,
			"asked_for", a.Amount.Minor, "provider_says", n.payment.Amount.Minor, "provider_captured", n.payment.Captured.Minor)
	}
	out.intent, out.attempt = in, a
	return out, fx.write(ctx, tx, in, a, now)
}

// plan sets when the sweep looks at a live attempt next.
func (s *Service) plan(in *Intent, a *Attempt, n news, now time.Time, o settling) {
	if in.LiveAttemptID != a.ID {
		return
	}
	st := next(in, a, n.kind, now, s.cfg)
	switch {
	case n.kind == newsNotNow || n.retryAfter > 0:
		in.DueAt = now.Add(max(n.retryAfter, s.cfg.AskEvery))
	case st.do == doWait:
		in.DueAt = st.until
	case o.continues:
		in.DueAt = now.Add(s.cfg.Lease)
	default:
		in.DueAt = now
	}
}

// lockBoth locks the intent and then its attempt: always in this order.
func lockBoth(ctx context.Context, tx pgx.Tx, attemptID string) (Intent, Attempt, error) {
	a, err := GetAttempt(ctx, tx, attemptID)
	if err != nil {
		return Intent{}, Attempt{}, err
	}
	in, err := Lock(ctx, tx, a.IntentID)
	if err != nil {
		return Intent{}, Attempt{}, err
	}
	a, err = lockAttempt(ctx, tx, attemptID)
	return in, a, err
}

// finishConfirm answers the confirm's key, or says what it was answered with.
func (s *Service) finishConfirm(ctx context.Context, tx pgx.Tx, in Intent, a *Attempt, o settling) (idempotency.Answer, error) {
	keyID := a.ConfirmKeyID
	switch {
	case keyID != "" && !o.finishConfirm && (a.Status == Creating || a.Status == Charging):
		return idempotency.Answer{}, nil // its caller waits, or the sweep will know more
	case keyID == "":
		keyID = o.confirmKeyID
	}
	if keyID == "" {
		return idempotency.Answer{}, nil
	}
	answer, err := confirmAnswer(in)
	if err != nil {
		return answer, err
	}
	a.ConfirmKeyID = ""
	return s.keys.Finish(ctx, tx, keyID, answer)
}

// finishKeys answers the keys that wait for this attempt: when it has left the state that they wait in, or when the caller
// is still there and gets what is known.
func (s *Service) finishKeys(ctx context.Context, tx pgx.Tx, in Intent, a *Attempt, o settling) (confirm, second idempotency.Answer, err error) {
	if confirm, err = s.finishConfirm(ctx, tx, in, a, o); err != nil {
		return confirm, second, err
	}
	waiting := a.Status == Capturing || (in.cancelRequested() && !a.Over())
	if a.SecondKeyID != "" && (o.finishSecond || !waiting) {
		second, err = confirmAnswer(in)
		if in.cancelRequested() {
			second, err = cancelAnswer(in)
		}
		if err != nil {
			return confirm, second, err
		}
		if second, err = s.keys.Finish(ctx, tx, a.SecondKeyID, second); err != nil {
			return confirm, second, err
		}
		a.SecondKeyID = ""
	}
	return confirm, second, nil
}
