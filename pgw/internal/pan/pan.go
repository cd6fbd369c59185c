// Package pan keeps card numbers out of free text: a gateway that stores one by accident is in scope of PCI DSS with all
// that it stores.
package pan

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

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

// run is groups of digits, ASCII or full-width, with one space or hyphen between two.
var run = regexp.MustCompile(`[0-9０-９]+(?:[ \-\x{3000}][0-9０-９]+)*`)

// Find reports whether text holds a card number: 13 to 19 digits standing alone (single spaces or hyphens between them do not
// hide it; ASCII or full-width), Luhn-valid, with an issuer's prefix.
func Find(text string) bool {
	for _, at := range run.FindAllStringIndex(text, -1) {
		groups := strings.FieldsFunc(text[at[0]:at[1]], func(r rune) bool { return r == ' ' || r == '-' || r == '\u3000' })
		// A letter beside a group makes it part of a word, such as an id.
		if before, _ := utf8.DecodeLastRuneInString(text[:at[0]]); wordy(before) {
			groups = groups[1:]
		}
		if after, _ := utf8.DecodeRuneInString(text[at[1]:]); wordy(after) && len(groups) > 0 {
			groups = groups[:len(groups)-1]
		}
		for i := range groups {
			groups[i] = strings.Map(ascii, groups[i])
		}
		if holds(groups) {
			return true
		}
	}
	return false
}

// wordy characters join digits to a word, so that they do not stand alone.
func wordy(r rune) bool {
	return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
}

// ascii turns full-width digits into plain ones.
func ascii(r rune) rune {
	if r >= '０' && r <= '９' {
		return r - '０' + '0'
	}
	return r
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
