package settlement

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/pan"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

const tag = "Settlements"

// Register adds the operations of the close of day.
func (s *Service) Register(api huma.API) {
	beginAtZero()
	huma.Register(api, access.Either(access.SettlementsRead).On(huma.Operation{
		OperationID: "current-settlement", Method: http.MethodGet, Path: "/api/v1/settlements/current", Tags: []string{tag},
		Summary: "X report: the business day as it stands",
	}), s.getCurrent)
	huma.Register(api, access.Either(access.SettlementsWrite).On(huma.Operation{
		OperationID: "create-cash-movement", Method: http.MethodPost, Path: "/api/v1/settlements/cash_movements", Tags: []string{tag},
		Summary: "Book cash that goes into or out of the drawer without a sale", DefaultStatus: http.StatusCreated,
	}), s.postMovement)
	idempotency.Required(api, http.MethodPost, "/api/v1/settlements/cash_movements")
	huma.Register(api, access.Either(access.SettlementsWrite).On(huma.Operation{
		OperationID: "close-settlement", Method: http.MethodPost, Path: "/api/v1/settlements/close", Tags: []string{tag},
		Summary: "Close the business day: count the drawer, write the Z", DefaultStatus: http.StatusCreated,
	}), s.postClose)
	idempotency.Required(api, http.MethodPost, "/api/v1/settlements/close")
	huma.Register(api, access.Either(access.SettlementsRead).On(huma.Operation{
		OperationID: "list-settlements", Method: http.MethodGet, Path: "/api/v1/settlements", Tags: []string{tag},
		Summary: "Business days, newest first",
	}), s.getList)
	huma.Register(api, access.Either(access.SettlementsRead).On(huma.Operation{
		OperationID: "get-settlement", Method: http.MethodGet, Path: "/api/v1/settlements/{id}", Tags: []string{tag},
		Summary: "One business day's report",
	}), s.getOne)
	huma.Register(api, access.Either(access.SettlementsWrite).On(huma.Operation{
		OperationID: "correct-settlement", Method: http.MethodPost, Path: "/api/v1/settlements/{id}/correct", Tags: []string{tag},
		Summary: "Write a further Z that names the first, with a count of its own", DefaultStatus: http.StatusCreated,
	}), s.postCorrect)
	idempotency.Required(api, http.MethodPost, "/api/v1/settlements/{id}/correct")
}

type reportOutput struct{ Body DayReport }

type currentInput struct {
	store.Query
	BusinessDay string `query:"business_day" doc:"Default: the day that is booked to now" example:"2026-04-01"`
}

func (s *Service) getCurrent(ctx context.Context, in *currentInput) (*reportOutput, error) {
	if err := checkDay("query.business_day", in.BusinessDay); err != nil {
		return nil, err
	}
	at, err := in.One(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	report, err := s.Current(ctx, at, in.BusinessDay)
	return &reportOutput{Body: report}, err
}

type movementInput struct {
	idempotency.Input
	Body struct {
		Type   MovementType `json:"type" enum:"float,pay_in,pay_out,drawer_open"`
		Amount int64        `json:"amount,omitempty" minimum:"0" maximum:"1000000000" doc:"Minor units; none for drawer_open, more than 0 for the others"`
		Reason string       `json:"reason,omitempty" maxLength:"200" doc:"Needed for all but float"`
	}
}

func (s *Service) postMovement(ctx context.Context, in *movementInput) (*idempotency.Output[CashMovement], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	b := in.Body
	switch {
	case b.Type == DrawerOpen && b.Amount != 0:
		return nil, problem.Validation.Field("amount", "opening the drawer moves no money")
	case b.Type != DrawerOpen && b.Amount == 0:
		return nil, problem.Validation.Field("amount", "must be more than 0")
	case b.Type != Float && strings.TrimSpace(b.Reason) == "":
		return nil, problem.Validation.Field("reason", "say why")
	}
	if err := pan.Refuse("reason", b.Reason); err != nil {
		return nil, err
	}
	at, r, err := in.Enter(ctx, s.Stores, b, s.Clock())
	if err != nil {
		return nil, err
	}
	answer, err := s.Move(ctx, at, r, CashMovement{Type: b.Type, Amount: b.Amount, Reason: b.Reason})
	return idempotency.Reply[CashMovement](answer), err
}

type closeInput struct {
	idempotency.Input
	Body struct {
		BusinessDay string           `json:"business_day,omitempty" doc:"Default: the day that is booked to now. Another one must have bookings" example:"2026-04-01"`
		Counted     map[string]int64 `json:"counted" doc:"Pieces by denomination; one that is left out counts as none" example:"{\"10000\":3,\"100\":12}"`
	}
}

func (s *Service) postClose(ctx context.Context, in *closeInput) (*idempotency.Output[DayReport], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	if err := checkDay("business_day", in.Body.BusinessDay); err != nil {
		return nil, err
	}
	at, r, err := in.Enter(ctx, s.Stores, in.Body, s.Clock())
	if err != nil {
		return nil, err
	}
	answer, err := s.Close(ctx, at, r, in.Body.BusinessDay, in.Body.Counted)
	return idempotency.Reply[DayReport](answer), err
}

type correctInput struct {
	idempotency.Input
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body struct {
		Counted map[string]int64 `json:"counted" doc:"Pieces by denomination"`
		Reason  string           `json:"reason" minLength:"1" maxLength:"200"`
	}
}

func (s *Service) postCorrect(ctx context.Context, in *correctInput) (*idempotency.Output[DayReport], error) {
	if err := in.Must(); err != nil {
		return nil, err
	}
	if strings.TrimSpace(in.Body.Reason) == "" {
		return nil, problem.Validation.Field("reason", "say why")
	}
	if err := pan.Refuse("reason", in.Body.Reason); err != nil {
		return nil, err
	}
	at, r, err := in.Enter(ctx, s.Stores, in.Body, s.Clock())
	if err != nil {
		return nil, err
	}
	answer, err := s.Correct(ctx, at, r, in.ID, in.Body.Reason, in.Body.Counted)
	return idempotency.Reply[DayReport](answer), err
}

type listInput struct {
	store.Query
	wire.Page
	BusinessDay string `query:"business_day" example:"2026-04-01"`
	Status      string `query:"status" enum:"open,closed,reconciled"`
}

type listOutput struct{ Body wire.List[DayReport] }

func (s *Service) getList(ctx context.Context, in *listInput) (*listOutput, error) {
	if err := checkDay("query.business_day", in.BusinessDay); err != nil {
		return nil, err
	}
	before, err := in.Before()
	if err != nil {
		return nil, err
	}
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	reports, err := s.List(ctx, at, Filter{
		Day: wire.OrNil(in.BusinessDay), Status: wire.OrNil(in.Status), Before: before, Limit: in.Size(),
	})
	if err != nil {
		return nil, err
	}
	return &listOutput{Body: wire.Listed(in.Page, reports,
		func(r DayReport) string { return r.ID.String() }, func(r DayReport) DayReport { return r })}, nil
}

type oneInput struct {
	store.Query
	ID uuid.UUID `path:"id" format:"uuid"`
}

func (s *Service) getOne(ctx context.Context, in *oneInput) (*reportOutput, error) {
	at, err := in.Any(ctx, s.Stores)
	if err != nil {
		return nil, err
	}
	report, err := s.Get(ctx, at, in.ID)
	return &reportOutput{Body: report}, err
}

// checkDay accepts a date as it travels, or none.
func checkDay(field, day string) error {
	if day == "" {
		return nil
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return problem.Validation.Field(field, "must be a date such as 2026-04-01")
	}
	return nil
}
