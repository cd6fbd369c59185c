package books

import "time"

// Tokyo is the time zone of PayPay's days. Japan has no summer time, so a fixed zone needs no time zone database.
var Tokyo = time.FixedZone("JST", 9*60*60)

// cancelCloses is the first instant at which a payment accepted at the given time can no longer be cancelled: 00:15 of the
// next day in Tokyo.
func cancelCloses(accepted time.Time) time.Time {
	y, m, d := accepted.In(Tokyo).Date()
	return time.Date(y, m, d+1, 0, 15, 0, 0, Tokyo)
}

// reversible: a cancel that was accepted will take effect in this state.
func (o Order) reversible() bool {
	return o.Status == Authorized || (o.Status == Completed && !o.CaptureLater && len(o.Refunds) == 0)
}

// cancel accepts the request to undo the payment. Before anybody has paid it is remembered and the order stays payable: it
// fires when somebody pays. A cancel that was accepted once is accepted again.
func (o Order) cancel(s Settings, now time.Time) (Order, string, error) {
	switch {
	case o.Status == Failed && !o.CancelAskedAt.IsZero():
		return o, "", nil
	case o.Status == Created, o.Status == Failed:
	case !o.reversible():
		return o, "", Refuse("ORDER_NOT_REVERSIBLE")
	case !now.Before(cancelCloses(o.AcceptedAt)):
		return o, "", Refuse("ORDER_NOT_REVERSIBLE")
	}
	if !o.CancelAskedAt.IsZero() {
		return o, "", nil
	}
	o.CancelAskedAt = now
	if o.Status != Created {
		o.CancelDueAt = now.Add(s.cancelDelay())
	}
	return o, WhatCancelAsk, nil
}

// Cancel accepts a cancel, asynchronously. The documents do not say what happens to an id never seen; here it is
// accepted and remembered like any other, so that a cancel sent after an unanswered create is certain.
func (b *Books) Cancel(key Key) error {
	return b.do(func(now time.Time) ([]entry, error) {
		o := b.orders[key]
		if o == nil {
			if _, asked := b.early[key]; asked {
				return nil, nil
			}
			return []entry{{What: WhatCancelAsk, Early: &key}}, nil
		}
		next, what, err := o.cancel(b.tenants[key.MerchantID].Settings, now)
		if err != nil || what == "" {
			return nil, err
		}
		return []entry{{What: what, Order: &next}}, nil
	})
}
