package payment

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// RefundStatus is a refund's state.
type RefundStatus string

// The states of a refund. All but failed count against what the payment has left.
const (
	RefundPending    RefundStatus = "pending"
	RefundProcessing RefundStatus = "processing"
	RefundSucceeded  RefundStatus = "succeeded"
	RefundFailed     RefundStatus = "failed"
)

// RefundStatuses are all of them.
var RefundStatuses = []RefundStatus{RefundPending, RefundProcessing, RefundSucceeded, RefundFailed}

var refundEdges = map[RefundStatus][]RefundStatus{
	RefundPending:    {RefundProcessing, RefundSucceeded, RefundFailed},
	RefundProcessing: {RefundSucceeded, RefundFailed},
}

// CanBecome says whether a refund may go from one state to another.
func (s RefundStatus) CanBecome(next RefundStatus) bool { return slices.Contains(refundEdges[s], next) }

// Ended says whether the refund's outcome is certain.
func (s RefundStatus) Ended() bool { return s == RefundSucceeded || s == RefundFailed }

// Refund is money on its way back from a completed payment.
type Refund struct {
	ID, MerchantID, StoreID, PaymentID, BillID uuid.UUID
	Status                                     RefundStatus
	Version                                    int32
	Currency                                   money.Currency
	Amount                                     int64 // minor unit
	Reason                                     string
	By                                         actor.Actor
	GatewayRefundID                            string
	GatewayVersion                             int64
	Failure                                    *Failure
	Lines                                      tax.Lines // what went back, by rate; set when it succeeds
	SettlementID                               *uuid.UUID
	ReceiptNumber                              string
	OccurredAt, CreatedAt, UpdatedAt           time.Time
	EndedAt, ReportedAt                        *time.Time
}

// give sets amount (0: all that is left) aside for a refund. Problems: payment_not_refundable, refund_exceeds_payment.
func (p *Payment) give(amount int64) (int64, error) {
	left := p.Refundable()
	switch {
	case !p.Status.Paid():
		return 0, ErrNotRefundable.New("The payment is %s.", p.Status)
	case left == 0:
		return 0, ErrNotRefundable.New("All of the payment has gone back, or is on its way.")
	case amount > left:
		return 0, ErrExceedsRefund.Field("amount", "%d is left of the payment", left).With("refundable_amount", left)
	case amount == 0:
		amount = left
	}
	p.Returning += amount
	return amount, nil
}

// foreign says whether the refund was asked for at the gateway itself, and not here.
func (r *Refund) foreign() bool { return r.By == gateway }

// giveForeign sets aside what a refund gives back that was asked for at the gateway.
func (p *Payment) giveForeign(in GatewayRefund, at time.Time) (Refund, error) {
	switch {
	case in.Currency != string(p.Currency):
		return Refund{}, contradiction("refund %s is in %s, the payment in %s", in.ID, in.Currency, p.Currency)
	case in.Amount <= 0 || in.Amount > p.Refundable():
		return Refund{}, contradiction("refund %s is over %d, the payment is %s and has %d left", in.ID, in.Amount, p.Status, p.Refundable())
	}
	reason := in.Reason
	if reason == "" {
		reason = "Refunded at the payment gateway"
	}
	p.Returning += in.Amount
	p.UpdatedAt = at
	return Refund{
		ID: id.NewUUID(at), MerchantID: p.MerchantID, StoreID: p.StoreID, PaymentID: p.ID, BillID: p.BillID, Status: RefundPending,
		Version: 1, Currency: p.Currency, Amount: in.Amount, Reason: reason, By: gateway, OccurredAt: at, CreatedAt: at, UpdatedAt: at,
	}, nil
}

// returned books what give set aside as gone back; the payment is refunded when nothing is left.
func (p *Payment) returned(amount int64, at time.Time) error {
	p.Returning -= amount
	p.Returned += amount
	if p.Returned == p.Amount {
		return p.move(Refunded, at)
	}
	return nil
}

// kept takes back what give set aside: the refund has failed.
func (p *Payment) kept(amount int64) { p.Returning -= amount }

// linesOf are the tax lines of a refund: its share of what earlier ones have left, so that all of them together come to the
// payment's own lines.
func (p *Payment) linesOf(amount int64, earlier []Refund) tax.Lines {
	left := p.Lines
	for i := range earlier {
		if earlier[i].Status == RefundSucceeded {
			left = left.Sub(earlier[i].Lines)
		}
	}
	return left.Take(amount)
}

// follow says which state the refund goes to by the gateway's snapshot; moved is false when it stays.
func (r *Refund) follow(in GatewayRefund) (next RefundStatus, moved bool, err error) {
	if in.Amount != r.Amount || in.Currency != string(r.Currency) {
		return r.Status, false, contradiction("refund %s is over %d %s, ours over %d %s", in.ID, in.Amount, in.Currency, r.Amount, r.Currency)
	}
	if r.GatewayRefundID != "" && r.GatewayRefundID != in.ID {
		return r.Status, false, contradiction("its refund is %s, not %s", r.GatewayRefundID, in.ID)
	}
	next = RefundStatus(in.Status)
	switch {
	case !slices.Contains(RefundStatuses, next):
		return r.Status, false, contradiction("refund %s is in an unknown state %q", in.ID, in.Status)
	case r.Status == next || in.Version < r.GatewayVersion:
		return r.Status, false, nil
	case r.Status.Ended() && next.Ended():
		return r.Status, false, contradiction("refund %s has %s, ours has %s", in.ID, in.Status, r.Status)
	case !r.Status.CanBecome(next):
		return r.Status, false, nil
	}
	return next, true, nil
}

// failureOf is why the gateway's refund failed; nil when it has not said.
func failureOf(in GatewayRefund) *Failure {
	if in.Failure == nil {
		return nil
	}
	return &Failure{Code: in.Failure.Code, Message: in.Failure.Message}
}
