package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// WrongTokenKind is the answer to a device on people's operations and the reverse.
var WrongTokenKind = problem.Define("wrong_token_kind", http.StatusForbidden, "This kind of token may not be used here")

// Names of the security schemes in the OpenAPI document.
const (
	userScheme   = "user"
	deviceScheme = "device"
)

const metadataKey = "access"

// requirement is what an operation asks of its caller.
type requirement struct {
	open, users, devices bool
	permissions          []Permission // of users; all of them
}

// Rule states who may call an operation. It is an operation handler of huma.Get and its kin; On is for huma.Register.
type Rule func(*huma.Operation)

// On returns the operation with the rule stated.
func (r Rule) On(op huma.Operation) huma.Operation {
	r(&op)
	return op
}

// Users lets in users whose role has all the permissions.
func Users(permissions ...Permission) Rule {
	return requirement{users: true, permissions: permissions}.rule(map[string][]string{userScheme: {}})
}

// Devices lets in terminals, within their store.
func Devices() Rule {
	return requirement{devices: true}.rule(map[string][]string{deviceScheme: {}})
}

// Either lets in terminals, and users whose role has all the permissions.
func Either(permissions ...Permission) Rule {
	return requirement{users: true, devices: true, permissions: permissions}.
		rule(map[string][]string{userScheme: {}}, map[string][]string{deviceScheme: {}})
}

// Open lets in everybody, without a token.
func Open() Rule {
	return requirement{open: true}.rule()
}

func (r requirement) rule(schemes ...map[string][]string) Rule {
	return func(op *huma.Operation) {
		op.Security = append([]map[string][]string{}, schemes...)
		if op.Metadata == nil {
			op.Metadata = map[string]any{}
		}
		op.Metadata[metadataKey] = r
		if len(r.permissions) > 0 {
			if op.Extensions == nil {
				op.Extensions = map[string]any{}
			}
			op.Extensions["x-permissions"] = r.permissions
		}
	}
}

// stated finds an operation's rule. One that the server itself adds (health, documentation) is open when its security is an
// empty list; whatever states nothing has no rule.
func stated(op *huma.Operation) (requirement, bool) {
	if r, ok := op.Metadata[metadataKey].(requirement); ok {
		return r, true
	}
	return requirement{open: true}, op.Security != nil && len(op.Security) == 0
}

// Middleware verifies the token of every operation and holds the caller against the operation's rule; it counts the caller's
// requests when limiter is not nil. Use it before the first operation is registered.
func Middleware(api huma.API, verifier *Verifier, limiter *Limiter) func(huma.Context, func(huma.Context)) {
	describe(api.OpenAPI())
	for _, kind := range []Kind{KindUser, KindDevice} {
		names.LimiterRefused.AtZero(names.Limit.Is(string(kind)))
	}
	return func(ctx huma.Context, next func(huma.Context)) {
		dropIdentityHeaders(humagin.Unwrap(ctx).Request.Header)
		rule, ok := stated(ctx.Operation())
		if !ok {
			refuse(api, ctx, problem.Forbidden.New("This operation does not say who may call it."))
			return
		}
		if rule.open {
			next(ctx)
			return
		}
		caller, refusal := authenticate(ctx, verifier)
		if refusal == nil {
			refusal = rule.admit(caller)
		}
		if refusal == nil {
			refusal = count(ctx, limiter, caller)
		}
		if refusal != nil {
			refuse(api, ctx, refusal)
			return
		}
		tag(ctx.Context(), caller)
		next(huma.WithContext(ctx, With(ctx.Context(), caller)))
	}
}

// tag notes in the request's span and log lines who calls.
func tag(ctx context.Context, p Principal) {
	telemetry.Tag(ctx, names.Caller, p.Subject)
	for key, id := range map[string]uuid.UUID{names.MerchantID: p.MerchantID, names.StoreID: p.StoreID, names.TerminalID: p.DeviceID} {
		if id != uuid.Nil {
			telemetry.Tag(ctx, key, id.String())
		}
	}
}

