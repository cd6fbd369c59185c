// Package order is what a customer bought: items with their prices and tax classes, and the totals that follow from them. The
// totals are reckoned here and never taken from a client.
//
//	open -> billed -> completed      a bill was made of it; the bill was paid
//	billed -> open                   the bill was cancelled
//	open -> cancelled
//
// Items change while the order is open. Every write carries the version it saw.
package order

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// The problems that only orders have.
var (
	ErrNotOpen  = problem.Define("order_not_open", 409, "The order is not open")
	ErrTooLarge = problem.Define("order_too_large", 422, "The order comes to more than an order may")
)

// Status is an order's state.
type Status string

// The states of an order.
const (
	Open      Status = "open"
	Billed    Status = "billed"
	Completed Status = "completed"
	Cancelled Status = "cancelled"
)

// edges are the moves an order may make; the database refuses all others.
var edges = map[Status][]Status{
	Open:   {Billed, Cancelled},
	Billed: {Open, Completed},
}

// CanMove says whether an order goes from one state to another.
func CanMove(from, to Status) bool { return slices.Contains(edges[from], to) }

// Type is how the customer gets what was ordered. It decides the tax rate of food.
type Type string

// The types of order.
const (
	DineIn   Type = "dine_in"
	Takeaway Type = "takeaway"
	Delivery Type = "delivery"
)

// leavesTheShop says whether the food is eaten elsewhere.
func (t Type) leavesTheShop() bool { return t == Takeaway || t == Delivery }

// Limits of one order. A product of any price and any quantity within them fits.
const (
	MaxItems     = 500
	MaxOptions   = 50
	MaxQuantity  = 9_999
	MaxUnitPrice = 99_999_999
	MaxTotal     = 999_999_999 // minor unit, tax included
)

// Order is an order with its items. Amounts are in the currency's minor unit.
type Order struct {
	ID, MerchantID, StoreID  uuid.UUID
	Number                   string // within store and business day
	BusinessDay              time.Time
	Status                   Status
	Version                  int64
	Type                     Type
	Table, Note              string
	Currency                 money.Currency
	Rule                     tax.Rule
	Items                    []Item
	Subtotal                 int64 // the items as priced
	Lines                    tax.Lines
	nextSequence             int32
	BillID                   *uuid.UUID
	By                       actor.Actor
	CreatedAt, UpdatedAt     time.Time
	CompletedAt, CancelledAt *time.Time
}

// Item is one line of an order.
type Item struct {
	ID        uuid.UUID
	Sequence  int32 // ascending as they were added, never given twice
	Name      string
	Quantity  int64
	UnitPrice int64
	Class     tax.Class
	Rate      tax.Rate
	Options   []Option
	Notes     string
	Amount    int64 // quantity x (unit price + options)
}

// Option is a choice that adds to an item's unit price.
type Option struct {
	Name      string
	UnitPrice int64
}

// Total is what is to be paid for the order by itself, tax included.
func (o *Order) Total() int64 { return o.Lines.Total() }

// Line is an item as it is asked for.
type Line struct {
	ID        uuid.UUID // of the item it replaces; zero: a new item
	Name      string
	Quantity  int64
	UnitPrice int64
	Class     tax.Class
	Options   []Option
	Notes     string
}

// Draft is an order as it is asked for.
type Draft struct {
	Type        Type
	Table, Note string
	Lines       []Line
}

// New makes an open order of a draft, in the store and under its settings. It has no number yet.
func New(s store.Settings, d Draft, by actor.Actor, now time.Time, newID func() uuid.UUID) (Order, error) {
	o := Order{
		ID: newID(), MerchantID: s.MerchantID, StoreID: s.ID, BusinessDay: s.BusinessDay(now), Status: Open, Version: 1,
		Type: d.Type, Table: d.Table, Note: d.Note, Currency: s.Currency, Rule: s.Rule, nextSequence: 1,
		By: by, CreatedAt: now, UpdatedAt: now,
	}
	return o, o.setItems(d.Lines, newID)
}

// Change is what a change of an open order sets; nil leaves a thing as it is.
type Change struct {
	Version     int64 // the one seen
	Type        *Type
	Table, Note *string
	Lines       *[]Line // all the items from now on
}

// Apply makes the change. version_conflict when the order has moved on since the version seen, order_not_open when it may not
// change any more.
func (o *Order) Apply(c Change, now time.Time, newID func() uuid.UUID) error {
	if err := o.writable(c.Version); err != nil {
		return err
	}
	if c.Table != nil {
		o.Table = *c.Table
	}
	if c.Note != nil {
		o.Note = *c.Note
	}
	lines := o.lines()
	if c.Lines != nil {
		lines = *c.Lines
	}
	if c.Type != nil {
		o.Type = *c.Type
	}
	o.UpdatedAt = now
	return o.setItems(lines, newID)
}

