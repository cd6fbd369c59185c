package books

import (
	"encoding/json"
	"slices"
	"time"
)

// Status is PayPay's status of a payment.
type Status string

// PayPay's statuses. COMPLETED is not final on the day of the payment and the next morning: a cancel makes it FAILED.
const (
	Created    Status = "CREATED"
	Authorized Status = "AUTHORIZED"
	Completed  Status = "COMPLETED"
	Refunded   Status = "REFUNDED"
	Failed     Status = "FAILED"
	Canceled   Status = "CANCELED"
	Expired    Status = "EXPIRED"
)

// Refusal is a rule's no, by the name PayPay gives it; the wire layer knows its HTTP status and codeId.
type Refusal struct{ Code string }

func (r Refusal) Error() string { return r.Code }

// Refuse makes a refusal.
func Refuse(code string) error { return Refusal{Code: code} }

// Order is one payment of a merchant from the moment it is asked for. It is a value: rules take one and return the next.
type Order struct {
	MerchantID          string          `json:"merchant_id"`
	MerchantPaymentID   string          `json:"merchant_payment_id"`
	PaymentID           string          `json:"payment_id,omitempty"` // PayPay's, from the moment somebody paid or tried to
	Status              Status          `json:"status"`
	Amount              int64           `json:"amount"` // yen
	CaptureLater        bool            `json:"capture_later,omitempty"`
	StoreID             string          `json:"store_id,omitempty"`
	StoreInfo           string          `json:"store_info,omitempty"`
	TerminalID          string          `json:"terminal_id,omitempty"`
	ReceiptNumber       string          `json:"receipt_number,omitempty"`
	Description         string          `json:"description,omitempty"`
	ProductType         string          `json:"product_type,omitempty"`
	RedirectURL         string          `json:"redirect_url,omitempty"`
	RedirectType        string          `json:"redirect_type,omitempty"`
	Items               json.RawMessage `json:"items,omitempty"` // orderItems as they came
	UserAuthorizationID string          `json:"user_authorization_id,omitempty"`
	Code                *Code           `json:"code,omitempty"`
	FailureCode         string          `json:"failure_code,omitempty"`
	RequestedAt         time.Time       `json:"requested_at,omitzero"` // as the merchant said
	CreatedAt           time.Time       `json:"created_at"`
	AuthorizedAt        time.Time       `json:"authorized_at,omitzero"`
	AcceptedAt          time.Time       `json:"accepted_at,omitzero"` // became AUTHORIZED or, paid at once, COMPLETED
	ExpiresAt           time.Time       `json:"expires_at,omitzero"`  // the authorisation's end
	CanceledAt          time.Time       `json:"canceled_at,omitzero"` // became FAILED
	CancelAskedAt       time.Time       `json:"cancel_asked_at,omitzero"`
	CancelDueAt         time.Time       `json:"cancel_due_at,omitzero"`
	Captures            []Capture       `json:"captures,omitempty"`
	Revert              *Revert         `json:"revert,omitempty"`
	Refunds             []Refund        `json:"refunds,omitempty"`
}

