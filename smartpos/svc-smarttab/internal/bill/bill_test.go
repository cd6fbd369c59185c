package bill

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

var floorExclusive = tax.Rule{Mode: tax.Exclusive, Rounding: tax.Floor}

// owing is a bill of the amounts.
func owing(t interface{ Fatal(...any) }, rule tax.Rule, a tax.Amounts, d *Discount) Bill {
	b := Bill{Number: "1", Rule: rule}
	if err := b.Owe(a, d); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDiscountComesOffBeforeTax(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		amounts  tax.Amounts
		discount *Discount
		off      int64
		total    int64
		status   Status
		problem  *problem.Kind
	}{
		"none":                   {tax.Amounts{10: 1000}, nil, 0, 1100, Pending, nil},
		"amount":                 {tax.Amounts{10: 1000}, &Discount{Amount: 100}, 100, 990, Pending, nil},
		"percent":                {tax.Amounts{10: 1000}, &Discount{Percent: 10}, 100, 990, Pending, nil},
		"percent, rounded down":  {tax.Amounts{10: 999}, &Discount{Percent: 10}, 99, 990, Pending, nil},
		"to the rates by amount": {tax.Amounts{10: 1000, 8: 500}, &Discount{Amount: 150}, 150, 990 + 486, Pending, nil},
		"all of it":              {tax.Amounts{10: 1000}, &Discount{Percent: 100}, 1000, 0, Paid, nil},
		"more than all":          {tax.Amounts{10: 1000}, &Discount{Amount: 1001}, 0, 0, "", ErrDiscount},
		"free items":             {tax.Amounts{10: 0}, nil, 0, 0, Paid, nil},
		"too large":              {tax.Amounts{10: MaxTotal}, nil, 0, 0, "", ErrTooMuch},
		"far too large":          {tax.Amounts{10: tax.MaxAmount, 8: tax.MaxAmount}, nil, 0, 0, "", ErrTooMuch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Bill{Rule: floorExclusive}
			err := b.Owe(c.amounts, c.discount)
			if c.problem != nil {
				if !c.problem.Is(err) {
					t.Errorf("%v, want %s", err, c.problem.Code)
				}
				return
			}
			if err != nil || b.DiscountAmount != c.off || b.Total() != c.total || b.Status != c.status {
				t.Errorf("off %d, total %d, %s, %v; want %d, %d, %s", b.DiscountAmount, b.Total(), b.Status, err, c.off, c.total, c.status)
			}
		})
	}
}

func TestSeveralOrdersRoundTaxOnce(t *testing.T) {
	t.Parallel()
	var orders []order.Order
	var ids []uuid.UUID
	for range 3 {
		id := uuid.New()
		ids = append(ids, id)
		orders = append(orders, order.Order{ID: id, Status: order.Open, Rule: floorExclusive, Items: []order.Item{{Rate: 10, Amount: 105}}})
	}
	b, err := of(orders, ids, nil)
	if err != nil || b.Lines.Tax() != 31 {
		t.Errorf("tax of three orders of 105: %d, %v; want 31", b.Lines.Tax(), err)
	}
	if _, err := of(orders, append(ids, uuid.New()), nil); !problem.NotFound.Is(err) {
		t.Errorf("an order that is not there: %v", err)
	}
	orders[1].Status = order.Billed
	if _, err := of(orders, ids, nil); !order.ErrNotOpen.Is(err) {
		t.Errorf("an order that is billed: %v", err)
	}
	orders[1].Status, orders[1].Rule.Rounding = order.Open, tax.Ceil
	if _, err := of(orders, ids, nil); !ErrOrdersDiffer.Is(err) {
		t.Errorf("an order that rounds differently: %v", err)
	}
}

