package device

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

const prefix = "/api/v1"

// TokenPath is where the token endpoint is served.
const TokenPath = prefix + "/auth/device/token"

func operation(rule access.Rule, id, method, path, tag, summary string) huma.Operation {
	return rule.On(huma.Operation{OperationID: id, Method: method, Path: prefix + path, Summary: summary, Tags: []string{tag}})
}

// Register adds the operations on terminals, their activation and their tokens.
func Register(api huma.API, s *Service) {
	beginAtZero()
	registerTerminals(api, s.DB)
	registerStates(api, s.DB)
	registerActivation(api, s)
	registerToken(api, s)
}

// ByID names one thing. It is embedded, so it must be exported to be filled in.
type ByID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type output struct{ Body Terminal }

type listOutput struct{ Body wire.List[Terminal] }

type createInput struct {
	Body struct {
		StoreID      uuid.UUID `json:"store_id,omitempty" format:"uuid" doc:"May be left out by a store's own users"`
		SerialNumber string    `json:"serial_number" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"`
		Model        string    `json:"model" minLength:"1" maxLength:"100"`
		Name         string    `json:"name" minLength:"1" maxLength:"200"`
	}
}

type listInput struct {
	wire.Page
	MerchantID   uuid.UUID `query:"merchant_id" format:"uuid"`
	StoreID      uuid.UUID `query:"store_id" format:"uuid"`
	Status       string    `query:"status" enum:"in_stock,shipped,active,suspended,lost,decommissioned"`
	SerialNumber string    `query:"serial_number" maxLength:"64"`
}

type changeInput struct {
	ByID
	Body struct {
		Version int64   `json:"version" minimum:"1" doc:"The version you saw"`
		Name    *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Model   *string `json:"model,omitempty" minLength:"1" maxLength:"100"`
	}
}

func registerTerminals(api huma.API, d *DB) {
	const tag = "Terminals"
	create := operation(access.Users(access.TerminalsWrite), "create-terminal", http.MethodPost, "/terminals", tag, "Register a terminal")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, func(ctx context.Context, in *createInput) (*output, error) {
		caller, b := access.From(ctx), in.Body
		if b.StoreID == uuid.Nil {
			b.StoreID = caller.StoreID
		}
		t, err := d.Create(ctx, caller.Scope(), Terminal{StoreID: b.StoreID, SerialNumber: b.SerialNumber, Model: b.Model, Name: b.Name})
		return &output{t}, err
	})
	huma.Register(api, operation(access.Users(access.TerminalsRead), "list-terminals", http.MethodGet, "/terminals", tag, "List the terminals"),
		func(ctx context.Context, in *listInput) (*listOutput, error) {
			before, err := in.Before()
			if err != nil {
				return nil, err
			}
			rows, err := d.Terminals(ctx, access.From(ctx).Scope(), Filter{
				MerchantID: in.MerchantID, StoreID: in.StoreID, Status: in.Status, SerialNumber: in.SerialNumber, Before: before, Size: in.Size(),
			})
			if err != nil {
				return nil, err
			}
			same := func(v Terminal) Terminal { return v }
			return &listOutput{wire.Listed(in.Page, rows, func(v Terminal) string { return v.ID.String() }, same)}, nil
		})
	huma.Register(api, operation(access.Users(access.TerminalsRead), "get-terminal", http.MethodGet, "/terminals/{id}", tag, "Read a terminal"),
		func(ctx context.Context, in *ByID) (*output, error) {
			t, err := d.Terminal(ctx, access.From(ctx).Scope(), in.ID)
			return &output{t}, err
		})
	huma.Register(api, operation(access.Users(access.TerminalsWrite), "change-terminal", http.MethodPatch, "/terminals/{id}", tag, "Change a terminal"),
		func(ctx context.Context, in *changeInput) (*output, error) {
			b := in.Body
			t, err := d.Change(ctx, access.From(ctx).Scope(), in.ID, b.Version, "terminal.update", func(t *Terminal) error {
				if b.Name != nil {
					t.Name = *b.Name
				}
				if b.Model != nil {
					t.Model = *b.Model
				}
				return nil
			})
			return &output{t}, err
		})
}

