package intent

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/pgw/internal/partner"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
)

// cancelWait is how long a cancel's caller is kept waiting for a slow provider; the sweep goes on after that.
const cancelWait = 20 * time.Second

// Cancel ends an intent unpaid. Where the provider may already have been paid it is asked first, so the answer may be that
// the customer was faster (409), or that it is not certain yet (202).
func (s *Service) Cancel(ctx context.Context, call partner.Call, intentID, reason string) (idempotency.Answer, error) {
	if err := refuseCard("reason", reason); err != nil {
		return idempotency.Answer{}, err
	}
	var attemptID, keyID string
	answer, err := s.keyed(ctx, call, "pgw.intent.begin_cancel", func(ctx context.Context, tx pgx.Tx, key string) (idempotency.Answer, error) {
		var err error
		var in Intent
		if in, attemptID, err = s.beginCancel(ctx, tx, intentID, key, reason); err != nil || attemptID != "" {
			keyID = key
			return idempotency.Answer{}, err
		}
		done, err := cancelAnswer(in)
		if err != nil {
			return idempotency.Answer{}, err
		}
		return s.keys.Finish(ctx, tx, key, done)
	})
	if err != nil || attemptID == "" || answer.Status != 0 {
		return answer, err
	}
	ctx = context.WithoutCancel(ctx)
	stop := s.keepLease(ctx, call.Scope(), intentID)
	defer stop()
	limit, end := context.WithTimeout(ctx, cancelWait)
	defer end()
	if err := s.advance(limit, call.Scope(), attemptID, newsNone); err != nil {
		s.log.WarnContext(ctx, "cancel goes on in the background", "payment_intent", intentID, "error", err)
	}
	return s.finishSecond(ctx, call.Scope(), attemptID, keyID)
}

// beginCancel cancels at once what no provider knows of, and notes the wish on what one does.
func (s *Service) beginCancel(ctx context.Context, tx pgx.Tx, intentID, keyID, reason string) (in Intent, attemptID string, err error) {
	if in, err = Lock(ctx, tx, intentID); err != nil {
		return in, "", err
	}
	now := s.clock()
	switch {
	case in.Status == Cancelled:
		return in, "", nil
	case in.Status == Succeeded:
		return in, "", AlreadyPaid.New("It has succeeded; refund it instead.").With("payment_intent", Render(in))
	case in.Status.Final():
		return in, "", wrongState(in, "cancel")
	}
	if reason == "" {
		reason = reasonRequested
	}
	if in.LiveAttemptID == "" {
		in.CancellationReason, in.CancelRequestedAt = reason, now
		if err = in.moveTell(Cancelled, now); err != nil {
			return in, "", err
		}
		return in, "", Save(ctx, tx, &in)
	}
	a, err := lockAttempt(ctx, tx, in.LiveAttemptID)
	if err != nil {
		return in, "", err
	}
	if a.SecondKeyID != "" {
		return in, "", Busy.New("A capture or another cancel is going on; retrieve the PaymentIntent.")
	}
	if in.CancelRequestedAt.IsZero() {
		in.CancellationReason, in.CancelRequestedAt = reason, now
	}
	a.SecondKeyID, in.DueAt = keyID, now.Add(s.cfg.Lease)
	tick(&in, &a, now, s.cfg)
	if err = saveAttempt(ctx, tx, a, now); err != nil {
		return in, "", err
	}
	return in, a.ID, Save(ctx, tx, &in)
}

// finishSecond answers the cancel's or capture's caller with what is known now; a job may have done so already.
func (s *Service) finishSecond(ctx context.Context, scope postgres.Scope, attemptID, keyID string) (idempotency.Answer, error) {
	var answer idempotency.Answer
	err := postgres.InTx(ctx, s.db, scope, "pgw.intent.finish_second", func(ctx context.Context, tx pgx.Tx) error {
		in, a, err := lockBoth(ctx, tx, attemptID)
		if err != nil {
			return err
		}
		if answer, err = confirmAnswer(in); in.cancelRequested() {
			answer, err = cancelAnswer(in)
		}
		if err != nil {
			return err
		}
		if answer, err = s.keys.Finish(ctx, tx, keyID, answer); err != nil {
			return err
		}
		if a.SecondKeyID != keyID {
			return nil
		}
		a.SecondKeyID = ""
		return saveAttempt(ctx, tx, a, s.clock())
	})
	return answer, err
}

// Capture takes held money, all or part; amount 0: all. What is not taken is released.
func (s *Service) Capture(ctx context.Context, call partner.Call, intentID string, amount int64) (idempotency.Answer, error) {
	var a Attempt
	var keyID string
	answer, err := s.keyed(ctx, call, "pgw.intent.begin_capture", func(ctx context.Context, tx pgx.Tx, key string) (idempotency.Answer, error) {
		var err error
		keyID = key
		a, err = s.beginCapture(ctx, tx, intentID, key, amount)
		return idempotency.Answer{}, err
	})
	if err != nil || answer.Status != 0 {
		return answer, err
	}
	ctx = context.WithoutCancel(ctx)
	stop := s.keepLease(ctx, call.Scope(), intentID)
	n := s.capture(ctx, a, true)
	stop()
	if _, err := s.settle(ctx, call.Scope(), a.ID, n, settling{}); err != nil {
		return idempotency.Answer{}, err
	}
	return s.finishSecond(ctx, call.Scope(), a.ID, keyID)
}

