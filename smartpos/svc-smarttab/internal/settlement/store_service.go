package settlement

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/actor"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

type database = *pgxpool.Pool

const statusCreated = 201

// Current is the X report of a day ("" for the one that is booked to now).
func (s *Service) Current(ctx context.Context, at store.Place, day string) (DayReport, error) {
	var report DayReport
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.settlement.current", func(ctx context.Context, tx pgx.Tx) error {
		settings, err := store.Load(ctx, tx, at.StoreID)
		if err == nil {
			report, err = current(ctx, tx, settings, s.Clock(), day)
		}
		return err
	})
	return report, err
}

// Move books a cash movement.
func (s *Service) Move(ctx context.Context, at store.Place, r idempotency.Request, m CashMovement) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.settlement.move", r,
		func(ctx context.Context, tx pgx.Tx) (int, any, error) {
			settings, err := store.Load(ctx, tx, at.StoreID)
			if err != nil {
				return 0, nil, err
			}
			moved, err := move(ctx, tx, settings, s.Clock(), actor.Of(at.Principal), m)
			return statusCreated, moved, err
		})
}

// Close writes the Z of a day, and asks by a job whether it is reconciled already: the provider's file may have come first.
func (s *Service) Close(ctx context.Context, at store.Place, r idempotency.Request, day string, counted map[string]int64) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.settlement.close", r,
		func(ctx context.Context, tx pgx.Tx) (int, any, error) {
			settings, err := store.Load(ctx, tx, at.StoreID)
			if err != nil {
				return 0, nil, err
			}
			z, err := closeDay(ctx, tx, settings, s.Clock(), closing{day: day, counted: counted, by: actor.Of(at.Principal)})
			if err != nil {
				return 0, nil, err
			}
			_, err = s.Jobs.InsertTx(ctx, tx, ReconcileArgs{
				MerchantID: settings.MerchantID.String(), StoreID: settings.ID.String(), SettlementID: z.ID.String(),
			}, nil)
			return statusCreated, z, err
		})
}

// Correct writes a further Z that names the first.
func (s *Service) Correct(
	ctx context.Context, at store.Place, r idempotency.Request, first uuid.UUID, reason string, counted map[string]int64,
) (idempotency.Answer, error) {
	return idempotency.Do(ctx, s.DB, at.Scope(), "smarttab.settlement.correct", r,
		func(ctx context.Context, tx pgx.Tx) (int, any, error) {
			settings, err := store.Load(ctx, tx, at.StoreID)
			if err != nil {
				return 0, nil, err
			}
			z, err := correct(ctx, tx, settings, s.Clock(), first, reason, closing{counted: counted, by: actor.Of(at.Principal)})
			return statusCreated, z, err
		})
}

// Get reads one report; problem.NotFound outside the scope.
func (s *Service) Get(ctx context.Context, at store.Place, settlement uuid.UUID) (DayReport, error) {
	var report DayReport
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.settlement.get", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		report, err = get(ctx, tx, settlement)
		return err
	})
	return report, err
}

// List reads a page of reports, newest first.
func (s *Service) List(ctx context.Context, at store.Place, f Filter) ([]DayReport, error) {
	if at.StoreID != uuid.Nil {
		f.StoreID = &at.StoreID
	}
	var reports []DayReport
	err := postgres.InReadTx(ctx, s.DB, at.Scope(), "smarttab.settlement.list", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		reports, err = list(ctx, tx, f)
		return err
	})
	return reports, err
}

func (s *Service) reconcileClosed(ctx context.Context, a ReconcileArgs) error {
	settlement, err := uuid.Parse(a.SettlementID)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, a.scope(), "smarttab.settlement.reconcile", func(ctx context.Context, tx pgx.Tx) error {
		if err := Lock(ctx, tx, settlement); err != nil {
			return err
		}
		_, err := Reconcile(ctx, tx, settlement, s.Clock())
		return err
	})
}
