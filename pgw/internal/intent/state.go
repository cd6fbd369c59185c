package intent

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Status is where a PaymentIntent stands.
type Status string

// The states. The last three are final.
const (
	RequiresPaymentMethod Status = "requires_payment_method"
	RequiresAction        Status = "requires_action"
	Processing            Status = "processing"
	RequiresCapture       Status = "requires_capture"
	Succeeded             Status = "succeeded"
	Failed                Status = "failed"
	Cancelled             Status = "cancelled"
)

// Edges is the state machine: every write goes through it, and the database holds the same table (migration 0011). Two edges
// have a condition more: requires_payment_method -> succeeded is for cash and external cards, and requires_capture is for
// manual capture.
var Edges = map[Status][]Status{
	RequiresPaymentMethod: {RequiresAction, Processing, Succeeded, Failed, Cancelled},
	RequiresAction:        {Processing, RequiresCapture, Succeeded, Failed, Cancelled},
	Processing:            {RequiresAction, RequiresCapture, Succeeded, Failed},
	RequiresCapture:       {Processing, Succeeded, Failed, Cancelled},
	Succeeded:             {},
	Failed:                {},
	Cancelled:             {},
}

// ErrIllegalMove is in the error of a move that is no edge: a programmer's error that the database would refuse too.
var ErrIllegalMove = errors.New("not an edge of the state machine")

// Final tells whether nothing moves it any more.
func (s Status) Final() bool { return s == Succeeded || s == Failed || s == Cancelled }

// mayMove is the table with its two conditions.
func (in *Intent) mayMove(to Status) bool {
	switch {
	case !slices.Contains(Edges[in.Status], to):
		return false
	case in.Status == RequiresPaymentMethod && to == Succeeded:
		return in.ProcessingMode == External || in.ProcessingMode == Manual
	case to == RequiresCapture:
		return in.CaptureMethod == CaptureManual
	}
	return true
}

// move goes along one edge; the caller tells it with an event.
func (in *Intent) move(to Status, now time.Time) error {
	if !in.mayMove(to) {
		return fmt.Errorf("%w: %s: %s -> %s", ErrIllegalMove, in.ID, in.Status, to)
	}
	in.Status = to
	in.QRContent, in.QRCodeURL, in.QRExpiresAt = keepQR(in, to)
	if to.Final() {
		in.FinalizedAt, in.LiveAttemptID, in.DueAt = now, "", time.Time{}
	}
	if to == Succeeded {
		in.SucceededAt = now
	}
	return nil
}

// keepQR: a code is shown while it can be paid and not longer.
func keepQR(in *Intent, to Status) (content, link string, expires time.Time) {
	if to == RequiresAction {
		return in.QRContent, in.QRCodeURL, in.QRExpiresAt
	}
	return "", "", time.Time{}
}
