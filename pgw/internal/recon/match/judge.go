package match

import (
	"slices"
	"strconv"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
)

// charges judges the payment itself.
func (c *sorted) charges() {
	switch it := c.charge; {
	case it != nil && it.SettledDay != "":
		c.settledCharge(it)
	case len(c.taken) == 0 || c.reversed():
		c.nothingKept(it)
	default:
		c.kept(it)
	}
}

// reversed: the provider took the money and gave it back by cancelling, which PayPay shows as COMPLETED, then FAILED. A failure
// before the completion is only a customer's first try.
func (c *sorted) reversed() bool {
	if len(c.taken) == 0 || len(c.declined) == 0 {
		return false
	}
	last, failure := c.taken[len(c.taken)-1], c.declined[len(c.declined)-1]
	if !failure.AcceptedAt.Equal(last.AcceptedAt) {
		return failure.AcceptedAt.After(last.AcceptedAt)
	}
	return failure.Number > last.Number
}

// settledCharge: another day's run has matched it, or this day's line did on a later run.
func (c *sorted) settledCharge(it *Item) {
	again := c.taken
	if it.SettledDay == c.day.Date && len(again) > 0 {
		var own *Line
		own, again = best(again, it)
		c.agree(own)
	}
	if len(c.declined) == 0 || len(c.taken) > 0 && !c.reversed() {
		c.agree(c.declined...)
	} else {
		last := len(c.declined) - 1
		c.agree(c.declined[:last]...)
		c.except(recon.StatusDiffers, "reversal:"+it.ID, it, c.declined[last], "settled before, and now the provider says failed; the gateway says %s", it.Status)
	}
	c.duplicates(again...)
}

// nothingKept: by the provider's word it has no money of this payment.
func (c *sorted) nothingKept(it *Item) {
	var last *Line
	lines := slices.Concat(c.taken, c.declined)
	if n := len(c.declined); n > 0 {
		last = c.declined[n-1]
		lines = slices.Concat(c.taken, c.declined[:n-1])
	}
	switch {
	case it == nil:
		c.agree(c.declined...)
		c.agree(c.taken...)
	case it.State == Failed || it.State == Open:
		c.agree(c.declined...)
		c.agree(c.taken...)
		c.absent(it)
	case it.State == Late && c.returned():
		// Taken and handed back within the provider: both books say nothing is left.
		c.agree(c.declined...)
		c.agree(c.taken...)
		c.bothGone(it)
	case last == nil:
		c.absent(it)
	default:
		c.agree(lines...)
		c.except(recon.StatusDiffers, itemKey(format.Charge, it.ID), it, last, "the provider says failed, the gateway %s", it.Status)
	}
}

// returned: the gateway gave a late success back and the file shows no refund for it.
func (c *sorted) returned() bool {
	back := c.theReturn()
	return back != nil && back.State == Taken && back.Amount == -c.charge.Amount && len(c.given) == 0
}

func (c *sorted) theReturn() *Item {
	if at := slices.IndexFunc(c.refund, func(r *Item) bool { return r.Return }); at >= 0 {
		return c.refund[at]
	}
	return nil
}

func (c *sorted) bothGone(it *Item) {
	back := c.theReturn()
	c.add(Agreed, it, nil)
	c.add(Agreed, back, nil)
	c.refund = slices.DeleteFunc(c.refund, func(r *Item) bool { return r == back })
}

// kept: by the provider's word it has the money.
func (c *sorted) kept(it *Item) {
	line, again := best(c.taken, it)
	c.agree(c.declined...)
	switch {
	case it == nil:
		c.except(recon.MissingAtGateway, itemKey(format.Charge, line.Reference), nil, line, "the gateway does not know this charge")
	case it.State == Failed && c.gaveBack(line):
		c.agree(line)
		c.absent(it)
	default:
		c.pair(it, line)
	}
	c.duplicates(again...)
}

// gaveBack finds the refund line by which the provider shows a cancellation of ours: under the charge's own reference, of its whole
// amount, and no refund of ours asked for it. The line is taken.
func (c *sorted) gaveBack(charge *Line) bool {
	if len(c.refund) > 0 {
		return false
	}
	at := slices.IndexFunc(c.given, func(l *Line) bool { return l.Reference == charge.Reference && l.Amount == -charge.Amount })
	if at < 0 {
		return false
	}
	c.agree(c.given[at])
	c.given = slices.Delete(slices.Clone(c.given), at, at+1)
	return true
}

// refunds judges what was given back. A provider keys a refund's line by our refund's id, or by the charge's: both are read.
func (c *sorted) refunds() {
	var rest []*Item
	for _, r := range c.refund {
		if !c.ownLines(r) {
			rest = append(rest, r)
		}
	}
	rest = c.byAmount(rest)
	rest = c.byOrder(rest)
	for _, r := range rest {
		c.absent(r)
	}
	c.unclaimed()
	c.agree(c.refused...)
}

