package device

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
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// DB keeps the terminals.
type DB struct {
	Pool  *pgxpool.Pool
	Clock clock.Clock
}

// A terminal that activates itself or asks for a token has no tenant yet.
var (
	activationScope = postgres.CrossTenant("portal.activation")
	tokenScope      = postgres.CrossTenant("portal.device_token")
)

func terminalOf(r portaldb.PortalTerminal) Terminal {
	t := Terminal{
		ID: r.ID, PSPID: r.PspID, MerchantID: r.MerchantID, StoreID: r.StoreID, Number: int(r.Number), SerialNumber: r.SerialNumber,
		Model: r.Model, Name: r.Name, Status: r.AssetStatus, ActivatedAt: wire.AtOrNil(r.ActivatedAt), Version: r.Version,
		CreatedAt: wire.At(r.CreatedAt), UpdatedAt: wire.At(r.UpdatedAt), key: r.PublicKey,
	}
	if r.ClientID != nil {
		t.ClientID = *r.ClientID
	}
	return t
}

func (t Terminal) entry(action string, before, after any) audit.Entry {
	return audit.Entry{
		Action: action, Entity: "terminal", EntityID: t.ID.String(), PSPID: t.PSPID, MerchantID: t.MerchantID, StoreID: t.StoreID,
		Before: before, After: after,
	}
}

func found(err error, terminal uuid.UUID) error {
	if postgres.IsNoRows(err) {
		return problem.NotFound.New("There is no terminal %s.", terminal)
	}
	return err
}

// Create registers a terminal in a store. SerialTaken; problem.Validation when there is no such store for the caller.
func (d *DB) Create(ctx context.Context, scope postgres.Scope, t Terminal) (Terminal, error) {
	now := d.Clock()
	t.ID = id.NewUUID(now)
	err := postgres.InTx(ctx, d.Pool, scope, "portal.terminal.create", func(ctx context.Context, tx pgx.Tx) error {
		q := portaldb.New(tx)
		store, err := q.LockStore(ctx, t.StoreID)
		if postgres.IsNoRows(err) {
			return problem.Validation.Field("store_id", "there is no such store")
		}
		if err != nil {
			return err
		}
		number, err := q.NextTerminalNumber(ctx, t.StoreID)
		if err != nil {
			return err
		}
		row, err := q.InsertTerminal(ctx, portaldb.InsertTerminalParams{
			ID: t.ID, PspID: store.PspID, MerchantID: store.MerchantID, StoreID: t.StoreID, Number: number, SerialNumber: t.SerialNumber,
			Model: t.Model, Name: t.Name, Now: now,
		})
		if err != nil {
			return err
		}
		t = terminalOf(row)
		return audit.Add(ctx, tx, now, t.entry("terminal.create", nil, t))
	})
	if postgres.IsUnique(err, "terminals_serial_key") {
		return t, SerialTaken.Field("serial_number", "%s is registered already", t.SerialNumber)
	}
	return t, err
}

// Filter narrows a list; zero members do not.
type Filter struct {
	MerchantID, StoreID  uuid.UUID
	Status, SerialNumber string
	Before               *uuid.UUID
	Size                 int32
}

// Terminal reads one.
func (d *DB) Terminal(ctx context.Context, scope postgres.Scope, terminal uuid.UUID) (Terminal, error) {
	var t Terminal
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.terminal.get", func(ctx context.Context, tx pgx.Tx) error {
		row, err := portaldb.New(tx).Terminal(ctx, terminal)
		t = terminalOf(row)
		return found(err, terminal)
	})
	return t, err
}

// Terminals reads a page.
func (d *DB) Terminals(ctx context.Context, scope postgres.Scope, f Filter) ([]Terminal, error) {
	var all []Terminal
	err := postgres.InReadTx(ctx, d.Pool, scope, "portal.terminal.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListTerminals(ctx, portaldb.ListTerminalsParams{
			Before: f.Before, MerchantID: wire.OrNil(f.MerchantID), StoreID: wire.OrNil(f.StoreID), AssetStatus: wire.OrNil(f.Status),
			SerialNumber: wire.OrNil(f.SerialNumber), PageSize: f.Size,
		})
		for _, r := range rows {
			all = append(all, terminalOf(r))
		}
		return err
	})
	return all, err
}

// Change changes what change does to the version seen; action is what the audit log says.
func (d *DB) Change(ctx context.Context, scope postgres.Scope, terminal uuid.UUID, seen int64, action string, change func(*Terminal) error) (Terminal, error) {
	var t Terminal
	err := postgres.InTx(ctx, d.Pool, scope, "portal.terminal.change", func(ctx context.Context, tx pgx.Tx) error {
		q, now := portaldb.New(tx), d.Clock()
		row, err := q.LockTerminal(ctx, terminal)
		if err != nil {
			return found(err, terminal)
		}
		before := terminalOf(row)
		if err := problem.IfStale(seen, before.Version, before); err != nil {
			return err
		}
		t = before
		if err := change(&t); err != nil {
			return err
		}
		if t.Status == Decommissioned || t.Status == Lost {
			if err := q.RevokeActivationCodes(ctx, portaldb.RevokeActivationCodesParams{TerminalID: t.ID, Now: &now}); err != nil {
				return err
			}
		}
		if err := update(ctx, q, &t, now); err != nil {
			return err
		}
		return audit.Add(ctx, tx, now, t.entry(action, before, t))
	})
	return t, err
}

// update writes the terminal as the next version.
func update(ctx context.Context, q *portaldb.Queries, t *Terminal, now time.Time) error {
	params := portaldb.UpdateTerminalParams{
		ID: t.ID, Name: t.Name, Model: t.Model, AssetStatus: t.Status, ClientID: wire.OrNil(t.ClientID), PublicKey: t.key, Now: now,
	}
	if t.ActivatedAt != nil {
		at := time.Time(*t.ActivatedAt)
		params.ActivatedAt = &at
	}
	t.Version, t.UpdatedAt = t.Version+1, wire.At(now)
	return q.UpdateTerminal(ctx, params)
}
