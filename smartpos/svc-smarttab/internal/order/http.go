package order

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tax"
)

type orderLine struct {
	ID        *uuid.UUID    `json:"id,omitempty" format:"uuid" doc:"Of the item this one replaces; leave it out for a new item"`
	Name      string        `json:"name" minLength:"1" maxLength:"200" example:"Caffe latte"`
	Quantity  int64         `json:"quantity" minimum:"1" maximum:"9999" example:"2"`
	UnitPrice int64         `json:"unit_price" minimum:"0" maximum:"99999999" doc:"Minor unit, in the store's price mode" example:"450"`
	TaxClass  tax.Class     `json:"tax_class" enum:"standard,food" doc:"food: food and drink without alcohol"`
	Options   []orderOption `json:"options,omitempty" maxItems:"50"`
	Notes     string        `json:"notes,omitempty" maxLength:"500" example:"no ice"`
}

type createInput struct {
	idempotency.Input
	Body orderDraft
}

type orderDraft struct {
	OrderType Type        `json:"order_type" enum:"dine_in,takeaway,delivery" doc:"Decides the tax rate of food"`
	Table     string      `json:"table,omitempty" maxLength:"50" example:"A3"`
	Note      string      `json:"note,omitempty" maxLength:"500"`
	Items     []orderLine `json:"items" minItems:"1" maxItems:"500" nullable:"false"`
}

type editInput struct {
	store.Query
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body orderChange
}

type orderChange struct {
	Version   int64        `json:"version" minimum:"1" doc:"The version you saw"`
	OrderType *Type        `json:"order_type,omitempty" enum:"dine_in,takeaway,delivery"`
	Table     *string      `json:"table,omitempty" maxLength:"50"`
	Note      *string      `json:"note,omitempty" maxLength:"500"`
	Items     *[]orderLine `json:"items,omitempty" minItems:"1" maxItems:"500" doc:"All the items from now on: with an id, the item of that id as it is to be; without one, a new item. Items that are not named are gone."`
}

type cancelInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body orderCancel
}

type orderCancel struct {
	Version int64 `json:"version" minimum:"1" doc:"The version you saw"`
}

type getInput struct {
	store.Query
	ID uuid.UUID `path:"id" format:"uuid"`
}

type listInput struct {
	store.Query
	wire.Page
	Status      Status `query:"status" enum:"open,billed,completed,cancelled"`
	Table       string `query:"table" maxLength:"50"`
	BusinessDay string `query:"business_day" format:"date" example:"2026-11-01"`
}

type output struct{ Body OrderView }

type listOutput struct{ Body wire.List[OrderView] }

// Register adds the operations on orders.
func Register(api huma.API, b *Book, stores *store.Directory) {
	h := handlers{b, stores}
	tags := []string{"Orders"}
	huma.Register(api, access.Either(access.OrdersWrite).On(huma.Operation{
		OperationID: "create-order", Method: http.MethodPost, Path: "/api/v1/orders", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Take an order", Errors: []int{400, 404, 409, 422},
		Description: "Opens an order in the caller's store. Tax and totals are reckoned here from the store's price mode and the merchant's rounding; " +
			"the number counts up within the store's business day.",
	}), h.create)
	idempotency.Required(api, http.MethodPost, "/api/v1/orders")
	huma.Register(api, access.Either(access.OrdersRead).On(huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: "/api/v1/orders", Tags: tags,
		Summary: "List a store's orders", Description: "Newest first.", Errors: []int{400, 404, 422},
	}), h.list)
	huma.Register(api, access.Either(access.OrdersRead).On(huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: "/api/v1/orders/{id}", Tags: tags,
		Summary: "Read an order", Errors: []int{404, 422},
	}), h.get)
	huma.Register(api, access.Either(access.OrdersWrite).On(huma.Operation{
		OperationID: "edit-order", Method: http.MethodPatch, Path: "/api/v1/orders/{id}", Tags: tags,
		Summary: "Change an open order", Errors: []int{404, 409, 422},
		Description: "Changes what the body names. When somebody else has changed the order since the version you saw: 409 `version_conflict`, " +
			"with the order as it is now under `current`; nothing is changed.",
	}), h.edit)
	huma.Register(api, access.Either(access.OrdersWrite).On(huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: "/api/v1/orders/{id}/cancel", Tags: tags,
		Summary: "Cancel an open order", Errors: []int{400, 404, 409, 422},
		Description: "An order that is on a bill is open again once the bill is cancelled.",
	}), h.cancel)
}

