package iam

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

type userOutput struct{ Body User }

type userList struct{ Body wire.List[User] }

type createUser struct {
	Body struct {
		Email      string      `json:"email" maxLength:"254" pattern:"^[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*$"`
		Name       string      `json:"name" minLength:"1" maxLength:"200"`
		Password   string      `json:"password" minLength:"10" maxLength:"200"`
		Role       access.Role `json:"role" enum:"SYSTEM_OP,PSP_ADMIN,MERCHANT_ADMIN,STORE_MANAGER,STAFF"`
		PSPID      *uuid.UUID  `json:"psp_id,omitempty" format:"uuid"`
		MerchantID *uuid.UUID  `json:"merchant_id,omitempty" format:"uuid"`
		StoreID    *uuid.UUID  `json:"store_id,omitempty" format:"uuid"`
	}
}

type changeUser struct {
	ByID
	Body struct {
		Version    int64        `json:"version" minimum:"1" doc:"The version you saw"`
		Name       *string      `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Password   string       `json:"password,omitempty" minLength:"10" maxLength:"200"`
		Role       *access.Role `json:"role,omitempty" enum:"SYSTEM_OP,PSP_ADMIN,MERCHANT_ADMIN,STORE_MANAGER,STAFF" doc:"With the ids of the tenant it is held in"`
		PSPID      *uuid.UUID   `json:"psp_id,omitempty" format:"uuid"`
		MerchantID *uuid.UUID   `json:"merchant_id,omitempty" format:"uuid"`
		StoreID    *uuid.UUID   `json:"store_id,omitempty" format:"uuid"`
		Status     *string      `json:"status,omitempty" enum:"active,inactive"`
	}
}

type listUsers struct {
	wire.Page
	PSPID      uuid.UUID `query:"psp_id" format:"uuid"`
	MerchantID uuid.UUID `query:"merchant_id" format:"uuid"`
	StoreID    uuid.UUID `query:"store_id" format:"uuid"`
	Role       string    `query:"role" enum:"SYSTEM_OP,PSP_ADMIN,MERCHANT_ADMIN,STORE_MANAGER,STAFF"`
	Status     string    `query:"status" enum:"active,inactive"`
	Email      string    `query:"email" maxLength:"254"`
}

func registerUsers(api huma.API, s *Service) {
	const tag = "Users"
	huma.Register(api, created(operation(access.Users(access.UsersWrite), "create-user", http.MethodPost, "/users", tag, "Add a user")),
		func(ctx context.Context, in *createUser) (*userOutput, error) { return s.createUser(ctx, in) })
	huma.Register(api, operation(access.Users(access.UsersRead), "list-users", http.MethodGet, "/users", tag, "List the users"),
		func(ctx context.Context, in *listUsers) (*userList, error) {
			before, err := in.Before()
			if err != nil {
				return nil, err
			}
			rows, err := s.DB.Users(ctx, access.From(ctx).Scope(), UserFilter{
				PSPID: in.PSPID, MerchantID: in.MerchantID, StoreID: in.StoreID, Role: in.Role, Status: in.Status,
				Email: normalEmail(in.Email), Before: before, Size: in.Size(),
			})
			if err != nil {
				return nil, err
			}
			same := func(v User) User { return v }
			return &userList{wire.Listed(in.Page, rows, func(v User) string { return v.ID.String() }, same)}, nil
		})
	huma.Register(api, operation(access.Users(access.UsersRead), "get-user", http.MethodGet, "/users/{id}", tag, "Read a user"),
		func(ctx context.Context, in *ByID) (*userOutput, error) {
			user, err := s.DB.User(ctx, access.From(ctx).Scope(), in.ID)
			return &userOutput{user}, err
		})
	huma.Register(api, operation(access.Users(access.UsersWrite), "change-user", http.MethodPatch, "/users/{id}", tag, "Change a user"),
		func(ctx context.Context, in *changeUser) (*userOutput, error) { return s.changeUser(ctx, in) })
	huma.Register(api, quiet(operation(access.Users(access.UsersWrite), "reset-user-mfa", http.MethodPost, "/users/{id}/mfa/reset", tag,
		"Take away a second factor that was lost")),
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			caller := access.From(ctx)
			if in.ID == caller.UserID {
				return nil, problem.Forbidden.New("Somebody else has to take away your second factor.")
			}
			return nil, s.DB.ResetMFA(ctx, caller.Scope(), in.ID, func(u User) error { return mayManage(caller, u.Role) })
		})
	huma.Register(api, operation(access.Users(access.SessionsOwn), "get-own-user", http.MethodGet, "/auth/user/me", "Sign-in", "Read who is signed in"),
		func(ctx context.Context, _ *struct{}) (*userOutput, error) {
			caller := access.From(ctx)
			user, err := s.DB.User(ctx, caller.Scope(), caller.UserID)
			return &userOutput{user}, err
		})
}

func (s *Service) createUser(ctx context.Context, in *createUser) (*userOutput, error) {
	caller, b := access.From(ctx), in.Body
	if err := mayManage(caller, b.Role); err != nil {
		return nil, err
	}
	user := User{
		Email: normalEmail(b.Email), Name: b.Name, Role: b.Role, PSPID: b.PSPID, MerchantID: b.MerchantID, StoreID: b.StoreID,
	}.within(caller)
	if err := checkPassword("password", b.Password, user.Email); err != nil {
		return nil, err
	}
	hash, err := s.Hasher.hash(ctx, b.Password)
	if err != nil {
		return nil, err
	}
	user, err = s.DB.Create(ctx, caller.Scope(), user, hash)
	return &userOutput{user}, err
}

func (s *Service) changeUser(ctx context.Context, in *changeUser) (*userOutput, error) {
	caller, b := access.From(ctx), in.Body
	if in.ID == caller.UserID && (b.Role != nil || b.Status != nil || b.Password != "") {
		return nil, problem.Forbidden.New("Your own role and status are changed by somebody else, your password at /auth/user/password.")
	}
	hash := ""
	if b.Password != "" {
		var err error
		if hash, err = s.Hasher.hash(ctx, b.Password); err != nil {
			return nil, err
		}
	}
	user, err := s.DB.Change(ctx, caller.Scope(), in.ID, b.Version, hash, func(u *User) error {
		if err := mayManage(caller, u.Role); err != nil {
			return err
		}
		if b.Password != "" {
			if err := checkPassword("password", b.Password, u.Email); err != nil {
				return err
			}
		}
		if b.Name != nil {
			u.Name = *b.Name
		}
		if b.Status != nil {
			u.Status = *b.Status
		}
		return in.rebind(caller, u)
	})
	return &userOutput{user}, err
}

// rebind gives the user another role or tenant, where the request names one.
func (in *changeUser) rebind(caller access.Principal, u *User) error {
	b := in.Body
	if b.Role == nil && b.PSPID == nil && b.MerchantID == nil && b.StoreID == nil {
		return nil
	}
	if b.Role != nil {
		u.Role = *b.Role
		u.PSPID, u.MerchantID, u.StoreID = nil, nil, nil
	}
	if err := mayManage(caller, u.Role); err != nil {
		return err
	}
	if b.PSPID != nil {
		u.PSPID, u.MerchantID, u.StoreID = b.PSPID, nil, nil
	}
	if b.MerchantID != nil {
		u.MerchantID, u.StoreID = b.MerchantID, nil
	}
	if b.StoreID != nil {
		u.StoreID = b.StoreID
	}
	*u = u.within(caller)
	return nil
}
