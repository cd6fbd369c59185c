package tenant

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

func storeOf(r portaldb.PortalStore) Store {
	return Store{
		ID: r.ID, PSPID: r.PspID, MerchantID: r.MerchantID, Code: r.Code, Name: r.Name, Timezone: r.Timezone, DayCutoff: r.DayCutoff,
		PriceMode: r.PriceMode, Currency: r.Currency, Address: text(r.Address), Phone: text(r.Phone), Status: r.Status, Version: r.Version,
		CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt),
	}
}

func (s Store) entry(action string, before any) audit.Entry {
	return audit.Entry{
		Action: action, Entity: "store", EntityID: s.ID.String(), PSPID: s.PSPID, MerchantID: s.MerchantID, StoreID: s.ID,
		Before: before, After: s,
	}
}

func (s Store) change() sync.Change {
	return sync.Change{Entity: sync.Store, EntityID: s.ID, Version: s.Version, PSPID: s.PSPID, MerchantID: s.MerchantID, StoreID: s.ID}
}

// CreateStore adds a store to a merchant. CodeTaken; problem.Validation when there is no such merchant for the caller.
func (d *DB) CreateStore(ctx context.Context, scope postgres.Scope, s Store) (Store, error) {
	now := d.Clock()
	s.ID = id.NewUUID(now)
	err := postgres.InTx(ctx, d.Pool, scope, "portal.store.create", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		merchant, err := q.Merchant(ctx, s.MerchantID)
		if err != nil {
			return referred(err, "merchant_id")
		}
		if err := q.InsertStore(ctx, portaldb.InsertStoreParams{
			ID: s.ID, PspID: merchant.PspID, MerchantID: s.MerchantID, Code: s.Code, Name: s.Name, Timezone: s.Timezone,
			DayCutoff: s.DayCutoff, PriceMode: s.PriceMode, Currency: s.Currency, Address: wire.OrNil(s.Address), Phone: wire.OrNil(s.Phone), Now: now,
		}); err != nil {
			return err
		}
		row, err := q.Store(ctx, s.ID)
		if err != nil {
			return err
		}
		s = storeOf(row)
		return d.told(ctx, tx, now, s.entry("store.create", nil), s.change())
	})
	return s, codeTaken(err, "stores_code_key", s.Code)
}

// Store reads one.
func (d *DB) Store(ctx context.Context, scope postgres.Scope, id uuid.UUID) (Store, error) {
	var s Store
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.store.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).Store(ctx, id)
		s = storeOf(row)
		return found(err, "store", id)
	})
	return s, err
}

// Stores reads a page.
func (d *DB) Stores(ctx context.Context, scope postgres.Scope, f Filter) ([]Store, error) {
	var all []Store
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.store.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListStores(ctx, portaldb.ListStoresParams{
			Before: f.Before, MerchantID: wire.OrNil(f.MerchantID), Status: wire.OrNil(f.Status), Code: wire.OrNil(f.Code), PageSize: f.Size,
		})
		for _, r := range rows {
			all = append(all, storeOf(r))
		}
		return err
	})
	return all, err
}

// ChangeStore is ChangePSP for a store; change may refuse.
func (d *DB) ChangeStore(ctx context.Context, scope postgres.Scope, id uuid.UUID, seen int64, change func(*Store) error) (Store, error) {
	var s Store
	err := postgres.InTx(ctx, d.Pool, scope, "portal.store.change", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockStore(ctx, id)
		if err != nil {
			return found(err, "store", id)
		}
		before := storeOf(row)
		if err := problem.IfStale(seen, before.Version, before); err != nil {
			return err
		}
		s = before
		if err := change(&s); err != nil {
			return err
		}
		if err := q.UpdateStore(ctx, portaldb.UpdateStoreParams{
			ID: id, Name: s.Name, Timezone: s.Timezone, DayCutoff: s.DayCutoff, PriceMode: s.PriceMode, Address: wire.OrNil(s.Address),
			Phone: wire.OrNil(s.Phone), Status: s.Status, Now: now,
		}); err != nil {
			return err
		}
		s.Version, s.UpdatedAt = s.Version+1, wire.At(now)
		return d.told(ctx, tx, now, s.entry("store.update", before), s.change())
	})
	return s, err
}
