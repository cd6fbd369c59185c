// Package match is the judgement of a reconciliation: what a group of lines and gateway items that speak of one payment amounts
// to. It is plain functions over plain types; the bulk that agrees at first sight is joined in SQL by the same rule (Exact) and
// never comes here.
package match

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
)

// Rule is how a pair was found. Rules have priorities; the first that fits wins.
type Rule string

// Exact is the rule that reference, amount and currency are equal. The SQL of the bulk join says the same.
const Exact Rule = "exact"

// State is where a gateway item stands, as far as money is concerned.
type State string

// The states.
const (
	Taken  State = "taken"  // we recorded that the money moved
	Late   State = "late"   // it moved for an intent that was over; booked to suspense and returned
	Failed State = "failed" // it did not move
	Open   State = "open"   // we do not know yet
)

// Line is a line of the file, or one of an earlier file whose exception is still open.
type Line struct {
	format.Line
	Day string // of the file that has the line, yyyy-mm-dd
	// Carried is the open exception of an earlier day that this line is of; else empty.
	Carried string
	// Unreadable is why the line could not be read. Of such a line only number and, at best, reference are known.
	Unreadable string
	// Key is the item of the exception that a carried or unreadable line is of by itself.
	Key string
}

// Item is a charge's attempt or a refund as the gateway recorded it.
type Item struct {
	ID         string
	Entry      format.Entry
	AttemptID  string
	IntentID   string
	State      State
	Status     string // the gateway's own word
	Amount     int64  // minor unit; negative for refunds
	Currency   string
	AcceptedAt time.Time // by the provider's word; zero when it never said
	StoreID    string
	Return     bool // a refund by which the gateway gave a late success back
	InWindow   bool // the file must have it
	Due        bool // and not only in its last seconds
	// Carried is the open exception of an earlier day about this item, and CarriedKind its kind; else empty.
	Carried     string
	CarriedKind recon.Kind
	// SettledDay is set when another run has matched it: the day of the file that has its line.
	SettledDay string
}

// Group is everything that speaks of one payment.
type Group struct {
	// Key is the attempt's id, or the reference that nobody knows.
	Key   string
	Lines []Line
	Items []Item
	// ChargeKnown: the payment that an unknown refund gives back is known by its provider's number.
	ChargeKnown bool
}

// Result is what became of a line, an item or a pair.
type Result string

// The results.
const (
	Matched   Result = "matched"
	Agreed    Result = "agreed"  // both sides say that no money moved, or the line is already settled
	NotDue    Result = "not_due" // too fresh to judge
	Stays     Result = "stays"   // an open exception of an earlier day about which nothing new is known
	Exception Result = "exception"
)

// Verdict is the result for a pair, or for one side alone.
type Verdict struct {
	Result Result
	Kind   recon.Kind // of an exception
	Key    string     // of an exception: what the item is, within the contract
	Reason string     // of an exception, for people
	Item   *Item
	Line   *Line
}

// Day is the day being judged.
type Day struct {
	Date string // yyyy-mm-dd, the provider's
	// Now is when it is judged, and Settling a little before: what the provider accepted in between may still be unknown to us
	// without anything being wrong.
	Settling, Now time.Time
}

// Judge gives every line and every item of the group exactly one verdict, except items that are only there to be looked at.
func (d Day) Judge(g Group) []Verdict {
	c := sort(d, g)
	c.charges()
	c.refunds()
	c.unreadable()
	return c.verdicts
}

// group sorted for judgement.
type sorted struct {
	day      Day
	group    Group
	charge   *Item
	refund   []*Item
	taken    []*Line // completed charges
	declined []*Line // failed charges
	given    []*Line // completed refunds
	refused  []*Line // failed refunds
	unread   []*Line
	verdicts []Verdict
	dupes    int
}

func sort(d Day, g Group) *sorted {
	c := &sorted{day: d, group: g}
	slices.SortStableFunc(g.Lines, func(a, b Line) int {
		return cmp.Or(-cmp.Compare(a.Carried, b.Carried), a.AcceptedAt.Compare(b.AcceptedAt), cmp.Compare(a.Number, b.Number))
	})
	slices.SortFunc(g.Items, func(a, b Item) int {
		return cmp.Or(a.AcceptedAt.Compare(b.AcceptedAt), cmp.Compare(a.ID, b.ID))
	})
	for i := range g.Items {
		if it := &g.Items[i]; it.Entry == format.Charge {
			c.charge = it
		} else {
			c.refund = append(c.refund, it)
		}
	}
	for i := range g.Lines {
		l := &g.Lines[i]
		switch {
		case l.Unreadable != "":
			c.unread = append(c.unread, l)
		case l.Entry == format.Charge && l.Outcome == format.Completed:
			c.taken = append(c.taken, l)
		case l.Entry == format.Charge:
			c.declined = append(c.declined, l)
		case l.Outcome == format.Completed:
			c.given = append(c.given, l)
		default:
			c.refused = append(c.refused, l)
		}
	}
	return c
}

