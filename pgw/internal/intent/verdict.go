package intent

import (
	"errors"
	"fmt"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Verdict is what people have found out about an attempt that no provider's answer settled. It has the weight of such an answer,
// and does what that would do.
type Verdict struct {
	Succeeded bool
	// Of a success: the provider's own id, how much it took, and when by its clock.
	PaymentID  string
	Amount     money.Amount
	AcceptedAt time.Time
}

// ErrUnsettled is in the error of a verdict that settles nothing: its amount is not what was asked for.
var ErrUnsettled = errors.New("the verdict does not settle the attempt")

// news is the verdict as a provider would have said it.
func (v Verdict) news(in *Intent) news {
	if v.Succeeded {
		return news{kind: newsCompleted, payment: provider.Payment{
			State: provider.Completed, PaymentID: v.PaymentID, Amount: v.Amount, AcceptedAt: v.AcceptedAt,
		}}
	}
	n := news{kind: newsFailed, failure: codeNotProcessed, text: "the provider did not take the payment"}
	if in.cancelRequested() {
		n.failure, n.text = codeOnRequest, "cancelled on request before the provider took it"
	}
	return n
}

// heed prepares the attempt for a verdict. The money of a success stands: whatever cancel was sent has not been carried through and
// will not be, so it ends as after a refused one, by giving the money back.
func (a *Attempt) heed(n news, now time.Time) {
	if n.kind == newsCompleted && !a.CancelSentAt.IsZero() {
		a.CancelRefusedAt = orNow(a.CancelRefusedAt, now)
	}
	a.OperatorAt = time.Time{}
}

// settledBy tells whether the verdict did what it is for.
func (a *Attempt) settledBy(v Verdict) error {
	if !a.Over() || !a.OperatorAt.IsZero() {
		return fmt.Errorf("%w: %s is %s, %s was asked for", ErrUnsettled, a.ID, a.Status, a.Amount)
	}
	if v.Succeeded && a.Status != AttemptSucceeded && a.LateSuccessAt.IsZero() {
		return fmt.Errorf("%w: %s is %s", ErrUnsettled, a.ID, a.Status)
	}
	return nil
}
