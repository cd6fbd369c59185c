package books

import (
	"cmp"
	"slices"
	"time"
)

// Total is the money of one store of one merchant within a stretch of time, in yen. A payment that was cancelled counts in
// Cancelled only.
type Total struct {
	MerchantID     string `json:"merchant_id"`
	StoreID        string `json:"store_id"`
	Captures       int64  `json:"captures" doc:"Money taken and not cancelled, yen"`
	CaptureCount   int    `json:"capture_count"`
	Refunds        int64  `json:"refunds" doc:"Money given back by refunds, yen, positive"`
	RefundCount    int    `json:"refund_count"`
	Cancelled      int64  `json:"cancelled" doc:"Money taken and given back by a cancel, yen: in neither of the others"`
	CancelledCount int    `json:"cancelled_count"`
	Net            int64  `json:"net" doc:"captures - refunds"`
}

func (t *Total) add(o Order, within func(time.Time) bool) {
	if taken := o.TakenAt(); !taken.IsZero() && within(taken) {
		if sum := o.Captured(); sum > 0 {
			t.Captures += sum
			t.CaptureCount++
		} else if !o.CaptureLater && o.Status == Failed {
			t.Cancelled += o.Amount
			t.CancelledCount++
		}
	}
	for _, r := range o.Refunds {
		if within(r.AcceptedAt) {
			t.Refunds += r.Amount
			t.RefundCount++
		}
	}
	t.Net = t.Captures - t.Refunds
}

func (t Total) empty() bool {
	return t.CaptureCount == 0 && t.RefundCount == 0 && t.CancelledCount == 0
}

// Totals sums the money per store by the time it moved, from (inclusive) to (exclusive); a zero time is no bound.
func (b *Books) Totals(from, to time.Time) ([]Total, error) {
	orders, err := b.Orders()
	if err != nil {
		return nil, err
	}
	within := func(at time.Time) bool {
		return !at.Before(from) && (to.IsZero() || at.Before(to))
	}
	type store struct{ merchant, id string }
	sums := map[store]*Total{}
	for _, o := range orders {
		name := store{o.MerchantID, o.StoreID}
		if sums[name] == nil {
			sums[name] = &Total{MerchantID: o.MerchantID, StoreID: o.StoreID}
		}
		sums[name].add(o, within)
	}
	all := make([]Total, 0, len(sums))
	for _, t := range sums {
		if !t.empty() {
			all = append(all, *t)
		}
	}
	slices.SortFunc(all, func(x, y Total) int {
		return cmp.Or(cmp.Compare(x.MerchantID, y.MerchantID), cmp.Compare(x.StoreID, y.StoreID))
	})
	return all, nil
}