// Code is the QR of an order.
type Code struct {
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expires_at"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

// The states of a capture.
const (
	CaptureAsked     = "USER_REQUESTED" // above the authorised amount: the payer is asked
	CaptureCompleted = "COMPLETED"
)

// Capture takes an authorised payment's money.
type Capture struct {
	MerchantCaptureID string    `json:"merchant_capture_id"`
	Amount            int64     `json:"amount"`
	Description       string    `json:"description"`
	Status            string    `json:"status"`
	RequestedAt       time.Time `json:"requested_at"`
	AcceptedAt        time.Time `json:"accepted_at,omitzero"`
}

// Revert gives an authorisation back.
type Revert struct {
	MerchantRevertID string    `json:"merchant_revert_id"`
	Reason           string    `json:"reason,omitempty"`
	RequestedAt      time.Time `json:"requested_at"`
	AcceptedAt       time.Time `json:"accepted_at"`
}

// Refund gives taken money back, all or a part.
type Refund struct {
	MerchantRefundID string    `json:"merchant_refund_id"`
	Amount           int64     `json:"amount"`
	Reason           string    `json:"reason,omitempty"`
	Status           Status    `json:"status"` // CREATED or REFUNDED: both mean that it will be paid
	RequestedAt      time.Time `json:"requested_at"`
	AcceptedAt       time.Time `json:"accepted_at"`
	DueAt            time.Time `json:"due_at"` // when CREATED becomes REFUNDED
}

// Key names the order.
func (o Order) Key() Key { return Key{o.MerchantID, o.MerchantPaymentID} }

// Captured is the money taken and not cancelled, in yen, refunds not subtracted.
func (o Order) Captured() int64 {
	if o.Status != Completed && o.Status != Refunded {
		return 0
	}
	if !o.CaptureLater {
		return o.Amount
	}
	var sum int64
	for _, c := range o.Captures {
		if c.Status == CaptureCompleted {
			sum += c.Amount
		}
	}
	return sum
}

// TakenAt is when the money was taken: the payment's time, or its capture's. Zero: it was not.
func (o Order) TakenAt() time.Time {
	if !o.CaptureLater {
		return o.AcceptedAt
	}
	for _, c := range o.Captures {
		if c.Status == CaptureCompleted {
			return c.AcceptedAt
		}
	}
	return time.Time{}
}

// RefundedSum is the money given back by refunds, in yen.
func (o Order) RefundedSum() int64 {
	var sum int64
	for _, r := range o.Refunds {
		sum += r.Amount
	}
	return sum
}

// Payable tells whether a wallet may pay the order now, and if not, why not in PayPay's words.
func (o Order) Payable(now time.Time) error {
	switch {
	case o.Status != Created:
		return Refuse("ORDER_NOT_PAYABLE")
	case o.Code != nil && !o.Code.DeletedAt.IsZero():
		return Refuse("CODE_DELETED")
	case o.Code != nil && !now.Before(o.Code.ExpiresAt):
		return Refuse("CODE_EXPIRED")
	}
	return nil
}

// pay is the payer's yes. A payment above the limit fails; a cancel asked for earlier is remembered and falls due soon.
func (o Order) pay(paymentID string, s Settings, now time.Time) (Order, string, error) {
	if o.pendingCapture() >= 0 {
		return o.confirmCapture(now)
	}
	if err := o.Payable(now); err != nil {
		return o, "", err
	}
	o.PaymentID = paymentID
	if o.Amount > s.MaxAmount {
		return o.fail("LIMIT_EXCEEDED", now)
	}
	if !o.CancelAskedAt.IsZero() {
		o.CancelDueAt = now.Add(s.cancelDelay())
	}
	o.AcceptedAt = now
	if !o.CaptureLater {
		o.Status = Completed
		return o, WhatCompleted, nil
	}
	o.Status, o.AuthorizedAt = Authorized, now
	if o.ExpiresAt.IsZero() {
		o.ExpiresAt = now.Add(s.longestAuthorization())
	}
	return o, WhatAuthorized, nil
}

// decline is a payment that was tried and refused, for the reason given in PayPay's words.
func (o Order) decline(paymentID, reason string, now time.Time) (Order, string, error) {
	if at := o.pendingCapture(); at >= 0 {
		o.Captures = slices.Delete(slices.Clone(o.Captures), at, at+1)
		return o, WhatCaptureAsk, nil
	}
	if err := o.Payable(now); err != nil {
		return o, "", err
	}
	o.PaymentID = paymentID
	return o.fail(reason, now)
}

func (o Order) fail(reason string, now time.Time) (Order, string, error) {
	o.Status, o.FailureCode, o.CanceledAt = Failed, reason, now
	return o, WhatFailed, nil
}

// nextDue is when time alone will change the order.
func (o Order) nextDue() (time.Time, bool) {
	var next time.Time
	consider := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if o.reversible() {
		consider(o.CancelDueAt)
	}
	if o.Status == Authorized {
		consider(o.ExpiresAt)
	}
	for _, r := range o.Refunds {
		if r.Status == Created {
			consider(r.DueAt)
		}
	}
	return next, !next.IsZero()
}

// elapsed is the order after the next thing that fell due, and what that was; "" when nothing did.
func (o Order) elapsed(now time.Time) (Order, string) {
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	if o.reversible() && due(o.CancelDueAt) {
		o.Status, o.CanceledAt = Failed, o.CancelDueAt
		return o, WhatCancelled
	}
	if o.Status == Authorized && due(o.ExpiresAt) {
		o.Status = Expired
		return o, WhatExpired
	}
	for i, r := range o.Refunds {
		if r.Status == Created && due(r.DueAt) {
			o.Refunds = slices.Clone(o.Refunds)
			o.Refunds[i].Status = Refunded
			return o, WhatRefunded
		}
	}
	return o, ""
}
