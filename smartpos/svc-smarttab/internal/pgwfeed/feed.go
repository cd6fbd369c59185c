// Package pgwfeed reads the payment gateway's event feed and lets payments follow it. The gateway never calls into SmartPOS:
// this is how it hears.
//
// Each shard is read by one task at a time, which holds a lease on the shard's cursor; when that task dies another one goes on
// within seconds. An event takes effect in the transaction that moves the cursor past it, and the cursor moves only for the
// holder of the lease. Effects may be asked for any number of times and out of order, so reading a page again is harmless.
//
// An event that cannot be applied is parked, together with those that come later for the same payment, and the cursor goes on;
// a job tries the parked ones again in their order. What stays parked is an alarm (the metric mpac.feed.parked).
package pgwfeed

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
)

// What the types of event begin with that are read here.
const (
	intentPrefix = "payment_intent."
	refundPrefix = "refund."
	// reconciledType tells that the payment is in the provider's settlement.
	reconciledType = intentPrefix + "reconciled"
)

// news is what an event says, read.
type news struct {
	client.Event
	intent  payment.Intent        // of payment_intent.*
	refund  payment.GatewayRefund // of refund.*
	payment uuid.UUID             // ours; zero for refunds, whose refund names it
	refID   uuid.UUID             // our refund; zero when it was not asked for here
	foreign bool                  // a refund that was asked for at the gateway itself
}

// isRefund says whether the event is about a refund.
func (n *news) isRefund() bool { return strings.HasPrefix(n.Type, refundPrefix) }

// group is what events must not overtake each other within: the payment's intent.
func (n *news) group() string { return n.PaymentIntentID }

// own fills in which payment an intent is about; false when it is none of ours.
func (n *news) own() bool {
	id, err := uuid.Parse(n.intent.MerchantRefID)
	n.payment = id
	return err == nil
}

// refers fills in which refund of ours it is about, if any: others are asked for at the gateway itself, under any reference.
func (n *news) refers() { n.refID, _ = uuid.Parse(n.refund.MerchantRefundRefID) }

// read takes an event apart. An event of a type that is not known here is read as nothing: newer gateways tell more.
func read(e client.Event) (news, error) {
	n := news{Event: e}
	switch {
	case strings.HasPrefix(e.Type, intentPrefix):
		var err error
		if n.intent, err = e.PaymentIntent(); err != nil {
			return n, fmt.Errorf("event %s: %w", e.ID, err)
		}
		if !n.own() {
			return n, fmt.Errorf("event %s: merchant_ref_id %q is no payment of ours", e.ID, n.intent.MerchantRefID)
		}
	case strings.HasPrefix(e.Type, refundPrefix):
		var err error
		if n.refund, err = e.Refund(); err != nil {
			return n, fmt.Errorf("event %s: %w", e.ID, err)
		}
		n.refers()
	}
	return n, nil
}

// rest is what of a page comes after the event that was applied last; all of it when that is not in it.
func rest(p client.EventPage, applied string) []client.Event {
	for i, e := range p.Data {
		if e.ID == applied {
			return p.Data[i+1:]
		}
	}
	return p.Data
}