func (s *Service) beginCapture(ctx context.Context, tx pgx.Tx, intentID, keyID string, amount int64) (Attempt, error) {
	in, err := Lock(ctx, tx, intentID)
	if err != nil {
		return Attempt{}, err
	}
	if in.Status != RequiresCapture {
		return Attempt{}, wrongState(in, "capture")
	}
	a, err := lockAttempt(ctx, tx, in.LiveAttemptID)
	switch {
	case err != nil:
		return Attempt{}, err
	case a.SecondKeyID != "" || a.Status != Authorized:
		return Attempt{}, Busy.New("A cancel is going on; retrieve the PaymentIntent.")
	case amount < 0 || amount > in.Amount.Minor:
		return Attempt{}, problem.Validation.Field("amount", "it must be from 1 to what is held, %d", in.Amount.Minor)
	case amount == 0:
		amount = in.Amount.Minor
	}
	now := s.clock()
	a.become(Capturing, now)
	a.CaptureAmount, a.CaptureTries, a.SecondKeyID = amount, a.CaptureTries+1, keyID
	in.DueAt = now.Add(s.cfg.Lease)
	if err := in.moveTell(Processing, now); err != nil {
		return Attempt{}, err
	}
	if err := saveAttempt(ctx, tx, a, now); err != nil {
		return Attempt{}, err
	}
	return a, Save(ctx, tx, &in)
}

// announce commits that a cancel, or a further capture, is about to be sent. false: the attempt is over meanwhile.
func (s *Service) announce(ctx context.Context, scope postgres.Scope, attemptID string, do action) (Attempt, bool, error) {
	var a Attempt
	live := false
	err := postgres.InTx(ctx, s.db, scope, "pgw.intent.announce", func(ctx context.Context, tx pgx.Tx) error {
		var in Intent
		var err error
		if in, a, err = lockBoth(ctx, tx, attemptID); err != nil {
			return err
		}
		now := s.clock()
		tick(&in, &a, now, s.cfg)
		if live = in.LiveAttemptID == a.ID; !live {
			return nil
		}
		switch {
		case do == doCancel && a.CancelSentAt.IsZero():
			a.CancelSentAt = now
		case do == doCapture:
			a.CaptureTries++
		}
		return saveAttempt(ctx, tx, a, now)
	})
	return a, live, err
}

// loadLive reads an attempt with its intent, without locks.
func (s *Service) loadBoth(ctx context.Context, scope postgres.Scope, attemptID string) (in Intent, a Attempt, err error) {
	err = postgres.InReadTx(ctx, s.db, scope, "pgw.intent.load", func(ctx context.Context, tx pgx.Tx) error {
		if a, err = GetAttempt(ctx, tx, attemptID); err != nil {
			return err
		}
		in, err = Get(ctx, tx, a.IntentID)
		return err
	})
	return in, a, err
}

// expire cancels an intent that nobody confirmed in time. Whatever else made it due is done already.
func (s *Service) expire(ctx context.Context, c claimed) error {
	return postgres.InTx(ctx, s.db, c.scope(), "pgw.intent.expire", func(ctx context.Context, tx pgx.Tx) error {
		in, err := Lock(ctx, tx, c.id)
		if err != nil || in.LiveAttemptID != "" || in.Status.Final() {
			return err
		}
		now := s.clock()
		if in.DueAt = in.ExpiresAt; now.Before(in.ExpiresAt) {
			return Save(ctx, tx, &in)
		}
		in.CancellationReason = reasonExpired
		if err := in.moveTell(Cancelled, now); err != nil {
			return err
		}
		if in.LatestAttemptID == "" {
			return Save(ctx, tx, &in) // nobody confirmed it: there is no sale's trace
		}
		a, err := GetAttempt(ctx, tx, in.LatestAttemptID)
		if err != nil {
			return err
		}
		ctx, span := rejoin(ctx, &in, &a)
		err = Save(ctx, tx, &in)
		telemetry.End(span, err)
		return err
	})
}

func seconds(d time.Duration) string {
	return fmt.Sprint(int64(max(d, time.Second) / time.Second))
}

// codeOf is a definitive failure in our words, for failure.code and for people.
func codeOf(err error) (code, text string) {
	code = provider.CodeOf(err)
	if code == "" {
		code = provider.CodeRejected
	}
	return code, failureText[code]
}

// failureText is what failure.message says: a fixed sentence a code, so that nothing of a provider's answer leaks through.
var failureText = map[string]string{
	provider.CodeDeclined:           "The provider declined the payment.",
	provider.CodeInsufficientFunds:  "The customer's balance is not enough.",
	provider.CodeLimitExceeded:      "A limit of the customer's account is exceeded.",
	provider.CodeCustomerUnable:     "The customer's account cannot pay.",
	provider.CodeInvalidCode:        "The customer's code is not valid or too old; ask for a fresh one.",
	provider.CodeSuspectedDuplicate: "The same customer paid the same amount a moment ago; the provider suspects a duplicate.",
	provider.CodeDuplicate:          "The provider knows this payment already.",
	provider.CodeCredentials:        "The provider refuses the store's credentials.",
	provider.CodeNotCapturable:      "The provider cannot capture it.",
	provider.CodeRejected:           "The provider rejected the request.",
	provider.CodeThrottled:          "The provider takes no calls just now.",
}
