package store

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Place is a caller together with the merchant, and where there is one the store, that a request is about.
type Place struct {
	access.Principal
}

// Scope is what row-level security lets the request see: the merchant, and the store when one is named.
func (p Place) Scope() postgres.Scope { return p.Principal.Scope() }

// place binds the caller by what it names itself, without a look into the database; done is false when it must be looked
// whether the named merchant or store is within the caller's tenant.
func place(p access.Principal, merchantID, storeID uuid.UUID) (Place, bool, error) {
	narrowed, err := p.Narrow(uuid.Nil, merchantID, storeID)
	if err != nil {
		return Place{}, false, problem.NotFound.New(errStoreAbsent)
	}
	return Place{narrowed}, narrowed.MerchantID == p.MerchantID && narrowed.StoreID == p.StoreID, nil
}

// needs says what the caller must still name: writes and lists are about one store, reads by id about one merchant.
func (p Place) needs(oneStore bool) error {
	switch {
	case oneStore && p.StoreID == uuid.Nil:
		return ErrNameStore.Field("query.store_id", "your role covers several stores: name one")
	case p.MerchantID == uuid.Nil:
		return ErrNameTenant.Field("query.merchant_id", "your role covers several merchants: name one")
	}
	return nil
}
