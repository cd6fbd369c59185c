package settlement

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// The ways in which a file can be made to differ from the truth.
const (
	MissingLine         = "missing_line"          // a payment's line is left out
	ExtraLine           = "extra_line"            // a payment that nobody made
	AmountDiffers       = "amount_differs"        // one yen, or Amount, off
	StatusFailed        = "status_failed"         // failed here, paid in truth
	StatusSucceeded     = "status_succeeded"      // paid here, failed or never paid in truth
	DuplicateLine       = "duplicate_line"        // the same line twice
	RefundWithoutCharge = "refund_without_charge" // a refund of a payment that nobody made
	UnparsableLine      = "unparsable_line"       // a line whose amount nobody can read
	Late                = "late"                  // the line comes with the next day's file, from now on
)

// Discrepancies are all kinds.
var Discrepancies = []string{
	MissingLine, ExtraLine, AmountDiffers, StatusFailed, StatusSucceeded, DuplicateLine, RefundWithoutCharge, UnparsableLine, Late,
}

// Ask is one discrepancy wanted. Without a MerchantPaymentID the first line that fits and has no other discrepancy is taken.
type Ask struct {
	Kind              string
	MerchantPaymentID string
	StoreID           string // of a line taken or made up
	Amount            int64  // yen: what is added, or what a made-up line says
}

// Hit is one discrepancy as it was done.
type Hit struct {
	Kind              string `json:"kind"`
	MerchantPaymentID string `json:"merchant_payment_id" doc:"The payment it is about; of a made-up line the made-up one"`
	PaymentID         string `json:"payment_id"`
	Reference         string `json:"reference" doc:"What the line's id column says"`
	StoreID           string `json:"store_id"`
	Amount            int64  `json:"amount" doc:"What the line says, yen; of a line left out, what it would have said"`
	Detail            string `json:"detail"`
}

// NoCandidateError says that no line fits a discrepancy asked for.
type NoCandidateError struct{ Ask Ask }

func (e *NoCandidateError) Error() string {
	return fmt.Sprintf("no line fits %s %s", e.Ask.Kind, e.Ask.MerchantPaymentID)
}

// draft is a file on its way to being wrong.
type draft struct {
	lines   []line
	touched map[string]bool // by payment: one discrepancy each
	unpaid  []books.Order   // of the day, for status_succeeded
	window  Window
	late    []line
	made    int
}

const madeUpAmount = 1234

// apply does what is asked, in the order it is asked.
func (d *draft) apply(a Ask) (Hit, error) {
	switch a.Kind {
	case ExtraLine:
		return d.makeUp(a, completed, "extra"), nil
	case RefundWithoutCharge:
		return d.makeUp(a, refunded, "nocharge"), nil
	case StatusSucceeded:
		return d.succeed(a)
	}
	at := d.pick(a, completed)
	if at < 0 {
		return Hit{}, &NoCandidateError{a}
	}
	l := &d.lines[at]
	d.touched[l.merchantPaymentID] = true
	truth := *l
	detail := ""
	switch a.Kind {
	case AmountDiffers:
		l.amount += cmp.Or(a.Amount, 1)
		detail = fmt.Sprintf("%d instead of %d", l.amount, truth.amount)
	case StatusFailed:
		l.event, detail = failed, "failed instead of completed"
	case UnparsableLine:
		l.broken, detail = true, "amount unreadable"
	case DuplicateLine:
		d.lines, detail = slices.Insert(d.lines, at+1, truth), "line written twice"
	case MissingLine:
		d.lines, detail = slices.Delete(d.lines, at, at+1), "line left out"
	case Late:
		d.late = append(d.late, truth)
		d.lines, detail = slices.Delete(d.lines, at, at+1), "line goes to the next day's file"
	}
	hit := hitOf(a.Kind, truth, detail)
	if a.Kind == AmountDiffers {
		hit.Amount += cmp.Or(a.Amount, 1)
	}
	return hit, nil
}

func hitOf(kind string, l line, detail string) Hit {
	return Hit{
		Kind: kind, MerchantPaymentID: l.merchantPaymentID, PaymentID: l.paymentID, Reference: l.reference, StoreID: l.storeID,
		Amount: l.amount, Detail: detail,
	}
}

// pick finds the line for a discrepancy: a payment that has no other one.
func (d *draft) pick(a Ask, e event) int {
	return slices.IndexFunc(d.lines, func(l line) bool {
		return l.event == e && !d.touched[l.merchantPaymentID] && !l.broken &&
			(a.MerchantPaymentID == "" || l.merchantPaymentID == a.MerchantPaymentID) && (a.StoreID == "" || l.storeID == a.StoreID)
	})
}

// makeUp adds a line about a payment that the books do not know.
func (d *draft) makeUp(a Ask, e event, word string) Hit {
	d.made++
	mark := fmt.Sprintf("%s-%s-%d", word, d.window.From.Format("20060102"), d.made)
	l := line{
		event: e, paymentID: fmt.Sprintf("99%s%010d", d.window.From.Format("20060102"), d.made), merchantPaymentID: mark, reference: mark,
		storeID: a.StoreID, amount: cmp.Or(a.Amount, int64(madeUpAmount)), at: d.window.To.Add(-time.Minute),
	}
	if l.at.Before(d.window.From) {
		l.at = d.window.From
	}
	if a.MerchantPaymentID != "" {
		l.merchantPaymentID, l.reference = a.MerchantPaymentID, a.MerchantPaymentID
	}
	if l.storeID == "" && len(d.lines) > 0 {
		l.storeID = d.lines[0].storeID
	}
	l.storeName = l.storeID
	if e == refunded {
		l.amount = -l.amount
	}
	d.touched[l.merchantPaymentID] = true
	d.lines = append(d.lines, l)
	return hitOf(a.Kind, l, "made up")
}

// succeed turns a failed line into a completed one, or gives a code that nobody paid a completed line.
func (d *draft) succeed(a Ask) (Hit, error) {
	if at := d.pick(a, failed); at >= 0 {
		l := &d.lines[at]
		l.event = completed
		d.touched[l.merchantPaymentID] = true
		return hitOf(a.Kind, *l, "completed instead of failed"), nil
	}
	at := slices.IndexFunc(d.unpaid, func(o books.Order) bool {
		return !d.touched[o.MerchantPaymentID] && (a.MerchantPaymentID == "" || o.MerchantPaymentID == a.MerchantPaymentID) &&
			(a.StoreID == "" || o.StoreID == a.StoreID)
	})
	if at < 0 {
		return Hit{}, &NoCandidateError{a}
	}
	o := d.unpaid[at]
	ask := Ask{Kind: a.Kind, MerchantPaymentID: o.MerchantPaymentID, StoreID: o.StoreID, Amount: o.Amount}
	hit := d.makeUp(ask, completed, "paid")
	hit.Detail = "completed, and nobody paid it"
	return hit, nil
}
