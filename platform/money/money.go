// Package money counts in the minor unit of a currency, in integers. No float touches money: sums that would overflow and
// sums of two currencies are errors, not surprises.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sort"
	"strconv"
	"strings"
)

// The ways in which money arithmetic fails.
var (
	ErrOverflow         = errors.New("amount out of range")
	ErrCurrencyMismatch = errors.New("amounts of different currencies")
	ErrUnknownCurrency  = errors.New("unknown currency")
	ErrMalformed        = errors.New("malformed amount")
)

// Currency is an ISO 4217 code in capitals.
type Currency string

// The currencies the platform's providers settle in.
const (
	JPY Currency = "JPY"
	USD Currency = "USD"
	TWD Currency = "TWD"
	THB Currency = "THB"
)

// exponents are ISO 4217's minor unit digits. TWD has two there; providers that want whole dollars are handled in their
// adapters.
var exponents = map[Currency]int{
	"AUD": 2, "CAD": 2, "CHF": 2, "CNY": 2, "EUR": 2, "GBP": 2, "HKD": 2, "IDR": 2, "INR": 2, "JPY": 0, "KRW": 0,
	"KWD": 3, "MYR": 2, "NZD": 2, "PHP": 2, "SGD": 2, "THB": 2, "TWD": 2, "USD": 2, "VND": 0,
}

// ParseCurrency accepts a known code in capitals.
func ParseCurrency(s string) (Currency, error) {
	if _, ok := exponents[Currency(s)]; !ok {
		return "", fmt.Errorf("%w %q", ErrUnknownCurrency, s)
	}
	return Currency(s), nil
}

// Exponent is the number of digits of the minor unit: 0 for JPY, 2 for USD.
func (c Currency) Exponent() int { return exponents[c] }

// Amount is a sum of money. Minor is in the currency's minor unit (yen, cents).
type Amount struct {
	Minor    int64
	Currency Currency
}

// New checks the currency.
func New(minor int64, currency string) (Amount, error) {
	c, err := ParseCurrency(currency)
	return Amount{Minor: minor, Currency: c}, err
}

// Add returns a + b; ErrCurrencyMismatch or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, a.Currency, b.Currency)
	}
	sum, err := Sum(a.Minor, b.Minor)
	return Amount{Minor: sum, Currency: a.Currency}, err
}

// Sub returns a - b; ErrCurrencyMismatch or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if b.Minor == math.MinInt64 {
		return Amount{}, ErrOverflow
	}
	b.Minor = -b.Minor
	return a.Add(b)
}

// Neg returns -a; ErrOverflow for the one value that has no opposite.
func (a Amount) Neg() (Amount, error) {
	return Amount{Currency: a.Currency}.Sub(a)
}

// Mul returns a times n; ErrOverflow.
func (a Amount) Mul(n int64) (Amount, error) {
	product, err := Product(a.Minor, n)
	return Amount{Minor: product, Currency: a.Currency}, err
}

// Cmp is negative, zero or positive as a is less than, equal to or more than b; ErrCurrencyMismatch.
func (a Amount) Cmp(b Amount) (int, error) {
	if a.Currency != b.Currency {
		return 0, fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, a.Currency, b.Currency)
	}
	switch {
	case a.Minor < b.Minor:
		return -1, nil
	case a.Minor > b.Minor:
		return 1, nil
	}
	return 0, nil
}

// String is the amount as people write it: "1234 JPY", "12.34 USD".
func (a Amount) String() string {
	return Decimal(a.Minor, a.Currency.Exponent()) + " " + string(a.Currency)
}

// Decimal writes minor units with the given number of decimals: Decimal(1234, 2) is "12.34".
func Decimal(minor int64, exponent int) string {
	if exponent == 0 {
		return strconv.FormatInt(minor, 10)
	}
	sign, digits := "", strconv.FormatInt(minor, 10)
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for len(digits) <= exponent {
		digits = "0" + digits
	}
	cut := len(digits) - exponent
	return sign + digits[:cut] + "." + digits[cut:]
}

// ParseDecimal reads "1234", "-12.34" or "1,234.50" as minor units of the currency. More decimals than the currency has,
// unless they are zeros, are ErrMalformed; beyond 64 bits is ErrOverflow.
func ParseDecimal(s string, c Currency) (int64, error) {
	exponent, known := exponents[c]
	if !known {
		return 0, fmt.Errorf("%w %q", ErrUnknownCurrency, c)
	}
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(body, ".")
	whole, err := ungroup(whole)
	if err != nil || (dotted && fraction == "") || !allDigits(fraction) {
		return 0, fmt.Errorf("%w: %q", ErrMalformed, s)
	}
	for len(fraction) > exponent && strings.HasSuffix(fraction, "0") {
		fraction = fraction[:len(fraction)-1]
	}
	if len(fraction) > exponent {
		return 0, fmt.Errorf("%w: %q has more than %d decimals", ErrMalformed, s, exponent)
	}
	fraction += strings.Repeat("0", exponent-len(fraction))
	sign := ""
	if negative {
		sign = "-"
	}
	minor, err := strconv.ParseInt(sign+whole+fraction, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrOverflow, s)
	}
	return minor, nil
}

// ungroup takes the thousands separators out; they must stand before each group of three.
func ungroup(s string) (string, error) {
	groups := strings.Split(s, ",")
	for i, g := range groups {
		if g == "" || !allDigits(g) || (i > 0 && len(g) != 3) || (i == 0 && len(groups) > 1 && len(g) > 3) {
			return "", ErrMalformed
		}
	}
	return strings.Join(groups, ""), nil
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// Sum adds minor units; ErrOverflow.
func Sum(terms ...int64) (int64, error) {
	var total int64
	for _, t := range terms {
		if (t > 0 && total > math.MaxInt64-t) || (t < 0 && total < math.MinInt64-t) {
			return 0, ErrOverflow
		}
		total += t
	}
	return total, nil
}

// Product multiplies minor units by a count; ErrOverflow.
func Product(a, b int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	if hi != 0 || lo > math.MaxInt64 {
		return 0, ErrOverflow
	}
	if negative {
		return -int64(lo), nil
	}
	return int64(lo), nil
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return uint64(-(v + 1)) + 1 //nolint:gosec // the sum keeps MinInt64 in range
	}
	return uint64(v)
}

// Allocate shares total by weights with the largest-remainder method: the shares add up to total, each is its exact share
// rounded down or up, and of equal remainders the earlier part gets the unit. total and the weights must not be negative;
// without any weight the first part takes all.
func Allocate(total int64, weights []int64) []int64 {
	shares := make([]int64, len(weights))
	if len(weights) == 0 {
		return shares
	}
	var sum uint64
	for _, w := range weights {
		sum += uint64(max(w, 0))
	}
	if sum == 0 {
		shares[0] = total
		return shares
	}
	remainders := make([]uint64, len(weights))
	left := total
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(max(total, 0)), uint64(max(w, 0)))
		quotient, remainder := bits.Div64(hi, lo, sum)
		shares[i], remainders[i] = int64(quotient), remainder //nolint:gosec // at most total
		left -= shares[i]
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return remainders[order[a]] > remainders[order[b]] })
	for i := int64(0); i < left; i++ {
		shares[order[i]]++
	}
	return shares
}
