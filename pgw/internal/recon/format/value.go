package format

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/width"

	"github.com/mpac-cloud/mpac/platform/money"
)

// maxReference is the longest key a provider takes from us (PayPay: merchantPaymentId and merchantRefundId).
const maxReference = 64

// maxAmount bounds one line, in minor units: far above any payment, far below where sums of a day could overflow.
const maxAmount = 1_000_000_000_000

// parse reads the fields of one record; reason is why it cannot, and line then has at most a reference.
func (r *Reader) parse(number int, fields [][]byte) (line Line, reason string) {
	l := r.layout
	if len(fields) != l.width {
		return Line{}, fmt.Sprintf("%d columns, expected %d", len(fields), l.width)
	}
	var value [fieldCount]string
	for f := fieldNone + 1; f < fieldCount; f++ {
		if l.at[f] < 0 {
			continue
		}
		text, ok := r.decode(fields[l.at[f]])
		if !ok {
			reason = fmt.Sprintf("column %d is not in the file's encoding", l.at[f]+1)
			continue
		}
		value[f] = strings.TrimSpace(fold(text))
	}
	if reason == "" {
		line, err := r.read(value)
		if err == nil {
			line.Number = number
			return line, ""
		}
		reason = err.Error()
	}
	if IsID(value[FieldReference]) {
		line.Reference = value[FieldReference]
	}
	return line, reason
}

func (r *Reader) read(value [fieldCount]string) (Line, error) {
	f := r.format
	if c := value[FieldContract]; r.contract != "" && c != "" && c != r.contract {
		return Line{}, fmt.Errorf("of merchant %.40q, the file is of %s", c, r.contract)
	}
	meaning, known := f.Statuses[value[FieldStatus]]
	if !known {
		return Line{}, fmt.Errorf("unknown status %.40q", value[FieldStatus])
	}
	if err := checkID("payment number", value[FieldProviderID]); err != nil {
		return Line{}, err
	}
	if err := checkID("merchant's reference", value[FieldReference]); err != nil {
		return Line{}, err
	}
	at, err := parseTime(value[FieldAcceptedAt], f.Times, f.Zone)
	if err != nil {
		return Line{}, err
	}
	currency := f.Currency
	if c := value[FieldCurrency]; c != "" {
		if currency, err = money.ParseCurrency(c); err != nil {
			return Line{}, fmt.Errorf("unknown currency %.40q", c)
		}
	}
	amount, err := parseAmount(value[FieldAmount], currency, meaning)
	if err != nil {
		return Line{}, err
	}
	return Line{
		Entry: meaning.Entry, Outcome: meaning.Outcome, ProviderID: value[FieldProviderID], Reference: value[FieldReference],
		StoreID: value[FieldStore], AcceptedAt: at, Amount: amount, Currency: currency,
	}, nil
}

// IsID tells whether s can be an id that a provider was given or gave.
func IsID(s string) bool { return checkID("", s) == nil }

// checkID holds an id to what providers allow in one: up to 64 of [A-Za-z0-9_-].
func checkID(what, s string) error {
	if s == "" {
		return fmt.Errorf("no %s", what)
	}
	if len(s) > maxReference {
		return fmt.Errorf("the %s is longer than %d", what, maxReference)
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return fmt.Errorf("the %s %.80q has a character that no id has", what, s)
		}
	}
	return nil
}

// yen takes the sign out. In Shift_JIS it is the byte of ASCII's backslash.
var yen = strings.NewReplacer("¥", "", `\`, "")

func parseTime(s string, layouts []string, zone *time.Location) (time.Time, error) {
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil {
			if at.Year() < 2000 || at.Year() > 2999 {
				break
			}
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("unreadable date %.40q", s)
}

// parseAmount reads an amount and gives it the sign its status asks for: PayPay writes refunds negative, and shows them
// positive in one table. A completed charge below zero contradicts itself.
func parseAmount(s string, currency money.Currency, meaning Meaning) (int64, error) {
	body := strings.TrimPrefix(strings.TrimSuffix(s, "円"), "+")
	// Accountants' signs for "less".
	for _, minus := range []string{"-", "−", "▲", "△"} {
		if rest, found := strings.CutPrefix(body, minus); found {
			body = "-" + rest
			break
		}
	}
	body = yen.Replace(body)
	amount, err := money.ParseDecimal(body, currency)
	if errors.Is(err, money.ErrOverflow) || amount > maxAmount || amount < -maxAmount {
		return 0, fmt.Errorf("amount %.40q is out of range", s)
	}
	if err != nil {
		return 0, fmt.Errorf("unreadable amount %.40q", s)
	}
	if meaning.Entry == Refund {
		return -max(amount, -amount), nil
	}
	if amount < 0 && meaning.Outcome == Completed {
		return 0, fmt.Errorf("a completed payment of %s is negative", s)
	}
	return max(amount, -amount), nil
}

// fold turns full-width digits, letters and punctuation into the plain ones.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return width.Fold.String(s)
		}
	}
	return s
}
