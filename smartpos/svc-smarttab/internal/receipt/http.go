package receipt

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Register adds the operations of receipts.
func (s *Service) Register(api huma.API) {
	beginAtZero()
	huma.Register(api, access.Either(access.ReceiptsRead).On(huma.Operation{
		OperationID: "get-receipt", Method: http.MethodGet, Path: "/api/v1/receipts/{number}", Tags: []string{"Receipts"},
		Summary: "A receipt or return invoice by its number in the store",
	}), s.getOne)
	huma.Register(api, access.Either(access.ReceiptsRead).On(huma.Operation{
		OperationID: "list-receipts", Method: http.MethodGet, Path: "/api/v1/receipts", Tags: []string{"Receipts"},
		Summary: "The receipt of a payment and the return invoices of its refunds, in order",
	}), s.getList)
}

type oneInput struct {
	store.Query
	Number string `path:"number" maxLength:"32"`
}

type oneOutput struct{ Body Receipt }

func (s *Service) getOne(ctx context.Context, in *oneInput) (*oneOutput, error) {
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	r, err := s.ByNumber(ctx, at, in.Number)
	return &oneOutput{Body: r}, err
}

type listInput struct {
	store.Query
	wire.Page
	PaymentID uuid.UUID `query:"payment_id" required:"true" format:"uuid"`
}

type listOutput struct{ Body wire.List[Receipt] }

func (s *Service) getList(ctx context.Context, in *listInput) (*listOutput, error) {
	after, err := in.Text()
	if err != nil {
		return nil, err
	}
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	all, err := s.OfPayment(ctx, at, in.PaymentID, after, in.Size())
	if err != nil {
		return nil, err
	}
	return &listOutput{Body: wire.Listed(in.Page, all,
		func(r Receipt) string { return r.Number }, func(r Receipt) Receipt { return r })}, nil
}

// TransformSchema says what may be null.
func (Receipt) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return wire.Nullable(s, "part", "card")
}
