package pgwfeed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
)

// Run reads all shards of the feed until ctx is over. Trouble of any kind is waited out.
func (r *Reader) Run(ctx context.Context) {
	defer r.observeContact()()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { r.sweep(ctx) })
	shards := make(chan int, 1)
	shards <- 1
	started := 0
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-shards:
			for ; started < n; started++ {
				shard := int32(started)
				running.Go(func() { r.follow(ctx, shard, shards) })
			}
		}
	}
}

// follow works one shard whenever its lease is to be had.
func (r *Reader) follow(ctx context.Context, shard int32, shards chan<- int) {
	for ctx.Err() == nil {
		c, held, err := r.lease(ctx, shard)
		switch {
		case err == nil && !held:
			r.contacts.gone(shard) // another task listens, and tells
		case err == nil:
			r.contacts.begun(shard, r.Clock())
			err = r.hold(ctx, shard, c, shards)
		}
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "feed: shard interrupted", "shard", shard, "error", err)
		}
		pause(ctx, r.Config.Lease/5)
	}
}

// hold reads a shard for as long as the lease can be renewed.
func (r *Reader) hold(ctx context.Context, shard int32, c cursor, shards chan<- int) error {
	work, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	go r.renew(work, shard, lost)
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := r.release(last, shard); err != nil {
			slog.WarnContext(ctx, "feed: lease not given back", "shard", shard, "error", err)
		}
	}()
	for {
		next, err := r.once(work, shard, c, shards)
		if err != nil {
			if cause := context.Cause(work); cause != nil && ctx.Err() == nil {
				return cause
			}
			return err
		}
		c = next
	}
}

// renew keeps the lease alive, and ends the work when it is lost or cannot be renewed in time.
func (r *Reader) renew(ctx context.Context, shard int32, lost context.CancelCauseFunc) {
	last := time.Now() //nolint:forbidigo // a lease lives by the real clock
	for {
		pause(ctx, r.Config.Lease/4)
		if ctx.Err() != nil {
			return
		}
		try, cancel := context.WithTimeout(ctx, r.Config.Lease/4)
		_, held, err := r.lease(try, shard)
		cancel()
		switch {
		case err == nil && held:
			last = time.Now() //nolint:forbidigo // see above
		case err == nil || time.Since(last) > r.Config.Lease:
			lost(errLeaseLost)
			return
		}
	}
}

// once reads one page and lets it take effect; it returns where the shard then stands.
func (r *Reader) once(ctx context.Context, shard int32, c cursor, shards chan<- int) (cursor, error) {
	if c.resyncing {
		return r.resync(ctx, shard, c)
	}
	p, err := r.Gateway.Events(ctx, client.Events{After: c.after, Shard: int(shard), Limit: pageSize, Wait: r.Config.Wait})
	if begin, expired := cursorExpired(err); expired {
		slog.ErrorContext(ctx, "feed: the cursor is too old, the gateway's intents are read instead", "shard", shard, "after", c.after)
		return cursor{after: begin, appliedUntil: c.appliedUntil, resyncing: true}, r.turn(ctx, shard, begin, true)
	}
	if err != nil {
		return c, err
	}
	r.contacts.heard(shard, r.Clock())
	if p.Shards > 1 {
		select {
		case shards <- p.Shards:
		default:
		}
	}
	return r.page(ctx, shard, c, p)
}

// page applies what of a page has not been applied yet.
func (r *Reader) page(ctx context.Context, shard int32, c cursor, p client.EventPage) (cursor, error) {
	events := rest(p, c.applied)
	next := cursor{after: p.NextCursor, appliedUntil: c.appliedUntil}
	if len(events) == 0 {
		if p.NextCursor == c.after {
			return c, nil
		}
		return next, r.turn(ctx, shard, p.NextCursor, false)
	}
	all := make([]news, len(events))
	broken := make([]error, len(events))
	for i, e := range events {
		all[i], broken[i] = read(e)
	}
	t, err := r.whose(ctx, all)
	if err != nil {
		return c, err
	}
	for i := range all {
		st := step{shard: shard, event: all[i].Event}
		if i == len(all)-1 {
			st.next = p.NextCursor
		}
		if err := r.one(ctx, st, &all[i], broken[i], t); err != nil {
			return c, err
		}
		next.appliedUntil = &all[i].CreatedAt
	}
	return next, nil
}

