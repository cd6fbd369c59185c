package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// Add writes the entry in the transaction of what it tells.
func Add(ctx context.Context, tx pgx.Tx, now time.Time, e Entry) error {
	before, err := mask(e.Before)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	after, err := mask(e.After)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	actor := e.Actor
	if actor == (Actor{}) {
		actor = actorOf(ctx)
	}
	origin := OriginOf(ctx)
	err = portaldb.New(tx).InsertAudit(ctx, portaldb.InsertAuditParams{
		ID: id.NewUUID(now), At: now, PspID: wire.OrNil(e.PSPID), MerchantID: wire.OrNil(e.MerchantID), StoreID: wire.OrNil(e.StoreID),
		ActorKind: actor.Kind, Actor: actor.ID, ImpersonatedBy: wire.OrNil(actor.ImpersonatedBy),
		Action: e.Action, Entity: e.Entity, EntityID: e.EntityID, Before: before, After: after,
		Ip: origin.IP, UserAgent: origin.UserAgent, RequestID: origin.RequestID,
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return nil
}

// Filter narrows a list of entries; nil members do not.
type Filter struct {
	Actor, Action, Entity, EntityID *string
	MerchantID, StoreID             *uuid.UUID
	From, To                        *time.Time // From included, To not
}

// Store reads the log.
type Store struct{ DB *pgxpool.Pool }

// List reads up to size entries before the id, newest first.
func (s Store) List(ctx context.Context, scope postgres.Scope, f Filter, before *uuid.UUID, size int32) ([]Record, error) {
	params := portaldb.ListAuditParams{
		BeforeID: before, Actor: f.Actor, Action: f.Action, Entity: f.Entity, EntityID: f.EntityID,
		MerchantID: f.MerchantID, StoreID: f.StoreID, FromID: floor(f.From), ToID: floor(f.To), PageSize: size,
	}
	var records []Record
	err := postgres.InReadTx(ctx, s.DB, scope, "portal.audit.list", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := portaldb.New(tx).ListAudit(ctx, params)
		for _, r := range rows {
			records = append(records, recordOf(r))
		}
		return err
	})
	return records, err
}

// floor turns an instant into the bound of ids: the log's ids carry its times.
func floor(at *time.Time) *uuid.UUID {
	if at == nil {
		return nil
	}
	u := id.UUIDFloor(*at)
	return &u
}

func recordOf(r portaldb.PortalAuditLog) Record {
	record := Record{
		ID: r.ID, At: r.At, PSPID: r.PspID, MerchantID: r.MerchantID, StoreID: r.StoreID, Before: r.Before, After: r.After,
		Origin: Origin{IP: r.Ip, UserAgent: r.UserAgent, RequestID: r.RequestID},
		Entry:  Entry{Action: r.Action, Entity: r.Entity, EntityID: r.EntityID, Actor: Actor{Kind: r.ActorKind, ID: r.Actor}},
	}
	if r.ImpersonatedBy != nil {
		record.Entry.Actor.ImpersonatedBy = *r.ImpersonatedBy
	}
	return record
}

// MakePartitions makes the partitions of this month and the next two.
func (s Store) MakePartitions(ctx context.Context, now time.Time) error {
	return postgres.InTx(ctx, s.DB, postgres.Scope{}, "portal.audit.partitions", func(ctx context.Context, tx pgx.Tx) error {
		for ahead := range 3 {
			first := time.Date(now.Year(), now.Month()+time.Month(ahead), 1, 0, 0, 0, 0, time.UTC)
			if _, err := portaldb.New(tx).MakeAuditPartition(ctx, first); err != nil {
				return err
			}
		}
		return nil
	})
}
