package iam

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// ByID names one thing. It is embedded, so it must be exported to be filled in.
type ByID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type sessionList struct{ Body wire.List[Session] }

type passwordInput struct {
	Body struct {
		CurrentPassword string `json:"current_password" minLength:"1" maxLength:"200"`
		NewPassword     string `json:"new_password" minLength:"10" maxLength:"200"`
	}
}

type ofUser struct {
	ByID
	wire.Page
}

func registerSessions(api huma.API, s *Service) {
	const tag = "Sessions"
	huma.Register(api, operation(access.Users(access.SessionsOwn), "list-own-sessions", http.MethodGet, "/auth/user/sessions", tag, "List one's own sessions"),
		func(ctx context.Context, in *wire.Page) (*sessionList, error) {
			return s.sessions(ctx, access.From(ctx).UserID, *in)
		})
	huma.Register(api, quiet(operation(access.Users(access.SessionsOwn), "end-own-session", http.MethodDelete, "/auth/user/sessions/{id}", tag, "End one of one's own sessions")),
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			caller := access.From(ctx)
			return nil, s.DB.EndSession(ctx, caller.Scope(), caller.UserID, in.ID)
		})
	huma.Register(api, quiet(operation(access.Users(access.SessionsOwn), "change-own-password", http.MethodPost, "/auth/user/password", tag, "Change one's own password")),
		func(ctx context.Context, in *passwordInput) (*struct{}, error) {
			return nil, s.ChangePassword(ctx, access.From(ctx), in.Body.CurrentPassword, in.Body.NewPassword)
		})
	huma.Register(api, operation(access.Users(access.UsersRead), "list-user-sessions", http.MethodGet, "/users/{id}/sessions", tag, "List a user's sessions"),
		func(ctx context.Context, in *ofUser) (*sessionList, error) {
			return s.sessions(ctx, in.ID, in.Page)
		})
	huma.Register(api, quiet(operation(access.Users(access.UsersWrite), "end-user-sessions", http.MethodDelete, "/users/{id}/sessions", tag, "Sign a user out everywhere")),
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			caller := access.From(ctx)
			return nil, s.DB.EndSessions(ctx, caller.Scope(), in.ID, func(u User) error { return mayManage(caller, u.Role) })
		})
}

func (s *Service) sessions(ctx context.Context, userID uuid.UUID, page wire.Page) (*sessionList, error) {
	before, err := page.Before()
	if err != nil {
		return nil, err
	}
	caller := access.From(ctx)
	rows, err := s.DB.Sessions(ctx, caller.Scope(), userID, caller.SessionID, before, page.Size())
	if err != nil {
		return nil, err
	}
	same := func(v Session) Session { return v }
	return &sessionList{wire.Listed(page, rows, func(v Session) string { return v.ID.String() }, same)}, nil
}
