// Package format reads providers' settlement files. Each format is one declaration (columns, encoding, signs, dates, file
// names); the reader is the same for all. It streams: memory does not grow with the file. A line that cannot be read is set
// aside with its number and the reason; it never stops the file and never vanishes.
package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding"

	"github.com/mpac-cloud/mpac/platform/money"
)

// Entry says which way a line moves money.
type Entry string

// The two ways.
const (
	Charge Entry = "charge"
	Refund Entry = "refund"
)

// Outcome says whether the provider moved the money.
type Outcome string

// The two outcomes a line can tell.
const (
	Completed Outcome = "completed"
	Failed    Outcome = "failed"
)

// Meaning is what a provider's word for a status says.
type Meaning struct {
	Entry   Entry
	Outcome Outcome
}

// Line is one line of a settlement file, in the platform's own terms.
type Line struct {
	Number     int   // in the file, from 1, the header included
	Entry      Entry // charge or refund
	Outcome    Outcome
	ProviderID string // the provider's id of the payment
	Reference  string // what we gave the provider as our key: an attempt's or a refund's id
	StoreID    string // the store as told to the provider; may be empty
	AcceptedAt time.Time
	Amount     int64 // minor unit; negative for refunds
	Currency   money.Currency
}

// Rejection is a line that could not be read, and why.
type Rejection struct {
	Number int
	Reason string
	// Reference is whose line it is, when at least that can be read; else empty.
	Reference string
	SHA256    string // of the line's bytes as received, in hex: the same bad line keeps its identity in the next version
}

// Field names a column that the reader understands. Columns of no field are skipped.
type Field int

// The fields of a line.
const (
	fieldNone Field = iota
	FieldProviderID
	FieldContract
	FieldStore
	FieldStatus
	FieldAcceptedAt
	FieldAmount
	FieldCurrency
	FieldReference
	fieldCount
)

// Column is one column of a layout. A file's own header decides the order; without a header the declaration's does.
type Column struct {
	Headers  []string // as the provider has written it over time
	Field    Field    // zero: known, not needed
	Optional bool     // a file may lack the column
	Rest     bool     // the last column may hold unquoted commas when it begins with '[': JSON as some exports write it
}

// Format declares one kind of file.
type Format struct {
	Name     string
	Provider string
	// File matches the file's name and has the groups contract, from and to; the latter are FileTime in Zone, inclusive.
	File     *regexp.Regexp
	FileTime string
	Zone     *time.Location
	Columns  []Column
	// Legacy is how the file is encoded when it is not UTF-8.
	Legacy   encoding.Encoding
	Currency money.Currency // of a file without a currency column
	Statuses map[string]Meaning
	Times    []string // layouts, tried in order; those without a zone are in Zone
}

// Name is what a file's name says about its content.
type Name struct {
	Contract string    // the provider's id of our contract (PayPay: merchant id)
	From, To time.Time // the window the file covers: From included, To not
	Day      string    // yyyy-mm-dd of From in the format's zone
	Partial  bool      // the window ends before the day does
}

// ParseName reads a file's name; ok is false when it is not of this format. An impossible window is an error.
func (f *Format) ParseName(name string) (n Name, ok bool, err error) {
	m := f.File.FindStringSubmatch(name)
	if m == nil {
		return Name{}, false, nil
	}
	group := func(g string) string { return m[f.File.SubexpIndex(g)] }
	from, err1 := time.ParseInLocation(f.FileTime, group("from"), f.Zone)
	last, err2 := time.ParseInLocation(f.FileTime, group("to"), f.Zone)
	if err1 != nil || err2 != nil || last.Before(from) {
		return Name{}, true, fmt.Errorf("%s: the window in the name is impossible", name)
	}
	to := last.Add(time.Second)
	next := time.Date(from.Year(), from.Month(), from.Day()+1, 0, 0, 0, 0, f.Zone)
	if to.After(next) {
		return Name{}, true, fmt.Errorf("%s: the window in the name is longer than a day", name)
	}
	return Name{
		Contract: group("contract"), From: from.UTC(), To: to.UTC(),
		Day: from.Format(time.DateOnly), Partial: to.Before(next),
	}, true, nil
}

// Day is the provider's day that an instant belongs to, as yyyy-mm-dd.
func (f *Format) Day(at time.Time) string { return at.In(f.Zone).Format(time.DateOnly) }

// Bounds are the first instant of the day (yyyy-mm-dd) and the first of the next.
func (f *Format) Bounds(day string) (from, to time.Time, err error) {
	d, err := time.ParseInLocation(time.DateOnly, day, f.Zone)
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("day %q is not of the form 2026-11-21", day)
	}
	return d.UTC(), d.AddDate(0, 0, 1).UTC(), nil
}

// layout is where a file keeps each field.
type layout struct {
	at    [fieldCount]int // column of the field, -1 when the file lacks it
	width int
	rest  int // the last column, when it may hold unquoted commas; else -1
}

// fromHeader finds the columns by their names. It returns nil when the row is no header of this format, and an error when it
// is one but lacks what is needed.
func (f *Format) fromHeader(row []string) (*layout, error) {
	l := &layout{width: len(row), rest: -1}
	for i := range l.at {
		l.at[i] = -1
	}
	known := 0
	for i, cell := range row {
		c := f.column(cell)
		if c == nil {
			continue
		}
		known++
		if c.Field != fieldNone && l.at[c.Field] < 0 {
			l.at[c.Field] = i
		}
		if c.Rest && i == len(row)-1 {
			l.rest = i
		}
	}
	if known < 2 {
		return nil, nil //nolint:nilnil // "no header" is an answer, not a failure
	}
	var missing []string
	for _, c := range f.Columns {
		if c.Field != fieldNone && !c.Optional && l.at[c.Field] < 0 {
			missing = append(missing, c.Headers[0])
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("%s: the header lacks %s", f.Name, strings.Join(missing, ", "))
	}
	return l, nil
}

// declared is the layout of a file without a header, when a row of the given width can be one. Columns that are missing at
// the end are allowed when they are optional: older files are shorter.
func (f *Format) declared(width int) *layout {
	if width > len(f.Columns) || slices.ContainsFunc(f.Columns[width:], func(c Column) bool { return !c.Optional }) {
		return nil
	}
	l := &layout{width: width, rest: -1}
	if f.Columns[width-1].Rest {
		l.rest = width - 1
	}
	for i := range l.at {
		l.at[i] = -1
	}
	for i, c := range f.Columns[:width] {
		if c.Field != fieldNone {
			l.at[c.Field] = i
		}
	}
	return l
}

func (f *Format) column(header string) *Column {
	header = fold(strings.TrimSpace(header))
	for i := range f.Columns {
		for _, h := range f.Columns[i].Headers {
			if strings.EqualFold(fold(h), header) {
				return &f.Columns[i]
			}
		}
	}
	return nil
}
