package settlement

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

func TestADayByHand(t *testing.T) {
	t.Parallel()
	paypay := "paypay"
	day := NewTally()
	day.Move(CashMovement{Type: Float, Amount: 30_000})
	day.Move(CashMovement{Type: PayIn, Amount: 5_000})
	day.Move(CashMovement{Type: PayOut, Amount: 1_200})
	day.Move(CashMovement{Type: DrawerOpen})
	day.Add(Entry{Kind: Sale, Method: "cash", Amount: 1_100, TaxLines: tax.Lines{{Rate: 10, Taxable: 1_000, Tax: 100}}})
	day.Add(Entry{
		Kind: Sale, Method: "qr", Provider: paypay, Amount: 1_630, Discount: 50,
		TaxLines: tax.Lines{{Rate: 10, Taxable: 500, Tax: 50}, {Rate: 8, Taxable: 1_000, Tax: 80}},
	})
	day.Add(Entry{Kind: Sale, Method: "card", Amount: 2_200, TaxLines: tax.Lines{{Rate: 10, Taxable: 2_000, Tax: 200}}})
	day.Add(Entry{Kind: Refund, Method: "cash", Amount: 550, TaxLines: tax.Lines{{Rate: 10, Taxable: 500, Tax: 50}}})
	got, err := day.Figures(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Figures{
		Sales: CountedTotal{3, 4_930}, Refunds: CountedTotal{1, 550}, Net: 4_380, Discounts: CountedTotal{1, 50},
		Methods: []MethodTotal{
			{Method: "card", Sales: CountedTotal{1, 2_200}, Net: 2_200},
			{Method: "cash", Sales: CountedTotal{1, 1_100}, Refunds: CountedTotal{1, 550}, Net: 550},
			{Method: "qr", Provider: &paypay, Sales: CountedTotal{1, 1_630}, Net: 1_630},
		},
		Taxes: []TaxTotal{
			{Rate: 10, Taxable: 3_500, Tax: 350, RefundedTaxable: 500, RefundedTax: 50},
			{Rate: 8, Taxable: 1_000, Tax: 80},
		},
		Cash: Drawer{Float: 30_000, Sales: 1_100, Refunds: 550, PayIn: 5_000, PayOut: 1_200, DrawerOpens: 1, Expected: 34_350},
		Movements: []CashMovement{
			{Type: Float, Amount: 30_000}, {Type: PayIn, Amount: 5_000}, {Type: PayOut, Amount: 1_200}, {Type: DrawerOpen},
		},
		Unfinished: []UnfinishedPayment{},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(wire.Time{})); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestEmptyDayHasEmptyLists(t *testing.T) {
	t.Parallel()
	got, err := NewTally().Figures(nil)
	if err != nil || got.Methods == nil || got.Taxes == nil || got.Movements == nil || got.Unfinished == nil {
		t.Errorf("an empty day: %+v, %v", got, err)
	}
}

// Whatever happened on a day and in whatever order: the methods add up to the totals, the tax lines to the sales, and the
// drawer to its movements.
func TestFiguresAddUp(t *testing.T) {
	t.Parallel()
	entries := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Entry {
		lines := tax.Lines{
			{Rate: 10, Taxable: rapid.Int64Range(0, 1e9).Draw(t, "t10"), Tax: rapid.Int64Range(0, 1e8).Draw(t, "x10")},
			{Rate: 8, Taxable: rapid.Int64Range(1, 1e9).Draw(t, "t8"), Tax: rapid.Int64Range(0, 1e8).Draw(t, "x8")},
		}
		e := Entry{
			Kind:   rapid.SampledFrom([]Kind{Sale, Refund}).Draw(t, "kind"),
			Method: rapid.SampledFrom([]string{"cash", "qr", "card"}).Draw(t, "method"), Amount: lines.Total(), TaxLines: lines,
			Discount: rapid.Int64Range(0, 1e6).Draw(t, "discount"),
		}
		if e.Method == "qr" {
			e.Provider = rapid.SampledFrom([]string{"paypay", "linepay"}).Draw(t, "provider")
		}
		return e
	}))
	moves := rapid.SliceOf(rapid.Custom(func(t *rapid.T) CashMovement {
		return CashMovement{
			Type:   rapid.SampledFrom([]MovementType{Float, PayIn, PayOut}).Draw(t, "type"),
			Amount: rapid.Int64Range(1, 1e9).Draw(t, "amount"),
		}
	}))
	rapid.Check(t, func(t *rapid.T) {
		day, es, ms := NewTally(), entries.Draw(t, "entries"), moves.Draw(t, "moves")
		drawer := int64(0)
		for _, m := range ms {
			day.Move(m)
			drawer += map[MovementType]int64{Float: 1, PayIn: 1, PayOut: -1}[m.Type] * m.Amount
		}
		for _, e := range es {
			day.Add(e)
			if e.Method == MethodCash {
				drawer += map[Kind]int64{Sale: 1, Refund: -1}[e.Kind] * e.Amount
			}
		}
		f, err := day.Figures(nil)
		if err != nil {
			t.Fatal(err)
		}
		var sales, refunds CountedTotal
		var net, taxed, refunded int64
		for _, m := range f.Methods {
			sales = CountedTotal{sales.Count + m.Sales.Count, sales.Amount + m.Sales.Amount}
			refunds = CountedTotal{refunds.Count + m.Refunds.Count, refunds.Amount + m.Refunds.Amount}
			net += m.Net
		}
		for _, r := range f.Taxes {
			taxed += r.Taxable + r.Tax
			refunded += r.RefundedTaxable + r.RefundedTax
		}
		if sales != f.Sales || refunds != f.Refunds || net != f.Net || f.Sales.Count+f.Refunds.Count != int64(len(es)) {
			t.Fatalf("methods do not add up: %+v", f)
		}
		if taxed != f.Sales.Amount || refunded != f.Refunds.Amount {
			t.Fatalf("tax lines do not add up: %+v", f)
		}
		if f.Cash.Expected != drawer {
			t.Fatalf("drawer: expected %d, holds %d", f.Cash.Expected, drawer)
		}
	})
}

