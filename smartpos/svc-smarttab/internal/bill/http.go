package bill

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
)

type createInput struct {
	idempotency.Input
	Body billDraft
}

type billDraft struct {
	OrderIDs []uuid.UUID   `json:"order_ids" minItems:"1" maxItems:"50" uniqueItems:"true" nullable:"false" doc:"Open orders of the store; several are billed together"`
	Discount *billDiscount `json:"discount,omitempty" doc:"Taken off before tax, each rate bearing its share"`
}

type splitInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body billSplitting
}

type billSplitting struct {
	Version int64  `json:"version" minimum:"1" doc:"The version you saw"`
	Mode    string `json:"mode" enum:"even,whole" doc:"even: parts that differ by one unit at most; whole: no parts, what is left is paid together"`
	Parts   int    `json:"parts,omitempty" minimum:"2" maximum:"100" doc:"How many, for even"`
}

type cancelInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body billCancel
}

type billCancel struct {
	Version int64 `json:"version" minimum:"1" doc:"The version you saw"`
}

type getInput struct {
	store.Query
	ID uuid.UUID `path:"id" format:"uuid"`
}

type listInput struct {
	store.Query
	wire.Page
	Status      Status `query:"status" enum:"pending,partial,paid,cancelled"`
	BusinessDay string `query:"business_day" format:"date" example:"2026-11-01"`
}

type output struct{ Body BillView }

type listOutput struct{ Body wire.List[BillView] }

// Register adds the operations on bills.
func Register(api huma.API, b *Book, stores *store.Directory) {
	h := handlers{b, stores}
	tags := []string{"Bills"}
	huma.Register(api, access.Either(access.BillsWrite).On(huma.Operation{
		OperationID: "create-bill", Method: http.MethodPost, Path: "/api/v1/bills", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Make the bill of one or several orders", Errors: []int{400, 404, 409, 422},
		Description: "The orders become `billed`. Tax is rounded once per rate over the whole bill, so a bill of several orders may differ " +
			"by a unit from the sum of their own totals. A bill that comes to nothing is `paid` at once.",
	}), h.create)
	idempotency.Required(api, http.MethodPost, "/api/v1/bills")
	huma.Register(api, access.Either(access.BillsRead).On(huma.Operation{
		OperationID: "list-bills", Method: http.MethodGet, Path: "/api/v1/bills", Tags: tags,
		Summary: "List a store's bills", Description: "Newest first, without their histories.", Errors: []int{400, 404, 422},
	}), h.list)
	huma.Register(api, access.Either(access.BillsRead).On(huma.Operation{
		OperationID: "get-bill", Method: http.MethodGet, Path: "/api/v1/bills/{id}", Tags: tags,
		Summary: "Read a bill with its history", Errors: []int{404, 422},
	}), h.get)
	huma.Register(api, access.Either(access.BillsWrite).On(huma.Operation{
		OperationID: "split-bill", Method: http.MethodPost, Path: "/api/v1/bills/{id}/split", Tags: tags,
		Summary: "Split a bill, or split it anew", Errors: []int{400, 404, 409, 422},
		Description: "May be done at any moment: parts with money on them (paid or being paid) stay as they are, what is left is shared anew. " +
			"Each part has one tax line per rate; rate by rate they add up to the bill's, to the unit.",
	}), h.split)
	huma.Register(api, access.Either(access.BillsWrite).On(huma.Operation{
		OperationID: "cancel-bill", Method: http.MethodPost, Path: "/api/v1/bills/{id}/cancel", Tags: tags,
		Summary: "Cancel a bill", Errors: []int{400, 404, 409, 422},
		Description: "Its orders are `open` again. Refused when the bill is paid, while a payment is under way, and while money taken for it has not been given back.",
	}), h.cancel)
}

type handlers struct {
	book   *Book
	stores *store.Directory
}

func (h handlers) create(ctx context.Context, in *createInput) (*idempotency.Output[BillView], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	at, r, err := in.Enter(ctx, h.stores, in.Body, h.book.now())
	if err != nil {
		return nil, err
	}
	d, err := in.Body.Discount.discount()
	if err != nil {
		return nil, err
	}
	answer, err := h.book.Create(ctx, at, r, in.Body.OrderIDs, d)
	return idempotency.Reply[BillView](answer), err
}

// discount is the one that is asked for: an amount or a percentage.
func (d *billDiscount) discount() (*Discount, error) {
	switch {
	case d == nil:
		return nil, nil
	case (d.Amount == nil) == (d.Percent == nil):
		return nil, problem.Validation.Field("discount", "give amount or percent")
	case d.Amount != nil:
		return &Discount{Amount: *d.Amount}, nil
	}
	return &Discount{Percent: *d.Percent}, nil
}

func (h handlers) split(ctx context.Context, in *splitInput) (*idempotency.Output[BillView], error) {
	if (in.Body.Mode == "even") != (in.Body.Parts > 0) {
		return nil, problem.Validation.Field("parts", "needed for mode even, and only there")
	}
	at, r, err := in.Enter(ctx, h.stores, in.Body, h.book.now())
	if err != nil {
		return nil, err
	}
	answer, err := h.book.Split(ctx, at, r, in.ID, in.Body.Version, in.Body.Parts)
	return idempotency.Reply[BillView](answer), err
}

func (h handlers) cancel(ctx context.Context, in *cancelInput) (*idempotency.Output[BillView], error) {
	at, r, err := in.Enter(ctx, h.stores, in.Body, h.book.now())
	if err != nil {
		return nil, err
	}
	answer, err := h.book.Cancel(ctx, at, r, in.ID, in.Body.Version)
	return idempotency.Reply[BillView](answer), err
}

func (h handlers) get(ctx context.Context, in *getInput) (*output, error) {
	at, err := in.Any(ctx, h.stores)
	if err != nil {
		return nil, err
	}
	b, err := h.book.Get(ctx, at, in.ID)
	if err != nil {
		return nil, err
	}
	return &output{ViewOf(b)}, nil
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
	f := Filter{Status: in.Status, Before: before, Limit: in.Size()}
	if in.BusinessDay != "" {
		day, err := time.Parse(time.DateOnly, in.BusinessDay)
		if err != nil {
			return nil, problem.Validation.Field("query.business_day", "not a date")
		}
		f.BusinessDay = &day
	}
	bills, err := h.book.List(ctx, at, f)
	if err != nil {
		return nil, err
	}
	return &listOutput{wire.Listed(in.Page, bills, func(b Bill) string { return b.ID.String() }, ViewOf)}, nil
}