func TestPaidPartsStay(t *testing.T) {
	t.Parallel()
	b := owing(t, floorExclusive, tax.Amounts{10: 1000}, nil)
	if err := b.SplitEvenly(4, uuid.New); err != nil {
		t.Fatal(err)
	}
	first, payment := b.Splits[0], uuid.New()
	if _, err := b.Reserve(payment, first.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Settle(payment); err != nil {
		t.Fatal(err)
	}
	if b.Status != Partial || b.Splits[0].Status() != Paid {
		t.Fatalf("bill %s, part %s", b.Status, b.Splits[0].Status())
	}
	if err := b.SplitEvenly(2, uuid.New); err != nil {
		t.Fatal(err)
	}
	if len(b.Splits) != 3 || b.Splits[0].ID != first.ID || b.Splits[0].Total() != 275 {
		t.Errorf("after splitting anew: %+v", b.Splits)
	}
	if b.Splits[1].Total() != 413 || b.Splits[2].Total() != 412 || b.Splits[1].Sequence != 2 {
		t.Errorf("what remains is shared as %d and %d", b.Splits[1].Total(), b.Splits[2].Total())
	}
	if _, err := b.Reserve(uuid.New(), uuid.Nil, 0); !ErrSplitRequired.Is(err) {
		t.Errorf("the whole of a split bill: %v", err)
	}
	if err := b.Unsplit(); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Reserve(uuid.New(), uuid.Nil, 0); err != nil || r.Amount() != 825 {
		t.Errorf("the rest as a whole: %d, %v", r.Amount(), err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	bill := func() Bill { return owing(t, floorExclusive, tax.Amounts{10: 1000}, nil) }
	held := func() (Bill, uuid.UUID) {
		b, p := bill(), uuid.New()
		if _, err := b.Reserve(p, uuid.Nil, 500); err != nil {
			t.Fatal(err)
		}
		return b, p
	}
	paid := func() (Bill, uuid.UUID) {
		b, p := bill(), uuid.New()
		_, _ = b.Reserve(p, uuid.Nil, 0)
		_, _ = b.Settle(p)
		return b, p
	}
	for name, c := range map[string]struct {
		do   func() error
		want *problem.Kind
	}{
		"more than remains": {func() error { b, _ := held(); _, err := b.Reserve(uuid.New(), uuid.Nil, 601); return err }, ErrExceeds},
		"less than nothing": {func() error { b := bill(); _, err := b.Reserve(uuid.New(), uuid.Nil, -1); return err }, ErrExceeds},
		"all is held": {func() error {
			b, _ := held()
			_, _ = b.Reserve(uuid.New(), uuid.Nil, 0)
			_, err := b.Reserve(uuid.New(), uuid.Nil, 0)
			return err
		}, ErrNothingLeft},
		"pay a paid bill":   {func() error { b, _ := paid(); _, err := b.Reserve(uuid.New(), uuid.Nil, 0); return err }, ErrNotPayable},
		"a part of another": {func() error { b := bill(); _, err := b.Reserve(uuid.New(), uuid.New(), 0); return err }, problem.Validation},
		"split a paid bill": {func() error { b, _ := paid(); return b.SplitEvenly(2, uuid.New) }, ErrNotSplittable},
		"too many parts": {func() error {
			b := owing(t, floorExclusive, tax.Amounts{10: 5}, nil)
			return b.SplitEvenly(6, uuid.New)
		}, ErrTooManyParts},
		"split what is held": {func() error {
			b, _ := held()
			_, _ = b.Reserve(uuid.New(), uuid.Nil, 0)
			return b.SplitEvenly(2, uuid.New)
		}, ErrNothingLeft},
		"cancel a paid bill":   {func() error { b, _ := paid(); return b.Cancel() }, ErrNotCancelable},
		"cancel while held":    {func() error { b, _ := held(); return b.Cancel() }, ErrNotCancelable},
		"cancel with money on": {func() error { b, p := held(); _, _ = b.Settle(p); return b.Cancel() }, ErrNotCancelable},
		"release what is paid": {func() error { b, p := paid(); _, err := b.Release(p); return err }, ErrNoReservation},
		"settle what is not":   {func() error { b := bill(); _, err := b.Settle(uuid.New()); return err }, ErrNoReservation},
		"refund what is held":  {func() error { b, p := held(); return b.Refund(p, 1) }, ErrNoReservation},
		"refund too much":      {func() error { b, p := paid(); return b.Refund(p, 1101) }, ErrExceeds},
		"refund nothing":       {func() error { b, p := paid(); return b.Refund(p, 0) }, ErrExceeds},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.do(); !c.want.Is(err) {
				t.Errorf("%v, want %s", err, c.want.Code)
			}
		})
	}
}

func TestCancelOnceAllIsGivenBack(t *testing.T) {
	t.Parallel()
	b := owing(t, floorExclusive, tax.Amounts{10: 1000}, nil)
	p := uuid.New()
	if _, err := b.Reserve(p, uuid.Nil, 500); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Settle(p); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := b.Settle(p); err != nil || changed {
		t.Errorf("settled twice: %t, %v", changed, err)
	}
	if err := b.Refund(p, 500); err != nil {
		t.Fatal(err)
	}
	if err := b.Cancel(); err != nil || b.Status != Cancelled || b.Remaining() != 0 {
		t.Errorf("%v, %s, remaining %d", err, b.Status, b.Remaining())
	}
}

// TestBillArithmetic drives a bill by random operations in any order: whatever they are, it is never overpaid, and its parts
// and payments always add up to what it owes, rate by rate.
func TestBillArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := tax.Rule{
			Mode:     rapid.SampledFrom([]tax.PriceMode{tax.Inclusive, tax.Exclusive}).Draw(t, "mode"),
			Rounding: rapid.SampledFrom([]tax.Rounding{tax.Floor, tax.HalfUp, tax.Ceil}).Draw(t, "rounding"),
		}
		amounts := tax.Amounts{10: rapid.Int64Range(0, 5000).Draw(t, "at 10%"), 8: rapid.Int64Range(1, 300).Draw(t, "at 8%")}
		var d *Discount
		if rapid.Bool().Draw(t, "discounted") {
			d = &Discount{Percent: rapid.Int64Range(1, 99).Draw(t, "percent")}
		}
		m := &machine{bill: owing(t, rule, amounts, d), fixed: map[uuid.UUID]tax.Lines{}}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"split":   m.split,
			"unsplit": func(*rapid.T) { _ = m.bill.Unsplit() },
			"reserve": m.reserve,
			"settle":  m.settle,
			"release": m.release,
			"refund":  m.refund,
			"cancel":  func(*rapid.T) { _ = m.bill.Cancel() },
		})
		m.payTheRest(t)
	})
}

