// Package settlement is a store's close of day: what was taken and given back on a business day, by method and tax rate, what
// cash the drawer should hold and what was counted.
//
// Every payment that completes and every refund that goes back books an entry to the store's open day, in its own transaction
// (Book). The X report (current) adds the entries up at any time; the close adds them up once more with the day locked, and
// what it writes, the Z, never changes. A wrong count is put right by a further Z that names the first.
//
//	open -> closed -> reconciled        (reconciled: the matcher found every provider payment of the day)
package settlement

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Status is where a business day stands.
type Status string

// The states of a business day.
const (
	Open       Status = "open"
	Closed     Status = "closed"
	Reconciled Status = "reconciled"
)

// Kind says which way an entry's money went.
type Kind string

// The kinds of entry.
const (
	Sale   Kind = "sale"
	Refund Kind = "refund"
)

// MovementType is why cash moved without a sale.
type MovementType string

// The types of cash movement.
const (
	Float      MovementType = "float"
	PayIn      MovementType = "pay_in"
	PayOut     MovementType = "pay_out"
	DrawerOpen MovementType = "drawer_open" // no money, but counted
)

// MethodCash is the method whose entries lie in the drawer.
const MethodCash = "cash"

// Entry is one payment or refund of the day. Amounts are minor units of the day's currency and positive.
type Entry struct {
	Kind       Kind
	PaymentID  uuid.UUID
	RefundID   *uuid.UUID // of a refund
	Method     string
	Provider   string // of a wallet payment, else empty
	Amount     int64  // with tax
	Discount   int64  // the payment's part of its bill's discount
	TaxLines   tax.Lines
	OccurredAt time.Time
}

// CashMovement is cash that went into or out of the drawer without a sale.
type CashMovement struct {
	ID         uuid.UUID    `json:"id"`
	Type       MovementType `json:"type"`
	Amount     int64        `json:"amount" doc:"Minor units; 0 for drawer_open"`
	Reason     string       `json:"reason"`
	RecordedAt wire.Time    `json:"recorded_at"`
}

// UnfinishedPayment is a payment that had not ended when the report was made. It counts on the day it ends.
type UnfinishedPayment struct {
	PaymentID uuid.UUID `json:"payment_id"`
	BillID    uuid.UUID `json:"bill_id"`
	Method    string    `json:"method"`
	Provider  *string   `json:"provider"`
	Amount    int64     `json:"amount"`
	Status    string    `json:"status"`
	CreatedAt wire.Time `json:"created_at"`
}

// CountedTotal is a number of things and their sum in minor units.
type CountedTotal struct {
	Count  int64 `json:"count"`
	Amount int64 `json:"amount"`
}

// MethodTotal is what went by one method and provider.
type MethodTotal struct {
	Method   string       `json:"method"`
	Provider *string      `json:"provider"`
	Sales    CountedTotal `json:"sales"`
	Refunds  CountedTotal `json:"refunds"`
	Net      int64        `json:"net" doc:"Sales less refunds"`
}

// TaxTotal is the tax of one rate.
type TaxTotal struct {
	Rate            tax.Rate `json:"rate" doc:"Percent"`
	Taxable         int64    `json:"taxable" doc:"Sales of the rate before tax"`
	Tax             int64    `json:"tax"`
	RefundedTaxable int64    `json:"refunded_taxable"`
	RefundedTax     int64    `json:"refunded_tax"`
}

// Drawer is what the drawer should hold and why.
type Drawer struct {
	Float       int64 `json:"float"`
	Sales       int64 `json:"sales"`
	Refunds     int64 `json:"refunds"`
	PayIn       int64 `json:"pay_in"`
	PayOut      int64 `json:"pay_out"`
	DrawerOpens int64 `json:"drawer_opens" doc:"Openings of the drawer without a sale"`
	Expected    int64 `json:"expected" doc:"Float + sales - refunds + paid in - paid out"`
}

// Figures are what a report says, in minor units of the day's currency.
type Figures struct {
	Sales      CountedTotal        `json:"sales"`
	Refunds    CountedTotal        `json:"refunds"`
	Net        int64               `json:"net" doc:"Sales less refunds"`
	Methods    []MethodTotal       `json:"methods" nullable:"false"`
	Taxes      []TaxTotal          `json:"taxes" nullable:"false"`
	Discounts  CountedTotal        `json:"discounts"`
	Cash       Drawer              `json:"cash"`
	Movements  []CashMovement      `json:"movements" nullable:"false"`
	Unfinished []UnfinishedPayment `json:"unfinished" nullable:"false" doc:"Payments that had not ended; they count on the day they end"`
}

// Tally adds a day up, entry by entry. Its first overflow sticks, so that callers check once at the end.
type Tally struct {
	figures Figures
	methods map[string]*MethodTotal
	rates   map[tax.Rate]*TaxTotal
	err     error
}

// NewTally starts at nothing.
func NewTally() *Tally {
	return &Tally{methods: map[string]*MethodTotal{}, rates: map[tax.Rate]*TaxTotal{}}
}

