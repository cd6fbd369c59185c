// Package payment takes money for a bill and gives it back: cash, wallets by QR, and cards that an application on the terminal
// has charged.
//
//	pending    -> processing | completed | failed | cancelled
//	processing -> completed | failed | cancelled
//	completed  -> refunded                                      (when all of it is back)
//
// A payment holds its amount on the bill, or on one part of it, from pending on. Cash and recorded cards complete here, in the
// one transaction that also writes bill, day, receipt and the job by which the payment gateway hears of it. A wallet's
// payment is the gateway's PaymentIntent: it follows what the gateway says, by answer or by event, and never guesses. Without
// an answer it stays as it is, and a job goes on asking under the same idempotency key.
package payment

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// The problems that only payments have.
var (
	ErrNotCancellable   = problem.Define("payment_not_cancellable", 409, "The payment can no longer be cancelled")
	ErrNotRefundable    = problem.Define("payment_not_refundable", 409, "The payment has nothing to give back")
	ErrExceedsRefund    = problem.Define("refund_exceeds_payment", 409, "More than what is left of the payment")
	ErrApprovalRequired = problem.Define("approval_required", 403, "A refund of this size needs somebody who may approve it")
	ErrTendered         = problem.Define("tendered_too_little", 422, "The cash handed over does not cover the amount")
	ErrNoResultDue      = problem.Define("card_result_not_due", 409, "The payment waits for no card result")
	ErrProvider         = problem.Define("unknown_provider", 422, "The provider is not one of ours")
)

// Status is a payment's state.
type Status string

// The states of a payment.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
	Refunded   Status = "refunded"
)

// Statuses are all of them.
var Statuses = []Status{Pending, Processing, Completed, Failed, Cancelled, Refunded}

// edges is the state table: the one place that says what may follow what. The database holds it too, and a test the two
// together.
var edges = map[Status][]Status{
	Pending:    {Processing, Completed, Failed, Cancelled},
	Processing: {Completed, Failed, Cancelled},
	Completed:  {Refunded},
}

// CanBecome says whether a payment may go from one state to another.
func (s Status) CanBecome(next Status) bool { return slices.Contains(edges[s], next) }

// Ended says whether the payment's outcome is certain.
func (s Status) Ended() bool { return s != Pending && s != Processing }

// Paid says whether money was taken.
func (s Status) Paid() bool { return s == Completed || s == Refunded }

// Method is how the customer pays.
type Method string

// The methods.
const (
	Cash Method = "cash"
	QR   Method = "qr"
	Card Method = "card"
)

// PayPay is the wallet provider of this part of the platform.
const PayPay = "paypay"

// providers are those that a QR payment may name.
var providers = []string{PayPay}

// CardResult is what the terminal's card application said. Never a card number.
type CardResult struct {
	Result        string `json:"result" enum:"approved,declined"`
	ApprovalCode  string `json:"approval_code,omitempty" maxLength:"12" pattern:"^[A-Za-z0-9]*$" doc:"Needed when approved"`
	ARN           string `json:"arn,omitempty" maxLength:"23" pattern:"^([0-9]{23})?$" doc:"Acquirer reference number, 23 digits"`
	Brand         string `json:"brand,omitempty" maxLength:"32" pattern:"^[A-Za-z][A-Za-z _-]*$"`
	Last4         string `json:"last4,omitempty" pattern:"^[0-9]{4}$"`
	TerminalTxnID string `json:"terminal_txn_id,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9._:-]+$"`
}

// Approved says whether the card was charged.
func (c CardResult) Approved() bool { return c.Result == "approved" }

// Failure is why a payment or refund did not come about.
type Failure struct {
	Code    string `json:"code" example:"declined"`
	Message string `json:"message"`
}

// Payment is one attempt at money. Amounts are in the currency's minor unit.
type Payment struct {
	ID, MerchantID, StoreID, BillID uuid.UUID
	SplitID                         *uuid.UUID
	Method                          Method
	Provider                        string // of a QR payment, else empty
	Status                          Status
	Version                         int32
	Currency                        money.Currency
	Amount                          int64
	// Returned has gone back; Returning is on its way back.
	Returned, Returning int64
	Tendered, Change    *int64 // cash only
	Card                *CardResult
	Failure             *Failure
	// IntentID is the gateway's, IntentVersion the newest of its versions applied here.
	IntentID      string
	IntentVersion int64
	ExpiresAt     *time.Time
	By            actor.Actor
	// Set when it completes: its part of the bill's taxes and discount, the day it counts on, its receipt.
	Lines         tax.Lines
	Discount      int64
	SettlementID  *uuid.UUID
	ReceiptNumber string

	OccurredAt, CreatedAt, UpdatedAt time.Time
	CompletedAt, EndedAt             *time.Time
	CancelRequestedAt, LateSuccessAt *time.Time
	ReconciledAt                     *time.Time
	ReportedAt                       *time.Time // cash and cards: the gateway has heard of it

	was Status // as it was read or written last
}

// Refundable is what may still be given back.
func (p *Payment) Refundable() int64 {
	if p.Status != Completed {
		return 0
	}
	return p.Amount - p.Returned - p.Returning
}

// move takes the payment to a state; an edge that the table lacks is an error, and a bug.
func (p *Payment) move(next Status, at time.Time) error {
	if !p.Status.CanBecome(next) {
		return &EdgeError{From: p.Status, To: next}
	}
	p.Status = next
	switch {
	case next == Completed:
		p.CompletedAt, p.EndedAt = &at, &at
	case next.Ended() && next != Refunded:
		p.EndedAt = &at
	}
	return nil
}

// EdgeError is a change of state that the table does not have.
type EdgeError struct{ From, To Status }

// Error names the two states.
func (e *EdgeError) Error() string {
	return "a payment does not go from " + string(e.From) + " to " + string(e.To)
}

// charge fills in the cash side: what was handed over must cover the amount. Nothing said means exactly the amount.
func (p *Payment) charge(tendered *int64) error {
	given := p.Amount
	if tendered != nil {
		given = *tendered
	}
	if given < p.Amount {
		return ErrTendered.Field("tendered", "%d is due", p.Amount).With("amount", p.Amount)
	}
	change := given - p.Amount
	p.Tendered, p.Change = &given, &change
	return nil
}

// discountShare is the payment's part of its bill's discount: by the bill's paid amounts before and after it, so that the
// parts of all payments add up to the discount when the bill is paid.
func discountShare(discount, total, paidBefore, paidAfter int64) int64 {
	if total <= 0 {
		return 0
	}
	// A bill is below 10^9, so the products are within 64 bits.
	return discount*paidAfter/total - discount*paidBefore/total
}
