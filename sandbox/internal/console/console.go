// Package console is the sandbox's own API: what a test or a person uses to play the payer, to make things go wrong, to look
// into the books and to order settlement files.
package console

import (
	"cmp"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// Payment is an order as the console shows it.
type Payment struct {
	MerchantID          string    `json:"merchant_id"`
	MerchantPaymentID   string    `json:"merchant_payment_id"`
	PaymentID           string    `json:"payment_id" doc:"PayPay's id; empty before somebody paid or tried to"`
	Status              string    `json:"status" doc:"PayPay's status"`
	Amount              int64     `json:"amount" doc:"Yen"`
	Currency            string    `json:"currency"`
	CapturedAmount      int64     `json:"captured_amount" doc:"Taken and not cancelled, yen"`
	RefundedAmount      int64     `json:"refunded_amount"`
	CaptureLater        bool      `json:"capture_later"`
	StoreID             string    `json:"store_id"`
	TerminalID          string    `json:"terminal_id"`
	Description         string    `json:"description"`
	UserAuthorizationID string    `json:"user_authorization_id"`
	CodeID              string    `json:"code_id"`
	CodeState           string    `json:"code_state" enum:",open,expired,deleted,used" doc:"Empty: there is no code"`
	WalletURL           string    `json:"wallet_url" doc:"The QR's content; empty: there is no code"`
	CodeExpiresAt       *string   `json:"code_expires_at"`
	FailureCode         string    `json:"failure_code"`
	CreatedAt           string    `json:"created_at"`
	AcceptedAt          *string   `json:"accepted_at"`
	CanceledAt          *string   `json:"canceled_at"`
	CancelAskedAt       *string   `json:"cancel_asked_at"`
	Refunds             []Refund  `json:"refunds"`
	Captures            []Capture `json:"captures"`
}

// Refund is a refund as the console shows it.
type Refund struct {
	MerchantRefundID string `json:"merchant_refund_id"`
	Amount           int64  `json:"amount"`
	Status           string `json:"status"`
	Reason           string `json:"reason"`
	AcceptedAt       string `json:"accepted_at"`
}

// Capture is a capture as the console shows it.
type Capture struct {
	MerchantCaptureID string  `json:"merchant_capture_id"`
	Amount            int64   `json:"amount"`
	Status            string  `json:"status"`
	AcceptedAt        *string `json:"accepted_at"`
}

const millis = "2006-01-02T15:04:05.000Z07:00"

func moment(at time.Time) string { return at.UTC().Format(millis) }

func momentOrNull(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	s := moment(at)
	return &s
}

func codeState(o books.Order, now time.Time) string {
	switch {
	case o.Code == nil:
		return ""
	case o.Status != books.Created:
		return "used"
	case !o.Code.DeletedAt.IsZero():
		return "deleted"
	case !now.Before(o.Code.ExpiresAt):
		return "expired"
	}
	return "open"
}

func view(o books.Order, walletURL string, now time.Time) Payment {
	p := Payment{
		MerchantID: o.MerchantID, MerchantPaymentID: o.MerchantPaymentID, PaymentID: o.PaymentID, Status: string(o.Status), Amount: o.Amount,
		Currency: "JPY", CapturedAmount: o.Captured(), RefundedAmount: o.RefundedSum(), CaptureLater: o.CaptureLater, StoreID: o.StoreID,
		TerminalID: o.TerminalID, Description: o.Description, UserAuthorizationID: o.UserAuthorizationID, CodeState: codeState(o, now),
		FailureCode: o.FailureCode, CreatedAt: moment(o.CreatedAt), AcceptedAt: momentOrNull(o.AcceptedAt), CanceledAt: momentOrNull(o.CanceledAt),
		CancelAskedAt: momentOrNull(o.CancelAskedAt), Refunds: []Refund{}, Captures: []Capture{},
	}
	if o.Code != nil {
		p.CodeID, p.WalletURL, p.CodeExpiresAt = o.Code.ID, walletURL+o.Code.ID, momentOrNull(o.Code.ExpiresAt)
	}
	for _, r := range o.Refunds {
		p.Refunds = append(p.Refunds, Refund{r.MerchantRefundID, r.Amount, string(r.Status), r.Reason, moment(r.AcceptedAt)})
	}
	for _, c := range o.Captures {
		p.Captures = append(p.Captures, Capture{c.MerchantCaptureID, c.Amount, c.Status, momentOrNull(c.AcceptedAt)})
	}
	return p
}

// filter says which orders a list shows; an empty field shows all.
type filter struct {
	merchantID, storeID, merchantPaymentID, paymentID, codeID, status string
}

func (f filter) shows(o books.Order) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	code := ""
	if o.Code != nil {
		code = o.Code.ID
	}
	return same(f.merchantID, o.MerchantID) && same(f.storeID, o.StoreID) && same(f.merchantPaymentID, o.MerchantPaymentID) &&
		same(f.paymentID, o.PaymentID) && same(f.codeID, code) && same(f.status, string(o.Status))
}