// one lets an event take effect, or parks it.
func (r *Reader) one(ctx context.Context, st step, n *news, broken error, t tenants) error {
	ctx, span := followTrace(ctx, n)
	defer span.End()
	ref, known := t.of(n)
	switch {
	case broken != nil:
		return r.park(ctx, st, n.group(), broken)
	case t.parked[n.group()]:
		return r.park(ctx, st, n.group(), errBehind)
	case !known:
		t.parked[n.group()] = true
		return r.park(ctx, st, n.group(), errUnknown)
	}
	err := r.patiently(ctx, func() error { return r.apply(ctx, ref, n, &st) })
	if err == nil {
		observe(ctx, n, r.Clock())
		return nil
	}
	if passing(err) || ctx.Err() != nil {
		return err
	}
	t.parked[n.group()] = true
	return r.park(ctx, st, n.group(), err)
}

var errBehind = errors.New("an earlier event of the same intent is parked")

// patiently tries a few times what fails for a reason that is not plainly passing, before it is held against the event.
func (r *Reader) patiently(ctx context.Context, try func() error) error {
	err := try()
	for wait := 20 * time.Millisecond; err != nil && !passing(err) && !certain(err) && wait < time.Second && ctx.Err() == nil; wait *= 5 {
		pause(ctx, wait)
		err = try()
	}
	return err
}

// certain says whether trying again is of no use.
func certain(err error) bool {
	var contradiction *payment.ContradictionError
	var edge *payment.EdgeError
	return errors.As(err, &contradiction) || errors.As(err, &edge)
}

// cursorExpired says whether err is the gateway's word that a cursor is too old, and where its events begin now.
func cursorExpired(err error) (begin string, expired bool) {
	var e *client.Error
	if !errors.As(err, &e) || e.Code != "cursor_expired" {
		return "", false
	}
	var resync client.Resync
	e.Extension("resync", &resync)
	return resync.Cursor, true
}

// resync reads the gateway's intents that have changed since the last event, and goes on with events from where they begin now.
func (r *Reader) resync(ctx context.Context, shard int32, c cursor) (cursor, error) {
	var from time.Time
	if c.appliedUntil != nil {
		from = c.appliedUntil.Add(-resyncMargin)
	}
	err := r.Gateway.Changed(ctx, from, func(in payment.Intent) error { return r.present(ctx, in) })
	if err != nil {
		return c, err
	}
	c.resyncing = false
	return c, r.turn(ctx, shard, c.after, false)
}

// resyncMargin is how far before the last event a resync begins: clocks differ, and transactions commit late.
const resyncMargin = 15 * time.Minute

// present brings a payment to its intent's present state. What cannot be applied is left to the sweep and to people: there is
// no event to park.
func (r *Reader) present(ctx context.Context, in payment.Intent) error {
	n := news{intent: in, Event: client.Event{PaymentIntentID: in.ID}}
	if !n.own() {
		return nil
	}
	t, err := r.whose(ctx, []news{n})
	if err != nil {
		return err
	}
	ref, known := t.of(&n)
	if !known {
		return nil
	}
	var refunds []payment.GatewayRefund
	if in.RefundedAmount > 0 {
		if refunds, err = r.Gateway.Refunds(ctx, in.ID); err != nil {
			return err
		}
	}
	if err = r.Payments.Catch(ctx, ref, in); err == nil {
		err = r.presentRefunds(ctx, in.ID, refunds)
	}
	if err != nil && !passing(err) && ctx.Err() == nil {
		slog.ErrorContext(ctx, "feed: resync cannot apply an intent", "payment_intent_id", in.ID, "payment_id", ref.PaymentID, "error", err)
		return nil
	}
	return err
}

// presentRefunds brings a payment's refunds to their present state, also those that were not asked for here: of them nothing but
// events would tell.
func (r *Reader) presentRefunds(ctx context.Context, intent string, all []payment.GatewayRefund) error {
	if len(all) == 0 {
		return nil
	}
	batch := make([]news, len(all))
	for i, refund := range all {
		batch[i] = news{refund: refund, Event: client.Event{Type: refundPrefix + refund.Status, PaymentIntentID: intent}}
		batch[i].refers()
	}
	t, err := r.whose(ctx, batch)
	if err != nil {
		return err
	}
	for i := range batch {
		ref, known := t.of(&batch[i])
		if !known {
			return errUnknown
		}
		if err := r.apply(ctx, ref, &batch[i], nil); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// waiting says how many events the gateway has for a shard that were not read yet.
func (r *Reader) waiting(ctx context.Context, s Shard) (string, error) {
	p, err := r.Gateway.Events(ctx, client.Events{After: s.After, Shard: int(s.Number), Limit: pageSize})
	n := fmt.Sprint(len(p.Data))
	if p.HasMore {
		n += " and more"
	}
	return n, err
}
