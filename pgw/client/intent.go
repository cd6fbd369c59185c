package client

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Payment method types.
const (
	QRMPM  = "qr_mpm" // the customer scans our code
	QRCPM  = "qr_cpm" // we scan the customer's code
	Card   = "card"
	EMoney = "e_money"
	Cash   = "cash"
)

// Statuses of a PaymentIntent; the last three are final.
const (
	RequiresPaymentMethod = "requires_payment_method"
	RequiresAction        = "requires_action"
	Processing            = "processing"
	RequiresCapture       = "requires_capture"
	Succeeded             = "succeeded"
	Failed                = "failed"
	Cancelled             = "cancelled"
)

// PaymentIntent is the gateway's entity for one attempt at money. Amounts are in the minor unit of Currency.
type PaymentIntent struct {
	ID                 string            `json:"id"`
	Status             string            `json:"status"`
	Version            int64             `json:"version"`
	Amount             int64             `json:"amount"`
	Currency           string            `json:"currency"`
	CapturedAmount     int64             `json:"captured_amount"`
	RefundedAmount     int64             `json:"refunded_amount"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	PaymentMethodType  string            `json:"payment_method_type"` // "": none chosen
	Provider           string            `json:"provider"`
	ProcessingMode     string            `json:"processing_mode"`
	CaptureMethod      string            `json:"capture_method"`
	MerchantID         string            `json:"merchant_id"`
	MerchantStoreID    string            `json:"merchant_store_id"`
	MerchantTerminalID string            `json:"merchant_terminal_id"`
	MerchantRefID      string            `json:"merchant_ref_id"`
	Description        string            `json:"description"`
	Metadata           map[string]string `json:"metadata"`
	Mode               string            `json:"mode"`
	ExpiresAt          time.Time         `json:"expires_at"`
	CreatedAt          time.Time         `json:"created_at"`
	UpdatedAt          time.Time         `json:"updated_at"`
	SucceededAt        *time.Time        `json:"succeeded_at"`
	OccurredAt         *time.Time        `json:"occurred_at"`
	Failure            *Failure          `json:"failure"`
	CancellationReason string            `json:"cancellation_reason"`
	QRContent          string            `json:"qr_content"`
	QRCodeURL          string            `json:"qr_code_url"`
	QRExpiresAt        *time.Time        `json:"qr_expires_at"`
	LatestAttemptID    string            `json:"latest_attempt_id"`
	ProviderPaymentID  string            `json:"provider_payment_id"`
	Cash               *CashDetails      `json:"cash"`
	Card               *CardResult       `json:"card"`
	// PaymentToken is in the answers to create and mint only: it opens this PaymentIntent to a terminal or browser.
	PaymentToken string `json:"payment_token"`
}

// Final tells whether nothing changes any more but refunds.
func (p PaymentIntent) Final() bool {
	return p.Status == Succeeded || p.Status == Failed || p.Status == Cancelled
}

// Failure says why a payment or refund failed.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// CashDetails of a cash payment, minor unit.
type CashDetails struct {
	Tendered int64 `json:"tendered"`
	Change   int64 `json:"change"`
}

// CardResult is what a terminal's application says of a card or e-money payment.
type CardResult struct {
	Result        string `json:"result,omitempty"` // approved or declined
	Brand         string `json:"brand,omitempty"`
	Last4         string `json:"last4,omitempty"`
	ApprovalCode  string `json:"approval_code,omitempty"`
	ARN           string `json:"arn,omitempty"`
	TerminalTxnID string `json:"terminal_txn_id,omitempty"`
}

// CreatePaymentIntent is what create takes. MerchantRefID is the caller's reference of the payment, unique per merchant for ever.
type CreatePaymentIntent struct {
	Amount             int64             `json:"amount"`
	Currency           string            `json:"currency"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	MerchantID         string            `json:"merchant_id,omitempty"`
	MerchantRefID      string            `json:"merchant_ref_id"`
	MerchantStoreID    string            `json:"merchant_store_id,omitempty"`
	MerchantTerminalID string            `json:"merchant_terminal_id,omitempty"`
	Description        string            `json:"description,omitempty"`
	ExpiresInMinutes   int               `json:"expires_in_minutes,omitempty"`
	CaptureMethod      string            `json:"capture_method,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// CreatePaymentIntent creates one. Of the same reference under another key: code merchant_ref_id_used, with the extension
// payment_intent_id.
func (c *Client) CreatePaymentIntent(ctx context.Context, key string, in CreatePaymentIntent) (out PaymentIntent, err error) {
	return out, c.do(ctx, call{op: "create_payment_intent", method: http.MethodPost, path: "/v1/payment_intents", key: key, body: in, deadline: quick, out: &out})
}

// PaymentIntent retrieves one.
func (c *Client) PaymentIntent(ctx context.Context, id string) (out PaymentIntent, err error) {
	return out, c.do(ctx, call{op: "get_payment_intent", method: http.MethodGet, path: path("/v1/payment_intents/", id), deadline: quick, out: &out})
}

// Range is a span of time, from inclusive, to exclusive; zero: unbounded.
type Range struct{ From, To time.Time }

// ListPaymentIntents picks PaymentIntents; what is empty takes all.
type ListPaymentIntents struct {
	MerchantID, MerchantStoreID, MerchantRefID, Status string
	Created, Updated                                   Range
	Cursor                                             string
	Limit                                              int
}

// PaymentIntentPage is a part of a list. NextCursor is empty at the end.
type PaymentIntentPage struct {
	Data       []PaymentIntent `json:"data"`
	NextCursor string          `json:"next_cursor"`
}

// ListPaymentIntents reads one page.
func (c *Client) ListPaymentIntents(ctx context.Context, in ListPaymentIntents) (out PaymentIntentPage, err error) {
	q := queryOf("merchant_id", in.MerchantID, "merchant_store_id", in.MerchantStoreID, "merchant_ref_id", in.MerchantRefID, "status", in.Status,
		"created_from", instant(in.Created.From), "created_to", instant(in.Created.To),
		"updated_from", instant(in.Updated.From), "updated_to", instant(in.Updated.To), "cursor", in.Cursor, "limit", number(in.Limit))
	return out, c.do(ctx, call{op: "list_payment_intents", method: http.MethodGet, path: "/v1/payment_intents", query: q, deadline: quick, out: &out})
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Confirm is what confirm takes: the method, and what that method needs.
type Confirm struct {
	PaymentMethodType string      `json:"payment_method_type"`
	Provider          string      `json:"provider,omitempty"`      // QR
	CustomerCode      string      `json:"customer_code,omitempty"` // qr_cpm
	Tendered          int64       `json:"tendered,omitempty"`      // cash, minor unit
	Card              *CardResult `json:"card,omitempty"`          // card, e_money
	OccurredAt        *time.Time  `json:"occurred_at,omitempty"`   // when it happened, for what is told later
}

// Confirm chooses how a PaymentIntent is paid.
func (c *Client) Confirm(ctx context.Context, key, id string, in Confirm) (out PaymentIntent, err error) {
	return out, c.do(ctx, call{op: "confirm", method: http.MethodPost, path: path("/v1/payment_intents/", id, "/confirm"), key: key, body: in, deadline: provider, out: &out})
}

// Capture takes an authorised amount, minor unit; 0: all of it. What is left is released.
func (c *Client) Capture(ctx context.Context, key, id string, amount int64) (out PaymentIntent, err error) {
	body := struct {
		Amount int64 `json:"amount,omitempty"`
	}{amount}
	return out, c.do(ctx, call{op: "capture", method: http.MethodPost, path: path("/v1/payment_intents/", id, "/capture"), key: key, body: body, deadline: provider, out: &out})
}

// Cancel cancels a PaymentIntent. Where the customer may have paid already, the provider is asked first: look at the status.
func (c *Client) Cancel(ctx context.Context, key, id, reason string) (out PaymentIntent, err error) {
	body := struct {
		Reason string `json:"reason,omitempty"`
	}{reason}
	return out, c.do(ctx, call{op: "cancel", method: http.MethodPost, path: path("/v1/payment_intents/", id, "/cancel"), key: key, body: body, deadline: provider, out: &out})
}

// Sync makes the gateway ask the provider now.
func (c *Client) Sync(ctx context.Context, id string) (out PaymentIntent, err error) {
	return out, c.do(ctx, call{op: "sync", method: http.MethodPost, path: path("/v1/payment_intents/", id, "/sync"), key: NewKey(), deadline: provider, out: &out})
}

// MintPaymentToken makes another payment token for a PaymentIntent.
func (c *Client) MintPaymentToken(ctx context.Context, key, id string) (out PaymentIntent, err error) {
	return out, c.do(ctx, call{op: "mint_payment_token", method: http.MethodPost, path: path("/v1/payment_intents/", id, "/payment_tokens"), key: key, deadline: quick, out: &out})
}
