package tenant

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// DB keeps the tenants.
type DB struct {
	Pool   *pgxpool.Pool
	Clock  clock.Clock
	Outbox *sync.Outbox
	Sealer *sealed.Sealer
}

// Filter narrows a list; zero members do not. Before and Size page it.
type Filter struct {
	PSPID, MerchantID uuid.UUID
	Status, Code      string
	Before            *uuid.UUID
	Size              int32
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// found words the absence of a row; other errors pass.
func found(err error, what string, id uuid.UUID) error {
	if postgres.IsNoRows(err) {
		return problem.NotFound.New("There is no %s %s.", what, id)
	}
	return err
}

// referred is found for an id in the body: the request names something that the caller cannot see.
func referred(err error, field string) error {
	if postgres.IsNoRows(err) {
		return problem.Validation.Field(field, "there is no such thing")
	}
	return err
}

func pspOf(r portaldb.PortalPsp) PSP {
	return PSP{
		ID: r.ID, Code: r.Code, Name: r.Name, Status: r.Status, Version: r.Version,
		CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt),
	}
}

// CreatePSP adds a PSP. CodeTaken.
func (d *DB) CreatePSP(ctx context.Context, scope postgres.Scope, p PSP) (PSP, error) {
	now := d.Clock()
	p.ID = id.NewUUID(now)
	err := postgres.InTx(ctx, d.Pool, scope, "portal.psp.create", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		if err := q.InsertPSP(ctx, portaldb.InsertPSPParams{ID: p.ID, Code: p.Code, Name: p.Name, Now: now}); err != nil {
			return err
		}
		row, err := q.PSP(ctx, p.ID)
		if err != nil {
			return err
		}
		p = pspOf(row)
		return audit.Add(ctx, tx, now, p.entry("psp.create", nil))
	})
	return p, codeTaken(err, "psps_code_key", p.Code)
}

func codeTaken(err error, constraint, code string) error {
	if postgres.IsUnique(err, constraint) {
		return CodeTaken.Field("code", "%s is in use already", code)
	}
	return err
}

func (p PSP) entry(action string, before any) audit.Entry {
	return audit.Entry{Action: action, Entity: "psp", EntityID: p.ID.String(), PSPID: p.ID, Before: before, After: p}
}

// PSP reads one.
func (d *DB) PSP(ctx context.Context, scope postgres.Scope, id uuid.UUID) (PSP, error) {
	var p PSP
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.psp.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).PSP(ctx, id)
		p = pspOf(row)
		return found(err, "PSP", id)
	})
	return p, err
}

// PSPs reads a page.
func (d *DB) PSPs(ctx context.Context, scope postgres.Scope, f Filter) ([]PSP, error) {
	var all []PSP
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.psp.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListPSPs(ctx, portaldb.ListPSPsParams{
			Before: f.Before, Status: wire.OrNil(f.Status), Code: wire.OrNil(f.Code), PageSize: f.Size,
		})
		for _, r := range rows {
			all = append(all, pspOf(r))
		}
		return err
	})
	return all, err
}

// ChangePSP changes what change does to the version seen; problem.VersionConflict when that is not the newest.
func (d *DB) ChangePSP(ctx context.Context, scope postgres.Scope, id uuid.UUID, seen int64, change func(*PSP)) (PSP, error) {
	var p PSP
	err := postgres.InTx(ctx, d.Pool, scope, "portal.psp.change", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockPSP(ctx, id)
		if err != nil {
			return found(err, "PSP", id)
		}
		before := pspOf(row)
		if err := problem.IfStale(seen, before.Version, before); err != nil {
			return err
		}
		p = before
		change(&p)
		if err := q.UpdatePSP(ctx, portaldb.UpdatePSPParams{ID: id, Name: p.Name, Status: p.Status, Now: now}); err != nil {
			return err
		}
		p.Version, p.UpdatedAt = p.Version+1, wire.At(now)
		return audit.Add(ctx, tx, now, p.entry("psp.update", before))
	})
	return p, err
}

