package client

import (
	"context"
	"net/http"
	"time"
)

// Statuses of a refund.
const (
	RefundPending    = "pending"
	RefundProcessing = "processing"
	RefundSucceeded  = "succeeded"
	RefundFailed     = "failed"
)

// Refund is money on its way back. Amount is in the minor unit.
type Refund struct {
	ID                  string    `json:"id"`
	PaymentIntentID     string    `json:"payment_intent_id"`
	Amount              int64     `json:"amount"`
	Currency            string    `json:"currency"`
	Status              string    `json:"status"`
	MerchantRefundRefID string    `json:"merchant_refund_ref_id"`
	Reason              string    `json:"reason"`
	Failure             *Failure  `json:"failure"`
	Version             int64     `json:"version"`
	CreatedAt           time.Time `json:"created_at"`
	UpdatedAt           time.Time `json:"updated_at"`
}

// CreateRefund is what a refund takes. Amount 0: all that is left. MerchantRefundRefID is the caller's reference, unique per
// merchant for ever.
type CreateRefund struct {
	Amount              int64      `json:"amount,omitempty"`
	MerchantRefundRefID string     `json:"merchant_refund_ref_id"`
	Reason              string     `json:"reason,omitempty"`
	OccurredAt          *time.Time `json:"occurred_at,omitempty"`
}

// CreateRefund gives money of a PaymentIntent back. It may answer pending or processing: the feed tells how it ends.
func (c *Client) CreateRefund(ctx context.Context, key, intentID string, in CreateRefund) (out Refund, err error) {
	return out, c.do(ctx, call{op: "create_refund", method: http.MethodPost, path: path("/v1/payment_intents/", intentID, "/refunds"), key: key, body: in, deadline: provider, out: &out})
}

// Refund retrieves one.
func (c *Client) Refund(ctx context.Context, id string) (out Refund, err error) {
	return out, c.do(ctx, call{op: "get_refund", method: http.MethodGet, path: path("/v1/refunds/", id), deadline: quick, out: &out})
}

// ListRefunds picks refunds; what is empty takes all.
type ListRefunds struct {
	PaymentIntentID string
	Cursor          string
	Limit           int
}

// RefundPage is a part of a list. NextCursor is empty at the end.
type RefundPage struct {
	Data       []Refund `json:"data"`
	NextCursor string   `json:"next_cursor"`
}

// ListRefunds reads one page.
func (c *Client) ListRefunds(ctx context.Context, in ListRefunds) (out RefundPage, err error) {
	q := queryOf("payment_intent_id", in.PaymentIntentID, "cursor", in.Cursor, "limit", number(in.Limit))
	return out, c.do(ctx, call{op: "list_refunds", method: http.MethodGet, path: "/v1/refunds", query: q, deadline: quick, out: &out})
}
