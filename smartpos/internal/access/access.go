// Package access decides who may do what in the SmartPOS services: it verifies the access tokens that svc-portal issues,
// holds the table of roles and permissions, and refuses every operation that does not say who may call it.
//
// An operation states its rule where it is registered:
//
//	huma.Get(api, "/stores", list, access.Users(access.StoresRead))
//	huma.Register(api, access.Either(access.OrdersWrite).On(huma.Operation{...}), create)
//
// and its handler asks access.From(ctx) who calls. No header that names a caller, a role or a tenant is believed, whoever
// set it: the token is verified here again, behind the gateway that has verified it already.
package access

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/postgres"
)

// Kind says what kind of caller a token speaks for.
type Kind string

// The kinds of caller. They have issuers, algorithms and keys of their own.
const (
	KindUser   Kind = "user"
	KindDevice Kind = "device"
)

// Issuers of the two kinds of access token, as their `iss` claim and as the cases of the gateway's consumers.
const (
	UserIssuer   = "svc-portal-users"
	DeviceIssuer = "svc-portal-devices"
)

// Audience is the `aud` of every access token: the SmartPOS services together.
const Audience = "mpac-smartpos"

// TokenType is the `typ` claim of an access token. Nothing else that svc-portal hands out carries it.
const TokenType = "access"

// Principal is the caller as its verified token says. The zero Principal has no kind and may do nothing.
type Principal struct {
	Kind    Kind
	Subject string // user id, or the client id of a device
	// UserID or DeviceID, by kind; the other is zero.
	UserID, DeviceID uuid.UUID
	// The tenant the caller is bound to, from the top down; zero means not bound at that level. A SYSTEM_OP is bound
	// to none, a device to all three.
	PSPID, MerchantID, StoreID uuid.UUID
	Role                       Role   // users only
	ImpersonatedBy             string // user id of who acts as this user, else empty
	SessionID                  string // the login this token came from; users only
	TokenID                    string
	ExpiresAt                  time.Time
}

// Can says whether the caller's role has the permission. Devices have no role: what they may do is said by the
// operations themselves (Devices, Either).
func (p Principal) Can(permission Permission) bool {
	return p.Kind == KindUser && p.Role.Has(permission)
}

// Scope is what row-level security lets the caller see and write: give it to postgres.InTx. A caller without any binding
// who is not SYSTEM_OP gets the empty scope, which sees nothing.
func (p Principal) Scope() postgres.Scope {
	var settings []string
	if p.Kind == KindUser && p.Role == SystemOp {
		settings = append(settings, "platform", "on")
	}
	for _, level := range []struct {
		name string
		id   uuid.UUID
	}{{"psp_id", p.PSPID}, {"merchant_id", p.MerchantID}, {"store_id", p.StoreID}} {
		if level.id != uuid.Nil {
			settings = append(settings, level.name, level.id.String())
		}
	}
	return postgres.NewScope(settings...)
}

// ErrOutsideBinding is returned by Narrow for a tenant other than the one the caller is bound to.
var ErrOutsideBinding = errors.New("outside the caller's tenant")

// Narrow binds the caller further down: a PSP's user to one of its merchants, a merchant's user to one of its stores. Zero
// ids change nothing. A level that is bound already stays as it is; another id there is ErrOutsideBinding.
//
// It cannot know whether the merchant is the PSP's or the store is the merchant's: look the row up under the caller's own
// Scope first, and narrow by what was found.
func (p Principal) Narrow(pspID, merchantID, storeID uuid.UUID) (Principal, error) {
	for _, level := range []struct {
		bound *uuid.UUID
		asked uuid.UUID
	}{{&p.PSPID, pspID}, {&p.MerchantID, merchantID}, {&p.StoreID, storeID}} {
		switch {
		case level.asked == uuid.Nil || level.asked == *level.bound:
		case *level.bound == uuid.Nil:
			*level.bound = level.asked
		default:
			return Principal{}, ErrOutsideBinding
		}
	}
	return p, nil
}

type contextKey struct{}

// From returns the caller of the request that ctx belongs to; the zero Principal on operations open to all.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}

// With returns ctx with the caller p: for jobs that act on somebody's behalf, and for tests of handlers.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}
