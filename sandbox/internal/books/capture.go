package books

import (
	"slices"
	"time"
)

func (o Order) pendingCapture() int {
	return slices.IndexFunc(o.Captures, func(c Capture) bool { return c.Status == CaptureAsked })
}

// capture takes an authorised amount, or a part of it: the rest is released. Above it, the payer is asked first.
func (o Order) capture(c Capture, now time.Time) (Order, string, error) {
	switch {
	case o.Status == Completed || o.Status == Refunded:
		return o, "", Refuse("ALREADY_CAPTURED")
	case o.Status == Expired:
		return o, "", Refuse("ORDER_EXPIRED")
	case o.Status != Authorized:
		return o, "", Refuse("ORDER_NOT_CAPTURABLE")
	case o.pendingCapture() >= 0:
		return o, "", Refuse("REAUTHORIZATION_IN_PROGRESS")
	}
	c.Status, c.AcceptedAt = CaptureCompleted, now
	what := WhatCaptured
	if c.Amount > o.Amount {
		c.Status, c.AcceptedAt, what = CaptureAsked, time.Time{}, WhatCaptureAsk
	} else {
		o.Status = Completed
	}
	o.Captures = append(slices.Clone(o.Captures), c)
	return o, what, nil
}

func (o Order) confirmCapture(now time.Time) (Order, string, error) {
	if o.Status != Authorized {
		return o, "", Refuse("ORDER_NOT_CAPTURABLE")
	}
	o.Captures = slices.Clone(o.Captures)
	c := &o.Captures[o.pendingCapture()]
	c.Status, c.AcceptedAt, o.Status = CaptureCompleted, now, Completed
	return o, WhatCaptured, nil
}

func (o Order) revert(r Revert, now time.Time) (Order, string, error) {
	if o.Status == Canceled && o.Revert.MerchantRevertID == r.MerchantRevertID {
		return o, "", nil
	}
	if o.Status != Authorized {
		return o, "", Refuse("ORDER_NOT_CANCELABLE")
	}
	r.AcceptedAt = now
	o.Status, o.Revert = Canceled, &r
	return o, WhatReverted, nil
}

// Capture takes the money of an authorisation.
func (b *Books) Capture(key Key, c Capture) (Order, error) {
	return b.change(Ref{MerchantID: key.MerchantID, MerchantPaymentID: key.MerchantPaymentID},
		func(o Order, _ Settings, now time.Time) (Order, string, error) { return o.capture(c, now) })
}

// Revert gives an authorisation back.
func (b *Books) Revert(merchantID, paymentID string, r Revert) (Order, error) {
	return b.change(Ref{MerchantID: merchantID, PaymentID: paymentID},
		func(o Order, _ Settings, now time.Time) (Order, string, error) { return o.revert(r, now) })
}
