package payment

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

type createInput struct {
	idempotency.Input
	Body paymentDraft
}

type paymentDraft struct {
	BillID   uuid.UUID   `json:"bill_id" format:"uuid"`
	SplitID  *uuid.UUID  `json:"split_id,omitempty" format:"uuid" doc:"The part to pay, of a split bill"`
	Method   Method      `json:"method" enum:"cash,qr,card"`
	Provider string      `json:"provider,omitempty" maxLength:"32" doc:"The wallet's provider, for qr" example:"paypay"`
	Amount   int64       `json:"amount,omitempty" minimum:"1" maximum:"999999999" doc:"Minor unit; default: all that remains of the bill or part"`
	Tendered *int64      `json:"tendered,omitempty" minimum:"1" maximum:"9999999999" doc:"Cash handed over; default: exactly the amount"`
	Card     *CardResult `json:"card,omitempty" doc:"What the terminal's card application said; left out: the payment waits for it, as processing"`
}

type cardInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body CardResult
}

type cancelInput struct {
	store.Query
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body *paymentCancel
}

type paymentCancel struct {
	Version int32 `json:"version,omitempty" minimum:"1" doc:"The version you saw; left out: whatever it is"`
}

type refundInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body refundDraft
}

type refundDraft struct {
	Amount int64  `json:"amount,omitempty" minimum:"1" maximum:"999999999" doc:"Minor unit; default: all that is left of the payment"`
	Reason string `json:"reason" minLength:"1" maxLength:"200"`
}

type getInput struct {
	store.Query
	ID uuid.UUID `path:"id" format:"uuid"`
}

type listInput struct {
	store.Query
	wire.Page
	BillID uuid.UUID `query:"bill_id" format:"uuid"`
	Status string    `query:"status" enum:"pending,processing,completed,failed,cancelled,refunded"`
	Method string    `query:"method" enum:"cash,qr,card"`
}

type createOutput struct {
	Status int
	Body   PaymentView
}

type output struct{ Body PaymentView }

type listOutput struct{ Body wire.List[PaymentView] }

// Register adds the operations on payments.
func (s *Service) Register(api huma.API) {
	beginAtZero()
	tags := []string{"Payments"}
	huma.Register(api, access.Either(access.PaymentsTake).On(huma.Operation{
		OperationID: "create-payment", Method: http.MethodPost, Path: "/api/v1/payments", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Take money for a bill or a part of it", Errors: []int{400, 403, 404, 409, 422},
		Description: "Cash and recorded cards complete at once. A QR payment comes back `pending` with a `payment_token`: the terminal confirms it at " +
			"`pgw_url` and shows the code; the result is read here. When the gateway does not answer there is no token yet: " +
			"send the same request again with the same key. A person who brings a `card` result needs the permission payments.refund.",
	}), s.create)
	idempotency.Required(api, http.MethodPost, "/api/v1/payments")
	huma.Register(api, access.Either(access.PaymentsRead).On(huma.Operation{
		OperationID: "list-payments", Method: http.MethodGet, Path: "/api/v1/payments", Tags: tags, Summary: "Payments, newest first",
		Errors: []int{400, 404, 422},
	}), s.list)
	huma.Register(api, access.Either(access.PaymentsRead).On(huma.Operation{
		OperationID: "get-payment", Method: http.MethodGet, Path: "/api/v1/payments/{id}", Tags: tags, Summary: "One payment with its refunds",
		Errors: []int{404, 422},
	}), s.get)
	huma.Register(api, access.Either(access.PaymentsTake).On(huma.Operation{
		OperationID: "cancel-payment", Method: http.MethodPost, Path: "/api/v1/payments/{id}/cancel", Tags: tags,
		Summary: "Ask for the end of a QR payment", Errors: []int{400, 404, 409, 422},
		Description: "The provider is asked first: a customer may just have paid. The answer is the payment as it then stands; while it is not final, " +
			"`cancel_requested_at` says that it has been asked for.",
	}), s.cancel)
	huma.Register(api, access.Either(access.PaymentsTake).On(huma.Operation{
		OperationID: "record-card-result", Method: http.MethodPost, Path: "/api/v1/payments/{id}/card_result", Tags: tags,
		Summary: "Record what the card application said of a payment that waits for it", Errors: []int{400, 403, 404, 409, 422},
		Description: "A terminal brings the application's own result. A person who states the outcome in its place needs the permission payments.refund.",
	}), s.card)
	idempotency.Required(api, http.MethodPost, "/api/v1/payments/{id}/card_result")
	huma.Register(api, access.Either(access.PaymentsTake).On(huma.Operation{
		OperationID: "refund-payment", Method: http.MethodPost, Path: "/api/v1/payments/{id}/refund", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Give a payment back, all or part", Errors: []int{400, 403, 404, 409, 422},
		Description: "Cash and cards go back at once; a wallet's refund is `pending` until its provider has made it. Several partial refunds are possible. " +
			"Above a limit a payment is given back by somebody with the permission payments.refund.",
	}), s.refund)
	idempotency.Required(api, http.MethodPost, "/api/v1/payments/{id}/refund")
}