var errCursor = errors.New("not a cursor of ours")

// page cuts a list, the newest first, into pages. A cursor holds how many orders were created before the next one to show, so
// that new orders do not shift it.
func page(orders []books.Order, f filter, cursor string, limit int) (list []books.Order, next string, err error) {
	from := len(orders)
	if cursor != "" {
		raw, err1 := base64.RawURLEncoding.DecodeString(cursor)
		at, err2 := strconv.Atoi(string(raw))
		if err1 != nil || err2 != nil || at < 0 || at > len(orders) {
			return nil, "", errCursor
		}
		from = at
	}
	for i := from - 1; i >= 0; i-- {
		if !f.shows(orders[i]) {
			continue
		}
		if len(list) == limit {
			return list, base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(i + 1))), nil
		}
		list = append(list, orders[i])
	}
	return list, "", nil
}

// SettingsPatch changes the settings that are given.
type SettingsPatch struct {
	CodeLifeSeconds       *int    `json:"code_life_seconds,omitempty" minimum:"1" maximum:"86400" doc:"A code's life. Default 300"`
	MaxAmount             *int64  `json:"max_amount,omitempty" minimum:"1" doc:"A payment above it fails, yen. Default 500000"`
	CancelDelayMS         *int    `json:"cancel_delay_ms,omitempty" minimum:"0" doc:"From a cancel's 202 to its effect"`
	RefundDelayMS         *int    `json:"refund_delay_ms,omitempty" minimum:"0" doc:"From a refund's CREATED to REFUNDED"`
	MultipleRefunds       *bool   `json:"multiple_refunds,omitempty" doc:"false: one refund an order"`
	RefundThrottleSeconds *int    `json:"refund_throttle_seconds,omitempty" minimum:"0" doc:"Least time between two refunds of an order. Default 0: none"`
	PartialRefundStatus   *string `json:"partial_refund_status,omitempty" enum:"COMPLETED,REFUNDED" doc:"A payment's status after a partial refund"`
	DuplicateCode         *string `json:"duplicate_code,omitempty" enum:"error,previous" doc:"The answer to a code for a merchantPaymentId seen before"`
	Preauthorization      *bool   `json:"preauthorization,omitempty"`
	PreauthorizationDays  *int    `json:"preauthorization_days,omitempty" minimum:"1"`
	SimilarWindowSeconds  *int    `json:"similar_window_seconds,omitempty" minimum:"0" doc:"Same user and amount within it is suspected to be a duplicate"`
	RefundReference       *string `json:"refund_reference,omitempty" enum:"refund,payment" doc:"Which id a refund's settlement line carries"`
	WebhookClass          *string `json:"webhook_class,omitempty" enum:"a,b,c" doc:"PayPay's retry class"`
	WebhookDelayMS        *int    `json:"webhook_delay_ms,omitempty" minimum:"0" doc:"Before the first try"`
}

func (p SettingsPatch) apply(s books.Settings) books.Settings {
	set(&s.CodeLifeSeconds, p.CodeLifeSeconds)
	set(&s.MaxAmount, p.MaxAmount)
	set(&s.CancelDelayMS, p.CancelDelayMS)
	set(&s.RefundDelayMS, p.RefundDelayMS)
	set(&s.MultipleRefunds, p.MultipleRefunds)
	set(&s.RefundThrottleSeconds, p.RefundThrottleSeconds)
	set(&s.PartialRefundStatus, p.PartialRefundStatus)
	set(&s.DuplicateCode, p.DuplicateCode)
	set(&s.Preauthorization, p.Preauthorization)
	set(&s.PreauthorizationDays, p.PreauthorizationDays)
	set(&s.SimilarWindowSeconds, p.SimilarWindowSeconds)
	set(&s.RefundReference, p.RefundReference)
	set(&s.WebhookClass, p.WebhookClass)
	set(&s.WebhookDelayMS, p.WebhookDelayMS)
	return s
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// grand is the sum over all stores.
func grand(totals []books.Total) books.Total {
	var all books.Total
	for _, t := range totals {
		all.Captures += t.Captures
		all.CaptureCount += t.CaptureCount
		all.Refunds += t.Refunds
		all.RefundCount += t.RefundCount
		all.Cancelled += t.Cancelled
		all.CancelledCount += t.CancelledCount
		all.Net += t.Net
	}
	return all
}

// first is the merchant that calls mean which name none: the one from the environment.
func first(merchants []books.Merchant, wanted, usual string) (books.Merchant, bool) {
	at := slices.IndexFunc(merchants, func(m books.Merchant) bool { return m.ID == cmp.Or(wanted, usual) })
	if at < 0 {
		return books.Merchant{}, false
	}
	return merchants[at], true
}
