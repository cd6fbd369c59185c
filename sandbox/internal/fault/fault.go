// Package fault holds what a test has asked to go wrong, and says at each call whether it is time.
package fault

import (
	"fmt"
	"slices"
	"sync"
)

// The operations that can go wrong.
const (
	CreateCode     = "create_code"
	DeleteCode     = "delete_code"
	GetCodePayment = "get_code_payment"
	GetPayment     = "get_payment"
	Cancel         = "cancel"
	Refund         = "refund"
	GetRefund      = "get_refund"
	Pay            = "pay" // POST /v2/payments
	Preauthorize   = "preauthorize"
	Capture        = "capture"
	Revert         = "revert"
	Webhook        = "webhook"
	Any            = "any" // every call of PayPay's API
)

// The ways in which they go wrong.
const (
	Slow                 = "slow"                   // waits before the work
	TimeoutAfter         = "timeout_after"          // does the work and answers too late
	ErrorBefore          = "error_before"           // 500, nothing done
	ErrorAfter           = "error_after"            // 500, all done
	RateLimit            = "rate_limit"             // 429, nothing done
	Refuse               = "refuse"                 // answers the code given, nothing done
	DropBefore           = "drop_connection_before" // closes the connection, nothing done
	DropAfter            = "drop_connection_after"  // closes the connection, all done
	WebhookBeforeAnswer  = "webhook_before_answer"  // the payer pays and the webhook is delivered before the call is answered
	WebhookDuplicate     = "webhook_duplicate"      // the same webhook twice
	WebhookDrop          = "webhook_drop"           // never sent
	WebhookDelay         = "webhook_delay"          // sent late
	WebhookForged        = "webhook_forged"         // says COMPLETED of a payment that nobody paid
	defaultSlowMS        = 3_000
	defaultWebhookLateMS = 5_000
)

// Operations and Kinds are all names, for documentation and validation.
var (
	Operations = []string{
		CreateCode, DeleteCode, GetCodePayment, GetPayment, Cancel, Refund, GetRefund, Pay, Preauthorize, Capture, Revert, Webhook, Any,
	}
	callKinds    = []string{Slow, TimeoutAfter, ErrorBefore, ErrorAfter, RateLimit, Refuse, DropBefore, DropAfter}
	webhookKinds = []string{WebhookDuplicate, WebhookDrop, WebhookDelay, WebhookForged}
	Kinds        = slices.Concat(callKinds, []string{WebhookBeforeAnswer}, webhookKinds)
)

// Fault is one thing asked for. The target's fields that are empty match everything, so that parallel tests which name
// their own payment or store do not meet each other's faults.
type Fault struct {
	ID                int64  `json:"id"`
	Operation         string `json:"operation"`
	Kind              string `json:"kind"`
	Times             int    `json:"times"`    // how often it has yet to act; -1: until it is removed
	Fired             int    `json:"fired"`    // how often it has acted
	DelayMS           int    `json:"delay_ms"` // 0: the kind's own default
	Code              string `json:"code"`     // of kind refuse: PayPay's code, such as RATE_LIMIT
	MerchantID        string `json:"merchant_id"`
	StoreID           string `json:"store_id"`
	MerchantPaymentID string `json:"merchant_payment_id"`
}

// Target is what a call is about, as far as it is known.
type Target struct {
	MerchantID        string
	StoreID           string
	MerchantPaymentID string
}

func (f Fault) meets(operation string, t Target) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	operations := f.Operation == operation || (f.Operation == Any && operation != Webhook)
	return operations && same(f.MerchantID, t.MerchantID) && same(f.StoreID, t.StoreID) && same(f.MerchantPaymentID, t.MerchantPaymentID)
}

// Check says what is wrong with a fault as asked for: the name of the field and the reason; empty when nothing is.
func (f Fault) Check() (field, reason string) {
	isWebhook := f.Operation == Webhook
	switch {
	case !slices.Contains(Operations, f.Operation):
		return "operation", "no such operation"
	case !slices.Contains(Kinds, f.Kind):
		return "kind", "no such kind"
	case f.Kind == WebhookBeforeAnswer && !isWebhook && f.Operation != CreateCode && f.Operation != Pay:
		return "kind", "only create_code, pay and webhook can be answered after the webhook"
	case isWebhook && slices.Contains(callKinds, f.Kind):
		return "kind", fmt.Sprintf("a webhook can only be: %v", append([]string{WebhookBeforeAnswer}, webhookKinds...))
	case !isWebhook && slices.Contains(webhookKinds, f.Kind):
		return "kind", "this kind needs the operation webhook"
	case f.Kind == Refuse && f.Code == "":
		return "code", "needed with this kind: the code PayPay is to answer"
	}
	return "", ""
}

// Box holds the faults that have yet to act.
type Box struct {
	mu     sync.Mutex
	last   int64
	faults []Fault
}

// Add puts a fault in the box; one time when Times is zero.
func (b *Box) Add(f Fault) Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	f.ID, f.Fired = b.last, 0
	if f.Times == 0 {
		f.Times = 1
	}
	if f.DelayMS == 0 {
		switch f.Kind {
		case Slow:
			f.DelayMS = defaultSlowMS
		case WebhookDelay:
			f.DelayMS = defaultWebhookLateMS
		}
	}
	b.faults = append(b.faults, f)
	return f
}

// List is what is in the box, the oldest first.
func (b *Box) List() []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// Remove takes one fault out; false when it was not there.
func (b *Box) Remove(id int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.faults)
	b.faults = slices.DeleteFunc(b.faults, func(f Fault) bool { return f.ID == id })
	return len(b.faults) < before
}

// Clear empties the box.
func (b *Box) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// Call says what is to go wrong with this call now, if anything, and counts it.
func (b *Box) Call(operation string, t Target) (Fault, bool) {
	kinds := callKinds
	if operation == CreateCode || operation == Pay {
		kinds = append(slices.Clone(callKinds), WebhookBeforeAnswer)
		if f, ok := b.take(operation, t, kinds); ok {
			return f, true
		}
		return b.take(Webhook, t, []string{WebhookBeforeAnswer})
	}
	return b.take(operation, t, kinds)
}

// Webhook says what is to go wrong with a webhook about the target now.
func (b *Box) Webhook(t Target) (Fault, bool) {
	return b.take(Webhook, t, []string{WebhookDuplicate, WebhookDrop, WebhookDelay})
}

// Forged says whether a webhook about the target, which nobody has paid, is to be made up now.
func (b *Box) Forged(t Target) bool {
	_, ok := b.take(Webhook, t, []string{WebhookForged})
	return ok
}

func (b *Box) take(operation string, t Target, kinds []string) (Fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(b.faults, func(f Fault) bool { return slices.Contains(kinds, f.Kind) && f.meets(operation, t) })
	if at < 0 {
		return Fault{}, false
	}
	f := &b.faults[at]
	f.Fired++
	if f.Times > 0 {
		f.Times--
	}
	taken := *f
	if f.Times == 0 {
		b.faults = slices.Delete(b.faults, at, at+1)
	}
	return taken, true
}
