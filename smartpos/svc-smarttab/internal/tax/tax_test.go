package tax_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

func TestRateOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class  tax.Class
		leaves bool
		want   tax.Rate
	}{
		{tax.ClassFood, true, tax.Reduced},
		{tax.ClassFood, false, tax.Standard},
		{tax.ClassStandard, true, tax.Standard},
		{tax.ClassStandard, false, tax.Standard},
	} {
		if got := tax.RateOf(c.class, c.leaves); got != c.want {
			t.Errorf("%s, leaves the shop %t: %d%%, want %d%%", c.class, c.leaves, got, c.want)
		}
	}
}

func TestLinesRoundOncePerRate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule    tax.Rule
		amounts tax.Amounts
		want    tax.Lines
	}{
		"3 x 105 exclusive, floor: 31, not 30": {
			tax.Rule{Mode: tax.Exclusive, Rounding: tax.Floor}, tax.Amounts{10: 315}, tax.Lines{{Rate: 10, Taxable: 315, Tax: 31}},
		},
		"exclusive, half up": {
			tax.Rule{Mode: tax.Exclusive, Rounding: tax.HalfUp}, tax.Amounts{10: 315}, tax.Lines{{Rate: 10, Taxable: 315, Tax: 32}},
		},
		"exclusive, half up, below the half": {
			tax.Rule{Mode: tax.Exclusive, Rounding: tax.HalfUp}, tax.Amounts{10: 314}, tax.Lines{{Rate: 10, Taxable: 314, Tax: 31}},
		},
		"exclusive, ceil": {
			tax.Rule{Mode: tax.Exclusive, Rounding: tax.Ceil}, tax.Amounts{10: 311}, tax.Lines{{Rate: 10, Taxable: 311, Tax: 32}},
		},
		"inclusive, floor": {
			tax.Rule{Mode: tax.Inclusive, Rounding: tax.Floor}, tax.Amounts{10: 1000}, tax.Lines{{Rate: 10, Taxable: 910, Tax: 90}},
		},
		"inclusive, ceil": {
			tax.Rule{Mode: tax.Inclusive, Rounding: tax.Ceil}, tax.Amounts{8: 1000}, tax.Lines{{Rate: 8, Taxable: 925, Tax: 75}},
		},
		"inclusive, no fraction": {
			tax.Rule{Mode: tax.Inclusive, Rounding: tax.Ceil}, tax.Amounts{10: 1100}, tax.Lines{{Rate: 10, Taxable: 1000, Tax: 100}},
		},
		"two rates, the higher first; a rate without an amount has no line": {
			tax.Rule{Mode: tax.Exclusive, Rounding: tax.Floor},
			tax.Amounts{8: 199, 10: 199, 5: 0},
			tax.Lines{{Rate: 10, Taxable: 199, Tax: 19}, {Rate: 8, Taxable: 199, Tax: 15}},
		},
		"nothing": {tax.Rule{Mode: tax.Exclusive, Rounding: tax.Ceil}, tax.Amounts{}, tax.Lines{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.rule.Lines(c.amounts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAmountsOutOfRange(t *testing.T) {
	t.Parallel()
	for _, a := range []tax.Amounts{{10: -1}, {10: tax.MaxAmount + 1}, {10: tax.MaxAmount, 8: 1}} {
		if _, err := (tax.Rule{}).Lines(a); !errors.Is(err, money.ErrOverflow) {
			t.Errorf("%v: %v, want overflow", a, err)
		}
	}
	for _, discount := range []int64{-1, 101} {
		if _, err := (tax.Amounts{10: 100}).Less(discount); !errors.Is(err, money.ErrOverflow) {
			t.Errorf("discount %d on 100: %v, want overflow", discount, err)
		}
	}
}

var (
	modes     = rapid.SampledFrom([]tax.PriceMode{tax.Inclusive, tax.Exclusive})
	roundings = rapid.SampledFrom([]tax.Rounding{tax.Floor, tax.HalfUp, tax.Ceil})
)

func drawLines(t *rapid.T) (tax.Rule, tax.Amounts, tax.Lines) {
	rule := tax.Rule{Mode: modes.Draw(t, "mode"), Rounding: roundings.Draw(t, "rounding")}
	amounts := tax.Amounts{10: rapid.Int64Range(0, 1_000_000).Draw(t, "at 10%"), 8: rapid.Int64Range(0, 3000).Draw(t, "at 8%")}
	lines, err := rule.Lines(amounts)
	if err != nil {
		t.Fatal(err)
	}
	return rule, amounts, lines
}

func TestLinesAreExactTaxRounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule, amounts, lines := drawLines(t)
		for rate, amount := range amounts {
			l := lines.At(rate)
			base, divisor := l.Taxable, int64(100)
			if rule.Mode == tax.Inclusive {
				base, divisor = amount, 100+int64(rate)
				if l.Total() != amount {
					t.Fatalf("%+v does not come to the inclusive amount %d", l, amount)
				}
			} else if l.Taxable != amount {
				t.Fatalf("%+v does not tax the exclusive amount %d", l, amount)
			}
			if off := l.Tax*divisor - base*int64(rate); off <= -divisor || off >= divisor {
				t.Fatalf("%+v is not the exact tax rounded", l)
			}
		}
	})
}

func TestLessSharesTheDiscountByAmount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, amounts, _ := drawLines(t)
		sum, _ := amounts.Sum()
		discount := rapid.Int64Range(0, sum).Draw(t, "discount")
		left, err := amounts.Less(discount)
		if err != nil {
			t.Fatal(err)
		}
		if after, _ := left.Sum(); after != sum-discount {
			t.Fatalf("%d left of %d less %d", after, sum, discount)
		}
		for rate, amount := range amounts {
			if off := (amount-left[rate])*sum - discount*amount; left[rate] < 0 || (sum > 0 && (off <= -sum || off >= sum)) {
				t.Fatalf("rate %d bears %d of %d, not its share", rate, amount-left[rate], discount)
			}
		}
	})
}

