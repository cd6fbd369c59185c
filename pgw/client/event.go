package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Types of events.
const (
	EventIntentCreated         = "payment_intent.created"
	EventIntentRequiresAction  = "payment_intent.requires_action"
	EventIntentProcessing      = "payment_intent.processing"
	EventIntentRequiresCapture = "payment_intent.requires_capture"
	EventIntentSucceeded       = "payment_intent.succeeded"
	EventIntentFailed          = "payment_intent.failed"
	EventIntentCancelled       = "payment_intent.cancelled"
	EventIntentReconciled      = "payment_intent.reconciled"
	EventIntentLateSuccess     = "payment_intent.late_success"
	EventRefundCreated         = "refund.created"
	EventRefundProcessing      = "refund.processing"
	EventRefundSucceeded       = "refund.succeeded"
	EventRefundFailed          = "refund.failed"
)

// Event is one thing that happened. Of an intent's events Version ascends: what is not above the version you have is known.
type Event struct {
	ID              string    `json:"id"`
	Type            string    `json:"type"`
	CreatedAt       time.Time `json:"created_at"`
	MerchantID      string    `json:"merchant_id"`
	PaymentIntentID string    `json:"payment_intent_id"`
	Version         int64     `json:"version"`
	Data            struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
	// Traceparent is the W3C trace context of the change: link your span to it. "": there was none.
	Traceparent string `json:"traceparent"`
}

// PaymentIntent is the event's object as of the event; an error for a refund's event.
func (e Event) PaymentIntent() (out PaymentIntent, err error) {
	if !strings.HasPrefix(e.Type, "payment_intent.") {
		return out, fmt.Errorf("event %s is %s", e.ID, e.Type)
	}
	return out, json.Unmarshal(e.Data.Object, &out)
}

// Refund is the event's object as of the event; an error for an intent's event.
func (e Event) Refund() (out Refund, err error) {
	if !strings.HasPrefix(e.Type, "refund.") {
		return out, fmt.Errorf("event %s is %s", e.ID, e.Type)
	}
	return out, json.Unmarshal(e.Data.Object, &out)
}

// Events asks for a part of one feed.
type Events struct {
	// After is the NextCursor of the page before; empty: from the beginning of what is kept.
	After string
	Shard int
	Limit int           // at most 100; 0: the gateway's default
	Wait  time.Duration // how long an empty answer is held back, whole seconds, at most 30
}

// EventPage is a part of a feed. NextCursor is always there: keep it with the effect of the events, in one transaction.
type EventPage struct {
	Data       []Event `json:"data"`
	NextCursor string  `json:"next_cursor"`
	HasMore    bool    `json:"has_more"`
	Shards     int     `json:"shards"` // read each of them, from 0, with a cursor of its own
}

// Resync is the extension `resync` of code cursor_expired: list PaymentIntents updated since the last event you have, then go
// on from Cursor, skipping versions that you have.
type Resync struct {
	Cursor string `json:"cursor"`
	List   string `json:"list"`
}

// Events reads one page of the feed. Codes bad_cursor, cursor_expired.
func (c *Client) Events(ctx context.Context, in Events) (out EventPage, err error) {
	q := queryOf("after", in.After, "shard", number(in.Shard), "limit", number(in.Limit), "wait", number(int(in.Wait/time.Second)))
	return out, c.do(ctx, call{op: "events", method: http.MethodGet, path: "/v1/events", query: q, deadline: in.Wait + quick, out: &out})
}
