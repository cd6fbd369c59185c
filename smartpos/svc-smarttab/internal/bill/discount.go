package bill

import (
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Discount is what is taken off a bill before tax: an amount, or a percentage of the bill. One of the two is set.
type Discount struct {
	Amount  int64 // minor unit
	Percent int64 // 1 to 100
}

// On is the discount in minor units on a subtotal. A percentage is rounded down.
func (d *Discount) On(subtotal int64) (int64, error) {
	switch {
	case d == nil:
		return 0, nil
	case d.Percent > 0:
		product, err := money.Product(subtotal, d.Percent)
		return product / 100, err
	case d.Amount > subtotal:
		return 0, ErrDiscount.Field("discount.amount", "the items come to %d", subtotal)
	}
	return d.Amount, nil
}

// MaxTotal is the most that a bill may come to, in the minor unit.
const MaxTotal = order.MaxTotal

// Owe sets what the bill owes: the amounts of its orders' items by rate, less the discount, and the tax on what is left. A
// bill that comes to nothing is paid.
func (b *Bill) Owe(items tax.Amounts, d *Discount) error {
	subtotal, err := items.Sum()
	if err != nil {
		return ErrTooMuch.New("The items come to more than %d.", int64(MaxTotal)).Wrap(err)
	}
	off, err := d.On(subtotal)
	if err != nil {
		return err
	}
	taxed, err := items.Less(off)
	if err != nil {
		return err
	}
	lines, err := b.Rule.Lines(taxed)
	if err != nil {
		return err
	}
	if lines.Total() > MaxTotal {
		return ErrTooMuch.New("The bill comes to %d, more than %d.", lines.Total(), int64(MaxTotal))
	}
	b.Subtotal, b.Discount, b.DiscountAmount, b.Lines = subtotal, d, off, lines
	b.Status = statusOf(0, lines.Total())
	return nil
}
