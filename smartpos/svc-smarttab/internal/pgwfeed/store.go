package pgwfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
)

type database = *pgxpool.Pool

// everybody is the scope in which the feed sees all tenants: to find whose payment an event is about, to keep what it parks, and
// to keep its place.
var everybody = postgres.CrossTenant("smarttab.feed")

// errLeaseLost ends a reader's work on a shard: another task has it.
var errLeaseLost = errors.New("feed: the lease is somebody else's")

// errUnknown is an event about a payment that is not here.
var errUnknown = errors.New("there is no such payment here")

// cursor is where a shard stands.
type cursor struct {
	after, applied string
	appliedUntil   *time.Time
	resyncing      bool
}

// lease takes or renews the lease of a shard; false when another task holds it.
func (r *Reader) lease(ctx context.Context, shard int32) (cursor, bool, error) {
	var c cursor
	held := false
	err := postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.lease", func(ctx context.Context, tx pgx.Tx) error {
		q := smarttabdb.New(tx)
		if err := q.EnsureFeedShard(ctx, shard); err != nil {
			return err
		}
		row, err := q.LeaseFeedShard(ctx, smarttabdb.LeaseFeedShardParams{Shard: shard, Owner: r.Owner, Seconds: r.Config.Lease.Seconds()})
		if errors.Is(err, pgx.ErrNoRows) {
			held = false
			return nil
		}
		if err != nil {
			return err
		}
		c, held = cursor{after: row.After, applied: row.AppliedEvent, appliedUntil: row.AppliedUntil, resyncing: row.Resyncing}, true
		return nil
	})
	return c, held, err
}

// release gives the lease of a shard back, so that another task need not wait for its end.
func (r *Reader) release(ctx context.Context, shard int32) error {
	return postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.release", func(ctx context.Context, tx pgx.Tx) error {
		return smarttabdb.New(tx).ReleaseFeedShard(ctx, smarttabdb.ReleaseFeedShardParams{Shard: shard, Owner: r.Owner})
	})
}

// turn moves the cursor to another page, or into and out of a resync.
func (r *Reader) turn(ctx context.Context, shard int32, after string, resyncing bool) error {
	return postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.turn", func(ctx context.Context, tx pgx.Tx) error {
		n, err := smarttabdb.New(tx).TurnFeedPage(ctx, smarttabdb.TurnFeedPageParams{
			Shard: shard, Owner: r.Owner, After: after, Resyncing: resyncing,
		})
		return leased(n, err)
	})
}

// step is the place of an event in what is being read: the transaction of its effect moves the cursor past it.
type step struct {
	shard int32
	event client.Event
	next  string // of the last event of a page: the page after it; else empty
}

// take moves the cursor past the event.
func (r *Reader) take(ctx context.Context, tx pgx.Tx, st step) error {
	held, err := smarttabdb.New(tx).StepFeed(ctx, smarttabdb.StepFeedParams{
		Shard: st.shard, Owner: r.Owner, Event: st.event.ID, Made: st.event.CreatedAt, Next: st.next,
	})
	if err == nil && !held {
		return errLeaseLost
	}
	return err
}

func leased(n int64, err error) error {
	if err == nil && n == 0 {
		return errLeaseLost
	}
	return err
}

// tenants are whose the payments and refunds of a page are, and which of its intents have parked events.
type tenants struct {
	payments map[uuid.UUID]payment.Ref
	refunds  map[uuid.UUID]payment.Ref
	intents  map[string]payment.Ref // of refunds' events only
	parked   map[string]bool
}

