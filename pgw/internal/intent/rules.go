package intent

import (
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Config are the windows of the chase. Every figure is a default that an operator may change.
type Config struct {
	AskEvery      time.Duration `env:"INTENT_ASK_EVERY" envDefault:"2500ms" doc:"how often the provider is asked about an unknown outcome"`
	PollEvery     time.Duration `env:"INTENT_POLL_EVERY" envDefault:"3s" doc:"how often the provider is asked whether a shown code is paid"`
	ChaseWindow   time.Duration `env:"INTENT_CHASE_WINDOW" envDefault:"60s" doc:"how long an unknown outcome is asked for before it is cancelled at the provider"`
	Settle        time.Duration `env:"INTENT_SETTLE" envDefault:"5s" doc:"how long after an accepted cancel an unpaid payment is believed to stay unpaid"`
	OperatorAfter time.Duration `env:"INTENT_OPERATOR_AFTER" envDefault:"24h" doc:"an outcome that is unknown for longer is a person's"`
	Lease         time.Duration `env:"INTENT_LEASE" envDefault:"8s" doc:"work on an intent is taken up by another task when its worker was not heard of for this long"`
	SweepEvery    time.Duration `env:"INTENT_SWEEP_EVERY" envDefault:"500ms" doc:"how often due intents and refunds are looked for"`
	SweepWorkers  int           `env:"INTENT_SWEEP_WORKERS" envDefault:"32" doc:"intents and refunds that are worked on at once by one task"`
	DefaultExpiry time.Duration `env:"INTENT_DEFAULT_EXPIRY" envDefault:"30m" doc:"life of a PaymentIntent whose creator does not say"`
}

// newsKind is what a provider's answer, or the lack of one, means.
type newsKind int

// The kinds. The zero value is the careful one.
const (
	newsUnknown        newsKind = iota // no answer, or one that says nothing
	newsCode                           // the code was made
	newsDuplicate                      // the code was made before and cannot be had again
	newsOpen                           // the provider knows it and it is not paid
	newsAuthorized                     // the money is held
	newsCompleted                      // the money is taken
	newsFailed                         // definitively not taken, or gone back
	newsNotFound                       // the provider knows nothing of it
	newsDeleted                        // the code is gone
	newsNotDeleted                     // the code may still be there
	newsCancelAccepted                 // the cancel will be carried through
	newsCancelRefused                  // it cannot be cancelled (any more)
	newsCancelUnknown                  // the cancel got no answer
	newsCaptureRefused                 // it cannot be captured
	newsNotNow                         // the provider did not take the call
)

// news is one answer of a provider.
type news struct {
	kind          newsKind
	code          provider.Code    // newsCode
	payment       provider.Payment // what a query says
	failure, text string           // newsFailed: our code and words for people
	retryAfter    time.Duration    // newsNotNow, or newsUnknown when the provider asks for patience
}

// posting is a booking that a change asks for.
type posting int

// What there is to book.
const (
	bookCaptured posting = iota + 1
	bookLateSuccess
)

// effects are what must be written with a change.
type effects struct {
	post     posting
	giveBack bool // the attempt's money is returned to the customer
}

// maxCaptureTries is after how many tries without success the held money waits for another capture or a cancel.
const maxCaptureTries = 5

// Codes of failures that are the gateway's own words.
const (
	codeReversed     = "reversed"      // the provider gave the money back
	codeNotProcessed = "not_processed" // no outcome in time, and then certainly none
	codeExpired      = "authorization_expired"
	codeEnded        = "authorization_ended"
	codeOnRequest    = "cancelled_on_request"
	reasonExpired    = "expired"
	reasonRequested  = "requested"
)

// apply is what news about an attempt does to it and its intent. It is called under the intent's lock, and any number of
// times with the same news: a webhook, a poll and a sync may all bring it.
func apply(in *Intent, a *Attempt, n news, now time.Time, cfg Config) (effects, error) {
	if n.payment.PaymentID != "" {
		a.ProviderPaymentID = n.payment.PaymentID
	}
	if a.Over() || in.LiveAttemptID != a.ID {
		return applyLate(in, a, n, now), nil
	}
	switch n.kind {
	case newsCode:
		return effects{}, applyCode(in, a, n.code, now)
	case newsDuplicate:
		a.become(Ending, now)
		if in.Status == RequiresPaymentMethod {
			return effects{}, in.moveTell(Processing, now)
		}
	case newsAuthorized:
		return effects{}, applyAuthorized(in, a, n, now)
	case newsCompleted:
		return applyCompleted(in, a, n, now)
	case newsFailed:
		return effects{}, applyFailed(in, a, n, now)
	case newsNotFound, newsOpen:
		a.Asks++
		return effects{}, applyUnpaid(in, a, n.kind, now, cfg)
	case newsDeleted:
		a.CodeDeletedAt = now
	case newsCancelAccepted:
		a.CancelAcceptedAt = now
	case newsCancelRefused:
		a.CancelRefusedAt = now
	case newsCaptureRefused:
		return effects{}, captureRefused(in, a, n, now)
	case newsUnknown:
		a.Asks++
		return effects{}, applyUnknown(in, a, now)
	case newsNotNow, newsNotDeleted, newsCancelUnknown, newsNone:
		// Nothing took place.
	}
	return effects{}, nil
}

// applyLate: news about an attempt that is over. Only a success matters: the money belongs to no open payment, so it is
// booked to suspense, once, and goes back to the customer.
func applyLate(in *Intent, a *Attempt, n news, now time.Time) effects {
	if n.kind != newsCompleted || a.Status == AttemptSucceeded || !a.LateSuccessAt.IsZero() {
		return effects{}
	}
	amount, agreed := a.taken(n.payment)
	if !agreed {
		if a.OperatorAt.Before(a.StatusSince) {
			a.OperatorAt = now
		}
		return effects{}
	}
	a.LateSuccessAt, a.CapturedAmount = now, amount
	a.ProviderAcceptedAt = orNow(n.payment.AcceptedAt, now)
	in.tell(event.IntentLateSuccess, now)
	return effects{post: bookLateSuccess, giveBack: true}
}

func applyCode(in *Intent, a *Attempt, c provider.Code, now time.Time) error {
	a.CodeID, a.CodeExpiresAt = c.ID, c.ExpiresAt
	if a.Status != Creating {
		return nil // it is being ended: the code is known now, to be deleted
	}
	a.become(Waiting, now)
	in.QRContent, in.QRCodeURL, in.QRExpiresAt = c.Content, c.DeepLink, c.ExpiresAt
	return in.moveTell(RequiresAction, now)
}

func applyAuthorized(in *Intent, a *Attempt, n news, now time.Time) error {
	if told := n.payment.Amount; told != (money.Amount{}) && told != a.Amount {
		a.OperatorAt = orNow(a.OperatorAt, now) // not what we asked to hold
		return nil
	}
	if a.AuthorizedAt.IsZero() {
		a.AuthorizedAt = orNow(n.payment.AcceptedAt, now)
		in.ProviderPaymentID = a.ProviderPaymentID
	}
	switch {
	case a.Status == Capturing && a.CaptureTries >= maxCaptureTries:
		return captureRefused(in, a, n, now)
	case a.Status == Capturing:
		a.Asks++
	case a.Status == Authorized, !in.CancelRequestedAt.IsZero(), !a.CancelSentAt.IsZero():
		a.Asks++ // held already, or to be let go
	case in.CaptureMethod == CaptureManual:
		a.become(Authorized, now)
		if in.Status == RequiresPaymentMethod {
			if err := in.moveTell(Processing, now); err != nil {
				return err
			}
		}
		return in.moveTell(RequiresCapture, now)
	}
	return nil
}

// applyCompleted takes the success, unless a cancel was sent: then the provider may be about to take it back, and it ends by
// FAILED or by a refund.
func applyCompleted(in *Intent, a *Attempt, n news, now time.Time) (effects, error) {
	if !a.CancelSentAt.IsZero() {
		a.Asks++
		if a.CancelRefusedAt.IsZero() {
			return effects{}, nil
		}
		return endAndReturn(in, a, n, now)
	}
	amount, agreed := a.taken(n.payment)
	if !agreed {
		a.OperatorAt = orNow(a.OperatorAt, now)
		return effects{}, nil
	}
	a.become(AttemptSucceeded, now)
	a.CapturedAmount, a.ProviderAcceptedAt = amount, orNow(n.payment.AcceptedAt, now)
	in.CapturedAmount, in.ProviderPaymentID = amount, a.ProviderPaymentID
	if in.Status == RequiresPaymentMethod {
		if err := in.moveTell(Processing, now); err != nil {
			return effects{}, err
		}
	}
	return effects{post: bookCaptured}, in.moveTell(Succeeded, now)
}

// taken is how much the provider's success says was taken. Not agreed: it is not what we asked for, in amount or currency; then
// nothing is decided by a machine. Of held money the provider may have carried out an earlier capture, whose answer was lost: what
// it says it took counts, within what was held.
func (a *Attempt) taken(p provider.Payment) (amount int64, agreed bool) {
	want := a.Amount
	if a.CaptureAmount > 0 {
		want.Minor = a.CaptureAmount
	}
	if told := p.Captured; told != (money.Amount{}) {
		within := a.CaptureTries > 0 && told.Currency == a.Amount.Currency && told.Minor > 0 && told.Minor <= a.Amount.Minor
		return told.Minor, within || told == a.Amount
	}
	told := p.Amount
	return want.Minor, told == (money.Amount{}) || told == a.Amount || told == want
}

// endAndReturn: it was to be cancelled, cannot be any more, and is paid. The intent ends unpaid and the money goes back.
func endAndReturn(in *Intent, a *Attempt, n news, now time.Time) (effects, error) {
	if err := applyFailed(in, a, news{kind: newsFailed, failure: codeReversed, text: "paid after it was to be cancelled; returned"}, now); err != nil {
		return effects{}, err
	}
	return applyLate(in, a, n, now), nil
}

// applyFailed ends the attempt and with it the intent: cancelled when that was asked for or its time was over, else failed.
func applyFailed(in *Intent, a *Attempt, n news, now time.Time) error {
	ending := a.Status == Ending
	switch {
	case !a.CancelSentAt.IsZero() && n.failure == provider.CodeDeclined:
		n.failure, n.text = codeReversed, "cancelled at the provider"
	case (a.Status == Authorized || a.Status == Capturing) && n.failure == provider.CodeDeclined:
		n.failure, n.text = codeEnded, "the provider ended the authorization"
	}
	a.FailureCode, a.FailureMessage = n.failure, n.text
	if !n.payment.AcceptedAt.IsZero() {
		a.ProviderAcceptedAt = n.payment.AcceptedAt
	}
	a.become(AttemptFailed, now)
	if ending && in.mayMove(Cancelled) && (in.cancelRequested() || in.Status == RequiresAction || !now.Before(in.ExpiresAt)) {
		if in.CancellationReason == "" {
			in.CancellationReason = reasonExpired
		}
		return in.moveTell(Cancelled, now)
	}
	in.FailureCode, in.FailureMessage = n.failure, n.text
	return in.moveTell(Failed, now)
}

func (in *Intent) cancelRequested() bool { return !in.CancelRequestedAt.IsZero() }

// applyUnpaid: the provider knows nothing of it, or knows it as unpaid. That ends an attempt only when it can't be paid any
// more: the code is gone, or a cancel was answered.
func applyUnpaid(in *Intent, a *Attempt, kind newsKind, now time.Time, cfg Config) error {
	if a.Status == Waiting && kind == newsNotFound {
		a.become(Ending, now) // somebody else ended the code; make sure
		return nil
	}
	if a.Status != Ending || !certainlyUnpaid(a, kind, now, cfg) {
		return nil
	}
	failure, text := codeNotProcessed, "the provider did not take the payment"
	if in.cancelRequested() {
		failure, text = codeOnRequest, "cancelled on request before the provider took it"
	}
	return applyFailed(in, a, news{kind: newsFailed, failure: failure, text: text}, now)
}

// certainlyUnpaid weighs what the end has reached. For a code: not found after its deletion is the provider's word that
// nothing came and nothing will. Still "open" is less: an ended code may read so for ever, so a cancel must have been answered
// too (providers remember it) and the answer must stay.
func certainlyUnpaid(a *Attempt, kind newsKind, now time.Time, cfg Config) bool {
	byCode := a.MethodType == QRMPM
	if byCode && !a.codeGone(now) {
		return false
	}
	if kind == newsNotFound && byCode && a.CodeID != "" {
		return true
	}
	switch {
	case !a.CancelAcceptedAt.IsZero():
		return !now.Before(a.CancelAcceptedAt.Add(cfg.Settle))
	case !a.CancelRefusedAt.IsZero():
		return !now.Before(a.CancelRefusedAt.Add(cfg.ChaseWindow))
	}
	return false
}

// codeGone: nobody can pay it. A code that we never got was shown to nobody.
func (a *Attempt) codeGone(now time.Time) bool {
	return a.CodeID == "" || !a.CodeDeletedAt.IsZero() || now.After(a.CodeExpiresAt.Add(time.Minute))
}

// applyUnknown: a first call without an answer shows as processing until it is certain.
func applyUnknown(in *Intent, a *Attempt, now time.Time) error {
	if (a.Status == Creating || a.Status == Charging) && in.Status == RequiresPaymentMethod {
		return in.moveTell(Processing, now)
	}
	return nil
}

// captureRefused: the money is still held, so the intent waits for another capture or a cancel.
func captureRefused(in *Intent, a *Attempt, n news, now time.Time) error {
	if a.Status != Capturing {
		return nil
	}
	a.become(Authorized, now)
	a.CaptureAmount = 0
	a.FailureCode, a.FailureMessage = n.failure, n.text
	return in.moveTell(RequiresCapture, now)
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}

// tick is what the time alone does to a live attempt: its window is over, its code or its intent has expired, a person asked
// for its end, a day has passed.
func tick(in *Intent, a *Attempt, now time.Time, cfg Config) {
	if a.Over() || in.LiveAttemptID != a.ID {
		return
	}
	switch a.Status {
	case Creating, Charging:
		if in.cancelRequested() || !now.Before(a.StatusSince.Add(cfg.ChaseWindow)) {
			a.become(Ending, now)
		}
	case Waiting:
		if in.cancelRequested() || !now.Before(a.CodeExpiresAt) || !now.Before(in.ExpiresAt) {
			a.become(Ending, now)
		}
	case Authorized:
		if in.cancelRequested() {
			a.become(Ending, now)
		}
	default:
		// The others wait for the provider alone.
	}
	chased := a.Status == Ending || a.Status == Charging || a.Status == Creating || a.Status == Capturing
	if chased && a.OperatorAt.IsZero() && !now.Before(a.StatusSince.Add(cfg.OperatorAfter)) {
		a.OperatorAt = now
	}
}

// action is the next thing to do about a live attempt.
type action int

// The actions.
const (
	doWait action = iota
	doAsk
	doCreate  // ask for the code again, by the same id
	doDelete  // the code
	doCancel  // at the provider; cancel_sent_at is committed first
	doCapture // again, under a new id that is committed first
)

// step is an action and, for doWait, until when.
type step struct {
	do    action
	until time.Time
}

// next is the plan: what to do now about an attempt whose last answer in this run was last (newsNone: it was not yet asked).
func next(in *Intent, a *Attempt, last newsKind, now time.Time, cfg Config) step {
	wait := func(d time.Duration) step { return step{do: doWait, until: now.Add(d)} }
	if a.Over() || in.LiveAttemptID != a.ID {
		return step{do: doWait}
	}
	switch a.Status {
	case Waiting:
		if last == newsNone {
			return step{do: doAsk}
		}
		return step{do: doWait, until: earliest(now.Add(cfg.PollEvery), a.CodeExpiresAt, in.ExpiresAt)}
	case Authorized:
		if last == newsNone {
			return step{do: doAsk}
		}
		return wait(time.Hour)
	case Creating:
		if last == newsOpen || last == newsNotFound {
			return step{do: doCreate}
		}
	case Capturing:
		if last == newsAuthorized {
			return step{do: doCapture}
		}
	case Ending:
		return nextOfEnding(a, last, now, cfg)
	default:
	}
	if last == newsNone {
		return step{do: doAsk}
	}
	return wait(pause(a, now, cfg))
}

// newsNone is before the first answer.
const newsNone newsKind = -1

// nextOfEnding: the code goes first, then the question; a cancel when the question does not settle it.
func nextOfEnding(a *Attempt, last newsKind, now time.Time, cfg Config) step {
	undeleted := a.MethodType == QRMPM && !a.codeGone(now)
	cancelled := !a.CancelAcceptedAt.IsZero() || !a.CancelRefusedAt.IsZero()
	switch {
	case last == newsNone && undeleted:
		return step{do: doDelete}
	case last == newsNone, last == newsDeleted, last == newsNotDeleted, last == newsDuplicate:
		return step{do: doAsk}
	case cancelled && last == newsCancelAccepted, cancelled && last == newsCancelRefused:
		return step{do: doAsk}
	case last == newsCompleted && !a.CancelAcceptedAt.IsZero() && !now.Before(a.CancelAcceptedAt.Add(cfg.ChaseWindow)):
		// Accepted and not carried through: again, until it is, or until it is refused and the money is refunded.
		return step{do: doCancel}
	case cancelled:
		return step{do: doWait, until: now.Add(pause(a, now, cfg))}
	case last == newsOpen && !undeleted, last == newsAuthorized, last == newsNotFound && a.MethodType == QRCPM,
		last == newsNotFound && a.CodeID == "", last == newsCompleted && !a.CancelSentAt.IsZero(),
		last == newsUnknown && !now.Before(a.StatusSince.Add(cfg.ChaseWindow)) && a.MethodType == QRMPM,
		last == newsUnknown && a.MethodType == QRCPM:
		return step{do: doCancel}
	}
	return step{do: doWait, until: now.Add(pause(a, now, cfg))}
}

// pause between questions: every AskEvery within the window, then longer the longer it takes, at most a minute; ten once a
// person has it.
func pause(a *Attempt, now time.Time, cfg Config) time.Duration {
	if !a.OperatorAt.IsZero() {
		return 10 * time.Minute
	}
	age := now.Sub(a.StatusSince)
	if age <= cfg.ChaseWindow {
		return cfg.AskEvery
	}
	return min(max(age/20, cfg.AskEvery), time.Minute)
}

func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