func (s *Service) create(ctx context.Context, in *createInput) (*createOutput, error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	if in.Body.Card != nil {
		if err := mayStateCard(access.From(ctx)); err != nil {
			return nil, err
		}
	}
	at, k, err := in.Enter(ctx, s.Stores, in.Body, s.now())
	if err != nil {
		return nil, err
	}
	d := in.Body.draft()
	if d.Method == QR {
		view, err := s.TakeQR(ctx, at, k, d)
		return &createOutput{Status: http.StatusCreated, Body: view}, err
	}
	answer, err := s.TakeHere(ctx, at, k, d)
	if err != nil {
		return nil, err
	}
	view, err := idempotency.Reply[PaymentView](answer).Body.Value()
	return &createOutput{Status: answer.Status, Body: view}, err
}

// check refuses what does not fit the method.
func (d paymentDraft) check() error {
	switch {
	case d.Method != Cash && d.Tendered != nil:
		return problem.Validation.Field("tendered", "only of cash")
	case d.Method != Card && d.Card != nil:
		return problem.Validation.Field("card", "only of a card")
	case d.Method != QR && d.Provider != "":
		return problem.Validation.Field("provider", "only of a QR payment")
	case d.Method == QR && d.Provider != "" && !slices.Contains(providers, d.Provider):
		return ErrProvider.Field("provider", "must be one of %s", strings.Join(providers, ", "))
	case d.Method == Card && d.Card != nil:
		return d.Card.check("card.")
	}
	return nil
}

// check holds what the card application said together, and keeps card numbers out of it.
func (c CardResult) check(prefix string) error {
	if c.Approved() && c.ApprovalCode == "" {
		return problem.Validation.Field(prefix+"approval_code", "needed when approved")
	}
	for field, text := range map[string]string{
		"approval_code": c.ApprovalCode, "arn": c.ARN, "brand": c.Brand, "terminal_txn_id": c.TerminalTxnID,
	} {
		if err := pan.Refuse(prefix+field, text); err != nil {
			return err
		}
	}
	return nil
}

func (d paymentDraft) draft() Draft {
	draft := Draft{BillID: d.BillID, Method: d.Method, Provider: d.Provider, Amount: d.Amount, Tendered: d.Tendered, Card: d.Card}
	if d.SplitID != nil {
		draft.SplitID = *d.SplitID
	}
	if d.Method == QR && d.Provider == "" {
		draft.Provider = PayPay
	}
	return draft
}

// mayStateCard: a terminal brings its card application's own word; a person who states it answers for it.
func mayStateCard(caller access.Principal) error {
	if caller.Kind != access.KindUser || caller.Can(access.PaymentsRefund) {
		return nil
	}
	return ErrApprovalRequired.New("To state a card's outcome in place of its application needs the permission %s.", access.PaymentsRefund)
}

func (s *Service) card(ctx context.Context, in *cardInput) (*idempotency.Output[PaymentView], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	if err := mayStateCard(access.From(ctx)); err != nil {
		return nil, err
	}
	if err := in.Body.check(""); err != nil {
		return nil, err
	}
	at, k, err := in.Enter(ctx, s.Stores, in.Body, s.now())
	if err != nil {
		return nil, err
	}
	answer, err := s.RecordCard(ctx, at, k, in.ID, in.Body)
	return idempotency.Reply[PaymentView](answer), err
}

func (s *Service) cancel(ctx context.Context, in *cancelInput) (*output, error) {
	at, err := in.One(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	version := int32(0)
	if in.Body != nil {
		version = in.Body.Version
	}
	view, err := s.Cancel(ctx, at, in.ID, version)
	return &output{Body: view}, err
}

func (s *Service) refund(ctx context.Context, in *refundInput) (*idempotency.Output[RefundView], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	if strings.TrimSpace(in.Body.Reason) == "" {
		return nil, problem.Validation.Field("reason", "say why")
	}
	if err := pan.Refuse("reason", in.Body.Reason); err != nil {
		return nil, err
	}
	at, k, err := in.Enter(ctx, s.Stores, in.Body, s.now())
	if err != nil {
		return nil, err
	}
	answer, err := s.Refund(ctx, at, k, in.ID, in.Body.Amount, in.Body.Reason)
	return idempotency.Reply[RefundView](answer), err
}

func (s *Service) get(ctx context.Context, in *getInput) (*output, error) {
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	view, err := s.Get(ctx, at, in.ID)
	return &output{Body: view}, err
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	before, err := in.Before()
	if err != nil {
		return nil, err
	}
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	f := Filter{Before: before, Status: wire.OrNil(in.Status), Method: wire.OrNil(in.Method), Limit: in.Size()}
	if in.BillID != uuid.Nil {
		f.BillID = &in.BillID
	}
	views, err := s.List(ctx, at, f)
	if err != nil {
		return nil, err
	}
	return &listOutput{Body: wire.Listed(in.Page, views,
		func(v PaymentView) string { return v.ID.String() }, func(v PaymentView) PaymentView { return v })}, nil
}

// TransformSchema says what may be null.
func (PaymentView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return wire.Nullable(s, "card", "failure")
}

// TransformSchema says what may be null.
func (RefundView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return wire.Nullable(s, "failure")
}
