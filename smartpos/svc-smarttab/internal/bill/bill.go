// Package bill is the request to pay for one or several orders: what is owed by tax rate, how it is split, what payments hold
// of it and have paid.
//
//	pending -> partial -> paid          money came in
//	pending | partial -> cancelled      nothing of it is held or kept; the orders are open again
//
// A payment first reserves its amount under the bill's row lock, then settles or releases it: so a bill is never paid twice,
// not by two terminals, not by a retry. Each reservation carries the tax lines it bears; whatever the order in which parts are
// made, paid and made again, the lines of all parts and payments add up to the bill's to the minor unit, and a part with money
// on it never changes.
package bill

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// The problems that only bills have.
var (
	ErrNotPayable    = problem.Define("bill_not_payable", 409, "The bill takes no payment")
	ErrExceeds       = problem.Define("amount_exceeds_remaining", 409, "More than what remains to be paid")
	ErrNothingLeft   = problem.Define("nothing_left_to_pay", 409, "All of it is paid or being paid")
	ErrSplitRequired = problem.Define("split_required", 409, "The bill is split: name the part to pay")
	ErrNotCancelable = problem.Define("bill_not_cancelable", 409, "The bill cannot be cancelled")
	ErrNotSplittable = problem.Define("bill_not_splittable", 409, "The bill cannot be split")
	ErrTooManyParts  = problem.Define("too_many_parts", 422, "More parts than the amount has units")
	ErrDiscount      = problem.Define("discount_too_large", 422, "The discount is more than the bill")
	ErrTooMuch       = problem.Define("amount_too_large", 422, "The amount is beyond what a bill may come to")
	ErrOrdersDiffer  = problem.Define("orders_differ", 409, "The orders cannot be billed together")
	ErrNoReservation = problem.Define("reservation_not_found", 409, "The payment holds nothing of this bill")
)

// Status is a bill's state.
type Status string

// The states of a bill.
const (
	Pending   Status = "pending"
	Partial   Status = "partial"
	Paid      Status = "paid"
	Cancelled Status = "cancelled"
)

// MaxParts is how many parts a bill may be split into.
const MaxParts = 100

// Bill is a bill with its parts and with what payments hold of it. Amounts are in the currency's minor unit.
type Bill struct {
	ID, MerchantID, StoreID uuid.UUID
	Number                  string // within store and business day
	BusinessDay             time.Time
	Status                  Status
	Version                 int64
	Currency                money.Currency
	Rule                    tax.Rule
	Subtotal                int64 // the orders' items as priced, before the discount
	Discount                *Discount
	DiscountAmount          int64
	Lines                   tax.Lines // what is owed, by rate
	// Paid is what was taken, Reserved what payments under way hold, Refunded what went back of Paid.
	Paid, Reserved, Refunded int64
	Splits                   []Split
	Reservations             []Reservation // held and settled ones; released ones are gone
	OrderIDs                 []uuid.UUID
	CreatedAt, UpdatedAt     time.Time
	PaidAt, CancelledAt      *time.Time
	History                  []Entry // only where it was asked for
	was                      Status  // as it was read
}

// Entry is one operation in a bill's history.
type Entry struct {
	Version int64 // the one it made
	At      time.Time
	By      actor.Actor
	Action  string
	Detail  map[string]any
}

// Split is one part of a split bill.
type Split struct {
	ID                       uuid.UUID
	Sequence                 int32
	Lines                    tax.Lines
	Paid, Reserved, Refunded int64
}

// Reservation is what one payment holds of the bill or of one part, and has paid once it is settled.
type Reservation struct {
	PaymentID uuid.UUID
	SplitID   uuid.UUID // zero: of the bill itself
	State     State
	Lines     tax.Lines
	Refunded  int64
}

// State is that of a reservation.
type State string

// A reservation is held while its payment is under way; then it is settled, or released and of no effect.
const (
	Held     State = "held"
	Settled  State = "settled"
	Released State = "released"
)

// Amount is what the reservation holds, tax included.
func (r Reservation) Amount() int64 { return r.Lines.Total() }