// take removes and returns the lines that fit.
func take(from *[]*Line, fits func(*Line) bool) []*Line {
	var out, left []*Line
	for _, l := range *from {
		if fits(l) {
			out = append(out, l)
		} else {
			left = append(left, l)
		}
	}
	*from = left
	return out
}

// ownLines judges a refund by the lines that name it; false when there are none.
func (c *sorted) ownLines(r *Item) bool {
	names := func(l *Line) bool { return l.Reference == r.ID }
	done, refused := take(&c.given, names), take(&c.refused, names)
	if len(done)+len(refused) == 0 {
		return false
	}
	switch {
	case r.SettledDay != "":
		if r.SettledDay == c.day.Date && len(done) > 0 {
			c.agree(done[0])
			done = done[1:]
		}
		c.duplicates(done...)
	case len(done) > 0:
		line, again := best(done, r)
		c.pair(r, line)
		c.duplicates(again...)
	case r.State == Taken:
		c.except(recon.StatusDiffers, itemKey(format.Refund, r.ID), r, refused[0], "the provider says failed, the gateway %s", r.Status)
		refused = refused[1:]
	default:
		c.absent(r)
	}
	// A refusal that the provider tried again until it went through, or that both know of.
	c.agree(refused...)
	return true
}

// byAmount pairs refunds with the lines under the charge's reference that have their amount. Equal refunds of one charge are
// interchangeable: any pairing says the same. It returns the refunds that found none.
func (c *sorted) byAmount(refunds []*Item) (rest []*Item) {
	for _, wanted := range []func(*Item) bool{
		func(r *Item) bool { return r.SettledDay == c.day.Date },
		func(r *Item) bool { return r.SettledDay == "" && r.State == Taken },
		func(r *Item) bool { return r.SettledDay == "" && r.State != Taken },
	} {
		for _, r := range refunds {
			if !wanted(r) {
				continue
			}
			at := slices.IndexFunc(c.given, func(l *Line) bool { return l.Reference == r.AttemptID && l.Amount == r.Amount })
			if at < 0 {
				rest = append(rest, r)
				continue
			}
			line := c.given[at]
			c.given = slices.Delete(slices.Clone(c.given), at, at+1)
			if r.SettledDay != "" {
				c.agree(line)
			} else {
				c.pair(r, line)
			}
		}
	}
	for _, r := range refunds {
		if r.SettledDay != "" && r.SettledDay != c.day.Date {
			rest = append(rest, r)
		}
	}
	return rest
}

// byOrder pairs what is left on both sides: a refund of another amount, or one the provider refused.
func (c *sorted) byOrder(refunds []*Item) (rest []*Item) {
	for _, r := range refunds {
		expected := r.SettledDay == "" && r.State == Taken && (r.InWindow || r.Carried != "")
		under := func(l *Line) bool { return l.Reference == r.AttemptID }
		if at := slices.IndexFunc(c.given, under); expected && at >= 0 {
			line := c.given[at]
			c.given = slices.Delete(slices.Clone(c.given), at, at+1)
			c.pair(r, line)
			continue
		}
		same := func(l *Line) bool { return under(l) && l.Amount == r.Amount }
		if at := slices.IndexFunc(c.refused, same); expected && at >= 0 {
			line := c.refused[at]
			c.refused = slices.Delete(slices.Clone(c.refused), at, at+1)
			c.except(recon.StatusDiffers, itemKey(format.Refund, r.ID), r, line, "the provider says failed, the gateway %s", r.Status)
			continue
		}
		rest = append(rest, r)
	}
	return rest
}

// unclaimed judges refund lines that no refund of ours asked for.
func (c *sorted) unclaimed() {
	known := c.group.ChargeKnown || len(c.taken) > 0 || c.charge != nil && (c.charge.State == Taken || c.charge.State == Late)
	seen := map[int64]int{}
	for _, r := range c.refund {
		if r.State == Taken {
			seen[r.Amount]++
		}
	}
	for i, l := range c.given {
		key := itemKey(format.Refund, l.Reference)
		switch {
		case seen[l.Amount] > 0:
			c.duplicates(l)
			continue
		case known:
			c.except(recon.MissingAtGateway, nth(key, i), nil, l, "the gateway knows the charge, and not this refund")
		default:
			c.except(recon.RefundWithoutCharge, nth(key, i), nil, l, "there is no charge that this refund could give back")
		}
		seen[l.Amount]++
	}
}

// nth tells several unknown refunds under one reference apart.
func nth(key string, i int) string {
	if i == 0 {
		return key
	}
	return key + "#" + strconv.Itoa(i+1)
}