// exact says whether a part's tax is its total's exact tax, rounded down or up.
func exact(l tax.Line) bool {
	divisor := 100 + int64(l.Rate)
	off := l.Tax*divisor - l.Total()*int64(l.Rate)
	return off > -divisor && off < divisor
}

func TestSplitAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, _, lines := drawLines(t)
		n := rapid.IntRange(1, 20).Draw(t, "parts")
		totals := tax.Evenly(lines.Total(), n)
		if rapid.Bool().Draw(t, "by amount") {
			weights := rapid.SliceOfN(rapid.Int64Range(0, 1000), n, n).Draw(t, "weights")
			totals = money.Allocate(lines.Total(), weights)
		}
		parts := lines.Split(totals)
		sum := tax.Lines{}
		for i, p := range parts {
			if p.Total() != totals[i] {
				t.Fatalf("part %d comes to %d, want %d", i, p.Total(), totals[i])
			}
			for _, l := range p {
				if l.Tax < 0 || l.Taxable < 0 || !exact(l) {
					t.Fatalf("part %d: %+v is not its exact tax rounded down or up", i, l)
				}
			}
			sum = append(sum, p...)
		}
		for _, rate := range []tax.Rate{10, 8} {
			var total, taxes int64
			for _, l := range sum {
				if l.Rate == rate {
					total, taxes = total+l.Total(), taxes+l.Tax
				}
			}
			if want := lines.At(rate); total != want.Total() || taxes != want.Tax {
				t.Fatalf("at %d%% the parts come to %d with %d tax, the bill to %+v", rate, total, taxes, want)
			}
		}
		if left := lines.Sub(parts[0]); left.Total() != lines.Total()-parts[0].Total() || left.Tax() != lines.Tax()-parts[0].Tax() {
			t.Fatalf("%v less %v is %v", lines, parts[0], left)
		}
	})
}

func TestSplitTiesToTheEarlier(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines tax.Lines
		parts int
		want  []tax.Lines
	}{
		"346 in three": {
			tax.Lines{{Rate: 10, Taxable: 315, Tax: 31}},
			3,
			[]tax.Lines{{{Rate: 10, Taxable: 105, Tax: 11}}, {{Rate: 10, Taxable: 105, Tax: 10}}, {{Rate: 10, Taxable: 105, Tax: 10}}},
		},
		"equal parts, the odd tax to the first": {
			tax.Lines{{Rate: 10, Taxable: 192, Tax: 18}},
			2,
			[]tax.Lines{{{Rate: 10, Taxable: 96, Tax: 9}}, {{Rate: 10, Taxable: 96, Tax: 9}}},
		},
		"two rates, the largest remainder of each rate rounded up": {
			tax.Lines{{Rate: 10, Taxable: 91, Tax: 9}, {Rate: 8, Taxable: 94, Tax: 7}},
			3,
			[]tax.Lines{
				{{Rate: 10, Taxable: 31, Tax: 3}, {Rate: 8, Taxable: 31, Tax: 2}},
				{{Rate: 10, Taxable: 30, Tax: 3}, {Rate: 8, Taxable: 31, Tax: 3}},
				{{Rate: 10, Taxable: 30, Tax: 3}, {Rate: 8, Taxable: 32, Tax: 2}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.lines.Split(tax.Evenly(c.lines.Total(), c.parts))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