type stateInput struct {
	ByID
	Body struct {
		Version int64 `json:"version" minimum:"1" doc:"The version you saw"`
	}
}

// registerStates adds an operation for each verb. A terminal that is not active gets no further token; the one it holds is over
// within two minutes.
func registerStates(api huma.API, d *DB) {
	for v, summary := range map[verb]string{
		suspend: "Suspend a terminal: it gets no more tokens", resume: "Let a suspended terminal work again",
		markLost: "Report a terminal lost", decommission: "Take a terminal out of service for good",
	} {
		huma.Register(api, operation(access.Users(access.TerminalsWrite), string(v)+"-terminal", http.MethodPost, "/terminals/{id}/"+string(v), "Terminals", summary),
			func(ctx context.Context, in *stateInput) (*output, error) {
				t, err := d.Change(ctx, access.From(ctx).Scope(), in.ID, in.Body.Version, "terminal."+string(v),
					func(t *Terminal) error { return t.move(v) })
				return &output{t}, err
			})
	}
}

type generateInput struct {
	Body struct {
		TerminalID uuid.UUID `json:"terminal_id" format:"uuid"`
	}
}

type generateOutput struct {
	Body struct {
		ActivationCode string    `json:"activation_code" doc:"Eight characters; good once"`
		ExpiresAt      wire.Time `json:"expires_at"`
	}
}

type activateInput struct {
	Body struct {
		ActivationCode string    `json:"activation_code" minLength:"8" maxLength:"16" doc:"In either case, with or without spaces and dashes"`
		PublicKey      PublicKey `json:"public_key" doc:"JWK of the P-256 key pair that the terminal has made"`
		Device         About     `json:"device,omitempty"`
	}
}

type activateOutput struct {
	Body struct {
		ClientID   string    `json:"client_id"`
		TerminalID uuid.UUID `json:"terminal_id" format:"uuid"`
		PSPID      uuid.UUID `json:"psp_id" format:"uuid"`
		MerchantID uuid.UUID `json:"merchant_id" format:"uuid"`
		StoreID    uuid.UUID `json:"store_id" format:"uuid"`
		Number     int       `json:"number"`
	}
}

type statusInput struct {
	Code string `query:"activation_code" required:"true" minLength:"8" maxLength:"16"`
}

type statusOutput struct {
	Body struct {
		Status    string    `json:"status" enum:"pending,activated,expired"`
		ExpiresAt wire.Time `json:"expires_at"`
	}
}

func registerActivation(api huma.API, s *Service) {
	const tag = "Activation"
	huma.Register(api, operation(access.Users(access.TerminalsActivate), "generate-activation-code", http.MethodPost, "/device/provision/generateActivationCode", tag,
		"Make an activation code for a terminal"),
		func(ctx context.Context, in *generateInput) (*generateOutput, error) {
			caller := access.From(ctx)
			code, expires, err := s.DB.GenerateCode(ctx, caller.Scope(), in.Body.TerminalID, caller.Subject)
			out := generateOutput{}
			out.Body.ActivationCode, out.Body.ExpiresAt = code, wire.At(expires)
			return &out, err
		})
	huma.Register(api, operation(access.Open(), "activate", http.MethodPost, "/device/provision/activate", tag, "Activate a terminal with its code and its public key"),
		func(ctx context.Context, in *activateInput) (*activateOutput, error) { return s.activate(ctx, in) })
	huma.Register(api, operation(access.Open(), "activation-status", http.MethodGet, "/device/provision/activationStatus", tag, "Read what has become of an activation code"),
		func(ctx context.Context, in *statusInput) (*statusOutput, error) {
			out := statusOutput{}
			err := s.guarded(ctx, func() error {
				status, err := s.DB.CodeStatus(ctx, in.Code)
				out.Body.Status, out.Body.ExpiresAt = status.State, wire.At(status.ExpiresAt)
				return err
			})
			return &out, err
		})
}

