// Package pan keeps card numbers out of free text: a gateway that stores one by accident is in scope of PCI DSS with all
// that it stores.
package pan

import "strings"

// issuer is a range of leading digits that a card scheme issues under, and the lengths of its numbers.
type issuer struct {
	digits   int // how many leading digits are compared
	from, to int
	shortest int
	longest  int
}

// Prefixes as the schemes publish them (ISO/IEC 7812 ranges).
var issuers = []issuer{
	{1, 4, 4, 13, 19},       // Visa
	{2, 51, 55, 16, 16},     // Mastercard
	{4, 2221, 2720, 16, 16}, // Mastercard
	{2, 34, 34, 15, 15},     // American Express
	{2, 37, 37, 15, 15},     // American Express
	{4, 3528, 3589, 16, 19}, // JCB
	{3, 300, 305, 14, 19},   // Diners Club
	{4, 3095, 3095, 14, 19}, // Diners Club
	{2, 36, 36, 14, 19},     // Diners Club
	{2, 38, 39, 14, 19},     // Diners Club
	{4, 6011, 6011, 16, 19}, // Discover
	{3, 644, 649, 16, 19},   // Discover
	{2, 65, 65, 16, 19},     // Discover
	{2, 62, 62, 16, 19},     // UnionPay
	{2, 81, 81, 16, 19},     // UnionPay
	{4, 5018, 5018, 13, 19}, // Maestro
	{4, 5020, 5020, 13, 19}, // Maestro
	{4, 5038, 5038, 13, 19}, // Maestro
	{4, 6304, 6304, 13, 19}, // Maestro
	{4, 6759, 6759, 13, 19}, // Maestro
	{4, 6761, 6763, 13, 19}, // Maestro
	{4, 2200, 2204, 16, 19}, // Mir
}

const (
	shortest = 13
	longest  = 19
)

// Find reports whether text holds a card number: 13 to 19 digits standing alone (single spaces or hyphens between them do not
// hide it; ASCII or full-width), Luhn-valid, with an issuer's prefix.
func Find(text string) bool {
	for run := range runs(text) {
		if holds(run) {
			return true
		}
	}
	return false
}

// runs yields each maximal run of digit groups. A group is digits; between two groups of a run stands one space or hyphen.
// A letter or another digit-like character beside a group makes it part of something else: an id, not a number alone.
func runs(text string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		var groups []string
		var group strings.Builder
		clean, last := true, ' '
		flush := func() bool {
			if group.Len() > 0 {
				if clean {
					groups = append(groups, group.String())
				}
				group.Reset()
			}
			ok := len(groups) == 0 || yield(groups)
			groups, clean = nil, true
			return ok
		}
		for _, r := range text {
			switch d, isDigit := digit(r); {
			case isDigit:
				if group.Len() == 0 && wordy(last) {
					clean = false
				}
				group.WriteByte(d)
			case (r == ' ' || r == '-' || r == '\u3000') && group.Len() > 0 && clean:
				groups = append(groups, group.String())
				group.Reset()
			case wordy(r) && group.Len() > 0:
				clean = false
				if !flush() {
					return
				}
			default:
				if !flush() {
					return
				}
			}
			last = r
		}
		flush()
	}
}

// wordy characters join digits to a word, so that they do not stand alone.
func wordy(r rune) bool {
	return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
}

// digit reads ASCII and full-width digits.
func digit(r rune) (byte, bool) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r), true
	case r >= '０' && r <= '９':
		return byte('0' + r - '０'), true
	}
	return 0, false
}

// holds reports whether some neighbouring groups together are a card number.
func holds(groups []string) bool {
	for i := range groups {
		joined := ""
		for _, g := range groups[i:] {
			if joined += g; len(joined) > longest {
				break
			}
			if len(joined) >= shortest && luhn(joined) && issued(joined) {
				return true
			}
		}
	}
	return false
}

func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func issued(number string) bool {
	for _, is := range issuers {
		prefix := 0
		for _, c := range []byte(number[:is.digits]) {
			prefix = prefix*10 + int(c-'0')
		}
		if prefix >= is.from && prefix <= is.to && len(number) >= is.shortest && len(number) <= is.longest {
			return true
		}
	}
	return false
}