// whose finds the tenants of a page's events, the one thing that the feed must see across tenants.
func (r *Reader) whose(ctx context.Context, all []news) (tenants, error) {
	t := tenants{payments: map[uuid.UUID]payment.Ref{}, refunds: map[uuid.UUID]payment.Ref{}, intents: map[string]payment.Ref{}, parked: map[string]bool{}}
	var payments, refunds []uuid.UUID
	var groups, intents []string
	for i := range all {
		groups = append(groups, all[i].group())
		if all[i].isRefund() {
			refunds, intents = append(refunds, all[i].refID), append(intents, all[i].PaymentIntentID)
		} else {
			payments = append(payments, all[i].payment)
		}
	}
	err := postgres.InReadTx(ctx, r.DB, everybody, "smarttab.feed.whose", func(ctx context.Context, tx pgx.Tx) error {
		q := smarttabdb.New(tx)
		rows, err := q.PaymentTenants(ctx, payments)
		if err != nil {
			return err
		}
		for _, row := range rows {
			t.payments[row.ID] = payment.Ref{MerchantID: row.MerchantID, StoreID: row.StoreID, PaymentID: row.ID}
		}
		more, err := q.RefundTenants(ctx, refunds)
		if err != nil {
			return err
		}
		for _, row := range more {
			t.refunds[row.ID] = payment.Ref{MerchantID: row.MerchantID, StoreID: row.StoreID, PaymentID: row.PaymentID}
		}
		if len(intents) > 0 {
			paid, err := q.PaymentTenantsByIntent(ctx, intents)
			if err != nil {
				return err
			}
			for _, row := range paid {
				t.intents[row.IntentID] = payment.Ref{MerchantID: row.MerchantID, StoreID: row.StoreID, PaymentID: row.ID}
			}
		}
		parked, err := q.ParkedPayments(ctx, groups)
		for _, group := range parked {
			t.parked[group] = true
		}
		return err
	})
	return t, err
}

// of is whose the event is.
func (t tenants) of(n *news) (payment.Ref, bool) {
	if n.isRefund() {
		if ref, ours := t.ours(n); ours {
			return ref, true
		}
		n.foreign = true
		ref, ok := t.intents[n.PaymentIntentID]
		return ref, ok
	}
	ref, ok := t.payments[n.payment]
	return ref, ok
}

// ours says whether the refund was asked for here, and of which payment. Another's reference may look like one of our ids: it is
// ours only of the payment that we asked for it.
func (t tenants) ours(n *news) (payment.Ref, bool) {
	ref, ok := t.refunds[n.refID]
	paid, known := t.intents[n.PaymentIntentID]
	return ref, ok && (!known || paid == ref)
}

// apply lets one event take effect and moves the cursor past it (st nil: there is none to move), in one transaction of its tenant.
func (r *Reader) apply(ctx context.Context, ref payment.Ref, n *news, st *step) error {
	return postgres.InTx(ctx, r.DB, ref.Scope(), "smarttab.feed.apply", func(ctx context.Context, tx pgx.Tx) error {
		if err := r.effect(ctx, tx, ref, n); err != nil {
			return err
		}
		if st == nil {
			return nil
		}
		return r.take(ctx, tx, *st)
	})
}

// effect is what an event changes.
func (r *Reader) effect(ctx context.Context, tx pgx.Tx, ref payment.Ref, n *news) error {
	switch {
	case n.isRefund() && n.foreign:
		return r.Payments.ApplyForeignRefund(ctx, tx, ref.PaymentID, n.refund)
	case n.isRefund():
		return r.Payments.ApplyRefund(ctx, tx, n.refID, n.refund)
	case n.Type == client.EventIntentReconciled:
		return r.Payments.ApplyReconciled(ctx, tx, ref.PaymentID)
	case n.Type == client.EventIntentLateSuccess:
		return r.Payments.ApplyLateSuccess(ctx, tx, ref.PaymentID)
	default:
		return r.Payments.ApplyIntent(ctx, tx, ref.PaymentID, n.intent, false)
	}
}

// passing says whether the trouble is the database's or the moment's, not the event's: then the page is read again.
func passing(err error) bool {
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, errLeaseLost), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &refused):
		// Classes 08, 40, 53, 55, 57: connection, rollback, resources, locks, operator.
		switch refused.Code[:2] {
		case "08", "40", "53", "55", "57":
			return true
		}
	}
	return problem.Conflict.Is(err) || problem.Unavailable.Is(err)
}

// errUnreadable is an event that cannot be taken apart.
var errUnreadable = errors.New("the event cannot be read")

