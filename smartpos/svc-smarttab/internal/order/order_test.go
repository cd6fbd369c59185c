package order_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

var (
	noon  = time.Date(2026, 11, 2, 3, 0, 0, 0, time.UTC)
	cafe  = store.Settings{ID: uuid.New(), MerchantID: uuid.New(), Timezone: time.UTC, Currency: money.JPY, Rule: tax.Rule{Mode: tax.Inclusive, Rounding: tax.Floor}}
	clerk = actor.Actor{Kind: actor.User, ID: uuid.New()}
)

func taken(t *testing.T, kind order.Type, lines ...order.Line) order.Order {
	t.Helper()
	o, err := order.New(cafe, order.Draft{Type: kind, Lines: lines}, clerk, noon, uuid.New)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTotals(t *testing.T) {
	t.Parallel()
	o := taken(t, order.Takeaway,
		order.Line{Name: "Latte", Quantity: 2, UnitPrice: 450, Class: tax.ClassFood, Options: []order.Option{{Name: "Large", UnitPrice: 90}}},
		order.Line{Name: "Mug", Quantity: 1, UnitPrice: 1100, Class: tax.ClassStandard})
	if o.Subtotal != 2180 || o.Total() != 2180 || o.Items[0].Amount != 1080 || o.Items[0].Rate != 8 {
		t.Errorf("%+v", o)
	}
	if o.Lines.At(8).Tax != 80 || o.Lines.At(10).Tax != 100 {
		t.Errorf("tax %+v", o.Lines)
	}
	// Eaten in, all of it is at the standard rate.
	in := order.DineIn
	if err := o.Apply(order.Change{Version: 1, Type: &in}, noon, uuid.New); err != nil {
		t.Fatal(err)
	}
	if o.Items[0].Rate != 10 || o.Lines.At(8).Tax != 0 || o.Lines.At(10).Tax != 198 {
		t.Errorf("eaten in: %+v", o.Lines)
	}
}

func TestItemsKeepTheirSequence(t *testing.T) {
	t.Parallel()
	a, b, c := order.Line{Name: "A", Quantity: 1, Class: tax.ClassFood}, order.Line{Name: "B", Quantity: 1, Class: tax.ClassFood}, order.Line{Name: "C", Quantity: 1, Class: tax.ClassFood}
	o := taken(t, order.DineIn, a, b)
	kept := o.Items[1].ID
	b.ID, b.Quantity = kept, 5
	if err := o.Apply(order.Change{Version: 1, Lines: &[]order.Line{c, b}}, noon, uuid.New); err != nil {
		t.Fatal(err)
	}
	if len(o.Items) != 2 || o.Items[0].ID != kept || o.Items[0].Sequence != 2 || o.Items[0].Quantity != 5 || o.Items[1].Sequence != 3 {
		t.Errorf("%+v", o.Items)
	}
	for name, lines := range map[string][]order.Line{"twice": {b, b}, "unknown": {{ID: uuid.New(), Name: "X", Quantity: 1}}} {
		if err := o.Apply(order.Change{Version: 1, Lines: &lines}, noon, uuid.New); !problem.Validation.Is(err) {
			t.Errorf("an item named %s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	o := taken(t, order.DineIn, order.Line{Name: "A", Quantity: 1, Class: tax.ClassFood})
	if err := o.Apply(order.Change{Version: 2}, noon, uuid.New); !problem.VersionConflict.Is(err) {
		t.Errorf("a version that is not: %v", err)
	}
	if err := o.Cancel(1, noon); err != nil || o.Status != order.Cancelled || o.CancelledAt == nil {
		t.Errorf("cancel: %v, %+v", err, o)
	}
	if err := o.Apply(order.Change{Version: 1}, noon, uuid.New); !order.ErrNotOpen.Is(err) {
		t.Errorf("a change of a cancelled order: %v", err)
	}
	if err := o.Cancel(1, noon); !order.ErrNotOpen.Is(err) {
		t.Errorf("a second cancel: %v", err)
	}
	card := "4242 4242 4242 4242"
	for name, d := range map[string]order.Draft{
		"table": {Table: card}, "note": {Note: card}, "name": {Lines: []order.Line{{Name: card, Quantity: 1}}},
		"notes":  {Lines: []order.Line{{Name: "A", Notes: card, Quantity: 1}}},
		"option": {Lines: []order.Line{{Name: "A", Quantity: 1, Options: []order.Option{{Name: card}}}}},
	} {
		if _, err := order.New(cafe, d, clerk, noon, uuid.New); !problem.Validation.Is(err) {
			t.Errorf("a card number in %s: %v", name, err)
		}
	}
	for name, lines := range map[string][]order.Line{
		"just too much": {{Name: "A", Quantity: 11, UnitPrice: 90_909_091}},
		"overflow":      {{Name: "A", Quantity: 1 << 40, UnitPrice: 1 << 40}},
		"sum overflows": {{Name: "A", Quantity: 1, UnitPrice: 1<<63 - 1}, {Name: "B", Quantity: 1, UnitPrice: 1<<63 - 1}},
	} {
		if _, err := order.New(cafe, order.Draft{Lines: lines}, clerk, noon, uuid.New); !order.ErrTooLarge.Is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An order's total is what its items come to, however it was changed to get there.
func TestTotalsFollowTheItems(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) order.Line {
			return order.Line{
				Name: "A", Quantity: rapid.Int64Range(1, 20).Draw(t, "quantity"), UnitPrice: rapid.Int64Range(0, 2000).Draw(t, "price"),
				Class: rapid.SampledFrom([]tax.Class{tax.ClassFood, tax.ClassStandard}).Draw(t, "class"),
			}
		}), 1, 8)
		o, err := order.New(cafe, order.Draft{Type: order.Delivery, Lines: drawn.Draw(t, "first")}, clerk, noon, uuid.New)
		if err != nil {
			t.Fatal(err)
		}
		lines := drawn.Draw(t, "then")
		if err := o.Apply(order.Change{Version: 1, Lines: &lines}, noon, uuid.New); err != nil {
			t.Fatal(err)
		}
		var sum int64
		for i, l := range lines {
			sum += l.Quantity * l.UnitPrice
			if i > 0 && o.Items[i].Sequence <= o.Items[i-1].Sequence {
				t.Fatal("sequences do not ascend")
			}
		}
		if o.Subtotal != sum || o.Total() != sum {
			t.Fatalf("subtotal %d, total %d, want %d", o.Subtotal, o.Total(), sum)
		}
	})
}
