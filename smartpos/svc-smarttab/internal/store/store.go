package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

// Directory finds the stores of callers.
type Directory struct{ db *pgxpool.Pool }

// NewDirectory reads svc-portal's tables through the pool.
func NewDirectory(db *pgxpool.Pool) *Directory { return &Directory{db: db} }

// Enter finds the place that the caller and what it names in the query (zero: nothing) come to. A terminal and whoever is
// bound to a store are in it without asking the database. Problems: not_found for what is outside the caller's tenant,
// store_required or merchant_required for what is missing.
func (d *Directory) Enter(ctx context.Context, p access.Principal, merchantID, storeID uuid.UUID, oneStore bool) (Place, error) {
	at, done, err := place(p, merchantID, storeID)
	if err != nil {
		return Place{}, err
	}
	if !done {
		if at, err = look(ctx, d.db, p, at); err != nil {
			return Place{}, err
		}
	}
	return at, at.needs(oneStore)
}

// look checks, under the caller's own scope, that what it named is within its tenant, and fills in the levels above.
func look(ctx context.Context, db *pgxpool.Pool, p access.Principal, named Place) (Place, error) {
	var found Place
	err := postgres.InReadTx(ctx, db, p.Scope(), "smarttab.store.enter", func(ctx context.Context, tx pgx.Tx) error {
		q := smarttabdb.New(tx)
		var pspID, merchantID uuid.UUID
		if named.StoreID != uuid.Nil {
			row, err := q.StoreTenant(ctx, named.StoreID)
			if err != nil {
				return err
			}
			pspID, merchantID = row.PspID, row.MerchantID
		} else {
			row, err := q.MerchantTenant(ctx, named.MerchantID)
			if err != nil {
				return err
			}
			pspID, merchantID = row.PspID, row.ID
		}
		narrowed, err := named.Narrow(pspID, merchantID, uuid.Nil)
		found = Place{narrowed}
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, access.ErrOutsideBinding) {
		return Place{}, problem.NotFound.New(errStoreAbsent)
	}
	return found, err
}

// Load reads a store's settings; problem.NotFound outside the scope.
func Load(ctx context.Context, tx pgx.Tx, storeID uuid.UUID) (Settings, error) {
	row, err := smarttabdb.New(tx).StoreSettings(ctx, storeID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Settings{}, problem.NotFound.New(errStoreAbsent)
	}
	if err != nil {
		return Settings{}, fmt.Errorf("store settings: %w", err)
	}
	zone, err := time.LoadLocation(row.Timezone)
	if err != nil {
		return Settings{}, fmt.Errorf("store %s: %w", storeID, err)
	}
	currency, err := money.ParseCurrency(row.Currency)
	if err != nil {
		return Settings{}, fmt.Errorf("store %s: %w", storeID, err)
	}
	return Settings{
		ID: row.ID, MerchantID: row.MerchantID, PSPID: row.PspID,
		Name: row.Name, Address: row.Address, Phone: row.Phone,
		MerchantName: row.MerchantName, RegistrationNumber: row.RegistrationNumber,
		Timezone: zone, DayCutoff: time.Duration(row.DayCutoffSeconds) * time.Second,
		Rule:     tax.Rule{Mode: tax.PriceMode(row.PriceMode), Rounding: tax.Rounding(row.TaxRounding)},
		Currency: currency, Active: row.Active,
	}, nil
}
