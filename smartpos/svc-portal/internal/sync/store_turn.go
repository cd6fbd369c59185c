package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
)

// turn is the right to send one merchant's changes.
type turn struct {
	o        *Outbox
	merchant uuid.UUID
	psp      uuid.UUID
	holder   uuid.UUID
	upTo     int64
}

func (t *turn) tx(ctx context.Context, name string, fn func(context.Context, *portaldb.Queries, time.Time) error) error {
	scope := postgres.NewScope("psp_id", t.psp.String(), "merchant_id", t.merchant.String())
	return postgres.InTx(ctx, t.o.DB, scope, name, func(ctx context.Context, tx pgx.Tx) error {
		return fn(ctx, portaldb.New(tx), t.o.Clock())
	})
}

// overdue are the merchants whose changes wait for longer, with nobody at work on them.
func (o *Outbox) overdue(ctx context.Context, longer time.Duration) (all []Args, err error) {
	err = postgres.InReadTx(ctx, o.DB, postgres.CrossTenant("portal.sync_backlog"), "portal.sync.overdue", func(ctx context.Context, tx pgx.Tx) error {
		now := o.Clock()
		rows, err := portaldb.New(tx).OverdueOutbox(ctx, portaldb.OverdueOutboxParams{Now: now, Before: now.Add(-longer)})
		for _, r := range rows {
			all = append(all, Args{MerchantID: r.MerchantID, PSPID: r.PspID, OutboxID: r.UpTo})
		}
		return err
	})
	return all, err
}

// takeTurn takes the lease on the merchant; nil when another has it.
func (o *Outbox) takeTurn(ctx context.Context, a Args) (*turn, error) {
	t := &turn{o: o, merchant: a.MerchantID, psp: a.PSPID, holder: uuid.New(), upTo: a.OutboxID}
	taken, err := t.renew(ctx)
	if err != nil || !taken {
		return nil, err
	}
	return t, nil
}

// renew takes the lease, or says again that it is held.
func (t *turn) renew(ctx context.Context) (taken bool, err error) {
	err = t.tx(ctx, "portal.sync.lease", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		rows, err := q.TakeLease(ctx, portaldb.TakeLeaseParams{
			MerchantID: t.merchant, PspID: t.psp, Holder: t.holder, LeasedUntil: now.Add(leaseFor), Now: now,
		})
		taken = rows == 1
		return err
	})
	return taken, err
}

func (t *turn) end(ctx context.Context) {
	err := t.tx(ctx, "portal.sync.release", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		return q.ReleaseLease(ctx, portaldb.ReleaseLeaseParams{MerchantID: t.merchant, Holder: t.holder, Now: now})
	})
	if err != nil {
		slog.WarnContext(ctx, "sync: the lease stays until it is over", "merchant_id", t.merchant, "error", err)
	}
}

// next is the merchant's first change that waits, up to the turn's own; nil when there is none. wait is how long it would have to
// wait after its last failure.
func (t *turn) next(ctx context.Context) (item *Item, wait time.Duration, err error) {
	err = t.tx(ctx, "portal.sync.next", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		taken, err := q.TakeLease(ctx, portaldb.TakeLeaseParams{
			MerchantID: t.merchant, PspID: t.psp, Holder: t.holder, LeasedUntil: now.Add(leaseFor), Now: now,
		})
		if err != nil {
			return err
		}
		if taken == 0 {
			return fmt.Errorf("the turn on merchant %s was lost", t.merchant)
		}
		row, err := q.NextOutbox(ctx, t.merchant)
		if postgres.IsNoRows(err) || err == nil && row.ID > t.upTo {
			return nil
		}
		if err != nil {
			return err
		}
		i := itemOf(row)
		item = &i
		if row.LastTriedAt != nil {
			wait = row.LastTriedAt.Add(Backoff(int(row.Attempts))).Sub(now)
		}
		return nil
	})
	return item, wait, err
}

// done notes that the gateway has the thing's version, and with it every earlier change of the thing.
func (t *turn) done(ctx context.Context, item *Item, version int64) error {
	return t.tx(ctx, "portal.sync.done", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		return q.OutboxDone(ctx, portaldb.OutboxDoneParams{MerchantID: t.merchant, EntityID: item.EntityID, Version: version, Now: &now})
	})
}

func (t *turn) failed(ctx context.Context, item *Item, cause error) error {
	story := []rune(cause.Error())
	const longest = 500
	why := string(story[:min(len(story), longest)])
	return t.tx(ctx, "portal.sync.failed", func(ctx context.Context, q *portaldb.Queries, now time.Time) error {
		return q.OutboxFailed(ctx, portaldb.OutboxFailedParams{ID: item.ID, Now: &now, LastError: &why})
	})
}

// message reads what the thing is now.
func (t *turn) message(ctx context.Context, item *Item) (Message, error) {
	m := Message{Entity: item.Entity, MerchantID: t.merchant}
	var sealed []byte
	err := t.tx(ctx, "portal.sync.read", func(ctx context.Context, q *portaldb.Queries, _ time.Time) error {
		switch item.Entity {
		case Merchant:
			row, err := q.Merchant(ctx, item.EntityID)
			m.Version, m.Name, m.Status = row.Version, row.Name, row.Status
			return err
		case Store:
			row, err := q.Store(ctx, item.EntityID)
			m.StoreID, m.Version, m.Name, m.Status, m.Timezone = row.ID, row.Version, row.Name, row.Status, row.Timezone
			return err
		case ProviderConfig:
			row, err := q.ProviderConfig(ctx, item.EntityID)
			if err != nil {
				return err
			}
			m.Version, m.Status, m.Provider, m.ContractID, sealed = row.Version, row.Status, row.Provider, row.ContractID, row.CredentialsSealed
			if row.StoreID != nil {
				m.StoreID = *row.StoreID
			}
			if row.ProviderStoreID != nil {
				m.ProviderStoreID = *row.ProviderStoreID
			}
			return nil
		}
		return fmt.Errorf("nothing is known of a %q", item.Entity)
	})
	if err != nil || sealed == nil {
		return m, err
	}
	plain, err := t.o.Sealer.Open(ctx, sealed, CredentialsPlace(item.EntityID)...)
	if err != nil {
		return m, fmt.Errorf("credentials of %s: %w", item.EntityID, err)
	}
	return m, json.Unmarshal(plain, &m.Credentials)
}
