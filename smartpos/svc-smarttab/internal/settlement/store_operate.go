package settlement

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// Overdue is a business day that ended and is not closed, as people see it.
type Overdue struct {
	ID, StoreID          uuid.UUID
	StoreCode, StoreName string
	BusinessDay          string
	EndedAt              time.Time
}

// Overdue reads up to limit days of all stores that ended longer ago and are not closed, the oldest first.
func (s *Service) Overdue(ctx context.Context, longer time.Duration, limit int32) (all []Overdue, err error) {
	scope := postgres.CrossTenant("smarttab.operator")
	err = postgres.InReadTx(ctx, s.DB, scope, "smarttab.settlement.list-overdue", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := smarttabdb.New(tx).ListOverdueSettlements(ctx, smarttabdb.ListOverdueSettlementsParams{EndedBefore: s.Clock().Add(-longer), MaxRows: limit})
		for _, r := range rows {
			all = append(all, Overdue{
				ID: r.ID, StoreID: r.StoreID, StoreCode: r.StoreCode, StoreName: r.StoreName, BusinessDay: r.BusinessDay, EndedAt: r.EndedAt,
			})
		}
		return err
	})
	return all, err
}