// Add counts one entry.
func (t *Tally) Add(e Entry) {
	method := t.method(e.Method, e.Provider)
	switch e.Kind {
	case Sale:
		t.count(&t.figures.Sales, e.Amount)
		t.count(&method.Sales, e.Amount)
		if e.Discount != 0 {
			t.count(&t.figures.Discounts, e.Discount)
		}
		if e.Method == MethodCash {
			t.add(&t.figures.Cash.Sales, e.Amount)
		}
	case Refund:
		t.count(&t.figures.Refunds, e.Amount)
		t.count(&method.Refunds, e.Amount)
		if e.Method == MethodCash {
			t.add(&t.figures.Cash.Refunds, e.Amount)
		}
	}
	for _, line := range e.TaxLines {
		rate := t.rate(line.Rate)
		if e.Kind == Sale {
			t.add(&rate.Taxable, line.Taxable)
			t.add(&rate.Tax, line.Tax)
		} else {
			t.add(&rate.RefundedTaxable, line.Taxable)
			t.add(&rate.RefundedTax, line.Tax)
		}
	}
}

// Move counts one cash movement.
func (t *Tally) Move(m CashMovement) {
	t.figures.Movements = append(t.figures.Movements, m)
	switch m.Type {
	case Float:
		t.add(&t.figures.Cash.Float, m.Amount)
	case PayIn:
		t.add(&t.figures.Cash.PayIn, m.Amount)
	case PayOut:
		t.add(&t.figures.Cash.PayOut, m.Amount)
	case DrawerOpen:
		t.figures.Cash.DrawerOpens++
	}
}

// Figures closes the tally; money.ErrOverflow when a sum left 64 bits.
func (t *Tally) Figures(unfinished []UnfinishedPayment) (Figures, error) {
	f := t.figures
	f.Unfinished = append([]UnfinishedPayment{}, unfinished...)
	f.Movements = append([]CashMovement{}, f.Movements...)
	f.Methods, f.Taxes = []MethodTotal{}, []TaxTotal{}
	for _, m := range t.methods {
		m.Net = t.sum(m.Sales.Amount, -m.Refunds.Amount)
		f.Methods = append(f.Methods, *m)
	}
	slices.SortFunc(f.Methods, func(a, b MethodTotal) int {
		return strings.Compare(a.Method+" "+orEmpty(a.Provider), b.Method+" "+orEmpty(b.Provider))
	})
	for _, r := range t.rates {
		f.Taxes = append(f.Taxes, *r)
	}
	slices.SortFunc(f.Taxes, func(a, b TaxTotal) int { return int(b.Rate - a.Rate) })
	f.Net = t.sum(f.Sales.Amount, -f.Refunds.Amount)
	f.Cash.Expected = t.sum(f.Cash.Float, f.Cash.Sales, -f.Cash.Refunds, f.Cash.PayIn, -f.Cash.PayOut)
	return f, t.err
}

func (t *Tally) method(method, provider string) *MethodTotal {
	key := method + " " + provider
	if t.methods[key] == nil {
		t.methods[key] = &MethodTotal{Method: method}
		if provider != "" {
			t.methods[key].Provider = &provider
		}
	}
	return t.methods[key]
}

func (t *Tally) rate(percent tax.Rate) *TaxTotal {
	if t.rates[percent] == nil {
		t.rates[percent] = &TaxTotal{Rate: percent}
	}
	return t.rates[percent]
}

func (t *Tally) count(total *CountedTotal, amount int64) {
	total.Count++
	t.add(&total.Amount, amount)
}

func (t *Tally) add(to *int64, amount int64) { *to = t.sum(*to, amount) }

func (t *Tally) sum(terms ...int64) int64 {
	total, err := money.Sum(terms...)
	if err != nil && t.err == nil {
		t.err = err
	}
	return total
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// denominations are the notes and coins a drawer may hold, in minor units, written as they travel.
var denominations = map[money.Currency]map[string]int64{
	money.JPY: pieces(10000, 5000, 2000, 1000, 500, 100, 50, 10, 5, 1),
	money.USD: pieces(100_00, 50_00, 20_00, 10_00, 5_00, 2_00, 1_00, 50, 25, 10, 5, 1),
	money.TWD: pieces(2000_00, 1000_00, 500_00, 200_00, 100_00, 50_00, 20_00, 10_00, 5_00, 1_00),
	money.THB: pieces(1000_00, 500_00, 100_00, 50_00, 20_00, 10_00, 5_00, 2_00, 1_00, 50, 25),
}

func pieces(values ...int64) map[string]int64 {
	named := make(map[string]int64, len(values))
	for _, v := range values {
		named[strconv.FormatInt(v, 10)] = v
	}
	return named
}

// maxPieces of one denomination is far more than a drawer holds: a slip of the finger, not money.
const maxPieces = 1_000_000

// Count adds up what was counted in the drawer: pieces by denomination. A denomination that the currency does not have and a
// negative or absurd number are problems of their field.
func Count(currency money.Currency, counted map[string]int64) (int64, error) {
	coins, known := denominations[currency]
	if !known {
		return 0, problem.Validation.Field("body.counted", "cash in %s is not counted here", currency)
	}
	var total int64
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		value, known := coins[name]
		pieces := counted[name]
		switch {
		case !known:
			return 0, problem.Validation.Field("body.counted."+name, "no note or coin of %s", currency)
		case pieces < 0 || pieces > maxPieces:
			return 0, problem.Validation.Field("body.counted."+name, "must be between 0 and %d", maxPieces)
		}
		total += value * pieces // at most twelve denominations, 2 x 10^5 x 10^6 each
	}
	return total, nil
}
