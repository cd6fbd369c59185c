// Package event is the gateway's event feed: what happened to PaymentIntents and Refunds, told to the partner in one order
// without holes.
//
// A change appends its event in its own transaction (Append). The sequencer numbers what is committed; readers (Read, GET
// /v1/events) see numbered events only. docs/events.md has the whole story.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mpac-cloud/mpac/platform/id"
)

// Prefix is that of event ids.
const Prefix = "ev"

// Type says what happened. The list is closed by a CHECK of the table.
type Type string

// Each of them raises the intent's version, the refunds' too.
const (
	IntentCreated         Type = "payment_intent.created"
	IntentRequiresAction  Type = "payment_intent.requires_action"
	IntentProcessing      Type = "payment_intent.processing"
	IntentRequiresCapture Type = "payment_intent.requires_capture"
	IntentSucceeded       Type = "payment_intent.succeeded"
	IntentFailed          Type = "payment_intent.failed"
	IntentCancelled       Type = "payment_intent.cancelled"
	// IntentReconciled: the matcher found the payment in the provider's settlement.
	IntentReconciled Type = "payment_intent.reconciled"
	// IntentLateSuccess: the provider took money for an intent that was final; pgw gives it back.
	IntentLateSuccess Type = "payment_intent.late_success"
	RefundCreated     Type = "refund.created"
	RefundProcessing  Type = "refund.processing"
	RefundSucceeded   Type = "refund.succeeded"
	RefundFailed      Type = "refund.failed"
)

// Types lists them all.
var Types = []Type{
	IntentCreated, IntentRequiresAction, IntentProcessing, IntentRequiresCapture, IntentSucceeded, IntentFailed, IntentCancelled,
	IntentReconciled, IntentLateSuccess, RefundCreated, RefundProcessing, RefundSucceeded, RefundFailed,
}

// Event is one thing that happened, as its writer hands it to Append.
type Event struct {
	// ID is "ev_" + ULID; made from At when empty.
	ID         string
	PartnerID  string
	Mode       string // "test" or "live"
	MerchantID string
	// PaymentIntentID is the intent of a refund's event too.
	PaymentIntentID string
	// Version is the intent's version after the change: an intent's events ascend in it.
	Version int64
	Type    Type
	// Object is the PaymentIntent or Refund as of this event; anything that encodes to its JSON object.
	Object any
	// At is the time of the change, from the caller's clock.
	At time.Time
}

// data is the event's `data` member.
func (e Event) data() (json.RawMessage, error) {
	data, err := json.Marshal(map[string]any{"object": e.Object})
	if err != nil {
		return nil, fmt.Errorf("event %s of %s: %w", e.Type, e.PaymentIntentID, err)
	}
	return data, nil
}

func (e Event) withID() Event {
	if e.ID == "" {
		e.ID = id.NewULID(Prefix, e.At)
	}
	return e
}