// Cancel gives an open order up.
func (o *Order) Cancel(version int64, now time.Time) error {
	if err := o.writable(version); err != nil {
		return err
	}
	o.move(Cancelled, nil, now)
	return nil
}

func (o *Order) writable(version int64) error {
	if o.Version != version {
		return problem.VersionConflict.New("Order %s is at version %d, not %d.", o.Number, o.Version, version)
	}
	if o.Status != Open {
		return ErrNotOpen.New("Order %s is %s.", o.Number, o.Status)
	}
	return nil
}

// move puts the order into another state; what the database does to it, the value here shows too.
func (o *Order) move(to Status, bill *uuid.UUID, now time.Time) {
	o.Status, o.BillID, o.UpdatedAt = to, bill, now
	if to == Completed {
		o.CompletedAt = &now
	}
	if to == Cancelled {
		o.CancelledAt = &now
	}
}

// lines are the items as they would be asked for again.
func (o *Order) lines() []Line {
	lines := make([]Line, len(o.Items))
	for i, it := range o.Items {
		lines[i] = Line{
			ID: it.ID, Name: it.Name, Quantity: it.Quantity, UnitPrice: it.UnitPrice, Class: it.Class,
			Options: it.Options, Notes: it.Notes,
		}
	}
	return lines
}

// setItems makes the lines the order's items: a line that names an item replaces it in its place, the others are new and come
// after; items that no line names are gone. Then all is reckoned anew.
func (o *Order) setItems(lines []Line, newID func() uuid.UUID) error {
	sequences := map[uuid.UUID]int32{}
	for _, it := range o.Items {
		sequences[it.ID] = it.Sequence
	}
	items := make([]Item, 0, len(lines))
	if err := o.texts(); err != nil {
		return err
	}
	for i, l := range lines {
		if err := l.texts(i); err != nil {
			return err
		}
		it, err := o.item(l)
		if err != nil {
			return err
		}
		switch sequence, known := sequences[l.ID]; {
		case known:
			it.ID, it.Sequence = l.ID, sequence
			delete(sequences, l.ID)
		case l.ID != uuid.Nil:
			return problem.Validation.Field(fmt.Sprintf("items[%d].id", i), "the order has no such item, or it is named twice")
		default:
			it.ID, it.Sequence = newID(), o.nextSequence
			o.nextSequence++
		}
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b Item) int { return int(a.Sequence - b.Sequence) })
	o.Items = items
	return o.reckon()
}

// texts keeps card numbers out of what was typed on the order itself: whoever keeps one by accident is in scope of PCI DSS with all
// there is.
func (o *Order) texts() error {
	if err := pan.Refuse("table", o.Table); err != nil {
		return err
	}
	return pan.Refuse("note", o.Note)
}

// texts does so for what was typed on the i-th line.
func (l Line) texts(i int) error {
	if err := pan.Refuse(fmt.Sprintf("items[%d].name", i), l.Name); err != nil {
		return err
	}
	for j, option := range l.Options {
		if err := pan.Refuse(fmt.Sprintf("items[%d].options[%d].name", i, j), option.Name); err != nil {
			return err
		}
	}
	return pan.Refuse(fmt.Sprintf("items[%d].notes", i), l.Notes)
}

func (o *Order) item(l Line) (Item, error) {
	each := l.UnitPrice
	for _, option := range l.Options {
		each += option.UnitPrice
	}
	amount, err := money.Product(each, l.Quantity)
	if err != nil {
		return Item{}, tooLarge(err)
	}
	return Item{
		Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Class: l.Class, Options: l.Options, Notes: l.Notes,
		Rate: tax.RateOf(l.Class, o.Type.leavesTheShop()), Amount: amount,
	}, nil
}

// reckon sets the totals from the items.
func (o *Order) reckon() error {
	amounts, err := Amounts(o.Items)
	if err != nil {
		return err
	}
	if o.Subtotal, err = amounts.Sum(); err != nil {
		return tooLarge(err)
	}
	if o.Lines, err = o.Rule.Lines(amounts); err != nil {
		return tooLarge(err)
	}
	if o.Total() > MaxTotal {
		return tooLarge(nil)
	}
	return nil
}

// Amounts adds the items up by tax rate, as priced.
func Amounts(items []Item) (tax.Amounts, error) {
	amounts := tax.Amounts{}
	for _, it := range items {
		sum, err := money.Sum(amounts[it.Rate], it.Amount)
		if err != nil {
			return nil, tooLarge(err)
		}
		amounts[it.Rate] = sum
	}
	return amounts, nil
}

func tooLarge(cause error) error {
	return ErrTooLarge.Field("items", "they come to more than %d", int64(MaxTotal)).Wrap(cause)
}