func (s *Service) activate(ctx context.Context, in *activateInput) (*activateOutput, error) {
	key, err := in.Body.PublicKey.canonical()
	if err != nil {
		return nil, err
	}
	out := activateOutput{}
	err = s.guarded(ctx, func() error {
		t, err := s.DB.Activate(ctx, in.Body.ActivationCode, key, in.Body.Device)
		b := &out.Body
		b.ClientID, b.TerminalID, b.PSPID, b.MerchantID, b.StoreID, b.Number = t.ClientID, t.ID, t.PSPID, t.MerchantID, t.StoreID, t.Number
		return err
	})
	countActivation(ctx, err)
	return &out, err
}

// guarded refuses a source that has shown too many wrong codes, and counts one more when f finds it wrong.
func (s *Service) guarded(ctx context.Context, f func() error) error {
	source := "activation:" + audit.OriginOf(ctx).IP
	if d := s.Failures.Peek(ctx, source); !d.Allowed {
		seconds := int64((d.RetryAfter + time.Second - 1) / time.Second)
		return problem.RateLimited.New("Too many wrong activation codes.").WithHeader("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
	}
	err := f()
	if InvalidCode.Is(err) {
		s.Failures.Allow(ctx, source)
	}
	return err
}

type tokenInput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"application/x-www-form-urlencoded"`
}

type tokenOutput struct {
	Body struct {
		AccessToken string `json:"access_token" doc:"JWT, ES256"`
		TokenType   string `json:"token_type" enum:"Bearer"`
		ExpiresIn   int    `json:"expires_in" doc:"Seconds"`
	}
}

func registerToken(api huma.API, s *Service) {
	op := operation(access.Open(), "device-token", http.MethodPost, "/auth/device/token", "Device tokens", "Give a terminal an access token (OAuth 2.0, private_key_jwt)")
	op.MaxBodyBytes = 16 << 10
	huma.Register(api, op, func(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
		request, err := in.parse()
		if err != nil {
			return nil, err
		}
		token, err := s.Token(ctx, request)
		countToken(ctx, request, err)
		if err != nil {
			return nil, err
		}
		out := tokenOutput{}
		out.Body.AccessToken, out.Body.TokenType, out.Body.ExpiresIn = token, "Bearer", int(signing.DeviceTokenLife.Seconds())
		return &out, nil
	})
	describeForm(api.OpenAPI().Paths[TokenPath].Post)
}

// describeForm writes the form's members into the document: huma knows a form as bytes.
func describeForm(op *huma.Operation) {
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: doc} }
	op.RequestBody.Content["application/x-www-form-urlencoded"].Schema = &huma.Schema{
		Type:     huma.TypeObject,
		Required: []string{"grant_type", "client_assertion_type", "client_assertion"},
		Properties: map[string]*huma.Schema{
			"grant_type":            text("client_credentials"),
			"client_id":             text("May be left out: the assertion says it"),
			"client_assertion_type": text(AssertionType),
			"client_assertion":      text("JWT signed ES256 by the terminal's key: iss and sub the client id; aud this endpoint's address, or " + Audience + "; jti never used before; exp at most five minutes ahead"),
		},
	}
}

func (in *tokenInput) parse() (TokenRequest, error) {
	if media, _, err := mime.ParseMediaType(in.ContentType); err != nil || media != "application/x-www-form-urlencoded" {
		return TokenRequest{}, problem.UnsupportedMedia.New("A token request is application/x-www-form-urlencoded.")
	}
	form, err := url.ParseQuery(string(in.RawBody))
	if err != nil {
		return TokenRequest{}, problem.Malformed.New("The form cannot be read.")
	}
	for name, values := range form {
		if len(values) != 1 {
			return TokenRequest{}, InvalidRequest.Field(name, "it must be given once").With("error", "invalid_request")
		}
	}
	return TokenRequest{
		GrantType: form.Get("grant_type"), ClientID: form.Get("client_id"), AssertionType: form.Get("client_assertion_type"),
		Assertion: form.Get("client_assertion"),
	}, nil
}
