package tax

import (
	"slices"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Evenly shares a total among n parts that differ by one minor unit at most, the larger ones first.
func Evenly(total int64, n int) []int64 {
	weights := make([]int64, n)
	for i := range weights {
		weights[i] = 1
	}
	return money.Allocate(total, weights)
}

// Split shares the lines among parts of the given totals (tax included), which must add up to Total. Each part has one line a
// rate; rate by rate the parts' amounts and taxes add up to the lines', to the minor unit.
//
// Within a rate each part's tax is its exact tax, total x rate / (100 + rate), rounded down or up: the largest remainders are
// rounded up, ties to the earlier part. Only where earlier, unchangeable parts of the bill have used up the roundings (so
// that no choice of down and up could add up) do the parts share the tax in proportion instead.
func (ls Lines) Split(totals []int64) []Lines {
	parts := make([]Lines, len(totals))
	left := slices.Clone(totals)
	for i, line := range ls {
		shares := left
		if i < len(ls)-1 {
			shares = money.Allocate(line.Total(), left)
		}
		taxes := line.share(shares)
		for p, share := range shares {
			parts[p] = parts[p].with(Line{Rate: line.Rate, Taxable: share - taxes[p], Tax: taxes[p]})
		}
		left = minus(left, shares)
	}
	return parts
}

// Take splits off the lines of an amount (tax included, at most Total): what a payment of a part of a bill bears.
func (ls Lines) Take(amount int64) Lines {
	return ls.Split([]int64{amount, ls.Total() - amount})[0]
}

// share gives each part of the line its tax; the parts' totals add up to the line's.
func (l Line) share(totals []int64) []int64 {
	taxes := make([]int64, len(totals))
	remainders := make([]int64, len(totals))
	left := l.Tax
	fractions := int64(0)
	for i, total := range totals {
		exact, divisor := total*int64(l.Rate), 100+int64(l.Rate)
		taxes[i], remainders[i] = exact/divisor, exact%divisor
		left -= taxes[i]
		if remainders[i] > 0 {
			fractions++
		}
	}
	if left < 0 || left > fractions {
		return money.Allocate(l.Tax, totals)
	}
	order := make([]int, len(totals))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(remainders[b] - remainders[a]) })
	for _, i := range order[:left] {
		taxes[i]++
	}
	return taxes
}

func minus(from, what []int64) []int64 {
	left := make([]int64, len(from))
	for i := range from {
		left[i] = from[i] - what[i]
	}
	return left
}
