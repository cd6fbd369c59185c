// Package webhook tells merchants of payments as PayPay does: without a signature, every value a string, at most once in
// PayPay's own words ("not guaranteed"), a few quick retries and no more. What is under way when the process dies is lost,
// as it may be with PayPay.
package webhook

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// schedule is one of PayPay's three retry classes.
type schedule struct {
	timeout time.Duration
	retries int
	pause   time.Duration
}

// The classes of PayPay's help article 4414048508047; it does not say which notification is in which.
var schedules = map[string]schedule{
	"a": {timeout: 2 * time.Second, retries: 3, pause: 100 * time.Millisecond},
	"b": {timeout: 1500 * time.Millisecond, retries: 10, pause: 500 * time.Millisecond},
	"c": {timeout: 1500 * time.Millisecond},
}

// states are the changes that PayPay tells, by the state it gives them. Cancels and refunds are not among them.
var states = map[string]books.Status{
	books.WhatCompleted: books.Completed, books.WhatCaptured: books.Completed, books.WhatAuthorized: books.Authorized,
	books.WhatReverted: books.Canceled, books.WhatExpired: books.Expired, books.WhatFailed: books.Failed,
}

// transaction is a notification of type Transaction. The times are strings or null; a FAILED one has none of them.
type transaction struct {
	NotificationType string `json:"notification_type"`
	MerchantID       string `json:"merchant_id"`
	StoreID          string `json:"store_id"`
	PosID            string `json:"pos_id"`
	OrderID          string `json:"order_id"`
	MerchantOrderID  string `json:"merchant_order_id"`
	*times
	OrderAmount string       `json:"order_amount"`
	State       books.Status `json:"state"`
}

type times struct {
	AuthorizedAt *string `json:"authorized_at"`
	ExpiresAt    *string `json:"expires_at"`
	PaidAt       *string `json:"paid_at"`
}

// message is the body about an order in a state. AUTHORIZED comes without the merchant's own id, as in PayPay's samples.
func message(o books.Order, state books.Status) ([]byte, error) {
	t := transaction{
		NotificationType: "Transaction", MerchantID: o.MerchantID, StoreID: o.StoreID, PosID: o.TerminalID,
		OrderID: o.PaymentID, MerchantOrderID: o.MerchantPaymentID, OrderAmount: strconv.FormatInt(o.Amount, 10), State: state,
	}
	if state == books.Authorized {
		t.MerchantOrderID = ""
	}
	if o.CaptureLater && o.Captured() > 0 {
		t.OrderAmount = strconv.FormatInt(o.Captured(), 10)
	}
	if state != books.Failed {
		t.times = &times{AuthorizedAt: moment(o.AuthorizedAt), ExpiresAt: moment(o.ExpiresAt)}
		if state == books.Completed {
			t.PaidAt = moment(o.TakenAt())
		}
	}
	return json.Marshal(t)
}

func moment(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	s := at.UTC().Format(time.RFC3339)
	return &s
}

// forge makes an order look paid: for a webhook that lies.
func forge(o books.Order, now time.Time) books.Order {
	o.AcceptedAt = now
	if o.PaymentID == "" {
		o.PaymentID = "9" + fmt.Sprintf("%019d", now.UnixNano()%1e18)
	}
	return o
}

// fileCreated is the body that announces a settlement file.
func fileCreated(path string, now time.Time) ([]byte, error) {
	return json.Marshal(map[string]string{
		"notification_type": "file.created", "notification_id": uuid(), "fileType": "transaction_recon", "path": path,
		"requestedAt": strconv.FormatInt(now.Unix(), 10),
	})
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Attempt is one try of a delivery.
type Attempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status" doc:"The receiver's HTTP status; 0: no answer"`
	Error  string    `json:"error,omitempty"`
	Millis int64     `json:"duration_ms"`
}

// Delivery is one notification and its tries.
type Delivery struct {
	ID                int64           `json:"id"`
	MerchantID        string          `json:"merchant_id"`
	StoreID           string          `json:"store_id"`
	MerchantPaymentID string          `json:"merchant_payment_id"`
	Type              string          `json:"type" doc:"Transaction or file.created"`
	State             string          `json:"state" doc:"The state it tells"`
	Forged            bool            `json:"forged" doc:"It does not say the truth"`
	URL               string          `json:"url"`
	Body              json.RawMessage `json:"body"`
	Outcome           string          `json:"outcome" enum:"pending,delivered,gave_up,dropped,no_url"`
	Attempts          []Attempt       `json:"attempts"`
	CreatedAt         time.Time       `json:"created_at"`
}

// The outcomes of a delivery.
const (
	pending   = "pending"
	delivered = "delivered"
	gaveUp    = "gave_up"
	dropped   = "dropped"
	noURL     = "no_url"
)
