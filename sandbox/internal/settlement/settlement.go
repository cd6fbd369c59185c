// Package settlement writes PayPay's transaction file of a day from the books: Shift_JIS, LF, thirteen columns, refunds
// negative, failed payments included, times of Tokyo. On request it gets wrong what files get wrong.
package settlement

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// event is what a line tells.
type event int

const (
	completed event = iota
	failed
	refunded
	refundFailed
	authorized
	canceled
	expired
)

// line is one row of a file before it is written.
type line struct {
	event             event
	paymentID         string
	merchantPaymentID string // of the payment it belongs to
	reference         string // what the id column shows
	storeID           string
	storeName         string
	terminalID        string
	at                time.Time
	amount            int64 // yen, negative for refunds
	broken            bool  // written so that nobody can read it
}

// name tells a line from all others, across days.
func (l line) name() string { return fmt.Sprintf("%s/%d/%s", l.paymentID, l.event, l.reference) }

// Window is the stretch of time of a file, seconds of Tokyo, both ends inclusive.
type Window struct{ From, To time.Time }

// Day is the window of a calendar day of Tokyo; until, unless zero, cuts it at that second.
func Day(date time.Time, until time.Time) Window {
	y, m, d := date.Date()
	w := Window{From: time.Date(y, m, d, 0, 0, 0, 0, books.Tokyo)}
	w.To = w.From.AddDate(0, 0, 1).Add(-time.Second)
	if !until.IsZero() && until.Before(w.To) {
		w.To = until.In(books.Tokyo).Truncate(time.Second)
	}
	return w
}

func (w Window) holds(at time.Time) bool {
	second := at.Truncate(time.Second)
	return !second.Before(w.From) && !second.After(w.To)
}

// linesOf are the lines that an order leaves behind, whenever.
func linesOf(o books.Order, s books.Settings) []line {
	base := line{
		paymentID: o.PaymentID, merchantPaymentID: o.MerchantPaymentID, reference: o.MerchantPaymentID, storeID: o.StoreID,
		storeName: cmp.Or(o.StoreInfo, o.StoreID), terminalID: o.TerminalID, amount: o.Amount, at: o.AcceptedAt,
	}
	with := func(e event, at time.Time, amount int64, reference string) line {
		l := base
		l.event, l.at, l.amount, l.reference = e, at, amount, reference
		return l
	}
	var lines []line
	if o.CaptureLater {
		lines = captureLater(o, with)
	} else {
		lines = instant(o, with)
	}
	for _, r := range o.Refunds {
		reference := r.MerchantRefundID
		if s.RefundReference == books.ReferencePayment {
			reference = o.MerchantPaymentID
		}
		lines = append(lines, with(refunded, r.AcceptedAt, -r.Amount, reference))
	}
	return lines
}

type maker func(e event, at time.Time, amount int64, reference string) line

// instant: a payment that was cancelled shows as failed, at the time it was taken; PayPay's documents leave that open.
func instant(o books.Order, with maker) []line {
	switch {
	case o.Captured() > 0:
		return []line{with(completed, o.AcceptedAt, o.Amount, o.MerchantPaymentID)}
	case o.Status == books.Failed:
		at := o.AcceptedAt
		if at.IsZero() {
			at = o.CanceledAt
		}
		return []line{with(failed, at, o.Amount, o.MerchantPaymentID)}
	}
	return nil
}

func captureLater(o books.Order, with maker) []line {
	var lines []line
	if !o.AuthorizedAt.IsZero() {
		lines = append(lines, with(authorized, o.AuthorizedAt, o.Amount, o.MerchantPaymentID))
	}
	for _, c := range o.Captures {
		if c.Status == books.CaptureCompleted {
			lines = append(lines, with(completed, c.AcceptedAt, c.Amount, c.MerchantCaptureID))
		}
	}
	switch o.Status {
	case books.Canceled:
		lines = append(lines, with(canceled, o.Revert.AcceptedAt, o.Amount, o.Revert.MerchantRevertID))
	case books.Expired:
		lines = append(lines, with(expired, o.ExpiresAt, o.Amount, o.MerchantPaymentID))
	case books.Failed:
		lines = append(lines, with(failed, o.CanceledAt, o.Amount, o.MerchantPaymentID))
	case books.Created, books.Authorized, books.Completed, books.Refunded: // nothing beyond the lines above
	}
	return lines
}

// collect gathers the lines of a file in the order of time. Lines that were moved show on the day they went to.
func collect(orders []books.Order, m books.Merchant, l *layout, w Window, moved map[string]time.Time) []line {
	var lines []line
	for _, o := range orders {
		if o.MerchantID != m.ID || o.CaptureLater != l.captureLater {
			continue
		}
		for _, row := range linesOf(o, m.Settings) {
			day := row.at
			if to, ok := moved[row.name()]; ok {
				day = to
			}
			if w.holds(day) {
				lines = append(lines, row)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.paymentID, b.paymentID), cmp.Compare(a.event, b.event), cmp.Compare(a.reference, b.reference))
	})
	return lines
}

// Sums is the money of a file, yen: what its good lines of taken and returned money add up to.
type Sums struct {
	Charges     int64 `json:"charges"`
	ChargeCount int   `json:"charge_count"`
	Refunds     int64 `json:"refunds" doc:"Positive"`
	RefundCount int   `json:"refund_count"`
	Net         int64 `json:"net"`
}

func sum(lines []line) Sums {
	var s Sums
	for _, l := range lines {
		switch {
		case l.broken:
		case l.event == completed:
			s.Charges += l.amount
			s.ChargeCount++
		case l.event == refunded:
			s.Refunds -= l.amount
			s.RefundCount++
		}
	}
	s.Net = s.Charges - s.Refunds
	return s
}