type handlers struct {
	book   *Book
	stores *store.Directory
}

func view(o Order) any { return ViewOf(o) }

func (h handlers) create(ctx context.Context, in *createInput) (*idempotency.Output[OrderView], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	at, r, err := in.Enter(ctx, h.stores, in.Body, h.book.now())
	if err != nil {
		return nil, err
	}
	d := Draft{Type: in.Body.OrderType, Table: in.Body.Table, Note: in.Body.Note, Lines: linesOf(in.Body.Items)}
	answer, err := h.book.Create(ctx, at, r, d, view)
	return idempotency.Reply[OrderView](answer), err
}

func linesOf(items []orderLine) []Line {
	lines := make([]Line, len(items))
	for i, it := range items {
		lines[i] = Line{Name: it.Name, Quantity: it.Quantity, UnitPrice: it.UnitPrice, Class: it.TaxClass, Notes: it.Notes}
		if it.ID != nil {
			lines[i].ID = *it.ID
		}
		for _, opt := range it.Options {
			lines[i].Options = append(lines[i].Options, Option(opt))
		}
	}
	return lines
}

func (h handlers) edit(ctx context.Context, in *editInput) (*output, error) {
	at, err := in.Any(ctx, h.stores)
	if err != nil {
		return nil, err
	}
	c := Change{Version: in.Body.Version, Type: in.Body.OrderType, Table: in.Body.Table, Note: in.Body.Note}
	if in.Body.Items != nil {
		lines := linesOf(*in.Body.Items)
		c.Lines = &lines
	}
	o, err := h.book.Edit(ctx, at, in.ID, c, view)
	if err != nil {
		return nil, err
	}
	return &output{ViewOf(o)}, nil
}

func (h handlers) cancel(ctx context.Context, in *cancelInput) (*idempotency.Output[OrderView], error) {
	at, r, err := in.Enter(ctx, h.stores, in.Body, h.book.now())
	if err != nil {
		return nil, err
	}
	answer, err := h.book.Cancel(ctx, at, r, in.ID, in.Body.Version, view)
	return idempotency.Reply[OrderView](answer), err
}

func (h handlers) get(ctx context.Context, in *getInput) (*output, error) {
	at, err := in.Any(ctx, h.stores)
	if err != nil {
		return nil, err
	}
	o, err := h.book.Get(ctx, at, in.ID)
	if err != nil {
		return nil, err
	}
	return &output{ViewOf(o)}, nil
}

func (h handlers) list(ctx context.Context, in *listInput) (*listOutput, error) {
	at, err := in.One(ctx, h.stores)
	if err != nil {
		return nil, err
	}
	before, err := in.Before()
	if err != nil {
		return nil, err
	}
	f := Filter{Status: in.Status, Table: in.Table, Before: before, Limit: in.Size()}
	if in.BusinessDay != "" {
		day, err := time.Parse(time.DateOnly, in.BusinessDay)
		if err != nil {
			return nil, problem.Validation.Field("query.business_day", "not a date")
		}
		f.BusinessDay = &day
	}
	orders, err := h.book.List(ctx, at, f)
	if err != nil {
		return nil, err
	}
	return &listOutput{wire.Listed(in.Page, orders, func(o Order) string { return o.ID.String() }, ViewOf)}, nil
}