func (c *sorted) add(r Result, it *Item, l *Line) {
	c.verdicts = append(c.verdicts, Verdict{Result: r, Item: it, Line: l})
}

func (c *sorted) agree(lines ...*Line) {
	for _, l := range lines {
		c.add(Agreed, nil, l)
	}
}

func (c *sorted) except(kind recon.Kind, key string, it *Item, l *Line, reason string, args ...any) {
	if l != nil && l.Carried != "" {
		key = l.Key
	}
	c.verdicts = append(c.verdicts, Verdict{
		Result: Exception, Kind: kind, Key: key, Item: it, Line: l, Reason: fmt.Sprintf(reason, args...),
	})
}

// duplicates are lines that say again what another line has settled. The item is the line, not the payment: the payment may be in
// order.
func (c *sorted) duplicates(lines ...*Line) {
	for _, l := range lines {
		c.dupes++
		if l.Carried != "" {
			c.add(Stays, nil, l)
			continue
		}
		c.except(recon.DuplicateAtProvider, fmt.Sprintf("duplicate:%s:%s:%s:%d", l.Entry, l.Reference, c.day.Date, c.dupes), nil, l,
			"the file has this %s more than once", l.Entry)
	}
}

// itemKey names what an exception is of: the gateway's item, or the reference of a line that nobody knows.
func itemKey(entry format.Entry, id string) string { return string(entry) + ":" + id }

// pair judges an item and the completed line that speaks of it.
func (c *sorted) pair(it *Item, l *Line) {
	key := itemKey(it.Entry, it.ID)
	switch {
	case it.State == Open && l.AcceptedAt.After(c.day.Settling) && !l.AcceptedAt.After(c.day.Now):
		c.add(NotDue, it, l)
	case it.State == Open || it.State == Failed:
		c.except(recon.StatusDiffers, key, it, l, "the provider completed it, the gateway says %s", it.Status)
	case string(l.Currency) != it.Currency:
		c.except(recon.CurrencyDiffers, key, it, l, "the provider says %s, the gateway %s", l.Currency, it.Currency)
	case l.Amount != it.Amount:
		c.except(recon.AmountDiffers, key, it, l, "the provider says %d, the gateway %d", l.Amount, it.Amount)
	default:
		c.add(Matched, it, l)
	}
}

// absent judges an item that the provider says nothing about.
func (c *sorted) absent(it *Item) {
	moved := it.State == Taken || it.State == Late
	switch {
	case it.SettledDay != "":
	case !moved:
		if it.Carried != "" {
			c.add(Agreed, it, nil)
		}
	case it.Carried == "" && !it.InWindow:
	case c.unreadableOf(it):
	case it.CarriedKind == recon.Unparsable:
		c.add(Stays, it, nil)
	case it.Carried == "" && !it.Due:
		c.add(NotDue, it, nil)
	default:
		c.except(recon.MissingAtProvider, itemKey(it.Entry, it.ID), it, nil, "the provider's file does not have this %s", it.Entry)
	}
}

// unreadableOf finds the line that names the item and could not be read: one exception for both. The line is taken.
func (c *sorted) unreadableOf(it *Item) bool {
	at := slices.IndexFunc(c.unread, func(l *Line) bool { return l.Reference == it.ID })
	if at < 0 {
		return false
	}
	line := c.unread[at]
	c.unread = slices.Delete(slices.Clone(c.unread), at, at+1)
	c.except(recon.Unparsable, itemKey(it.Entry, it.ID), it, line, "%s", line.Unreadable)
	return true
}

// unreadable judges the lines that could not be read and that no item waits for.
func (c *sorted) unreadable() {
	for _, l := range c.unread {
		later := func(it Item) bool { return it.ID == l.Reference && it.SettledDay > c.day.Date }
		if slices.ContainsFunc(c.group.Items, later) {
			// A later day's file has said what this line could not.
			c.agree(l)
			continue
		}
		c.except(recon.Unparsable, l.Key, nil, l, "%s", l.Unreadable)
	}
}

// best is the line whose amount is the item's, or the first.
func best(lines []*Line, it *Item) (first *Line, rest []*Line) {
	at := slices.IndexFunc(lines, func(l *Line) bool { return it != nil && l.Amount == it.Amount && l.Carried == "" })
	if at < 0 {
		at = slices.IndexFunc(lines, func(l *Line) bool { return it != nil && l.Amount == it.Amount })
	}
	at = max(at, 0)
	return lines[at], slices.Concat(lines[:at], lines[at+1:])
}
