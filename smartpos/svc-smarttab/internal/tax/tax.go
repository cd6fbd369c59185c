// Package tax is Japan's consumption tax as a store charges it: which rate a line bears, how a bill's tax is rounded, and how
// the parts of a split bill share it. Plain arithmetic over integers in the currency's minor unit; it knows no bill.
//
// The rule that all of it serves: tax is rounded once per rate and bill (the qualified invoice system, Consumption Tax Act
// Enforcement Order article 70-10), never line by line.
package tax

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Rate is a tax rate in percent.
type Rate int

// The two rates in force since October 2019.
const (
	Standard Rate = 10
	Reduced  Rate = 8
)

// Class is what kind of thing is sold.
type Class string

// ClassFood is food and drink without alcohol; all else is ClassStandard.
const (
	ClassStandard Class = "standard"
	ClassFood     Class = "food"
)

// RateOf is the rate a thing of the class bears: the reduced one for food and drink that leaves the shop (taken away or
// delivered), the standard one for all else, also for food eaten in.
func RateOf(class Class, leavesTheShop bool) Rate {
	if class == ClassFood && leavesTheShop {
		return Reduced
	}
	return Standard
}

// PriceMode says whether a store's prices contain the tax.
type PriceMode string

// Inclusive prices contain the tax; to exclusive ones it is added.
const (
	Inclusive PriceMode = "inclusive"
	Exclusive PriceMode = "exclusive"
)

// Rounding is what happens to a fraction of the minor unit, once per rate.
type Rounding string

// A merchant picks one of the three; the law leaves the choice.
const (
	Floor  Rounding = "floor"
	HalfUp Rounding = "half_up"
	Ceil   Rounding = "ceil"
)

// MaxAmount bounds what one rate of a bill may come to, in the minor unit: high enough for any sale, low enough that no
// product here can overflow.
const MaxAmount = 1_000_000_000_000

// Rule is how one store reckons tax: its price mode and its merchant's rounding.
type Rule struct {
	Mode     PriceMode
	Rounding Rounding
}

// Line is what one rate comes to. Taxable and Tax add up to what is paid at that rate, whatever the price mode.
type Line struct {
	Rate    Rate  `json:"rate" doc:"Tax rate in percent" example:"10"`
	Taxable int64 `json:"taxable" doc:"Amount before tax, minor unit: taxable + tax is what is paid at this rate" example:"315"`
	Tax     int64 `json:"tax" doc:"Tax at this rate, minor unit, rounded once" example:"31"`
}

// Total is the amount with tax.
func (l Line) Total() int64 { return l.Taxable + l.Tax }

// Lines are a sum's tax lines, one a rate, the higher rate first. A rate that comes to nothing has no line.
type Lines []Line

// Total is what is to be paid.
func (ls Lines) Total() int64 {
	var sum int64
	for _, l := range ls {
		sum += l.Total()
	}
	return sum
}

// Tax is the tax within Total.
func (ls Lines) Tax() int64 {
	var sum int64
	for _, l := range ls {
		sum += l.Tax
	}
	return sum
}

// At is the line of the rate, zero when there is none.
func (ls Lines) At(rate Rate) Line {
	for _, l := range ls {
		if l.Rate == rate {
			return l
		}
	}
	return Line{Rate: rate}
}

// Sub takes other away, rate by rate.
func (ls Lines) Sub(other Lines) Lines {
	left := make(Lines, 0, len(ls))
	for _, l := range ls {
		o := other.At(l.Rate)
		left = left.with(Line{Rate: l.Rate, Taxable: l.Taxable - o.Taxable, Tax: l.Tax - o.Tax})
	}
	return left
}

// with appends the line unless it is nothing.
func (ls Lines) with(l Line) Lines {
	if l.Taxable == 0 && l.Tax == 0 {
		return ls
	}
	return append(ls, l)
}

// Amounts are sums of prices by rate, in the store's price mode and the currency's minor unit.
type Amounts map[Rate]int64

// Rates are the rates present, the higher first: the order in which remainders are given out.
func (a Amounts) Rates() []Rate {
	return slices.SortedFunc(maps.Keys(a), func(x, y Rate) int { return cmp.Compare(y, x) })
}

// Sum is the amounts together; money.ErrOverflow beyond MaxAmount.
func (a Amounts) Sum() (int64, error) {
	var sum int64
	for _, amount := range a {
		if amount < 0 || amount > MaxAmount {
			return 0, fmt.Errorf("tax: %w: %d", money.ErrOverflow, amount)
		}
		sum += amount
	}
	if sum > MaxAmount {
		return 0, fmt.Errorf("tax: %w: %d", money.ErrOverflow, sum)
	}
	return sum, nil
}

// Less takes a discount from the amounts, before tax, each rate bearing its share by largest remainder (ties to the higher
// rate). The discount must not be negative nor more than the sum.
func (a Amounts) Less(discount int64) (Amounts, error) {
	sum, err := a.Sum()
	if err != nil {
		return nil, err
	}
	if discount < 0 || discount > sum {
		return nil, fmt.Errorf("tax: %w: a discount of %d on %d", money.ErrOverflow, discount, sum)
	}
	rates := a.Rates()
	weights := make([]int64, len(rates))
	for i, rate := range rates {
		weights[i] = a[rate]
	}
	left := make(Amounts, len(a))
	for i, share := range money.Allocate(discount, weights) {
		left[rates[i]] = a[rates[i]] - share
	}
	return left, nil
}

// Lines reckons the tax of the amounts, rounded once per rate. Negative amounts and sums beyond MaxAmount are
// money.ErrOverflow.
func (r Rule) Lines(a Amounts) (Lines, error) {
	if _, err := a.Sum(); err != nil {
		return nil, err
	}
	lines := make(Lines, 0, len(a))
	for _, rate := range a.Rates() {
		lines = lines.with(r.line(rate, a[rate]))
	}
	return lines, nil
}

func (r Rule) line(rate Rate, amount int64) Line {
	if r.Mode == Inclusive {
		tax := r.Rounding.divide(amount*int64(rate), 100+int64(rate))
		return Line{Rate: rate, Taxable: amount - tax, Tax: tax}
	}
	return Line{Rate: rate, Taxable: amount, Tax: r.Rounding.divide(amount*int64(rate), 100)}
}

// divide is n/d rounded; n is not negative, d is positive.
func (r Rounding) divide(n, d int64) int64 {
	switch r {
	case Ceil:
		return (n + d - 1) / d
	case HalfUp:
		return (2*n + d) / (2 * d)
	default:
		return n / d
	}
}
