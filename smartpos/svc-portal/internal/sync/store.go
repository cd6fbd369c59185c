package sync

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/jobs"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// Outbox is where changes wait for the gateway.
type Outbox struct {
	DB     *pgxpool.Pool
	Jobs   *jobs.Client
	Clock  clock.Clock
	Sealer *sealed.Sealer
}

// Add notes the change and asks for its sending, in the transaction of the change.
func (o *Outbox) Add(ctx context.Context, tx pgx.Tx, c Change) error {
	id, err := portaldb.New(tx).InsertOutbox(ctx, portaldb.InsertOutboxParams{
		PspID: c.PSPID, MerchantID: c.MerchantID, StoreID: wire.OrNil(c.StoreID), Entity: string(c.Entity), EntityID: c.EntityID,
		Version: c.Version, Now: o.Clock(),
	})
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if _, err := o.Jobs.InsertTx(ctx, tx, Args{OutboxID: id, PSPID: c.PSPID, MerchantID: c.MerchantID}, nil); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// States says how far each of the things has got, in the caller's transaction; a thing without any change is missing.
func States(ctx context.Context, tx pgx.Tx, entityIDs ...uuid.UUID) (map[uuid.UUID]State, error) {
	rows, err := portaldb.New(tx).LatestOutbox(ctx, entityIDs)
	states := make(map[uuid.UUID]State, len(rows))
	for _, r := range rows {
		states[r.EntityID] = stateOf(r.Version, r.Attempts, r.LastError, r.DoneAt)
	}
	return states, err
}

// Filter narrows a list of changes.
type Filter struct {
	MerchantID *uuid.UUID
	State      string // "": all
}

// List reads up to size changes before the id, newest first.
func (o *Outbox) List(ctx context.Context, scope postgres.Scope, f Filter, before *int64, size int32) ([]Item, error) {
	params := portaldb.ListOutboxParams{Before: before, MerchantID: f.MerchantID, StuckAfter: StuckAfter, PageSize: size}
	yes, no := true, false
	switch f.State {
	case Synced:
		params.Pending = &no
	case Pending:
		params.Pending = &yes
	case Stuck:
		params.Stuck = &yes
	}
	var items []Item
	err := postgres.InReadTx(ctx, o.DB, scope, "portal.sync.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListOutbox(ctx, params)
		for _, r := range rows {
			items = append(items, itemOf(r))
		}
		return err
	})
	return items, err
}

func itemOf(r portaldb.PortalSyncOutbox) Item {
	return Item{
		ID: r.ID, PSPID: r.PspID, MerchantID: r.MerchantID, StoreID: r.StoreID, Entity: Entity(r.Entity), EntityID: r.EntityID,
		CreatedAt: wire.At(r.CreatedAt), LastTriedAt: wire.AtOrNil(r.LastTriedAt), State: stateOf(r.Version, r.Attempts, r.LastError, r.DoneAt),
	}
}

// Retry asks for the sending of a change now. One that is done stays done.
func (o *Outbox) Retry(ctx context.Context, scope postgres.Scope, id int64) (Item, error) {
	var item Item
	err := postgres.InTx(ctx, o.DB, scope, "portal.sync.retry", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).Outbox(ctx, id)
		if postgres.IsNoRows(err) {
			return problem.NotFound.New("There is no change %s.", strconv.FormatInt(id, 10))
		}
		if err != nil {
			return err
		}
		item = itemOf(row)
		if row.DoneAt != nil {
			return nil
		}
		_, err = o.Jobs.InsertTx(ctx, tx, Args{OutboxID: id, PSPID: row.PspID, MerchantID: row.MerchantID, Now: true}, nil)
		return err
	})
	return item, err
}

// Backlog says how many changes wait and since when the oldest does.
func (o *Outbox) Backlog(ctx context.Context) (pending int64, oldest time.Duration, err error) {
	err = postgres.InReadTx(ctx, o.DB, postgres.CrossTenant("portal.sync_backlog"), "portal.sync.backlog", func(ctx context.Context, tx pgx.Tx) error {
		now := o.Clock()
		row, err := portaldb.New(tx).OutboxBacklog(ctx, now)
		pending, oldest = row.Pending, now.Sub(row.Oldest)
		return err
	})
	return pending, oldest, err
}
