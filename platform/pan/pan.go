// Package pan keeps card numbers out of free text: a system that stores one by accident is in scope of PCI DSS with all
// that it stores.
package pan

import (
	"strings"

	"github.com/mpac-cloud/mpac/platform/problem"
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

// Find reports whether text holds a card number: 13 to 19 digits standing alone (single spaces or hyphens between them do not
// hide it; ASCII or full-width), Luhn-valid, with an issuer's prefix.
func Find(text string) bool {
	for _, run := range runs(text) {
		if holds(run) {
			return true
		}
	}
	return false
}

// Refuse is the error of a member of a request that holds a card number.
func Refuse(field, text string) error {
	if !Find(text) {
		return nil
	}
	return problem.Validation.Field(field, "looks like a card number, which must not be kept here")
}

// runs finds each maximal run of digit groups. A group is digits; between two groups of a run stands one space or hyphen. A
// letter beside a group makes it part of something else: an id, not a number alone.
func runs(text string) [][]string {
	s := scanner{clean: true, last: ' '}
	for _, r := range text {
		s.next(r)
	}
	s.endRun()
	return s.runs
}

// scanner collects the runs of a text.
type scanner struct {
	runs   [][]string
	groups []string // of the run that goes on
	group  strings.Builder
	clean  bool // the group that goes on touches no letter
	last   rune
}

func (s *scanner) next(r rune) {
	d, isDigit := digit(r)
	switch {
	case isDigit:
		if s.group.Len() == 0 && wordy(s.last) {
			s.clean = false
		}
		s.group.WriteByte(d)
	case s.group.Len() > 0 && s.clean && joins(r):
		s.endGroup()
	default:
		if wordy(r) {
			s.clean = false
		}
		s.endRun()
	}
	s.last = r
}

func (s *scanner) endGroup() {
	if s.group.Len() > 0 && s.clean {
		s.groups = append(s.groups, s.group.String())
	}
	s.group.Reset()
}

func (s *scanner) endRun() {
	s.endGroup()
	if len(s.groups) > 0 {
		s.runs = append(s.runs, s.groups)
	}
	s.groups, s.clean = nil, true
}

// joins says whether r may stand between two groups of one number.
func joins(r rune) bool { return r == ' ' || r == '-' || r == '\u3000' }

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
