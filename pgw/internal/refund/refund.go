// Package refund gives money back: what partners ask for, and what pgw itself returns when a provider took money for a
// PaymentIntent that was final already.
//
// A refund is committed before the provider is called and carries its own id there, so sending it again is the same refund.
package refund

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/intent"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Prefix is that of refund ids.
const Prefix = "re"

// Status is where a refund stands.
type Status string

// The states. The last two are final.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Succeeded  Status = "succeeded"
	Failed     Status = "failed"
)

// Edges is the state machine, as the database has it too.
var Edges = map[Status][]Status{
	Pending: {Processing}, Processing: {Succeeded, Failed}, Succeeded: {}, Failed: {},
}

// Kinds of refunds.
const (
	kindRefund = "refund" // asked for by the partner
	kindReturn = "return" // pgw's own: the return of a late success
)

// What can be wrong about a refund.
var (
	NotFound     = problem.Define("refund_not_found", 404, "There is no such refund")
	DuplicateRef = problem.Define("merchant_refund_ref_id_used", 409, "Another refund has this merchant_refund_ref_id")
	TooMuch      = problem.Define("refund_exceeds_captured", 422, "More than what is left of the payment cannot be refunded")
	// The provider's own limits, told as failure codes of the refund: one_refund_only, refund_window_over,
	// refund_limit_exceeded, not_refundable, throttled.
)

// ErrIllegalMove is in the error of a move that is no edge.
var ErrIllegalMove = errors.New("not an edge of the refund's state machine")

// entry is money that goes back, as the gateway keeps it.
type entry struct {
	ID, Kind, PartnerID, Mode, MerchantID, StoreID string
	IntentID, AttemptID, Provider, ContractID      string
	RefID                                          string // the partner's merchant_refund_ref_id
	Amount                                         money.Amount
	Status                                         Status
	StatusSince                                    time.Time
	Version                                        int32
	Reason, FailureCode, FailureMessage            string
	ProviderRefundID                               string
	ProviderAcceptedAt, OperatorAt, OccurredAt     time.Time
	Asks                                           int32
	KeyID                                          string
	// Traceparent is the W3C trace context of the request, or of the sale whose late success it returns; "": not traced.
	Traceparent                 string
	CreatedAt, UpdatedAt, DueAt time.Time
	seen                        int32
}

// Refund is one as the API and the events have it.
type Refund struct {
	ID                  string          `json:"id" example:"re_01JD3R1M2N4P6Q8S0T2V4W6X8Y" doc:"re_ and a ULID"`
	Object              string          `json:"object" enum:"refund"`
	PaymentIntentID     string          `json:"payment_intent_id"`
	Amount              int64           `json:"amount" doc:"Minor unit"`
	Currency            string          `json:"currency" example:"JPY"`
	Status              Status          `json:"status" enum:"pending,processing,succeeded,failed" doc:"All but failed count against what was captured"`
	MerchantRefundRefID string          `json:"merchant_refund_ref_id" doc:"Your reference of this refund"`
	Reason              *string         `json:"reason"`
	Failure             *intent.Failure `json:"failure" doc:"Codes of the provider's own limits: one_refund_only, refund_window_over, refund_limit_exceeded, throttled"`
	OccurredAt          *intent.Time    `json:"occurred_at" nullable:"true"`
	CreatedAt           intent.Time     `json:"created_at"`
	UpdatedAt           intent.Time     `json:"updated_at"`
	Version             int32           `json:"version" doc:"The PaymentIntent's version at the refund's last change"`
}

// ReturnedAmount is what it gives back, minor unit; for the metrics of money moved.
func (r Refund) ReturnedAmount() int64 { return r.Amount }

// Render is the refund as partners see it.
func Render(r entry) Refund {
	out := Refund{
		ID: r.ID, Object: "refund", PaymentIntentID: r.IntentID, Amount: r.Amount.Minor, Currency: string(r.Amount.Currency), Status: r.Status,
		MerchantRefundRefID: r.RefID, OccurredAt: intent.OptionalTime(r.OccurredAt), CreatedAt: intent.Time{Time: r.CreatedAt},
		UpdatedAt: intent.Time{Time: r.UpdatedAt}, Version: r.Version,
	}
	if r.Reason != "" {
		out.Reason = &r.Reason
	}
	if r.FailureCode != "" {
		out.Failure = &intent.Failure{Code: r.FailureCode, Message: r.FailureMessage}
	}
	return out
}

// over tells whether nothing moves it any more.
func (r *entry) over() bool { return r.Status == Succeeded || r.Status == Failed }

// move goes along one edge, raises the intent's version and tells it there. pgw's own returns are told by the intent's
// late_success alone.
func (r *entry) move(in *intent.Intent, to Status, now time.Time) error {
	if !slices.Contains(Edges[r.Status], to) {
		return fmt.Errorf("%w: %s: %s -> %s", ErrIllegalMove, r.ID, r.Status, to)
	}
	r.Status, r.StatusSince, r.UpdatedAt, r.Asks = to, now, now, 0
	if r.over() {
		r.DueAt = time.Time{}
	}
	r.tell(in, eventOf[to], now)
	return nil
}

func (r *entry) tell(in *intent.Intent, kind event.Type, now time.Time) {
	if r.Kind != kindRefund {
		r.Version++
		return
	}
	in.Tell(kind, now, func(version int32) any {
		r.Version = version
		return Render(*r)
	})
}

