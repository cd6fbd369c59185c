package sync

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

// operators is the scope in which a person sees the changes of every merchant.
var operators = postgres.CrossTenant("portal.operator")

// Waiting reads up to limit changes of all merchants that the gateway has not taken yet, the newest first.
func (o *Outbox) Waiting(ctx context.Context, limit int32) ([]Item, error) {
	return o.List(ctx, operators, Filter{State: Pending}, nil, limit)
}
