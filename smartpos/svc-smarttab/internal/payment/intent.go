package payment

import (
	"fmt"

	"github.com/mpac-cloud/mpac/pgw/client"
)

// Intent is what the gateway says of a PaymentIntent: a snapshot as of its Version, in an answer or an event.
type Intent = client.PaymentIntent

// GatewayRefund is what the gateway says of a refund.
type GatewayRefund = client.Refund

// The gateway's states of an intent (pgw.md), and what each means here.
var intentMeans = map[string]Status{
	client.RequiresPaymentMethod: Pending,
	client.RequiresAction:        Processing,
	client.Processing:            Processing,
	client.RequiresCapture:       Processing,
	client.Succeeded:             Completed,
	client.Failed:                Failed,
	client.Cancelled:             Cancelled,
}

// ContradictionError is a snapshot that cannot be true of the payment: it is nobody's to guess which of the two is right.
type ContradictionError struct{ What string }

// Error says what does not fit.
func (e *ContradictionError) Error() string { return "the gateway contradicts the payment: " + e.What }

func contradiction(format string, args ...any) error {
	return &ContradictionError{What: fmt.Sprintf(format, args...)}
}

// follow says which state a wallet's payment goes to by the snapshot; moved is false when it stays. A snapshot that is not
// newer than what was applied changes nothing, so that events may come twice, late or in any order. trusted skips that
// check: for an answer to a question asked just now, of a gateway that may have been restored.
func (p *Payment) follow(in Intent, trusted bool) (next Status, moved bool, err error) {
	if in.Amount != p.Amount || in.Currency != string(p.Currency) {
		return p.Status, false, contradiction("intent %s is over %d %s, the payment over %d %s", in.ID, in.Amount, in.Currency, p.Amount, p.Currency)
	}
	if p.IntentID != "" && p.IntentID != in.ID {
		return p.Status, false, contradiction("its intent is %s, not %s", p.IntentID, in.ID)
	}
	next, known := intentMeans[in.Status]
	if !known {
		return p.Status, false, contradiction("intent %s is in an unknown state %q", in.ID, in.Status)
	}
	if in.Version <= p.IntentVersion && !trusted {
		return p.Status, false, nil
	}
	switch {
	case p.Status == next, p.Status == Refunded && next == Completed:
		return p.Status, false, nil
	case p.Status.Ended() && next.Ended():
		return p.Status, false, contradiction("intent %s has %s, the payment has %s", in.ID, in.Status, p.Status)
	case !p.Status.CanBecome(next):
		return p.Status, false, nil // an earlier state than ours: old news
	}
	return next, true, nil
}

// agrees holds what the gateway says of cash or a card against what took place here, which nothing that the gateway says can
// change: the books there are wrong then, until somebody puts them right.
func (p *Payment) agrees(in Intent) error {
	if !in.Final() {
		return nil
	}
	if want := intentMeans[in.Status]; want == Completed && p.Status.Paid() || want == p.Status {
		return nil
	}
	return contradiction("intent %s is %s, the payment %s", in.ID, in.Status, p.Status)
}

// why is the reason that goes with a payment that failed or was cancelled.
func why(in Intent) *Failure {
	switch {
	case in.Failure != nil && in.Failure.Code != "":
		return &Failure{Code: in.Failure.Code, Message: in.Failure.Message}
	case in.CancellationReason != "":
		return &Failure{Code: in.CancellationReason, Message: "The payment was cancelled."}
	}
	return nil
}
