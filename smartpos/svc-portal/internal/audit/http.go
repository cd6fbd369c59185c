package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

const maxUserAgent = 300

// Middleware notes where each request comes from.
func Middleware(c *gin.Context) {
	agent := []rune(c.Request.UserAgent())
	origin := Origin{
		IP: c.ClientIP(), UserAgent: string(agent[:min(len(agent), maxUserAgent)]), RequestID: httpserver.RequestID(c.Request.Context()),
	}
	c.Request = c.Request.WithContext(WithOrigin(c.Request.Context(), origin))
	c.Next()
}

// View is an entry as its readers see it.
type View struct {
	ID             uuid.UUID       `json:"id" format:"uuid"`
	At             wire.Time       `json:"at"`
	ActorKind      string          `json:"actor_kind" enum:"user,device,system,anonymous"`
	Actor          string          `json:"actor" doc:"User id, a terminal's client id, or the job's name"`
	ImpersonatedBy string          `json:"impersonated_by,omitempty" doc:"The user who acted as this one"`
	Action         string          `json:"action" example:"store.update"`
	Entity         string          `json:"entity" example:"store"`
	EntityID       string          `json:"entity_id"`
	PSPID          *uuid.UUID      `json:"psp_id,omitempty" format:"uuid"`
	MerchantID     *uuid.UUID      `json:"merchant_id,omitempty" format:"uuid"`
	StoreID        *uuid.UUID      `json:"store_id,omitempty" format:"uuid"`
	Before         json.RawMessage `json:"before,omitempty" doc:"What it was; secrets masked"`
	After          json.RawMessage `json:"after,omitempty" doc:"What it became; secrets masked"`
	IP             string          `json:"ip"`
	UserAgent      string          `json:"user_agent"`
	RequestID      string          `json:"request_id"`
}

func viewOf(r Record) View {
	return View{
		ID: r.ID, At: wire.At(r.At), ActorKind: r.Entry.Actor.Kind, Actor: r.Entry.Actor.ID, ImpersonatedBy: r.Entry.Actor.ImpersonatedBy,
		Action: r.Entry.Action, Entity: r.Entry.Entity, EntityID: r.Entry.EntityID,
		PSPID: r.PSPID, MerchantID: r.MerchantID, StoreID: r.StoreID, Before: r.Before, After: r.After,
		IP: r.Origin.IP, UserAgent: r.Origin.UserAgent, RequestID: r.Origin.RequestID,
	}
}

type listInput struct {
	wire.Page
	Actor      string    `query:"actor" maxLength:"100"`
	Action     string    `query:"action" maxLength:"100" example:"store.update"`
	Entity     string    `query:"entity" maxLength:"100"`
	EntityID   string    `query:"entity_id" maxLength:"200"`
	MerchantID uuid.UUID `query:"merchant_id" format:"uuid"`
	StoreID    uuid.UUID `query:"store_id" format:"uuid"`
	From       time.Time `query:"from" doc:"Entries of this instant and later"`
	To         time.Time `query:"to" doc:"Entries before this instant"`
}

type listOutput struct{ Body wire.List[View] }

// Register adds the audit log's operations.
func Register(api huma.API, s Store) {
	huma.Register(api, access.Users(access.AuditRead).On(huma.Operation{
		OperationID: "list-audit", Method: "GET", Path: "/api/v1/audit", Summary: "List the audit log", Tags: []string{"Audit"},
		Description: "Who did what, within the caller's tenant, newest first.",
	}), func(ctx context.Context, in *listInput) (*listOutput, error) {
		before, err := in.Before()
		if err != nil {
			return nil, err
		}
		records, err := s.List(ctx, access.From(ctx).Scope(), in.filter(), before, in.Size())
		if err != nil {
			return nil, err
		}
		return &listOutput{wire.Listed(in.Page, records, func(r Record) string { return r.ID.String() }, viewOf)}, nil
	})
}

func (in *listInput) filter() Filter {
	return Filter{
		Actor: wire.OrNil(in.Actor), Action: wire.OrNil(in.Action), Entity: wire.OrNil(in.Entity), EntityID: wire.OrNil(in.EntityID),
		MerchantID: wire.OrNil(in.MerchantID), StoreID: wire.OrNil(in.StoreID), From: instantOrNil(in.From), To: instantOrNil(in.To),
	}
}

func instantOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