func merchantOf(r portaldb.PortalMerchant) Merchant {
	return Merchant{
		ID: r.ID, PSPID: r.PspID, Code: r.Code, Name: r.Name, InvoiceRegistrationNumber: text(r.InvoiceRegistrationNumber),
		TaxRounding: r.TaxRounding, Status: r.Status, Version: r.Version, CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt),
	}
}

// CreateMerchant adds a merchant to a PSP. CodeTaken; problem.Validation when there is no such PSP for the caller.
func (d *DB) CreateMerchant(ctx context.Context, scope postgres.Scope, m Merchant) (Merchant, error) {
	now := d.Clock()
	m.ID = id.NewUUID(now)
	err := postgres.InTx(ctx, d.Pool, scope, "portal.merchant.create", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		if _, err := q.PSP(ctx, m.PSPID); err != nil {
			return referred(err, "psp_id")
		}
		if err := q.InsertMerchant(ctx, portaldb.InsertMerchantParams{
			ID: m.ID, PspID: m.PSPID, Code: m.Code, Name: m.Name, InvoiceRegistrationNumber: wire.OrNil(m.InvoiceRegistrationNumber),
			TaxRounding: m.TaxRounding, Now: now,
		}); err != nil {
			return err
		}
		row, err := q.Merchant(ctx, m.ID)
		if err != nil {
			return err
		}
		m = merchantOf(row)
		return d.told(ctx, tx, now, m.entry("merchant.create", nil), m.change())
	})
	return m, codeTaken(err, "merchants_code_key", m.Code)
}

func (m Merchant) entry(action string, before any) audit.Entry {
	return audit.Entry{Action: action, Entity: "merchant", EntityID: m.ID.String(), PSPID: m.PSPID, MerchantID: m.ID, Before: before, After: m}
}

func (m Merchant) change() sync.Change {
	return sync.Change{Entity: sync.Merchant, EntityID: m.ID, Version: m.Version, PSPID: m.PSPID, MerchantID: m.ID}
}

// told writes the audit entry and the outbox row of a change, in its transaction.
func (d *DB) told(ctx context.Context, tx pgx.Tx, now time.Time, e audit.Entry, c sync.Change) error {
	if err := audit.Add(ctx, tx, now, e); err != nil {
		return err
	}
	return d.Outbox.Add(ctx, tx, c)
}

// Merchant reads one.
func (d *DB) Merchant(ctx context.Context, scope postgres.Scope, id uuid.UUID) (Merchant, error) {
	var m Merchant
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.merchant.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).Merchant(ctx, id)
		m = merchantOf(row)
		return found(err, "merchant", id)
	})
	return m, err
}

// Merchants reads a page.
func (d *DB) Merchants(ctx context.Context, scope postgres.Scope, f Filter) ([]Merchant, error) {
	var all []Merchant
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.merchant.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListMerchants(ctx, portaldb.ListMerchantsParams{
			Before: f.Before, PspID: wire.OrNil(f.PSPID), Status: wire.OrNil(f.Status), Code: wire.OrNil(f.Code), PageSize: f.Size,
		})
		for _, r := range rows {
			all = append(all, merchantOf(r))
		}
		return err
	})
	return all, err
}

// ChangeMerchant is ChangePSP for a merchant; change may refuse.
func (d *DB) ChangeMerchant(ctx context.Context, scope postgres.Scope, id uuid.UUID, seen int64, change func(*Merchant) error) (Merchant, error) {
	var m Merchant
	err := postgres.InTx(ctx, d.Pool, scope, "portal.merchant.change", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockMerchant(ctx, id)
		if err != nil {
			return found(err, "merchant", id)
		}
		before := merchantOf(row)
		if err := problem.IfStale(seen, before.Version, before); err != nil {
			return err
		}
		m = before
		if err := change(&m); err != nil {
			return err
		}
		if err := q.UpdateMerchant(ctx, portaldb.UpdateMerchantParams{
			ID: id, Name: m.Name, InvoiceRegistrationNumber: wire.OrNil(m.InvoiceRegistrationNumber), TaxRounding: m.TaxRounding,
			Status: m.Status, Now: now,
		}); err != nil {
			return err
		}
		m.Version, m.UpdatedAt = m.Version+1, wire.At(now)
		return d.told(ctx, tx, now, m.entry("merchant.update", before), m.change())
	})
	return m, err
}