func TestOverflowIsAnError(t *testing.T) {
	t.Parallel()
	day := NewTally()
	day.Add(Entry{Kind: Sale, Method: "cash", Amount: math.MaxInt64})
	day.Add(Entry{Kind: Sale, Method: "cash", Amount: 1})
	if _, err := day.Figures(nil); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("err = %v, want overflow", err)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		currency money.Currency
		counted  map[string]int64
		want     int64
		bad      bool
	}{
		{name: "nothing", currency: money.JPY, want: 0},
		{name: "each once", currency: money.JPY, counted: map[string]int64{
			"10000": 1, "5000": 1, "2000": 1, "1000": 1, "500": 1, "100": 1, "50": 1, "10": 1, "5": 1, "1": 1,
		}, want: 18_666},
		{name: "many", currency: money.JPY, counted: map[string]int64{"10000": 3, "1": 7}, want: 30_007},
		{name: "no such note", currency: money.JPY, counted: map[string]int64{"200": 1}, bad: true},
		{name: "written otherwise", currency: money.JPY, counted: map[string]int64{"0100": 1}, bad: true},
		{name: "negative", currency: money.JPY, counted: map[string]int64{"100": -1}, bad: true},
		{name: "absurd", currency: money.JPY, counted: map[string]int64{"100": math.MaxInt64}, bad: true},
		{name: "dollars and cents", currency: "USD", counted: map[string]int64{"10000": 1, "25": 3}, want: 10_075},
		{name: "other currency", currency: "KWD", counted: map[string]int64{"100": 1}, bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Count(test.currency, test.counted)
			if problem.Validation.Is(err) != test.bad || (!test.bad && (err != nil || got != test.want)) {
				t.Errorf("Count = %d, %v", got, err)
			}
		})
	}
}
