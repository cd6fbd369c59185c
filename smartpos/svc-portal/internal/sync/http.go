package sync

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

type listInput struct {
	wire.Page
	MerchantID uuid.UUID `query:"merchant_id" format:"uuid"`
	State      string    `query:"state" enum:"synced,pending,stuck" doc:"stuck: pending, and tried several times without success"`
}

type listOutput struct{ Body wire.List[Item] }

type itemInput struct {
	ID int64 `path:"id" minimum:"1"`
}

type itemOutput struct{ Body Item }

// Register adds the operations on the outbox.
func Register(api huma.API, o *Outbox) {
	const tag = "Sync"
	huma.Register(api, access.Users(access.SyncRead).On(huma.Operation{
		OperationID: "list-sync", Method: http.MethodGet, Path: "/api/v1/sync", Tags: []string{tag},
		Summary: "List what the payment gateway is told, and what of it waits or is stuck",
	}), func(ctx context.Context, in *listInput) (*listOutput, error) { return o.list(ctx, in) })
	huma.Register(api, access.Users(access.SyncRetry).On(huma.Operation{
		OperationID: "retry-sync", Method: http.MethodPost, Path: "/api/v1/sync/{id}/retry", Tags: []string{tag},
		Summary: "Try now, without waiting for the next attempt",
	}), func(ctx context.Context, in *itemInput) (*itemOutput, error) {
		item, err := o.Retry(ctx, access.From(ctx).Scope(), in.ID)
		return &itemOutput{item}, err
	})
}

func (o *Outbox) list(ctx context.Context, in *listInput) (*listOutput, error) {
	text, err := in.Text()
	if err != nil {
		return nil, err
	}
	var before *int64
	if text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, problem.BadCursor.Field("query.cursor", "give next_cursor of an earlier answer, unchanged")
		}
		before = &id
	}
	items, err := o.List(ctx, access.From(ctx).Scope(), Filter{MerchantID: wire.OrNil(in.MerchantID), State: in.State}, before, in.Size())
	if err != nil {
		return nil, err
	}
	same := func(i Item) Item { return i }
	return &listOutput{wire.Listed(in.Page, items, func(i Item) string { return strconv.FormatInt(i.ID, 10) }, same)}, nil
}