// machine is a bill with what its operations must keep: parts that had money on them, as they were.
type machine struct {
	bill     Bill
	payments []uuid.UUID
	fixed    map[uuid.UUID]tax.Lines
}

func (m *machine) split(t *rapid.T) {
	before := m.bill.Splits
	if err := m.bill.SplitEvenly(rapid.IntRange(2, 12).Draw(t, "parts"), uuid.New); err != nil {
		m.bill.Splits = before // as a transaction that is rolled back
		return
	}
	least, most := int64(1<<62), int64(0)
	for i := range m.bill.Splits {
		if s := &m.bill.Splits[i]; !s.fixed() {
			least, most = min(least, s.Total()), max(most, s.Total())
		}
	}
	if least < 1 || most-least > 1 {
		t.Fatalf("an even split has parts from %d to %d", least, most)
	}
}

func (m *machine) reserve(t *rapid.T) {
	splitID := uuid.Nil
	if n := len(m.bill.Splits); n > 0 {
		splitID = m.bill.Splits[rapid.IntRange(0, n-1).Draw(t, "part")].ID
	}
	payment := uuid.New()
	remaining := m.bill.Remaining()
	r, err := m.bill.Reserve(payment, splitID, rapid.Int64Range(0, 6000).Draw(t, "amount"))
	if err != nil {
		return
	}
	if r.Amount() <= 0 || r.Amount() > remaining {
		t.Fatalf("%d is held of %d", r.Amount(), remaining)
	}
	if again, err := m.bill.Reserve(payment, splitID, 1); err != nil || again.Amount() != r.Amount() {
		t.Fatalf("the same payment again holds %d, %v", again.Amount(), err)
	}
	m.payments = append(m.payments, payment)
}

func (m *machine) any(t *rapid.T) uuid.UUID {
	if len(m.payments) == 0 {
		t.Skip("no payment yet")
	}
	return m.payments[rapid.IntRange(0, len(m.payments)-1).Draw(t, "payment")]
}

func (m *machine) settle(t *rapid.T)  { _, _ = m.bill.Settle(m.any(t)) }
func (m *machine) release(t *rapid.T) { m.drop(m.any(t)) }
func (m *machine) refund(t *rapid.T) {
	_ = m.bill.Refund(m.any(t), rapid.Int64Range(1, 3000).Draw(t, "amount"))
}

// drop releases a payment, and forgets it as the database's next read does.
func (m *machine) drop(payment uuid.UUID) {
	if changed, err := m.bill.Release(payment); err != nil || !changed {
		return
	}
	live := []Reservation{}
	for _, r := range m.bill.Reservations {
		if r.State != Released {
			live = append(live, r)
		}
	}
	m.bill.Reservations = live
}