var eventOf = map[Status]event.Type{
	Processing: event.RefundProcessing, Succeeded: event.RefundSucceeded, Failed: event.RefundFailed,
}

// newRefund is what a partner asks for.
type newRefund struct {
	Amount        int64 // 0: all that is left
	RefID, Reason string
	OccurredAt    time.Time
}

func (n newRefund) check(now time.Time) error {
	switch {
	case n.Amount < 0:
		return problem.Validation.Field("amount", "it must be at least 1")
	case pan.Find(n.Reason):
		return intent.CardNumber.Field("reason", "it looks like a card number; never send one")
	case pan.Find(n.RefID):
		return intent.CardNumber.Field("merchant_refund_ref_id", "it looks like a card number; never send one")
	case n.OccurredAt.After(now.Add(5 * time.Minute)):
		return problem.Validation.Field("occurred_at", "it lies in the future")
	}
	return nil
}

// reserve takes the refund's amount from what is left of the intent; under the intent's lock.
func reserve(in *intent.Intent, amount int64) (int64, error) {
	if in.Status != intent.Succeeded {
		return 0, intent.WrongState.New("A refund is not possible while it is %s.", in.Status).With("payment_intent_status", in.Status)
	}
	left := in.CapturedAmount - in.RefundReserved
	if amount == 0 {
		amount = left
	}
	if amount == 0 || amount > left {
		return 0, TooMuch.Field("amount", "%d is left of %d", left, in.CapturedAmount).With("refundable_amount", left)
	}
	in.RefundReserved += amount
	return amount, nil
}

// outcome is what a provider's answer about a refund means.
type outcome int

const (
	unknown outcome = iota
	done
	refused
	notFound // the provider never got it, or not yet: send it (again), it carries our id
	later    // the provider did not take it now
)

type news struct {
	outcome    outcome
	refund     provider.Refund
	code       string
	retryAfter time.Duration
}

// apply is what news do to a refund and its intent, under the intent's lock. booked: money went back just now.
func apply(in *intent.Intent, r *entry, n news, now time.Time) (booked bool, err error) {
	if r.over() {
		return false, nil
	}
	r.Asks++
	switch {
	case n.outcome == done && n.refund.Amount != (money.Amount{}) && n.refund.Amount != r.Amount:
		// Not the refund that we asked for: nothing is decided by a machine here.
		r.OperatorAt = now
	case n.outcome == done:
		r.ProviderRefundID, r.ProviderAcceptedAt = n.refund.RefundID, n.refund.AcceptedAt
		if r.ProviderAcceptedAt.IsZero() {
			r.ProviderAcceptedAt = now
		}
		if r.Kind == kindRefund {
			in.RefundedAmount += r.Amount.Minor
		}
		return true, r.move(in, Succeeded, now)
	case n.outcome == refused && r.Kind == kindRefund:
		in.RefundReserved -= r.Amount.Minor
		r.FailureCode, r.FailureMessage = n.code, failureText[n.code]
		return false, r.move(in, Failed, now)
	case n.outcome == refused:
		// The customer's money must go back: it is tried again, and a person is told.
		r.FailureCode, r.FailureMessage, r.OperatorAt = n.code, failureText[n.code], now
	}
	return false, nil
}

// pause until the provider is asked again: every few seconds within the window, then longer, at most ten minutes.
func pause(r *entry, n news, now time.Time, cfg intent.Config) time.Duration {
	if n.outcome == later {
		return max(n.retryAfter, cfg.AskEvery)
	}
	if !r.OperatorAt.IsZero() {
		return 10 * time.Minute
	}
	age := now.Sub(r.StatusSince)
	if age <= cfg.ChaseWindow {
		return cfg.AskEvery
	}
	return min(max(age/20, cfg.AskEvery), 10*time.Minute)
}

var failureText = map[string]string{
	provider.CodeOneRefundOnly: "The provider allows one refund a payment, and there was one.",
	provider.CodeRefundWindow:  "The provider's period for refunds is over.",
	provider.CodeRefundLimit:   "The provider's limit of refunds is reached.",
	provider.CodeNotRefundable: "The provider cannot refund this payment.",
	provider.CodeCredentials:   "The provider refuses the store's credentials.",
	provider.CodeRejected:      "The provider rejected the refund.",
	provider.CodeDeclined:      "The provider declined the refund.",
	codeNotProcessed:           "The provider did not give the money back.",
}

// codeNotProcessed: no answer for a day, and then certainly not done.
const codeNotProcessed = "not_processed"

// Verdict is what people have found out about a refund that no provider's answer settled. It does what such an answer would do.
type Verdict struct {
	Succeeded bool
	// Of a success: the provider's own id, if it has one, how much it gave back, and when by its clock.
	RefundID   string
	Amount     money.Amount
	AcceptedAt time.Time
}

// ErrUnsettled is in the error of a verdict that settles nothing: its amount is not what was asked for, or it says that a return of
// a late success failed, which must reach the customer.
var ErrUnsettled = errors.New("the verdict does not settle the refund")

// news is the verdict as a provider would have said it.
func (v Verdict) news() news {
	if v.Succeeded {
		return news{outcome: done, refund: provider.Refund{State: provider.RefundDone, RefundID: v.RefundID, Amount: v.Amount, AcceptedAt: v.AcceptedAt}}
	}
	return news{outcome: refused, code: codeNotProcessed}
}