// describe adds the security schemes to the OpenAPI document.
func describe(doc *huma.OpenAPI) {
	if doc.Components == nil {
		doc.Components = &huma.Components{}
	}
	if doc.Components.SecuritySchemes == nil {
		doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	}
	doc.Components.SecuritySchemes[userScheme] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", BearerFormat: "JWT",
		Description: "Access token of a person, RS256, issued by " + UserIssuer,
	}
	doc.Components.SecuritySchemes[deviceScheme] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", BearerFormat: "JWT",
		Description: "Access token of a terminal, ES256, issued by " + DeviceIssuer,
	}
}

// dropIdentityHeaders takes away every header by which somebody in between could claim to know the caller.
func dropIdentityHeaders(h http.Header) {
	for name := range h {
		switch canonical := http.CanonicalHeaderKey(name); {
		case strings.HasPrefix(canonical, "X-Caller-"),
			canonical == "X-Role", canonical == "X-Merchant-Id", canonical == "X-Store-Id":
			delete(h, name)
		}
	}
}

func authenticate(ctx huma.Context, verifier *Verifier) (Principal, *problem.Error) {
	scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, problem.Unauthorized.New("An access token is needed: Authorization: Bearer <token>.").
			WithHeader("WWW-Authenticate", `Bearer realm="mpac"`)
	}
	caller, err := verifier.Verify(ctx.Context(), strings.TrimSpace(token))
	switch {
	case err == nil:
		return caller, nil
	case errors.Is(err, ErrKeysAway):
		return Principal{}, problem.Unavailable.New("The token cannot be verified just now.").Wrap(err).WithHeader("Retry-After", "1")
	case errors.Is(err, ErrExpired):
		return Principal{}, invalidToken("The access token has expired.", err)
	default:
		return Principal{}, invalidToken("The access token is not valid.", err)
	}
}

func invalidToken(detail string, err error) *problem.Error {
	return problem.Unauthorized.New(detail).Wrap(err).
		WithHeader("WWW-Authenticate", fmt.Sprintf(`Bearer realm="mpac", error="invalid_token", error_description=%q`, detail))
}

// admit holds a verified caller against the rule.
func (r requirement) admit(p Principal) *problem.Error {
	switch {
	case p.Kind == KindDevice && !r.devices:
		return WrongTokenKind.New("This operation is for people; a terminal's token may not be used.")
	case p.Kind == KindUser && !r.users:
		return WrongTokenKind.New("This operation is for terminals; a person's token may not be used.")
	case p.Kind == KindDevice:
		return nil
	}
	for _, permission := range r.permissions {
		if !p.Can(permission) {
			return problem.Forbidden.New("Your role lacks the permission %s.", permission)
		}
	}
	return nil
}

// count counts the request under its verified subject, and tells the caller how much is left.
func count(ctx huma.Context, limiter *Limiter, p Principal) *problem.Error {
	if limiter == nil {
		return nil
	}
	d := limiter.Allow(ctx.Context(), "access:"+string(p.Kind)+":"+p.Subject)
	ctx.SetHeader("RateLimit-Limit", strconv.Itoa(d.Limit))
	ctx.SetHeader("RateLimit-Remaining", strconv.Itoa(d.Remaining))
	ctx.SetHeader("RateLimit-Reset", seconds(d.Reset))
	if d.Allowed {
		return nil
	}
	names.LimiterRefused.Add(ctx.Context(), 1, names.Limit.Is(string(p.Kind)))
	return problem.RateLimited.New("At most %d requests a minute.", d.Limit).WithHeader("Retry-After", seconds(d.RetryAfter))
}

// seconds is d in whole seconds, rounded up: who waits that long is let in.
func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

// refuse ends the request with the problem.
func refuse(api huma.API, ctx huma.Context, e *problem.Error) {
	for name, values := range e.GetHeaders() {
		for _, value := range values {
			ctx.AppendHeader(name, value)
		}
	}
	// The problem is handed on as the error itself: the server's one error hook writes it, with the request's id.
	_ = huma.WriteErr(api, ctx, e.GetStatus(), e.Detail(), e)
}