func (m *machine) check(t *rapid.T) {
	b := &m.bill
	if b.Paid < 0 || b.Reserved < 0 || b.Paid+b.Reserved > b.Total() || b.Refunded > b.Paid {
		t.Fatalf("total %d, paid %d, reserved %d, refunded %d", b.Total(), b.Paid, b.Reserved, b.Refunded)
	}
	if b.Status != Cancelled && b.Status != statusOf(b.Paid, b.Total()) {
		t.Fatalf("%s with %d of %d paid", b.Status, b.Paid, b.Total())
	}
	m.parts(t)
	paid, reserved := int64(0), int64(0)
	whole := b.unsplit()
	for _, r := range b.Reservations {
		if r.State == Settled {
			paid += r.Amount()
		} else {
			reserved += r.Amount()
		}
		if r.SplitID == uuid.Nil {
			whole = append(whole, r.Lines...)
		}
	}
	if paid != b.Paid || reserved != b.Reserved {
		t.Fatalf("reservations: %d paid and %d held; the bill says %d and %d", paid, reserved, b.Paid, b.Reserved)
	}
	for i := range b.Splits {
		whole = append(whole, b.Splits[i].Lines...)
	}
	adds(t, whole, b.Lines)
}

// parts holds each part against its payments, and those with money on them against what they were.
func (m *machine) parts(t *rapid.T) {
	for i := range m.bill.Splits {
		s := &m.bill.Splits[i]
		if s.Paid+s.Reserved > s.Total() || s.Refunded > s.Paid {
			t.Fatalf("part of %d: paid %d, reserved %d, refunded %d", s.Total(), s.Paid, s.Reserved, s.Refunded)
		}
		lines := without(s.Lines, m.bill.Reservations, s.ID)
		for _, r := range m.bill.Reservations {
			if r.SplitID == s.ID {
				lines = append(lines, r.Lines...)
			}
		}
		adds(t, lines, s.Lines)
		if s.Paid > 0 {
			if was, known := m.fixed[s.ID]; known {
				adds(t, was, s.Lines)
			}
			m.fixed[s.ID] = s.Lines
		}
	}
	for id := range m.fixed {
		if m.bill.Split(id) == nil {
			t.Fatal("a part with money on it is gone")
		}
	}
}

// adds checks that the lines come to want, rate by rate, and that none is negative.
func adds(t *rapid.T, lines, want tax.Lines) {
	for _, l := range lines {
		if l.Taxable < 0 || l.Tax < 0 {
			t.Fatalf("negative line %+v", l)
		}
	}
	for _, rate := range []tax.Rate{10, 8} {
		got := tax.Line{Rate: rate}
		for _, l := range lines {
			if l.Rate == rate {
				got.Taxable, got.Tax = got.Taxable+l.Taxable, got.Tax+l.Tax
			}
		}
		if got != want.At(rate) {
			t.Fatalf("at %d%%: %+v, want %+v", rate, got, want.At(rate))
		}
	}
}

// payTheRest settles what is held and pays what remains: the bill must come out paid, to the unit.
func (m *machine) payTheRest(t *rapid.T) {
	if m.bill.Status == Cancelled {
		return
	}
	for _, p := range m.payments {
		_, _ = m.bill.Settle(p)
	}
	places := []uuid.UUID{uuid.Nil}
	for i := range m.bill.Splits {
		places = append(places, m.bill.Splits[i].ID)
	}
	for _, splitID := range places {
		p := uuid.New()
		if _, err := m.bill.Reserve(p, splitID, 0); err == nil {
			_, _ = m.bill.Settle(p)
		}
	}
	m.check(t)
	if m.bill.Status != Paid || m.bill.Remaining() != 0 {
		t.Fatalf("%s, %d of %d paid", m.bill.Status, m.bill.Paid, m.bill.Total())
	}
}

func TestAMissingOrderIsNamed(t *testing.T) {
	t.Parallel()
	here, gone := uuid.New(), uuid.New()
	orders := []order.Order{{ID: here, Status: order.Open}}
	for _, c := range []struct {
		field string
		asked []uuid.UUID
	}{{"order_ids[0]", []uuid.UUID{gone}}, {"order_ids[1]", []uuid.UUID{here, gone}}, {"order_ids[1]", []uuid.UUID{here, here}}} {
		if _, err := of(orders, c.asked, nil); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%v: %v, want %s named", c.asked, err, c.field)
		}
	}
}
