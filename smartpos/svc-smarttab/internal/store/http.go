package store

import (
	"context"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Query is the part of an operation's input by which callers who are not bound to a store name the one they mean.
type Query struct {
	MerchantID uuid.UUID `query:"merchant_id" format:"uuid" doc:"The merchant, for callers whose role covers several (PSP_ADMIN, SYSTEM_OP). Others need not say it."`
	StoreID    uuid.UUID `query:"store_id" format:"uuid" doc:"The store, for callers whose role covers several (MERCHANT_ADMIN and above). Terminals and store staff need not say it."`
}

// One is the one store that the caller and the query name together.
func (q Query) One(ctx context.Context, stores *Directory) (Place, error) {
	return stores.Enter(ctx, access.From(ctx), q.MerchantID, q.StoreID, true)
}

// Any is the merchant, and where named or bound the store: enough to find a thing by its id.
func (q Query) Any(ctx context.Context, stores *Directory) (Place, error) {
	return stores.Enter(ctx, access.From(ctx), q.MerchantID, q.StoreID, false)
}