// park sets an event aside with the reason, leaves the job that tries it again, and moves the cursor past it.
func (r *Reader) park(ctx context.Context, st step, group string, why error) error {
	e := st.event
	content, err := json.Marshal(e)
	if err != nil {
		return err
	}
	slog.ErrorContext(ctx, "feed: event parked", "event_id", e.ID, "type", e.Type, "payment_intent_id", e.PaymentIntentID, "reason", why)
	return postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.park", func(ctx context.Context, tx pgx.Tx) error {
		err := smarttabdb.New(tx).ParkEvent(ctx, smarttabdb.ParkEventParams{
			EventID: e.ID, Shard: st.shard, PaymentRef: group, Type: e.Type, Event: content, Reason: why.Error(), ParkedAt: r.Clock(),
		})
		if err != nil {
			return fmt.Errorf("park %s: %w", e.ID, err)
		}
		if _, err := r.Jobs.InsertTx(ctx, tx, UnparkArgs{Group: group}, soon()); err != nil {
			return err
		}
		return r.take(ctx, tx, st)
	})
}

// parkedGroup is an intent with parked events, and since when the oldest of them lies there.
type parkedGroup struct {
	name  string
	since time.Time
}

// parkedGroups are those that have lain there since before the instant, less those to skip.
func (r *Reader) parkedGroups(ctx context.Context, before time.Time, skip []string) (all []parkedGroup, err error) {
	if skip == nil {
		skip = []string{}
	}
	err = postgres.InReadTx(ctx, r.DB, everybody, "smarttab.feed.parked-groups", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).ParkedGroups(ctx, smarttabdb.ParkedGroupsParams{Before: before, Skip: skip, MaxRows: sweepRows})
		for _, row := range rows {
			all = append(all, parkedGroup{name: row.PaymentRef, since: row.Since})
		}
		return err
	})
	return all, err
}

// unpark tries the parked events of an intent again, in their order, and stops at the first that still cannot be applied.
func (r *Reader) unpark(ctx context.Context, group string) (left int, err error) {
	var parked []smarttabdb.ParkedEventsRow
	err = postgres.InReadTx(ctx, r.DB, everybody, "smarttab.feed.parked", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		parked, err = smarttabdb.New(tx).ParkedEvents(ctx, group)
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, row := range parked {
		if err := r.retry(ctx, row); err != nil {
			return len(parked) - i, r.stillParked(ctx, row, err)
		}
	}
	return 0, nil
}

// retry applies one parked event. The effect is the tenant's transaction and the parked row the feed's: the effect comes first,
// and again if the row should stay.
func (r *Reader) retry(ctx context.Context, row smarttabdb.ParkedEventsRow) error {
	var e client.Event
	if err := json.Unmarshal(row.Event, &e); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	n, err := read(e)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	t, err := r.whose(ctx, []news{n})
	if err != nil {
		return err
	}
	ref, known := t.of(&n)
	if !known {
		return errUnknown
	}
	if err := r.apply(ctx, ref, &n, nil); err != nil {
		return err
	}
	return postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.unpark", func(ctx context.Context, tx pgx.Tx) error {
		n, err := smarttabdb.New(tx).UnparkEvent(ctx, row.EventID)
		if err == nil && n == 0 {
			slog.WarnContext(ctx, "feed: event applied that was taken away or given up meanwhile", "event_id", row.EventID, "payment_ref", row.PaymentRef)
		}
		return err
	})
}

func (r *Reader) stillParked(ctx context.Context, row smarttabdb.ParkedEventsRow, why error) error {
	return postgres.InTx(ctx, r.DB, everybody, "smarttab.feed.still-parked", func(ctx context.Context, tx pgx.Tx) error {
		return smarttabdb.New(tx).CountParkedAttempt(ctx, smarttabdb.CountParkedAttemptParams{EventID: row.EventID, Reason: why.Error()})
	})
}

// Parked is how many events are set aside.
func (r *Reader) Parked(ctx context.Context) (int64, error) {
	var n int64
	err := postgres.InReadTx(ctx, r.DB, everybody, "smarttab.feed.count", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		n, err = smarttabdb.New(tx).CountParked(ctx)
		return err
	})
	return n, err
}
