package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/money"
)

func TestArithmeticAgreesWithBigIntegersOrFails(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		for name, c := range map[string]struct {
			got  func(int64, int64) (int64, error)
			want func(x, y *big.Int) *big.Int
		}{
			"sum":     {func(x, y int64) (int64, error) { return money.Sum(x, y) }, func(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }},
			"product": {money.Product, func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }},
		} {
			got, err := c.got(a, b)
			want := c.want(big.NewInt(a), big.NewInt(b))
			switch {
			case err == nil && want.Cmp(big.NewInt(got)) != 0:
				t.Fatalf("%s of %d and %d: got %d, want %s", name, a, b, got, want)
			case err != nil && want.IsInt64() && want.Int64() != math.MinInt64:
				t.Fatalf("%s of %d and %d: %v, but %s fits", name, a, b, err, want)
			}
		}
	})
}

func TestAmountsOfTwoCurrenciesDoNotMix(t *testing.T) {
	t.Parallel()
	yen, dollars := money.Amount{Minor: 1, Currency: money.JPY}, money.Amount{Minor: 1, Currency: money.USD}
	if _, err := yen.Add(dollars); !errors.Is(err, money.ErrCurrencyMismatch) {
		t.Errorf("Add: %v", err)
	}
	if _, err := yen.Cmp(dollars); !errors.Is(err, money.ErrCurrencyMismatch) {
		t.Errorf("Cmp: %v", err)
	}
	if _, err := (money.Amount{Minor: math.MinInt64, Currency: money.JPY}).Neg(); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("Neg: %v", err)
	}
	if _, err := money.New(1, "jpy"); !errors.Is(err, money.ErrUnknownCurrency) {
		t.Errorf("New: %v", err)
	}
}

func TestAllocateSharesToTheUnit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, math.MaxInt64).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/64), 1, 50).Draw(t, "weights")
		shares := money.Allocate(total, weights)
		got, err := money.Sum(shares...)
		if err != nil || got != total {
			t.Fatalf("shares of %d add up to %d (%v)", total, got, err)
		}
		sum := new(big.Int)
		for _, w := range weights {
			sum.Add(sum, big.NewInt(w))
		}
		if sum.Sign() == 0 {
			return
		}
		for i, w := range weights {
			exact := new(big.Int).Mul(big.NewInt(total), big.NewInt(w))
			floor := new(big.Int).Div(exact, sum)
			if d := new(big.Int).Sub(big.NewInt(shares[i]), floor); d.Sign() < 0 || d.Cmp(big.NewInt(1)) > 0 {
				t.Fatalf("share %d is %d, its exact share is %s and a bit", i, shares[i], floor)
			}
		}
	})
}

func TestAllocateGivesTheUnitToTheEarlierOfEqualParts(t *testing.T) {
	t.Parallel()
	got := money.Allocate(100, []int64{1, 1, 1})
	if got[0] != 34 || got[1] != 33 || got[2] != 33 {
		t.Errorf("got %v", got)
	}
}

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"0": 0, "1,234": 123400, "-12.34": -1234, "12.3": 1230, "12.340": 1234, "1,234,567.89": 123456789} {
		if got, err := money.ParseDecimal(s, money.USD); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-", ".5", "5.", "1.234", "1,23", "12,3456", ",1", "1e3", "１", "+5", "--5", "0x10", " 5"} {
		if got, err := money.ParseDecimal(s, money.USD); !errors.Is(err, money.ErrMalformed) {
			t.Errorf("%q: got %d, %v, want ErrMalformed", s, got, err)
		}
	}
	if _, err := money.ParseDecimal("99999999999999999999", money.JPY); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("got %v, want ErrOverflow", err)
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1,234.50", "99999999999999999999", "1.", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		minor, err := money.ParseDecimal(s, money.USD)
		if err != nil {
			return
		}
		again, err := money.ParseDecimal(money.Decimal(minor, 2), money.USD)
		if err != nil || again != minor {
			t.Errorf("%q is %d, written and read again %d (%v)", s, minor, again, err)
		}
	})
}
