package books

import (
	"slices"
	"time"
)

// refundDays: a refund may be asked for until the end of the 365th day after the money was taken.
const refundDays = 365

func refundCloses(taken time.Time) time.Time {
	y, m, d := taken.In(Tokyo).Date()
	return time.Date(y, m, d+refundDays+1, 0, 0, 0, 0, Tokyo)
}

// refund gives money back. The same merchantRefundId again changes nothing.
func (o Order) refund(r Refund, s Settings, now time.Time) (Order, string, error) {
	if _, known := o.Refund(r.MerchantRefundID); known {
		return o, "", nil
	}
	switch {
	case o.Captured() == 0 || !o.CancelDueAt.IsZero():
		return o, "", Refuse("NOT_REFUNDABLE")
	case !s.MultipleRefunds && len(o.Refunds) > 0:
		return o, "", Refuse("MULTIPLE_REFUNDS_NOT_ALLOWED")
	case o.throttled(s, now):
		return o, "", Refuse("THROTTLED_MULTIPLE_REFUND_REJECTED")
	case !now.Before(refundCloses(o.TakenAt())):
		return o, "", Refuse("REFUND_WINDOW_EXCEED")
	case r.Amount > o.Captured()-o.RefundedSum():
		return o, "", Refuse("REFUND_AMOUNT")
	}
	r.Status, r.AcceptedAt, r.DueAt = Created, now, now.Add(s.refundDelay())
	o.Refunds = append(slices.Clone(o.Refunds), r)
	if o.RefundedSum() == o.Captured() || s.PartialRefundStatus == string(Refunded) {
		o.Status = Refunded
	}
	return o, WhatRefundAsk, nil
}

func (o Order) throttled(s Settings, now time.Time) bool {
	n := len(o.Refunds)
	return n > 0 && now.Before(o.Refunds[n-1].AcceptedAt.Add(s.throttle()))
}

// Refund finds one of the order's refunds.
func (o Order) Refund(merchantRefundID string) (Refund, bool) {
	at := slices.IndexFunc(o.Refunds, func(r Refund) bool { return r.MerchantRefundID == merchantRefundID })
	if at < 0 {
		return Refund{}, false
	}
	return o.Refunds[at], true
}

// Refund gives money of PayPay's paymentID back; idempotent by merchant, payment and merchantRefundId.
func (b *Books) Refund(merchantID, paymentID string, r Refund) (Order, error) {
	return b.change(Ref{MerchantID: merchantID, PaymentID: paymentID}, func(o Order, s Settings, now time.Time) (Order, string, error) {
		return o.refund(r, s, now)
	})
}

// FindRefund looks a refund up. Without paymentID, which older clients leave out, the merchant's newest refund of that id
// is found; ErrUnknown when there is none.
func (b *Books) FindRefund(merchantID, paymentID, merchantRefundID string) (Order, error) {
	var found Order
	err := b.do(func(time.Time) ([]entry, error) {
		if paymentID != "" {
			if o := b.find(Ref{MerchantID: merchantID, PaymentID: paymentID}); o != nil {
				if _, ok := o.Refund(merchantRefundID); ok {
					found = *o
					return nil, nil
				}
			}
			return nil, ErrUnknown
		}
		key, ok := b.refunds[Key{merchantID, merchantRefundID}]
		if !ok {
			return nil, ErrUnknown
		}
		found = *b.orders[key]
		return nil, nil
	})
	return found, err
}