// of makes a bill of the orders found for the ids asked, less the discount.
func of(orders []order.Order, asked []uuid.UUID, d *Discount) (Bill, error) {
	for i, id := range asked {
		if !slices.ContainsFunc(orders, func(o order.Order) bool { return o.ID == id }) {
			return Bill{}, problem.NotFound.Field(fmt.Sprintf("order_ids[%d]", i), "there is no order %s", id)
		}
		if slices.Index(asked, id) != i {
			return Bill{}, problem.Validation.Field(fmt.Sprintf("order_ids[%d]", i), "it is named twice")
		}
	}
	first := orders[0]
	b := Bill{MerchantID: first.MerchantID, StoreID: first.StoreID, Currency: first.Currency, Rule: first.Rule}
	items := []order.Item{}
	for i := range orders {
		o := &orders[i]
		if o.Status != order.Open {
			return Bill{}, order.ErrNotOpen.New("Order %s is %s.", o.Number, o.Status).With("current", order.ViewOf(*o))
		}
		if o.StoreID != b.StoreID || o.Currency != b.Currency || o.Rule != b.Rule {
			return Bill{}, ErrOrdersDiffer.New("Order %s is of another store, currency or way of reckoning tax than order %s.", o.Number, first.Number)
		}
		b.OrderIDs = append(b.OrderIDs, o.ID)
		items = append(items, o.Items...)
	}
	amounts, err := order.Amounts(items)
	if err != nil {
		return Bill{}, err
	}
	return b, b.Owe(amounts, d)
}

// Total is what is owed for the bill, tax included.
func (b *Bill) Total() int64 { return b.Lines.Total() }

// Remaining is what no payment has paid or holds.
func (b *Bill) Remaining() int64 {
	if b.Status == Cancelled {
		return 0
	}
	return b.Total() - b.Paid - b.Reserved
}

// Total is what is owed for the part.
func (s *Split) Total() int64 { return s.Lines.Total() }

// Status is the part's own: pending, partial or paid.
func (s *Split) Status() Status { return statusOf(s.Paid, s.Total()) }

// fixed says whether money is on the part: then it never changes.
func (s *Split) fixed() bool { return s.Paid > 0 || s.Reserved > 0 }

func statusOf(paid, total int64) Status {
	switch {
	case paid >= total:
		return Paid
	case paid > 0:
		return Partial
	}
	return Pending
}

// Split finds a part by id.
func (b *Bill) Split(id uuid.UUID) *Split {
	for i := range b.Splits {
		if b.Splits[i].ID == id {
			return &b.Splits[i]
		}
	}
	return nil
}

// reservation finds a payment's reservation.
func (b *Bill) reservation(payment uuid.UUID) *Reservation {
	for i := range b.Reservations {
		if b.Reservations[i].PaymentID == payment {
			return &b.Reservations[i]
		}
	}
	return nil
}

// unsplit is what is in no part and in no payment of the bill itself.
func (b *Bill) unsplit() tax.Lines {
	left := b.Lines
	for i := range b.Splits {
		left = left.Sub(b.Splits[i].Lines)
	}
	return without(left, b.Reservations, uuid.Nil)
}

// without takes away what live reservations hold of the part, or of the bill itself.
func without(lines tax.Lines, reservations []Reservation, splitID uuid.UUID) tax.Lines {
	for _, r := range reservations {
		if r.SplitID == splitID && r.State != Released {
			lines = lines.Sub(r.Lines)
		}
	}
	return lines
}

// SplitEvenly shares what has no money on it among n parts whose totals differ by one unit at most. Parts with money on them
// stay as they are; the others are replaced. newID names each new part.
func (b *Bill) SplitEvenly(n int, newID func() uuid.UUID) error {
	if err := b.Unsplit(); err != nil {
		return err
	}
	left := b.unsplit()
	if left.Total() == 0 {
		return ErrNothingLeft.New("Every part of bill %s is paid or being paid.", b.Number)
	}
	if int64(n) > left.Total() {
		return ErrTooManyParts.Field("parts", "%d parts of %d leave some without anything to pay", n, left.Total())
	}
	last := int32(0)
	for i := range b.Splits {
		last = max(last, b.Splits[i].Sequence)
	}
	for i, lines := range left.Split(tax.Evenly(left.Total(), n)) {
		b.Splits = append(b.Splits, Split{ID: newID(), Sequence: last + int32(i) + 1, Lines: lines})
	}
	return nil
}

// Unsplit takes away the parts without money on them: what they held can be paid as a whole again.
func (b *Bill) Unsplit() error {
	if b.Status != Pending && b.Status != Partial {
		return ErrNotSplittable.New("Bill %s is %s.", b.Number, b.Status)
	}
	kept := make([]Split, 0, len(b.Splits))
	for i := range b.Splits {
		if b.Splits[i].fixed() {
			kept = append(kept, b.Splits[i])
		}
	}
	b.Splits = kept
	return nil
}

// Reserve holds amount (0: all that remains) of the bill, or of the part splitID, for a payment. The same payment again gets
// what it holds already.
func (b *Bill) Reserve(payment, splitID uuid.UUID, amount int64) (Reservation, error) {
	if r := b.reservation(payment); r != nil {
		return *r, nil
	}
	if b.Status != Pending && b.Status != Partial {
		return Reservation{}, ErrNotPayable.New("Bill %s is %s.", b.Number, b.Status)
	}
	free, err := b.free(splitID)
	if err != nil {
		return Reservation{}, err
	}
	switch {
	case free.Total() == 0:
		return Reservation{}, ErrNothingLeft.New("Nothing is left to pay of bill %s; wait for the payments under way.", b.Number)
	case amount < 0 || amount > free.Total():
		return Reservation{}, ErrExceeds.Field("amount", "%d remains to be paid", free.Total()).With("remaining", free.Total())
	case amount == 0:
		amount = free.Total()
	}
	r := Reservation{PaymentID: payment, SplitID: splitID, State: Held, Lines: free.Take(amount)}
	b.Reservations = append(b.Reservations, r)
	b.Reserved += amount
	if s := b.Split(splitID); s != nil {
		s.Reserved += amount
	}
	return r, nil
}

// free is what can still be reserved of the part, or of the bill outside its parts.
func (b *Bill) free(splitID uuid.UUID) (tax.Lines, error) {
	if splitID == uuid.Nil {
		left := b.unsplit()
		if left.Total() == 0 && b.Remaining() > 0 {
			return nil, ErrSplitRequired.Field("split_id", "bill %s is split in %d parts", b.Number, len(b.Splits))
		}
		return left, nil
	}
	s := b.Split(splitID)
	if s == nil {
		return nil, problem.Validation.Field("split_id", "bill %s has no such part; it may have been split anew", b.Number)
	}
	return without(s.Lines, b.Reservations, splitID), nil
}

// Release gives back what a payment held; false when it held nothing. What is settled cannot be released.
func (b *Bill) Release(payment uuid.UUID) (bool, error) {
	r := b.reservation(payment)
	if r == nil {
		return false, nil
	}
	if r.State == Settled {
		return false, ErrNoReservation.New("The payment has been settled.")
	}
	b.Reserved -= r.Amount()
	if s := b.Split(r.SplitID); s != nil {
		s.Reserved -= r.Amount()
	}
	r.State = Released
	return true, nil
}

// Settle turns what a payment held into paid; false when it was settled before.
func (b *Bill) Settle(payment uuid.UUID) (bool, error) {
	r := b.reservation(payment)
	if r == nil {
		return false, ErrNoReservation.New("The payment holds nothing of bill %s.", b.Number)
	}
	if r.State == Settled {
		return false, nil
	}
	r.State = Settled
	b.Reserved -= r.Amount()
	b.Paid += r.Amount()
	if s := b.Split(r.SplitID); s != nil {
		s.Reserved -= r.Amount()
		s.Paid += r.Amount()
	}
	b.Status = statusOf(b.Paid, b.Total())
	return true, nil
}

// Refund notes that amount of a settled payment went back to the customer. The bill stays as paid as it was: what was given
// back is not owed again.
func (b *Bill) Refund(payment uuid.UUID, amount int64) error {
	r := b.reservation(payment)
	if r == nil || r.State != Settled {
		return ErrNoReservation.New("The payment has paid nothing of bill %s.", b.Number)
	}
	if amount <= 0 || amount > r.Amount()-r.Refunded {
		return ErrExceeds.Field("amount", "%d of the payment is left to give back", r.Amount()-r.Refunded)
	}
	r.Refunded += amount
	b.Refunded += amount
	if s := b.Split(r.SplitID); s != nil {
		s.Refunded += amount
	}
	return nil
}

// Cancel gives the bill up. Refused when it is paid, when a payment is under way, and while money taken for it is kept.
func (b *Bill) Cancel() error {
	switch {
	case b.Status == Paid || b.Status == Cancelled:
		return ErrNotCancelable.New("Bill %s is %s.", b.Number, b.Status)
	case b.Reserved > 0:
		return ErrNotCancelable.New("A payment of %d is under way; cancel it first.", b.Reserved)
	case b.Paid > b.Refunded:
		return ErrNotCancelable.New("%d has been paid and not given back.", b.Paid-b.Refunded)
	}
	b.Status = Cancelled
	return nil
}
